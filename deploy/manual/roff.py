"""A man page in roff's man macros (groff_man(7)).

Owns: Page, and what has to be escaped. Must never do: know raftkv.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

WIDTH = 100
"""Of a line in the file; what a reader sees is filled by man."""


class Page:
    """Lines are collected in order; ``text`` is the whole file."""

    def __init__(self, title: str, version: str, about: str) -> None:
        name, section = title.rstrip(")").split("(")
        # Without a date: the same sources give the same page.
        self._lines = [f'.TH "{name.upper()}" "{section}" "" "raftkv {version}" "raftkv"']
        self._lines += [".ad l", ".nh"]
        self.section("NAME")
        self._lines.append(f"{escaped(name)} \\- {escaped(about)}")

    @property
    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def section(self, title: str) -> None:
        self._lines.append(f'.SH "{escaped(title)}"')

    def subsection(self, title: str) -> None:
        self._lines.append(f'.SS "{escaped(title)}"')

    def paragraph(self, text: str) -> None:
        self._lines.append(".PP")
        self._filled(text)

    def synopsis(self, command: str, rest: str) -> None:
        self._lines.append(f"\\fB{escaped(command)}\\fR {escaped(rest)}")

    def item(self, term: str, text: str) -> None:
        """A term in bold, and under it what it means."""
        self._lines += [".TP", f"\\fB{escaped(term)}\\fR"]
        self._filled(text or "(no more to say)")

    def example(self, lines: Iterable[str]) -> None:
        self._lines += [".PP", ".RS 4", ".nf", *(guarded(escaped(line)) for line in lines)]
        self._lines += [".fi", ".RE"]

    def _filled(self, text: str) -> None:
        words = " ".join(text.split())
        wrapped = textwrap.wrap(words, WIDTH, break_long_words=False, break_on_hyphens=False)
        self._lines += [guarded(escaped(line)) for line in wrapped]


def escaped(text: str) -> str:
    """Backslashes and dashes as themselves, and anything that is not ASCII by its number."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in plain)


def guarded(line: str) -> str:
    """A line that begins like a request is none."""
    return f"\\&{line}" if line.startswith((".", "'")) else line
