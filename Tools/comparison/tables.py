"""The tables of the report, as texts, for every form of output."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Optional, Sequence

from . import peers
from .summary import PeerSummary, Spread, best_async, ratio

NONE = "-"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; its first column is text, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def seconds(spread: Optional[Spread], with_range: bool = True) -> str:
    """A time as people write it: "1.2 s (1.1-1.4)"."""
    if spread is None:
        return NONE
    unit, factor = _unit(spread)
    text = f"{number(spread.median * factor)} {unit}"
    if not with_range or spread.count == 1:
        return text
    return f"{text} ({number(spread.low * factor)} to {number(spread.high * factor)})"


def _unit(spread: Spread) -> tuple[str, float]:
    return ("s", 1.0) if max(abs(spread.median), abs(spread.high)) >= 1 else ("ms", 1000.0)


def number(value: float) -> str:
    """Three digits, and all before the point."""
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def size(value: Optional[float]) -> str:
    """Bytes as people write them: "1.49 GB"."""
    if value is None:
        return NONE
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{number(value / factor)} {unit}"
    return f"{value:g} B"


def factor(value: Optional[float]) -> str:
    """A ratio: "12.5x"."""
    return NONE if value is None else f"{number(value)}x"


def times(spread: Optional[Spread]) -> str:
    """A spread of ratios."""
    if spread is None:
        return NONE
    text = f"{number(spread.median)}x"
    return text if spread.count == 1 else f"{text} ({number(spread.low)} to {number(spread.high)})"


def tables(variant: Mapping[str, Any], summaries: Sequence[PeerSummary]) -> list[Table]:
    """The tables of a variant."""
    found = [saving(variant, summaries), storing(variant, summaries), codecs(variant, summaries), problems(summaries)]
    return [table for table in found if table.rows]


def label(entry: PeerSummary) -> str:
    """The name of a peer in a table, with a sign if it has returned wrong bytes."""
    return f"{entry.name} (WRONG BYTES)" if entry.is_equal is False else entry.name


def saving(variant: Mapping[str, Any], summaries: Sequence[PeerSummary]) -> Table:
    """What a save costs the loop."""
    base = next((entry for entry in summaries if entry.name == "torch-save"), None)
    best = best_async(summaries)
    shown = [entry for entry in summaries if "blocked" in entry.spreads]
    rows = []
    for entry in sorted(shown, key=lambda entry: entry.spreads["blocked"].median):
        blocked = entry.spreads["blocked"].median
        rows.append((
            label(entry), entry.kind, seconds(entry.spreads["blocked"]), seconds(entry.spreads.get("stall")),
            times(entry.spreads.get("every_step")) + done(entry), seconds(entry.spreads.get("durable")),
            f"{number(variant['bytes'] / blocked / 1e9)} GB/s" if blocked else NONE,
            factor(ratio(base, entry, "blocked")), factor(ratio(best, entry, "blocked")),
            seconds(entry.spreads.get("first_blocked"), False)))
    best_name = best.name if best is not None else "none"
    return Table("Saving", (
        "Peer", "Kind", "Blocked per save", "Whole stall per save", "Save at every step", "Request to durable",
        "Perceived throughput", "Blocked, times shorter than torch.save",
        f"Blocked, times shorter than the best async peer ({best_name})",
        "Blocked by the first save"), rows)


def done(entry: PeerSummary) -> str:
    """A remark if saves were skipped."""
    part = entry.median("every_step_done")
    return "" if part is None or part == 1 else f", {100 * part:.0f} % of the saves"


def storing(variant: Mapping[str, Any], summaries: Sequence[PeerSummary]) -> Table:
    """Restores, sizes and damage."""
    rows = []
    for entry in summaries:
        if "restore_warm" not in entry.spreads and not entry.stored:
            continue
        count = len(entry.stored)
        total = entry.stored_at_end if entry.stored_at_end is not None else entry.stored[-1] if entry.stored else None
        share = f" ({100 * total / (count * variant['bytes']):.0f} %)" if total is not None and count else ""
        rows.append((
            label(entry), seconds(entry.spreads.get("restore_warm")), seconds(entry.spreads.get("restore_cold")),
            seconds(entry.spreads.get("one_warm")), seconds(entry.spreads.get("one_cold")),
            size(total) + share if count > 1 else NONE,
            NONE if entry.is_equal is None else "yes" if entry.is_equal else "NO",
            entry.flip.split(":")[0] if entry.flip else NONE))
    counts = {len(entry.stored) for entry in summaries if len(entry.stored) > 1}
    many = f"{max(counts)} checkpoints" if counts else "Checkpoints"
    return Table("Restoring and storing", (
        "Peer", "Restore, warm", "Restore, cold", "One tensor, warm", "One tensor, cold",
        f"{many} on disk (of the logical bytes)", "Restored bytes equal", "One flipped byte"), rows)


def codecs(variant: Mapping[str, Any], summaries: Sequence[PeerSummary]) -> Table:
    """Compressors."""
    rows = []
    for entry in summaries:
        stored, packing = entry.median("codec_stored"), entry.median("codec_compress")
        unpacking = entry.median("codec_decompress")
        if stored is None or not packing or not unpacking:
            continue
        rows.append((
            entry.name, size(stored), factor(variant["bytes"] / stored),
            f"{number(variant['bytes'] / packing / 1e9)} GB/s", f"{number(variant['bytes'] / unpacking / 1e9)} GB/s"))
    return Table("Codecs alone, in memory", ("Codec", "Size", "Ratio", "Compress", "Decompress"), rows)


def problems(summaries: Sequence[PeerSummary]) -> Table:
    """What did not work, and remarks."""
    rows = [(entry.name, line) for entry in summaries for line in entry.problems]
    rows += [(entry.name, f"damaged file: {entry.flip}") for entry in summaries if ":" in entry.flip]
    return Table("Failures and remarks", ("Peer", "What happened"), rows)


def rules(results: Mapping[str, Any]) -> list[str]:
    """How it was measured."""
    settings = results["settings"]
    return [
        "Every peer saves the same bytes in the same loop: a computation that reads every parameter, then an update "
        "that changes the trained state in place. The computation is the same number of passes for all, about "
        f"{number(settings['compute_seconds'])} s alone, on {settings['threads']} thread(s).",
        "Each peer runs once per repeat, in a process of its own, in a rotated order. Figures are medians, with the "
        "smallest and largest sample.",
        "Blocked: the call of save, and all waits before updates. Whole stall: the loop with one save, until that save "
        "is durable, minus as many steps without a save in the same process. Blocked alone misleads: work in the "
        "background slows the loop.",
        f"Save at every step: time of {settings['every']} steps with a save before each, until the last save is "
        "durable, divided by that of as many steps without. A peer may wait for its earlier save, or skip a save; "
        "skipped saves are counted.",
        "Durable: data and directories are fsynced. If a peer does not do both, the harness fsyncs all files of the "
        "save and their directories after the peer says that it is complete, and that time belongs to the peer. ckpt, "
        "moonclip and the floors do both themselves.",
        "Restore: in another process, until all values are in the memory of the state, opening of the files included. "
        "Warm: all files were read into the page cache before. Cold: the files were removed from it with posix_fadvise "
        "DONTNEED; the host or the disk may still cache them.",
        "Size: disk space in use (allocated blocks) after successive checkpoints, one update apart, all kept.",
        "One flipped byte: a byte in the largest file of a save is inverted; if that changes nothing, another place is "
        "tried.",
        "Restored bytes are compared by SHA-256 of all tensors with those at the time of the request; the state was "
        "updated between. Peers that read into new memory have to copy the values into the state, and that counts.",
    ]


#: What no figure shows.
NOT_MEASURED = (
    "GPUs: all state is in main memory, so copies from a device, and pinned memory, play no part.",
    "Several processes or machines, sharded state and resharding.",
    "Network file systems and object stores.",
    "Loss of power: the harness trusts fsync.",
    "Real training data: weights and gradients are random numbers, so compression ratios are an indication only.",
    "Peak memory of the peers.",
)


def kinds() -> dict[str, str]:
    """What the kinds of peers mean."""
    return {
        peers.OURS: "this project", peers.ASYNC: "saves in the background",
        peers.SYNC: "the call returns after the write",
        peers.FLOOR: "a lower limit; not a checkpoint library", peers.CODEC: "compresses only",
    }
