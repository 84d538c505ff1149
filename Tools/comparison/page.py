"""The report as one HTML page that needs nothing else: plots are inline SVG."""

from __future__ import annotations

import html
import math
from typing import Any, Callable, Mapping, Sequence

from . import markdown, tables
from .summary import PeerSummary, Spread, summarize

_STYLE = """
:root { --back: #fff; --text: #1c1e21; --soft: #667; --line: #dde; --ckpt: #c2410c; --async: #2563eb; --sync: #0d9488;
  --floor: #94a3b8; --codec: #7c3aed; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14161a; --text: #e6e7ea; --soft: #9aa3b2; --line: #2c313a; --ckpt: #fb923c; --async: #60a5fa;
    --sync: #2dd4bf; --floor: #64748b; --codec: #a78bfa; --bad: #f87171; }
}
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .6rem; } h1 { margin-top: 0; }
p, li { max-width: 60rem; } .soft { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; } td:first-child { font-weight: 600; white-space: nowrap; }
tr.bad td { color: var(--bad); }
.plots { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: .3rem; }
svg { display: block; height: auto; width: 100%; } svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
svg .soft { fill: var(--soft); } svg .grid { stroke: var(--line); } svg .range { stroke: var(--text); }
.ckpt { fill: var(--ckpt); } .async { fill: var(--async); } .sync { fill: var(--sync); } .floor { fill: var(--floor); }
.codec { fill: var(--codec); } path.ckpt { stroke: var(--ckpt); } path.async { stroke: var(--async); }
path.sync { stroke: var(--sync); } path.floor { stroke: var(--floor); }
path.series { fill: none; stroke-width: 2; }
.key span { display: inline-block; margin-right: 1.2rem; } .key i { border-radius: 2px; display: inline-block;
  height: .8em; margin-right: .4em; width: .8em; }
"""

_WIDTH, _LABEL, _VALUE, _ROW = 620, 150, 150, 22

#: Figure, title, how a value is written, and whether its scale is logarithmic.
_PLOTS: tuple[tuple[str, str, Callable[[Spread], str], bool], ...] = (
    ("blocked", "Blocked per save (logarithmic; less is better)", lambda spread: tables.seconds(spread, False), True),
    ("stall", "Whole stall per save", lambda spread: tables.seconds(spread, False), False),
    ("every_step", "A save at every step: time divided by that without saves",
     lambda spread: tables.factor(spread.median), False),
    ("durable", "Request to durable", lambda spread: tables.seconds(spread, False), False),
    ("restore_warm", "Restore, warm", lambda spread: tables.seconds(spread, False), False),
    ("restore_cold", "Restore, cold", lambda spread: tables.seconds(spread, False), False),
    ("one_warm", "One tensor, warm (logarithmic)", lambda spread: tables.seconds(spread, False), True),
)


def render(results: Mapping[str, Any]) -> str:
    """The page.

    Args:
        results: what the command has measured.
    """
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>ckpt and its peers</title><style>{_STYLE}</style></head><body>", "<h1>ckpt and its peers</h1>",
        _list(markdown.facts(results)), _key(),
    ]
    for variant in results["variants"]:
        summaries = summarize(variant, results["peers"])
        parts += [f"<h2>{_text(variant['name'])}: {_text(variant['title'])}</h2>",
                  f"<p>{_text(markdown.describe(variant))}</p>", '<div class="plots">']
        for figure, title, write, is_log in _PLOTS:
            rows = [(entry, entry.spreads[figure]) for entry in summaries if figure in entry.spreads]
            if rows:
                remark = tables.done if figure == "every_step" else _nothing
                parts.append(_figure(title, bars(rows, write, is_log, remark)))
        stored = [entry for entry in summaries if len(entry.stored) > 1]
        if stored:
            parts.append(_figure("Disk space after successive checkpoints", lines(stored, variant["bytes"])))
        parts.append("</div>")
        for table in tables.tables(variant, summaries):
            parts += [f"<h3>{_text(table.title)}</h3>", _table(table.columns, table.rows)]
    if results["problems"]:
        parts += ["<h2>Not run</h2>", _table(("Peer", "Reason"), list(results["problems"].items()))]
    parts += ["<h2>How it was measured</h2>", _list(tables.rules(results)), "<h2>Not measured</h2>",
              _list(tables.NOT_MEASURED), "<h2>Peers</h2>",
              _table(("Name", "What", "Kind"),
                     [(entry["name"], entry["title"], entry["kind"]) for entry in results["peers"]]),
              "</body></html>"]
    return "\n".join(parts) + "\n"


def _text(value: str) -> str:
    return html.escape(value)


def _list(entries: Sequence[str]) -> str:
    items = "".join(f"<li>{_code(_text(entry))}</li>" for entry in entries)
    return f"<ul>{items}</ul>"


def _code(text: str) -> str:
    """Backquotes as code."""
    parts = text.split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _key() -> str:
    spans = "".join(
        f'<span><i style="background: var(--{kind})"></i>{kind}: {_text(meaning)}</span>'
        for kind, meaning in tables.kinds().items())
    return f'<p class="key soft">{spans}</p>'


def _figure(title: str, svg: str) -> str:
    return f"<figure><figcaption>{_text(title)}</figcaption>{svg}</figure>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = "".join(
        f'<tr{_bad(row)}>' + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _bad(row: Sequence[str]) -> str:
    return ' class="bad"' if any("WRONG BYTES" in cell for cell in row) else ""


def _nothing(entry: PeerSummary) -> str:
    return ""


def bars(
    rows: Sequence[tuple[PeerSummary, Spread]], write: Callable[[Spread], str], is_log: bool,
    remark: Callable[[PeerSummary], str] = _nothing,
) -> str:
    """Horizontal bars of medians, with a line from the smallest to the largest sample.

    Args:
        rows: the peers and their figures.
        write: how a figure is written.
        is_log: whether the scale is logarithmic.
        remark: what is written after the figure of a peer.
    """
    rows = sorted(rows, key=lambda row: row[1].median)
    least = min((spread.low for _, spread in rows if spread.low > 0), default=1e-6)
    scale = _scale([spread for _, spread in rows], least, is_log)
    height = _ROW * len(rows) + 4
    shapes = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">']
    for index, (entry, spread) in enumerate(rows):
        top = index * _ROW + 3
        middle = top + 8
        end = scale(spread.median)
        low, high = scale(spread.low), scale(spread.high)
        text = _text(write(spread) + remark(entry))
        shapes.append(
            f'<text x="{_LABEL - 8}" y="{middle + 4}" text-anchor="end">{_text(entry.name)}</text>'
            f'<rect class="{entry.kind}" x="{_LABEL}" y="{top}" width="{max(end - _LABEL, 1):.1f}" height="16" rx="2"/>'
            f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
            f'<text class="soft" x="{max(end, high) + 6:.1f}" y="{middle + 4}">{text}</text>')
    return "".join(shapes) + "</svg>"


def _scale(spreads: Sequence[Spread], least: float, is_log: bool) -> Callable[[float], float]:
    room = _WIDTH - _LABEL - _VALUE
    most = max(max(spread.high for spread in spreads), least)
    if not is_log:
        return lambda value: _LABEL + room * max(value, 0) / most
    # The smallest has a bar, too.
    bottom = math.log10(least) - 0.5
    span = max(math.log10(most) - bottom, 1e-9)
    return lambda value: _LABEL + room * max(0.0, (math.log10(max(value, least)) - bottom) / span)


def lines(entries: Sequence[PeerSummary], logical: int) -> str:
    """Disk space over the number of checkpoints; a dashed line is the logical size."""
    count = max(len(entry.stored) for entry in entries)
    most = max(max(max(entry.stored) for entry in entries), count * logical)
    height, left, bottom = 300, 70, 270
    right = _WIDTH - 150

    def place(index: int, value: float) -> tuple[float, float]:
        return left + (right - left) * index / max(count - 1, 1), bottom - (bottom - 10) * value / most

    shapes = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">']
    for part in (0, 0.25, 0.5, 0.75, 1):
        _, y = place(0, part * most)
        size = _text(tables.size(part * most))
        shapes.append(
            f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="soft" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{size}</text>')
    whole = [place(index, (index + 1) * logical) for index in range(count)]
    shapes.append(_path(whole, "grid", ' stroke-dasharray="4"'))
    ends: list[float] = []
    for entry in sorted(entries, key=lambda entry: entry.stored[-1]):
        points = [place(index, value) for index, value in enumerate(entry.stored)]
        shapes.append(_path(points, f"series {entry.kind}", ""))
        # Labels of lines that end close together are moved apart, upwards.
        y = min([points[-1][1] + 4, *[end - 13 for end in ends[-1:]]])
        ends.append(y)
        shapes.append(f'<text x="{points[-1][0] + 6:.1f}" y="{y:.1f}">{_text(entry.name)}</text>')
    shapes.append(f'<text class="soft" x="{right}" y="{bottom + 20}" text-anchor="end">{count} checkpoints</text>')
    top = min(0.0, min(ends) - 14)
    shapes[0] = f'<svg viewBox="0 {top:.0f} {_WIDTH} {height - top:.0f}" role="img">'
    return "".join(shapes) + "</svg>"


def _path(points: Sequence[tuple[float, float]], kind: str, extra: str) -> str:
    text = " ".join(f"{'M' if index == 0 else 'L'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(points))
    return f'<path class="{kind}" d="{text}" fill="none"{extra}/>'
