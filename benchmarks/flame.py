"""A flame graph of folded stacks: who called whom, as wide as its share of the time.

Owns: the picture. Must never do: sample anything. A box is a function, the boxes on it are what it
called, in the order of their names; the title of a box has the whole name and its share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from zlib import crc32

WIDTH, ROW = 1_000, 16
SHARE_MIN = 0.002
"""Narrower boxes would be less than two pixels: their time is part of the box below."""
PIXELS_PER_LETTER = 6.2
_FRAME = re.compile(r"(?P<function>.+?) \((?P<place>[^)]*)\)")
_STYLE = (
    "text{font:10px monospace;fill:#111}.t{font:13px sans-serif}"
    "rect{stroke:#fff;stroke-width:.5}.b{fill:#fff}"
)


@dataclass
class _Box:
    samples: int = 0
    calls: dict[str, _Box] = field(default_factory=dict)


def flame(title: str, stacks: Iterable[tuple[str, int]]) -> str:
    """SVG. A stack is its frames from the outside in, by semicolons, and how often it was seen.
    Raises ValueError when there are none."""
    root = _Box()
    for stack, number in stacks:
        box = root
        box.samples += number
        for frame in stack.split(";"):
            box = box.calls.setdefault(short(frame), _Box())
            box.samples += number
    if not root.samples:
        raise ValueError(f"{title}: no stack to draw")
    drawn: list[str] = []
    depth = _draw(root, 0.0, 0, root.samples, drawn)
    height = (depth + 2) * ROW
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'role="img" aria-label="{escape(title)}">',
            f"<style>{_STYLE}</style>",
            f'<rect class="b" width="{WIDTH}" height="{height}"/>',
            f'<text class="t" x="4" y="13">{escape(title)}</text>',
            *drawn,
            "</svg>\n",
        ]
    )


def short(frame: str) -> str:
    """``function (raftkv/wire/http2.py:61)`` as ``wire/http2 function``: lines are left out, so
    that a function is one box."""
    found = _FRAME.fullmatch(frame)
    if found is None:
        return frame
    module = re.sub(r":\d+$", "", found["place"]).removesuffix(".py").removesuffix(".pyx")
    return f"{module.removeprefix('raftkv/')} {found['function']}"


def _draw(box: _Box, left: float, depth: int, total: int, drawn: list[str]) -> int:
    """The boxes on ``box``; how many rows are in use."""
    deepest = depth
    for name, call in sorted(box.calls.items()):
        share = call.samples / total
        if share >= SHARE_MIN:
            drawn.append(_rectangle(name, left, share, depth))
            deepest = max(deepest, _draw(call, left, depth + 1, total, drawn))
            left += share * WIDTH
    return deepest


def _rectangle(name: str, left: float, share: float, depth: int) -> str:
    top, width = (depth + 1.5) * ROW, share * WIDTH
    letters = int(width / PIXELS_PER_LETTER)
    text = name if len(name) <= letters else name.rpartition(" ")[2][: max(letters, 0)]
    # One colour per package: wire, server, raft ... are told apart at a glance.
    hue = crc32(name.split("/")[0].encode()) % 360
    label = f'<text x="{left + 2:.1f}" y="{top + 11:.1f}">{escape(text)}</text>' * (letters > 2)
    return (
        f"<g><title>{escape(name)}: {share:.1%}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{ROW}" '
        f'fill="hsl({hue} 70% 78%)"/>{label}</g>'
    )
