"""The report as markdown."""

from __future__ import annotations

from typing import Any, Mapping

from . import tables
from .summary import summarize


def render(results: Mapping[str, Any]) -> str:
    """The report.

    Args:
        results: what the command has measured.
    """
    lines = ["# ckpt and its peers", ""]
    lines += [f"- {line}" for line in facts(results)]
    for variant in results["variants"]:
        lines += ["", f"## {variant['name']}: {variant['title']}", "", describe(variant)]
        for table in tables.tables(variant, summarize(variant, results["peers"])):
            lines += ["", f"### {table.title}", "", _row(table.columns), _row(_rule(table))]
            lines += [_row(row) for row in table.rows]
    if results["problems"]:
        lines += ["", "## Not run", "", "| Peer | Reason |", "|---|---|"]
        lines += [_row((name, reason)) for name, reason in results["problems"].items()]
    lines += ["", "## How it was measured", ""] + [f"- {line}" for line in tables.rules(results)]
    lines += ["", "## Not measured", ""] + [f"- {line}" for line in tables.NOT_MEASURED]
    lines += ["", "## Peers", "", "| Name | What | Kind |", "|---|---|---|"]
    meanings = tables.kinds()
    lines += [
        _row((entry["name"], entry["title"], f"{entry['kind']}: {meanings[entry['kind']]}"))
        for entry in results["peers"]]
    return "\n".join(lines) + "\n"


def facts(results: Mapping[str, Any]) -> list[str]:
    """Date, command, machine and versions, one line each."""
    machine, settings = results["machine"], results["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return [
        f"Date: {results['date']}. Command: `{results['command']}`",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {tables.size(machine['memory_bytes'])} memory, "
        f"{machine['system']} {machine['kernel']}, {machine['file_system']}",
        f"Versions: Python {machine['python']}, {versions}",
        f"Repeats: {settings['repeats']}, of {settings['rounds']} saves each; time limit of a process "
        f"{settings['limit']:g} s" + ("; free memory was filled with page cache before each process"
                                      if settings["fill_cache"] else ""),
    ]


def describe(variant: Mapping[str, Any]) -> str:
    """The size of a variant."""
    changed = 100 * variant["changed_bytes"] / variant["bytes"]
    scaled = "" if variant["scale"] == 1 else f", scaled by {variant['scale']:g}"
    return (
        f"{tables.size(variant['bytes'])} in {variant['tensors']:,} tensors{scaled}; an update changes "
        f"{changed:.{0 if changed > 10 else 1}f} % of it.")


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _rule(table: tables.Table) -> tuple[str, ...]:
    return tuple("---" for _ in table.columns)
