"""Medians and ranges of what the runs have measured."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any, Iterable, Mapping, Optional, Sequence

from . import peers, processes

Run = Mapping[str, Any]

NOTICED, SILENT = "noticed", "wrong values, no error"


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest sample."""

    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(samples: Sequence[float]) -> Optional[Spread]:
        """The spread of samples; None if there are none."""
        if not samples:
            return None
        return Spread(statistics.median(samples), min(samples), max(samples), len(samples))


@dataclasses.dataclass
class PeerSummary:
    """One peer in one variant."""

    name: str
    title: str
    kind: str
    #: Spreads by name of the figure.
    spreads: dict[str, Spread]
    #: Disk space after each of the successive checkpoints, and after the process has ended.
    stored: list[int]
    stored_at_end: Optional[int]
    #: Whether all restored bytes were right; None if nothing was restored.
    is_equal: Optional[bool]
    #: What happened to a file with a flipped byte; empty if that was not tried.
    flip: str
    #: Why figures are missing, and remarks.
    problems: list[str]

    def median(self, name: str) -> Optional[float]:
        """The median of a figure."""
        spread = self.spreads.get(name)
        return None if spread is None else spread.median


#: Figures that have samples.
FIGURES = (
    "first_blocked", "blocked", "stall", "complete", "durable", "step", "every_step", "every_step_done", "restore_warm",
    "restore_cold", "one_warm", "one_cold", "one_bytes", "cached_before_cold", "codec_stored", "codec_compress",
    "codec_decompress",
)


def summarize(variant: Mapping[str, Any], entries: Iterable[Mapping[str, str]]) -> list[PeerSummary]:
    """Summarizes the runs of a variant.

    Args:
        variant: a variant of the results.
        entries: the peers of the results, in their order.
    """
    return [_summary(entry, [run for run in variant["runs"] if run["peer"] == entry["name"]]) for entry in entries]


def _summary(entry: Mapping[str, str], runs: Sequence[Run]) -> PeerSummary:
    def samples(name: str) -> list[Any]:
        return [value for run in runs for value in run["values"].get(name, [])]

    spreads = {name: spread for name in FIGURES if (spread := Spread.of(samples(name))) is not None}
    checks = samples("equal") + samples("one_equal")
    ends = samples("stored_at_end")
    stored: list[int] = max((run["values"].get("stored", []) for run in runs), key=len, default=[])
    flips = samples("flip")
    problems = [_problem(run) for run in runs if run["status"] != processes.OK or run["message"]]
    if not all(checks):
        wrong = sum(not check for check in checks)
        problems.insert(0, f"WRONG BYTES: {wrong} of {len(checks)} restores returned other values than were saved")
    # The directory of the successive checkpoints is the one with the most of them.
    end = next((
        run["values"]["stored_at_end"][0] for run in runs
        if run["values"].get("stored") == stored and "stored_at_end" in run["values"]), None) if ends else None
    return PeerSummary(
        entry["name"], entry["title"], entry["kind"], spreads, list(stored), end, all(checks) if checks else None,
        flips[0] if flips else _flip_without_answer(runs), _unique(problems))


def _flip_without_answer(runs: Sequence[Run]) -> str:
    for run in runs:
        if run["task"] == "damage" and run["status"] != processes.OK:
            return f"the process {run['status']}"
    return ""


def _problem(run: Run) -> str:
    if run["status"] == processes.OK:
        return f"{run['task']}: {run['message']}"
    return f"{run['task']}, {run['phase']}: {run['status']}: {run['message']}"


def _unique(lines: Iterable[str]) -> list[str]:
    """Each line once, with the number of times."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line] = counts.get(line, 0) + 1
    return [line if count == 1 else f"{line} ({count} times)" for line, count in counts.items()]


def best_async(summaries: Iterable[PeerSummary]) -> Optional[PeerSummary]:
    """The asynchronous peer, other than ckpt, that blocks for the shortest time."""
    found = [entry for entry in summaries if entry.kind == peers.ASYNC and entry.median("blocked") is not None]
    return min(found, key=lambda entry: entry.spreads["blocked"].median, default=None)


def ratio(base: Optional[PeerSummary], other: PeerSummary, figure: str) -> Optional[float]:
    """How many times smaller a figure is than that of a base; None if one is missing."""
    above = base.median(figure) if base is not None else None
    below = other.median(figure)
    return above / below if above is not None and below else None
