"""Cost against size as SVG, and the slopes in words: one picture by keys, one by members.

Owns: both pictures and the table of slopes. Must never do: join points that were not measured in
one series, or need a font, a script or a colour scheme: it follows the reader's light or dark one.

Both axes are logarithmic, so that a cost that grows as a power of the size is a straight line: flat
is O(1), one decade up for each decade to the right is O(n).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.report import number
from tests.e2e.program import ROOT

Point = dict[str, Any]

BY_KEYS = ROOT / "docs" / "performance-keys.svg"
BY_MEMBERS = ROOT / "docs" / "performance-members.svg"
COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 3, 320, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 34, 34
HEAD = 52
POINTS_MIN = 3
SMALLEST = 0.01
"""A logarithmic axis knows no zero; CPU time is counted in ticks of 10 ms."""
KINDS = 4
STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .panel { font-weight: 600 }
  .tick { fill: #57606a; font-size: 10px }
  .grid { stroke: #d0d7de }
  .s0 { stroke: #0969da; fill: #0969da }
  .s1 { stroke: #c4570c; fill: #c4570c }
  .s2 { stroke: #1f7a4d; fill: #1f7a4d }
  .s3 { stroke: #8250df; fill: #8250df }
  polyline { fill: none !important; stroke-width: 1.8 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .tick { fill: #9da7b3 }
    .grid { stroke: #30363d }
    .s0 { stroke: #58a6ff; fill: #58a6ff }
    .s1 { stroke: #f0883e; fill: #f0883e }
    .s2 { stroke: #3fb27f; fill: #3fb27f }
    .s3 { stroke: #bc8cff; fill: #bc8cff }
  }
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """A figure of a point, as a cost: larger is worse."""

    title: str
    unit: str
    figure: str


COSTS = [
    Cost("a put", "us of CPU, all members", "put_cpu_us"),
    Cost("a linearizable get", "us of CPU, all members", "get_cpu_us"),
    Cost("a page of 1,000 rows of all", "ms of CPU, leader", "page_cpu_ms"),
    Cost("a list of all keys", "ms of CPU, leader", "list_cpu_ms"),
    Cost("a count of all keys", "ms of CPU, leader", "count_cpu_ms"),
    Cost("restart of a member", "s of CPU, each", "restart_cpu_s"),
    Cost("a new member joins", "s of CPU, its own", "join_cpu_s"),
    Cost("memory of the leader, not of files", "MiB", "anonymous_mib"),
    Cost("resident memory of the leader", "MiB", "resident_mib"),
    Cost("disk of one member", "MiB", "disk_mib"),
    Cost("disk bytes written per put", "B, leader", "put_written_bytes"),
]


Series = dict[str, list[tuple[float, Point]]]
"""By title; each point with its place on the axis, in order."""


def draw(points: Sequence[Point]) -> str:
    """Write both pictures; gives the tables of costs and slopes in Markdown."""
    by_keys = _series(
        points,
        "keys",
        lambda point: (point["program"], point["members"]),
        lambda program, members: f"{program}, {members} member{'s' * (members > 1)}",
    )
    by_members = _series(
        points,
        "members",
        lambda point: (point["program"], point["keys"]),
        lambda program, keys: f"{program}, {keys:,} keys",
    )
    BY_KEYS.write_text(_svg("Cost against the number of keys, values of 256 B", by_keys))
    BY_MEMBERS.write_text(_svg("Cost against the number of members", by_members))
    return f"{_table(by_keys)}\n{_table(by_members)}"


def slope(line: Sequence[tuple[float, float]]) -> float:
    """The power of the size with which the cost grows, by least squares: 0 is flat, 1 is linear."""
    xs, ys = [math.log(x) for x, _ in line], [math.log(y) for _, y in line]
    x0, y0 = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - x0) ** 2 for x in xs
    )


def _series(
    points: Sequence[Point],
    axis: str,
    key: Callable[[Point], tuple[str, int]],
    title: Callable[[str, int], str],
) -> Series:
    """Those with at least three points."""
    found: dict[tuple[str, int], list[tuple[float, Point]]] = {}
    for point in points:
        found.setdefault(key(point), []).append((point[axis], point))
    return {
        title(*one): sorted(line, key=lambda pair: pair[0])
        for one, line in sorted(found.items())
        if len(line) >= POINTS_MIN
    }


def _line(cost: Cost, series: Sequence[tuple[float, Point]]) -> list[tuple[float, float]]:
    return [
        (size, max(point["figures"][cost.figure], SMALLEST))
        for size, point in series
        if cost.figure in point["figures"]
    ]


def _table(series: Series) -> str:
    lines = []
    for title, points in series.items():
        sizes = [f"{size:,}" for size, _ in points]
        head = ["cost", "unit", *sizes, "slope"]
        lines += [f"{title}:", "", _row(head), _row(["---"] * len(head))]
        for cost in COSTS:
            line = _line(cost, points)
            shown = {size: number(value) for size, value in line}
            figures = [shown.get(size, "") for size, _ in points]
            lines.append(_row([cost.title, cost.unit, *figures, f"{slope(line):.2f}"]))
        lines.append("")
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


class _Axis:
    """A logarithmic one over whole decades, or over what there is where that is less than one."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        self._low, self._high = math.floor(math.log10(low)), math.ceil(math.log10(high * 1.0001))
        if self._high == self._low:
            self._high += 1
        self._start, self._end = start, end

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)


def _svg(title: str, series: Series) -> str:
    rows = math.ceil(len(COSTS) / COLUMNS)
    width, height = COLUMNS * PANEL_WIDTH, HEAD + rows * PANEL_HEIGHT
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
    parts = [
        f'{head} width="{width}" height="{height}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="12" y="20">{escape(title)}</text>',
    ]
    x = 12
    for place, name in enumerate(series):
        parts.append(f'<circle class="s{place % KINDS}" cx="{x + 4}" cy="36" r="4"/>')
        parts.append(f'<text x="{x + 14}" y="40">{escape(name)}</text>')
        x += 30 + 7 * len(name)
    for place, cost in enumerate(COSTS):
        left, top = place % COLUMNS * PANEL_WIDTH, HEAD + place // COLUMNS * PANEL_HEIGHT
        parts += _panel(cost, series, left, top)
    return "\n".join([*parts, "</svg>\n"])


def _panel(cost: Cost, series: Series, left: int, top: int) -> list[str]:
    lines = [_line(cost, points) for points in series.values()]
    if not lines:
        return []
    xs = _Axis([x for line in lines for x, _ in line], left + LEFT, left + PANEL_WIDTH - RIGHT)
    bottom = top + PANEL_HEIGHT - BOTTOM
    ys = _Axis([y for line in lines for _, y in line], bottom, top + TOP)
    end = left + PANEL_WIDTH - RIGHT
    parts = [
        f'<text class="panel" x="{left + 12}" y="{top + 14}">{escape(cost.title)}</text>',
        f'<text class="tick" x="{left + 12}" y="{top + 27}">{escape(cost.unit)}</text>',
    ]
    for tick in ys.ticks:
        y = ys.at(tick)
        parts.append(f'<line class="grid" x1="{left + LEFT}" x2="{end}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text class="tick" x="{left + LEFT - 6}" y="{y + 3}" text-anchor="end">'
            f"{_short(tick)}</text>"
        )
    for size in sorted({x for line in lines for x, _ in line}):
        x = xs.at(size)
        parts.append(
            f'<text class="tick" x="{x}" y="{bottom + 15}" text-anchor="middle">'
            f"{_short(size)}</text>"
        )
    for place, line in enumerate(lines):
        kind = f"s{place % KINDS}"
        path = " ".join(f"{xs.at(x)},{ys.at(y)}" for x, y in line)
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
        parts += [
            f'<circle class="{kind}" cx="{xs.at(x)}" cy="{ys.at(y)}" r="3">'
            f"<title>{_short(x)}: {number(y)}</title></circle>"
            for x, y in line
        ]
    return parts


def _short(value: float) -> str:
    for factor, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g}{suffix}"
    return f"{value:g}"
