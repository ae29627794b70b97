"""The commands of a page of the docs, as a reader would type them.

Owns: finding them in Markdown. Must never do: run them. In a block marked ``console`` a line with
`$ ` is typed, `> ` goes on with it, `^C` is Ctrl-C, and the rest is what is seen; the block's title
names the terminal. In a block marked ``sh``, and in an indented one, each line is typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.program import ROOT

_FENCE = re.compile(r"^```(\w*)(.*)$")
_TITLE = re.compile(r'title="([^"]*)"')
INTERRUPT = "^C"
CONSOLE, SCRIPT = "console", "sh"


@dataclass
class Step:
    """``command`` is "" where something is seen without anything being typed."""

    terminal: str
    command: str
    seen: list[str] = field(default_factory=list)
    line: int = 0


def pages() -> list[Path]:
    """Every page for people: the site's, and the README."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def steps_of(page: Path) -> list[Step]:
    """What is typed into consoles, in order, and what is seen then."""
    steps: list[Step] = []
    for block in _blocks(page):
        if block.language != CONSOLE:
            continue
        begins = True
        for number, line in block.lines:
            if line.startswith("$ ") or line == INTERRUPT:
                steps.append(Step(block.title, line.removeprefix("$ "), line=number))
            elif line.startswith("> ") and steps and not begins:
                steps[-1].command += "\n" + line.removeprefix("> ")
            elif begins:
                steps.append(Step(block.title, "", [line], number))
            else:
                steps[-1].seen.append(line)
            begins = False
    return steps


def commands_of(page: Path) -> list[tuple[int, str]]:
    """Every command of a page with its line: of all kinds of blocks, comments left out."""
    found = [(step.line, step.command) for step in steps_of(page) if step.command]
    for block in _blocks(page):
        if block.language not in (SCRIPT, ""):
            continue
        whole, start = "", 0
        for number, line in block.lines:
            start = start if whole else number
            text = line.strip()
            whole += text.rstrip("\\").rstrip() + " " if text.endswith("\\") else text
            if not line.endswith("\\"):
                found.append((start, whole.strip()))
                whole = ""
    return [(line, text) for line, text in found if text and text != INTERRUPT and text[0] != "#"]


@dataclass
class _Block:
    language: str
    title: str
    lines: list[tuple[int, str]] = field(default_factory=list)


def _blocks(page: Path) -> Iterator[_Block]:
    """Fenced ones, and indented ones after an empty line, as the language "" ."""
    block: _Block | None = None
    fenced = after_empty = False
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = _FENCE.match(line)
        if fenced:
            if line == "```":
                assert block is not None, f"{page}:{number}: a fence ends that never began"
                yield block
                block, fenced = None, False
            elif block is not None:
                block.lines.append((number, line))
        elif fence:
            title = _TITLE.search(fence[2])
            block, fenced = _Block(fence[1] or "text", title[1] if title else ""), True
        elif line.startswith("    ") and (block is not None or after_empty):
            block = block or _Block("", "")
            block.lines.append((number, line[4:]))
        elif block is not None:
            yield block
            block = None
        after_empty = not line.strip()
    assert not fenced, f"{page}: a fence is not closed"
    if block is not None:
        yield block
