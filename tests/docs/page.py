"""The commands of a page of the docs, as a reader would type them.

Owns: finding them in Markdown. Must never do: run them. In a block marked ``console`` a line with
`$ ` is typed, `> ` goes on with it, `^C` is Ctrl-C, and the rest is what is seen; the block's title
names the terminal. In a block marked ``sh``, and in an indented one, each line is typed, and what
is seen is not said. A section is what stands below a heading of the second level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.program import ROOT

_FENCE = re.compile(r"^```(\w*)(.*)$")
_TITLE = re.compile(r'title="([^"]*)"')
_SECTION = re.compile(r"^## (.+)$")
_SPAN = re.compile(r"`([^`]+)`")
_COMMENT = re.compile(r"(^|\s+)# .*$")
INTERRUPT = "^C"
CONSOLE, SCRIPT, INDENTED = "console", "sh", ""


@dataclass
class Step:
    """``command`` is "" where something is seen without anything being typed."""

    terminal: str
    command: str
    seen: list[str] = field(default_factory=list)
    line: int = 0
    section: str = ""


def pages() -> list[Path]:
    """Every page for people: the site's, and the README."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def steps_of(page: Path) -> list[Step]:
    """What is typed, in order, and what consoles show then."""
    steps: list[Step] = []
    for block in _blocks(page):
        if block.language == CONSOLE:
            steps += _console(block)
        elif block.language in (SCRIPT, INDENTED):
            steps += _script(block)
    return steps


def commands_of(page: Path) -> list[tuple[int, str]]:
    """Every command of a page with its line."""
    typed = [(step.line, step.command) for step in steps_of(page)]
    return [(line, text) for line, text in typed if text and text != INTERRUPT]


def spans_of(page: Path) -> list[tuple[int, str]]:
    """What stands between back-ticks in the text, with its line."""
    inside = {number for block in _blocks(page) for number, _ in block.lines}
    return [
        (number, span)
        for number, line in enumerate(page.read_text().splitlines(), start=1)
        if number not in inside and not line.startswith("```")
        for span in _SPAN.findall(line)
    ]


@dataclass
class _Block:
    language: str
    title: str
    section: str
    lines: list[tuple[int, str]] = field(default_factory=list)


def _console(block: _Block) -> list[Step]:
    steps: list[Step] = []
    for number, line in block.lines:
        if line.startswith("$ ") or line == INTERRUPT:
            text = _COMMENT.sub("", line.removeprefix("$ "))
            steps.append(Step(block.title, text, line=number, section=block.section))
        elif line.startswith("> ") and steps:
            steps[-1].command += "\n" + line.removeprefix("> ")
        elif not steps:
            steps.append(Step(block.title, "", [line], number, block.section))
        else:
            steps[-1].seen.append(line)
    return [_with_its_document(step) for step in steps]


def _with_its_document(step: Step) -> Step:
    """A here-document is typed, not seen."""
    here = re.search(r"<<'?(\w+)'?", step.command)
    if here and here[1] in step.seen:
        end = step.seen.index(here[1]) + 1
        step.command = "\n".join([step.command, *step.seen[:end]])
        step.seen = step.seen[end:]
    return step


def _script(block: _Block) -> list[Step]:
    steps: list[Step] = []
    whole, start = "", 0
    for number, line in block.lines:
        start = start if whole else number
        text = _COMMENT.sub("", line).strip()
        whole += text.rstrip("\\").rstrip() + " " if text.endswith("\\") else text
        if whole and not text.endswith("\\"):
            steps.append(Step(block.title, whole.strip(), line=start, section=block.section))
            whole = ""
    return steps


def _blocks(page: Path) -> Iterator[_Block]:
    """Fenced ones, and indented ones after an empty line."""
    block: _Block | None = None
    fenced = after_empty = False
    section = ""
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
            block, fenced = _Block(fence[1] or "text", title[1] if title else "", section), True
        elif line.startswith("    ") and (block is not None or after_empty):
            block = block or _Block(INDENTED, "", section)
            block.lines.append((number, line[4:]))
        elif block is not None:
            yield block
            block = None
        heading = None if fenced else _SECTION.match(line)
        section = heading[1] if heading else section
        after_empty = not line.strip()
    assert not fenced, f"{page}: a fence is not closed"
    if block is not None:
        yield block
