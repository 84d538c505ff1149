from __future__ import annotations

import unittest
from typing import Any

from .. import peers
from ..summary import Spread, best_async, ratio, summarize


def run(peer: str, task: str = "save", **values: Any) -> dict[str, Any]:
    return {
        "peer": peer, "task": task, "status": "ok", "phase": "close", "message": "", "seconds": 1.0, "values": values}


def entries(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "title": name, "kind": kind} for name, kind in pairs]


class SpreadTests(unittest.TestCase):
    def test_median_and_range(self) -> None:
        self.assertEqual(Spread.of([3.0, 1.0, 10.0]), Spread(3.0, 1.0, 10.0, 3))
        self.assertEqual(Spread.of([3.0, 1.0]), Spread(2.0, 1.0, 3.0, 2))
        self.assertIsNone(Spread.of([]))


class SummaryTests(unittest.TestCase):
    def test_samples_of_all_repeats_count(self) -> None:
        runs = [run("a", blocked=[1.0, 2.0]), run("b", blocked=[9.0]), run("a", blocked=[6.0])]
        first, second = summarize({"runs": runs}, entries(("a", "async"), ("b", "sync")))
        self.assertEqual(first.spreads["blocked"], Spread(2.0, 1.0, 6.0, 3))
        self.assertEqual(second.spreads["blocked"].count, 1)

    def test_one_wrong_restore_makes_a_peer_wrong(self) -> None:
        runs = [run("a", equal=[True, True]), run("a", one_equal=[True, False])]
        found, = summarize({"runs": runs}, entries(("a", "async")))
        self.assertIs(found.is_equal, False)
        self.assertIn("WRONG BYTES: 1 of 4", found.problems[0])

    def test_nothing_restored_is_neither_right_nor_wrong(self) -> None:
        found, = summarize({"runs": [run("a", blocked=[1.0])]}, entries(("a", "floor")))
        self.assertIsNone(found.is_equal)
        self.assertEqual(found.problems, [])

    def test_equal_problems_are_listed_once(self) -> None:
        failed = {**run("a"), "status": "timed out", "message": "nothing within 9 s", "phase": "save"}
        found, = summarize({"runs": [failed, failed]}, entries(("a", "async")))
        self.assertEqual(found.problems, ["save, save: timed out: nothing within 9 s (2 times)"])

    def test_size_is_that_of_the_successive_checkpoints(self) -> None:
        runs = [
            run("a", "successive", stored=[10], stored_at_end=[9]),
            run("a", "successive", stored=[10, 20, 30], stored_at_end=[28])]
        found, = summarize({"runs": runs}, entries(("a", "async")))
        self.assertEqual((found.stored, found.stored_at_end), ([10, 20, 30], 28))

    def test_the_best_async_peer_is_not_ckpt(self) -> None:
        runs = [run("ckpt", blocked=[0.001]), run("b", blocked=[0.5]), run("c", blocked=[0.2]), run("d", blocked=[0.1])]
        kinds = (("ckpt", peers.OURS), ("b", "async"), ("c", "async"), ("d", "sync"), ("e", "async"))
        found = summarize({"runs": runs}, entries(*kinds))
        best = best_async(found)
        assert best is not None
        self.assertEqual(best.name, "c")
        self.assertAlmostEqual(ratio(best, found[0], "blocked") or 0, 200)
        self.assertIsNone(ratio(best, found[4], "blocked"))
        self.assertIsNone(ratio(None, found[0], "blocked"))
