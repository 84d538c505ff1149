from __future__ import annotations

import contextlib
import io
import json
import os
import unittest
import unittest.mock
from typing import Iterable

from .. import command, environment, markdown, page, peers
from .support import TestCase, fake
from .test_report import SAMPLE


class ArgumentTests(unittest.TestCase):
    def test_defaults_and_quick(self) -> None:
        full = command.settings_of(command.parser().parse_args([]))
        self.assertEqual((full["repeats"], full["scale"], full["checkpoints"]), (5, 1.0, 10))
        quick = command.settings_of(command.parser().parse_args(["--quick"]))
        self.assertEqual(quick["repeats"], 1)
        self.assertLess(quick["scale"], 0.01)
        both = command.settings_of(command.parser().parse_args(["--quick", "--repeats", "3"]))
        self.assertEqual(both["repeats"], 3)

    def test_several_names(self) -> None:
        found = command.parser().parse_args(["out", "--variant", "gpt2", "lora", "--only", "ckpt", "moonclip"])
        self.assertEqual((found.directory, found.variant), ("out", ["gpt2", "lora"]))
        self.assertEqual(found.only, ["ckpt", "moonclip"])

    def test_unknown_names_are_refused(self) -> None:
        for arguments in (["--only", "nothing"], ["--variant", "nothing"], ["--repeats", "0"]):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                command.parser().parse_args(arguments)

    def test_the_command_in_the_report_has_no_path(self) -> None:
        self.assertEqual(
            command.command_line(["/a/b", "--quick"], "/a/b"), "Tools/compare DIRECTORY --quick")


class RegistryTests(unittest.TestCase):
    def test_names_are_unique_and_versions_fixed(self) -> None:
        self.assertEqual(len(set(peers.NAMES)), len(peers.NAMES))
        for entry in peers.ENTRIES:
            self.assertIn(entry.kind, (peers.OURS, peers.ASYNC, peers.SYNC, peers.FLOOR, peers.CODEC))
            for requirement in entry.requirements:
                self.assertRegex(requirement, r"^[\w-]+==[\d.]+$")

    def test_every_module_is_there(self) -> None:
        for entry in peers.ENTRIES:
            module, name = entry.source.split(":")
            path = os.path.join(environment.TOOLS, *module.split(".")) + ".py"
            with open(path) as file:
                self.assertIn(f"\nclass {name}(", file.read())

    def test_constraints_fix_all_requirements(self) -> None:
        with open(environment._CONSTRAINTS) as file:
            fixed = {line.strip().lower().replace("_", "-") for line in file}
        for requirement in {*peers.BASE, *(each for entry in peers.ENTRIES for each in entry.requirements)}:
            self.assertIn(requirement.lower().replace("_", "-"), fixed)


class EnvironmentTests(TestCase):
    def test_the_reason_of_pip_is_not_the_address_of_its_manual(self) -> None:
        text = "ERROR: Cannot install x\nERROR: ResolutionImpossible: for help visit https://example.org/a\n"
        self.assertEqual(environment.pip_reason(text), "ERROR: Cannot install x")
        self.assertEqual(environment.pip_reason("ERROR: No matching distribution found for x==9\n"),
                         "ERROR: No matching distribution found for x==9")

    def test_a_peer_that_cannot_be_installed_leaves_the_others(self) -> None:
        found = environment.Environment(self.directory)
        os.makedirs(os.path.dirname(found.python))
        open(found.python, "w").close()
        calls = []

        def pip(requirements: Iterable[str]) -> str:
            calls.append(list(requirements))
            return "ERROR: no wheel for this machine" if "broken==1" in calls[-1] or "+cpu" in calls[-1][0] else ""

        entries = [
            peers.Entry("good", "", peers.ASYNC, "", ("good==1",)),
            peers.Entry("bad", "", peers.ASYNC, "", ("broken==1",)),
            peers.Entry("none", "", peers.ASYNC, "")]
        with unittest.mock.patch.object(found, "_pip", pip):
            problems = found.install(entries, lambda text: None)
            self.assertEqual(problems, {"bad": "not installed: ERROR: no wheel for this machine"})
            # Without a build for the CPU the other one is taken.
            self.assertEqual([call[0] for call in calls[:2]], [peers.BASE[0] + "+cpu", peers.BASE[0]])
            calls.clear()
            # What failed is tried again, what is there is not.
            found.install(entries, lambda text: None)
            self.assertEqual(calls, [["broken==1"]])


class WholeTests(TestCase):
    def test_results_and_reports_are_written(self) -> None:
        results = self.compare(fake("Good"), fake("Crashing"), fake("Skipping"), damage=False)
        command.write(self.directory, results)
        self.assertEqual(sorted(os.listdir(self.directory)), ["report.html", "report.md", "results.json"])
        with open(os.path.join(self.directory, "report.md")) as file:
            text = file.read()
        self.assertIn("| crashing | save, save: crashed: signal 11 (SIGSEGV) |", text)
        self.assertIn("50 % of the saves", text)
        self.assertNotIn(self.directory, text)

    def test_reports_can_be_made_again(self) -> None:
        self.assertEqual(command.main([self.directory, "--render", SAMPLE]), 0)
        with open(SAMPLE) as file:
            results = json.load(file)
        with open(os.path.join(self.directory, "report.md")) as file:
            self.assertEqual(file.read(), markdown.render(results))
        with open(os.path.join(self.directory, "report.html")) as file:
            self.assertEqual(file.read(), page.render(results))
