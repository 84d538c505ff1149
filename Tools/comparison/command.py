"""The command: `Tools/compare`."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys
import tempfile
import time
from typing import Any, Callable, Mapping, Optional, Sequence

from . import disk, machine, markdown, page, peers, processes, schedule, variants
from .environment import WORK, Environment, library, runner_environment
from .redaction import redact

FORMAT = "ckpt comparison 1"
_QUICK_PEERS = ("ckpt", "torch-save", "dcp-async")
_STATE = "comparison.state:State"


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    found = argparse.ArgumentParser(
        prog="Tools/compare", description="Compares ckpt with other checkpoint libraries on this machine.")
    found.add_argument(
        "directory", nargs="?", metavar="DIRECTORY",
        help="writes results.json, report.md and report.html here; checkpoints are written here too, and removed "
        "(default: .build-compare/report)")
    found.add_argument(
        "--variant", nargs="+", metavar="NAME", choices=[*variants.NAMES, "all"], default=["gpt2"],
        help=f"states to save: {', '.join(variants.NAMES)} or all (default: gpt2)")
    found.add_argument("--only", nargs="+", metavar="PEER", choices=peers.NAMES, help=", ".join(peers.NAMES))
    found.add_argument("--repeats", type=_positive, metavar="N", help="runs every peer N times (default: 5)")
    found.add_argument("--scale", type=float, metavar="F", help="multiplies the size of the states (default: 1)")
    found.add_argument("--threads", type=_positive, metavar="N", help="threads that compute (default: half the cores)")
    found.add_argument(
        "--limit", type=float, metavar="SECONDS", help="kills a process that takes longer (default: 900)")
    found.add_argument(
        "--fill-cache", action="store_true",
        help="fills free memory with page cache before each process: for virtual machines that give free memory back "
        "to their host")
    found.add_argument(
        "--quick", action="store_true",
        help="tiny states, one repeat, and a few peers unless --only names others: shows that everything works; the "
        "figures mean nothing")
    found.add_argument("--render", metavar="FILE", help="makes the reports of an earlier results.json again, and ends")
    return found


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a run needs to know, from the arguments."""
    quick = arguments.quick
    return {
        "repeats": arguments.repeats or (1 if quick else 5),
        "scale": arguments.scale or (0.002 if quick else 1.0),
        "threads": arguments.threads or max(1, len(os.sched_getaffinity(0)) // 2),
        "limit": arguments.limit or (120.0 if quick else 900.0),
        "compute_seconds": 0.02 if quick else 0.5,
        "rounds": 1 if quick else 5,
        "steps": 2 if quick else 3,
        "every": 2 if quick else 3,
        "checkpoints": 3 if quick else 10,
        "damage": not quick,
        "fill_cache": arguments.fill_cache,
    }


class Comparison:
    """Runs peers, and collects what they have measured.

    Args:
        directory: where results and checkpoints are written.
        settings: those of `settings_of`.
        entries: the peers.
        command: how a runner is started.
        environment: the environment of runners.
        state: where the class of the state is: "module:class".
    """

    def __init__(
        self, directory: str, settings: Mapping[str, Any], entries: Sequence[peers.Entry], command: Sequence[str],
        environment: Mapping[str, str], state: str = _STATE,
    ) -> None:
        self.directory, self.settings, self.entries = directory, settings, list(entries)
        self._command, self._environment, self._state = command, environment, state
        self.variants: list[dict[str, Any]] = []
        self._filler: Optional[disk.Filler] = None
        os.makedirs(directory, exist_ok=True)
        self._work = tempfile.mkdtemp(prefix="checkpoints-", dir=directory)

    def close(self) -> None:
        """Removes the checkpoints."""
        shutil.rmtree(self._work, ignore_errors=True)

    def run(self, name: str, after_repeat: Callable[[], None] = lambda: None) -> None:
        """Measures all peers on one variant.

        Args:
            name: the variant.
            after_repeat: called after each repeat.
        """
        described = variants.variant(name, self.settings["scale"])
        found: dict[str, Any] = {
            "name": name, "title": described.title, "scale": self.settings["scale"], "bytes": described.nbytes,
            "tensors": described.tensor_count, "changed_bytes": described.changed_bytes, "passes": 1, "runs": []}
        self.variants.append(found)
        if self.settings["fill_cache"] and self._filler is None:
            self._filler = self._make_filler(described.nbytes)
        found["passes"] = self._calibrate(name)
        given_up: set[str] = set()
        start = time.monotonic()
        for repeat in range(self.settings["repeats"]):
            for position, entry in enumerate(schedule.order(self.entries, repeat, self.settings["repeats"])):
                if entry.name in given_up:
                    continue
                for outcome in self._tasks(entry, found, repeat):
                    found["runs"].append({"peer": entry.name, "repeat": repeat, "position": position, **outcome})
                    if outcome["status"] == processes.TIMED_OUT:
                        # Once more would take as long.
                        given_up.add(entry.name)
            done = repeat + 1
            left = (time.monotonic() - start) / done * (self.settings["repeats"] - done)
            say(f"{name}: repeat {done} of {self.settings['repeats']} done; at most {left / 60:.0f} min left")
            after_repeat()

    def _make_filler(self, nbytes: int) -> Optional[disk.Filler]:
        # A fifth is left to the kernel and to files that are read meanwhile.
        size = int(min(machine.available_bytes() * 0.8 - nbytes, shutil.disk_usage(self._work).free * 0.3))
        return disk.Filler(os.path.join(self._work, "filler"), size) if size > 0 else None

    def _calibrate(self, name: str) -> int:
        loop = peers.Entry("the loop", "", peers.FLOOR, "comparison.peers.base:Peer")
        outcome = self._job("calibrate", loop, name, {})
        if outcome["status"] != processes.OK:
            raise RuntimeError(f"the training loop does not run: {outcome['message']}")
        return int(outcome["values"]["passes"][0])

    def _tasks(self, entry: peers.Entry, variant: Mapping[str, Any], repeat: int) -> list[dict[str, Any]]:
        """All that is measured of a peer in a repeat."""
        if entry.kind == peers.CODEC:
            return [self._job("codec", entry, variant["name"], {})]
        common = {"passes": variant["passes"]}
        outcomes = self._pair(entry, variant, "save", "restore", common)
        if repeat == 0 and entry.restores and entry.kind != peers.FLOOR and outcomes[0]["status"] == processes.OK:
            outcomes += self._pair(entry, variant, "successive", "", common)
            if self.settings["damage"]:
                outcomes += self._pair(entry, variant, "successive", "damage", {**common, "checkpoints": 1})
        return outcomes

    def _pair(
        self, entry: peers.Entry, variant: Mapping[str, Any], first: str, second: str, more: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """A task that saves in a new directory, and one that reads what it has saved."""
        folder = os.path.join(self._work, entry.name)
        os.mkdir(folder)
        try:
            outcomes = [self._job(first, entry, variant["name"], {**more, "directory": folder})]
            saved = outcomes[0]["values"].get("saved")
            if second and entry.restores and saved and outcomes[0]["status"] == processes.OK:
                outcomes.append(self._job(second, entry, variant["name"], {**more, **saved[-1], "directory": folder}))
            return outcomes
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _job(self, task: str, entry: peers.Entry, variant: str, more: Mapping[str, Any]) -> dict[str, Any]:
        if self._filler is not None:
            self._filler.fill()
        job = {
            **self.settings, "passes": 1, "task": task, "peer": entry.source, "state": self._state, "variant": variant,
            **more}
        outcome = processes.run(self._command, job, self._environment, self.settings["limit"])
        remark = "" if outcome.status == processes.OK else f" ({outcome.phase}: {outcome.message})"
        say(f"{variant}: {entry.name}, {task}: {outcome.status}{remark}, {outcome.seconds:.0f} s")
        return {
            "task": task, "status": outcome.status, "phase": outcome.phase, "message": outcome.message,
            "seconds": outcome.seconds, "values": outcome.values}


def say(text: str) -> None:
    """Tells what is going on."""
    print(redact(text), file=sys.stderr, flush=True)


def write(directory: str, results: Mapping[str, Any]) -> None:
    """Writes the results and both reports."""
    for name, text in (
            ("results.json", json.dumps(results, indent=1) + "\n"), ("report.md", markdown.render(results)),
            ("report.html", page.render(results))):
        path = os.path.join(directory, name)
        with open(path + ".new", "w") as file:
            file.write(text)
        os.replace(path + ".new", path)


def command_line(arguments: Sequence[str], directory: Optional[str]) -> str:
    """The command without the path of the directory."""
    return " ".join(["Tools/compare", *("DIRECTORY" if entry == directory else entry for entry in arguments)])


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit code."""
    found = parser().parse_args(arguments)
    directory = os.path.abspath(found.directory or os.path.join(WORK, "report"))
    if found.render:
        os.makedirs(directory, exist_ok=True)
        with open(found.render) as file:
            write(directory, json.load(file))
        return 0
    settings = settings_of(found)
    names = found.only or (_QUICK_PEERS if found.quick else peers.NAMES)
    entries = [entry for entry in peers.ENTRIES if entry.name in names]
    try:
        library_path = library(say) if any(entry.kind == peers.OURS for entry in entries) else None
        environment = Environment()
        problems = environment.install(entries, say)
        problems.update({
            entry.name: f"{entry.program} is not installed" for entry in entries
            if entry.program and shutil.which(entry.program) is None})
        runner = runner_environment(library_path)
        packages = dict.fromkeys(
            requirement.split("==")[0] for entry in entries for requirement in (*peers.BASE, *entry.requirements))
        versions = environment.versions(packages)
        if library_path is not None:
            versions = {"ckpt": environment.version_of_ckpt(runner), **versions}
    except RuntimeError as error:
        print(f"Tools/compare: {error}", file=sys.stderr)
        return 2
    comparison = Comparison(
        directory, settings, [entry for entry in entries if entry.name not in problems],
        [environment.python, "-m", "comparison.runner"], runner)
    results = {
        "format": FORMAT, "date": datetime.date.today().isoformat(),
        "command": command_line(arguments, found.directory), "machine": machine.describe(directory),
        "versions": versions, "settings": settings, "problems": problems, "variants": comparison.variants,
        "peers": [{"name": entry.name, "title": entry.title, "kind": entry.kind} for entry in entries]}
    try:
        for name in variants.NAMES if "all" in found.variant else found.variant:
            comparison.run(name, lambda: write(directory, results))
    except RuntimeError as error:
        print(f"Tools/compare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted: the report has what was measured so far")
        return 130
    finally:
        comparison.close()
        write(directory, results)
    print(f"{os.path.join(directory, 'report.html')}, report.md and results.json")
    return 0
