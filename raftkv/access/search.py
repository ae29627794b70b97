"""The lines of access logs that tell who wrote a revision, or a key.

Owns: what a line is asked for. Must never do: keep more than one line at a time, or stop at a line
that is none: it is counted.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from raftkv.access.keys import hashed, quoted

LINE_BYTES_MAX = 1 << 20
"""A longer one is none of ours."""

Line = dict[str, Any]


@dataclass(slots=True)
class Sought:
    """A revision, or a key that was written (``revision`` 0 then). ``broken`` counts what was no
    line of an access log, ``dropped`` the lines that a log says it had no room for."""

    revision: int = 0
    key: bytes = b""
    broken: int = 0
    dropped: int = 0

    def within(self, lines: Iterable[bytes]) -> Iterator[Line]:
        for data in lines:
            line = self._line(data)
            if line is not None and self._matches(line):
                yield line

    def _line(self, data: bytes) -> Line | None:
        try:
            line = json.loads(data)
        except ValueError:
            line = None
        if not isinstance(line, dict) or "event" not in line:
            self.broken += 1
            return None
        if line["event"] == "dropped":
            self.dropped += int(line.get("lines", 0))
            return None
        return line

    def _matches(self, line: Line) -> bool:
        """A read has a revision too, that of its answer, and so has a write that found nothing to
        do: neither made it."""
        if line["event"] != "call" or "index" not in line or line.get("wrote") is False:
            return False
        if self.revision:
            return bool(line.get("revision") == self.revision)
        told = line.get("keys") or [[line.get("key", ""), line.get("range_end", "")]]
        return any(self._covers(str(key), str(end)) for key, end in told)

    def _covers(self, key: str, end: str) -> bool:
        """Ends of ranges compare as text, which for quoted bytes is nearly their order: a line too
        many is better than one too few."""
        if key in (quoted(self.key), hashed(self.key)):
            return True
        shown = quoted(self.key)
        return bool(end) and key <= shown and (end == "\\x00" or shown < end)


def certain(lines: Sequence[Line]) -> list[Line]:
    """``lines`` without those of revoked leases whose revision another call has made: such a lease
    had no keys. In order of revisions."""
    made = {line.get("revision") for line in lines if line.get("wrote")}
    sure = [line for line in lines if line.get("wrote") or line.get("revision") not in made]
    return sorted(sure, key=lambda line: int(line.get("revision", 0)))


def lines_of(path: Path) -> Iterator[bytes]:
    """Of a file, as it is or compressed by its rotation. Raises OSError."""
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as packed:
            yield from _lines(packed)
    else:
        with path.open("rb") as plain:
            yield from _lines(plain)


def _lines(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES_MAX):
        yield line


def with_backups(path: Path) -> list[Path]:
    """``path`` and what its rotation has left beside it, oldest first."""
    pattern = f"{path.stem}-????-??-??T??-??-??.???{path.suffix}"
    return [*sorted([*path.parent.glob(pattern), *path.parent.glob(pattern + ".gz")]), path]
