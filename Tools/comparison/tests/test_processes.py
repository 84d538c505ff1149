"""Peers that misbehave are listed as such."""

from __future__ import annotations

import os
import unittest
from typing import Any

from .. import peers, processes
from ..summary import PeerSummary, summarize
from .support import COMMAND, ENVIRONMENT, SETTINGS, STATE, TestCase, fake


class ProcessTests(TestCase):
    def summary(self, name: str, kind: str = peers.ASYNC, **settings: Any) -> PeerSummary:
        results = self.compare(fake(name, kind), **settings)
        self.assertEqual(os.listdir(self.directory), [], "checkpoints are left")
        found, = summarize(results["variants"][0], results["peers"])
        return found

    def test_a_good_peer_has_every_figure(self) -> None:
        found = self.summary("Good", rounds=2)
        self.assertEqual(found.problems, [])
        self.assertIs(found.is_equal, True)
        self.assertEqual(found.flip, "wrong values, no error")
        for name in ("first_blocked", "blocked", "stall", "durable", "every_step", "restore_warm", "restore_cold",
                     "one_warm", "one_cold"):
            self.assertIn(name, found.spreads)
        self.assertEqual(found.spreads["blocked"].count, 2)
        self.assertEqual(len(found.stored), 3)

    def test_a_peer_that_notices_damage(self) -> None:
        found = self.summary("Checked")
        self.assertTrue(found.flip.startswith("noticed: ValueError: .../step-1 is damaged"), found.flip)

    def test_a_save_that_captures_the_next_update_is_wrong(self) -> None:
        # Floors make no successive saves, in which this one would wait for an update.
        found = self.summary("Late", peers.FLOOR)
        self.assertIs(found.is_equal, False)
        self.assertIn("WRONG BYTES", found.problems[0])

    def test_a_crash_is_listed_with_its_signal_and_place(self) -> None:
        found = self.summary("Crashing")
        self.assertEqual(len(found.problems), 1)
        self.assertIn("save, save: crashed: signal 11 (SIGSEGV)", found.problems[0])
        # What was measured before stays.
        self.assertIn("first_blocked", found.spreads)
        self.assertNotIn("blocked", found.spreads)

    def test_a_hang_ends_at_the_limit_and_is_not_tried_again(self) -> None:
        found = self.summary("Hanging", limit=5.0, repeats=4)
        self.assertEqual(found.problems, ["save, save: timed out: nothing within 5 s"])

    def test_an_error_is_listed_without_paths(self) -> None:
        found = self.summary("Raising", repeats=2)
        self.assertEqual(len(found.problems), 1)
        self.assertRegex(found.problems[0], r"^save, prepare: failed: OSError: no room in \.\.\./[\w-]+ \(2 times\)$")

    def test_an_error_in_the_background_is_listed(self) -> None:
        found = self.summary("FailingInBackground")
        self.assertEqual(found.problems, ["save, first save: failed: OSError: the disk is full"])

    def test_skipped_saves_are_counted(self) -> None:
        found = self.summary("Skipping", damage=False)
        self.assertEqual(found.spreads["every_step_done"].median, 0.5)
        self.assertIn("the save of step 1 was skipped", found.problems[0])

    def test_a_peer_that_is_missing_has_the_last_line_of_its_error(self) -> None:
        entry = peers.Entry("missing", "", peers.ASYNC, "comparison.no_such_module:Peer")
        results = self.compare(entry)
        found, = summarize(results["variants"][0], results["peers"])
        self.assertEqual(
            found.problems, ["save, import: failed: ModuleNotFoundError: No module named 'comparison.no_such_module'"])

    def test_a_process_that_does_not_end_is_ended(self) -> None:
        job = {**SETTINGS, "task": "save", "peer": fake("Lingering").source, "state": STATE, "variant": "gpt2",
               "passes": 1, "directory": self.directory}
        found = processes.run(COMMAND, job, ENVIRONMENT, 30, grace=0.5)
        self.assertEqual(found.status, processes.OK)
        self.assertEqual(found.message, "the process did not end by itself within 0.5 s")

    def test_a_codec(self) -> None:
        results = self.compare(fake("Squeezing", peers.CODEC))
        found, = summarize(results["variants"][0], results["peers"])
        self.assertEqual(found.problems, [])
        self.assertGreater(found.median("codec_stored") or 0, 8 * 64)


if __name__ == "__main__":
    unittest.main()
