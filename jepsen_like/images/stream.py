"""The recorder's log, as values in the order in which they happened.

Owns: the log's format (``recorder.c`` writes it), Change and Stream. Must never do: judge what
survives; ``filesystem`` does.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path

_RECORD = struct.Struct("<BBHHHQQQ")

MarkValue = str | int


class Kind(IntEnum):
    MARK = 1
    OPEN = 2
    WRITE = 3
    TRUNCATE = 4
    ALLOCATE = 5
    RENAME = 6
    UNLINK = 7
    MKDIR = 8
    RMDIR = 9
    SYNC = 10
    MAP = 11


class Flag(IntFlag):
    NONE = 0
    CREATED = 1
    EMPTIED = 2
    DURABLE = 4
    FAILED = 8
    DIRECTORY = 16


@dataclass(frozen=True, slots=True)
class Change:
    """One call. Paths are relative to the recorded directory, "" is the directory itself.
    ``offset`` is where a write starts, or the size that a truncate or an allocate leads to."""

    kind: Kind
    flags: Flag
    path: str
    other: str
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """All that one recorded process did. Point p is the moment before ``changes[p]``."""

    changes: tuple[Change, ...]

    def marks(self, until: int | None = None) -> Iterator[Mapping[str, MarkValue]]:
        """What the process said up to a point."""
        for change in self.changes[:until]:
            if change.kind is Kind.MARK:
                yield json.loads(change.data)

    @property
    def syncs(self) -> list[Change]:
        """What ``IMAGES_FAIL_SYNC`` counts: syncs, and writes that are durable at return."""
        return [
            change
            for change in self.changes
            if change.kind is Kind.SYNC
            or (change.kind is Kind.WRITE and change.flags & (Flag.DURABLE | Flag.FAILED))
        ]


def read_stream(log: Path, directory: Path) -> Stream:
    """ValueError for a log that ends within a record."""
    data = log.read_bytes()
    changes: list[Change] = []
    at = 0
    while at < len(data):
        if at + _RECORD.size > len(data):
            raise ValueError(f"{log} ends within a record, at {at}")
        kind, flags, path_size, other_size, _, inode, offset, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        path = _relative(data[at : at + path_size], directory)
        at += path_size
        other = _relative(data[at : at + other_size], directory)
        at += other_size
        content = data[at : at + size]
        at += size
        if len(content) != size:
            raise ValueError(f"{log} ends within the data of a record, at {at}")
        changes.append(Change(Kind(kind), Flag(flags), path, other, inode, offset, content))
    return Stream(tuple(changes))


def _relative(path: bytes, directory: Path) -> str:
    text = path.decode().removesuffix(" (deleted)")
    return text.removeprefix(str(directory)).removeprefix("/")
