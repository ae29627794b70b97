"""A result's document as an SVG: how far raftkv is ahead of etcd or behind it, work by work.

Owns: the picture. Must never do: show a work without the spread of its rounds, or need a font, a
script or a colour scheme: it follows the reader's light or dark one.

One line per work, on a logarithmic axis around 1. The bar is the ratio of the medians of the work's
first figure (throughput, or the time at p50), the thin line goes from the worst round to the best,
the ring is p99, and the mark above the bar is the target, where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.report import busiest, heading, number
from benchmarks.result import Document

WIDTH, LEFT, RIGHT = 960, 350, 170
ROW, GAP, TOP, BOTTOM = 20, 12, 84, 34
BAR = 10
TICKS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
WORK_CHARACTERS = 52
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .note { fill: #57606a }
  .group { font-weight: 600 }
  .figures { font-size: 11px; fill: #57606a; text-anchor: end }
  .tick { font-size: 11px; fill: #57606a; text-anchor: middle }
  .grid { stroke: #d0d7de }
  .even { stroke: #24292f }
  .ahead { fill: #1f7a4d }
  .behind { fill: #c4570c }
  .rounds { stroke: #24292f; stroke-width: 1.2 }
  .p99 { fill: none; stroke: #0969da; stroke-width: 2 }
  .target { stroke: #8250df; stroke-width: 2.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note, .figures, .tick { fill: #9da7b3 }
    .grid { stroke: #30363d }
    .even, .rounds { stroke: #e6edf3 }
    .ahead { fill: #3fb27f }
    .behind { fill: #f0883e }
    .p99 { stroke: #58a6ff }
    .target { stroke: #bc8cff }
  }
"""


class _Axis:
    """Ratios to pixels."""

    def __init__(self, ratios: Sequence[float]) -> None:
        low, high = min([0.5, *ratios]), max([2.0, *ratios])
        self.ticks = [
            tick for tick in TICKS if low / 2 < tick < high * 2 or tick in (0.5, 1.0, 2.0)
        ]
        self._low = math.log(min(low, self.ticks[0]))
        self._high = math.log(max(high, self.ticks[-1]))

    def x(self, ratio: float) -> float:
        share = (math.log(ratio) - self._low) / (self._high - self._low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def svg(document: Document) -> str:
    """The whole picture; works in the document's order."""
    works: dict[str, list[dict[str, Any]]] = {}
    for row in document["rows"]:
        if _drawn(row):
            works.setdefault(row["work"], []).append(row)
    shown = [rows for rows in works.values() if rows]
    every = [rows[0] for rows in shown] + [row for rows in shown if (row := _p99(rows))]
    axis = _Axis([ratio for row in every for ratio in (row["ratio"], *row["ratio_rounds"])])
    parts: list[str] = []
    y, group = TOP, ""
    for rows in shown:
        if rows[0]["group"] != group:
            y += GAP if group else 0
            group = rows[0]["group"]
        parts += _line(rows, axis, y)
        y += ROW
    height = y + BOTTOM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
    return "\n".join(
        [
            f'{head} width="{WIDTH}" height="{height}">',
            "<title>raftkv beside etcd, work by work</title>",
            f"<style>{STYLE}</style>",
            *_legend(document),
            *_grid(axis, y),
            *parts,
            "</svg>\n",
        ]
    )


def _drawn(row: dict[str, Any]) -> bool:
    return math.isfinite(row["ratio"]) and row["ratio"] > 0


def _p99(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return next((row for row in rows[1:] if row["figure"].endswith("p99")), None)


def _legend(document: Document) -> list[str]:
    machine = document["machine"]
    about = "; ".join(
        [
            f"{machine['cpus']} cores shared by members and load",
            f"load average before {machine['load_average']:.1f}",
            f"fdatasync {machine['fdatasync_ms']} ms",
            *filter(None, [busiest(document)]),
        ]
    )
    return [
        f'<text class="title" x="12" y="22">raftkv beside etcd; {escape(heading(document))}</text>',
        f'<text class="note" x="12" y="40">{escape(about)}</text>',
        '<text class="note" x="12" y="58">To the right of 1x raftkv is ahead. Bar: throughput, or '
        "time at p50. Ring: p99. Thin line: all rounds. Mark: target. Right: raftkv / etcd.</text>",
    ]


def _grid(axis: _Axis, bottom: float) -> list[str]:
    parts = []
    for tick in axis.ticks:
        x = axis.x(tick)
        kind = "even" if tick == 1.0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{bottom + 16}">{tick:g}x</text>')
    return parts


def _line(rows: Sequence[dict[str, Any]], axis: _Axis, top: float) -> list[str]:
    row, middle = rows[0], top + ROW / 2
    even, end = axis.x(1.0), axis.x(row["ratio"])
    kind = "ahead" if row["ratio"] >= 1 else "behind"
    told = f"{number(row['raftkv'])} / {number(row['etcd'])} {row['unit']}"
    name = row["work"]
    if len(name) > WORK_CHARACTERS:
        name = name[: WORK_CHARACTERS - 1] + "…"
    parts = [
        f"<g><title>{escape(row['work'])}: {row['figure']} {row['ratio']:.2f}x</title>",
        f'<text x="12" y="{middle + 4}">{escape(name)}</text>',
        f'<rect class="{kind}" x="{min(even, end)}" y="{middle - BAR / 2}" '
        f'width="{abs(end - even):.1f}" height="{BAR}"/>',
        f'<text class="figures" x="{WIDTH - 12}" y="{middle + 4}">{escape(told)}</text>',
    ]
    rounds = [ratio for ratio in row["ratio_rounds"] if ratio > 0]
    if len(rounds) > 1:
        parts.append(
            f'<line class="rounds" x1="{axis.x(min(rounds))}" x2="{axis.x(max(rounds))}" '
            f'y1="{middle}" y2="{middle}"/>'
        )
    if row["target"] is not None:
        x = axis.x(row["target"])
        parts.append(
            f'<line class="target" x1="{x}" x2="{x}" y1="{middle - 8}" y2="{middle + 8}"/>'
        )
    if (p99 := _p99(rows)) is not None:
        parts.append(f'<circle class="p99" cx="{axis.x(p99["ratio"])}" cy="{middle}" r="4"/>')
    return [*parts, "</g>"]
