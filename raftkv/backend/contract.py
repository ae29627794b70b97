"""What the key space asks of its database: an ordered map of bytes per table.

Owns: Backend, which everything above reads and writes, and RawBackend, which knows no checks.
Must never do: know LMDB: ``environment`` and ``raftkv.simulation.database`` implement them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from raftkv.backend.schema import Table

Row = tuple[bytes, bytes]
Rows = Iterator[Row]
View = bytes | memoryview
Views = Iterator[Sequence[View]]
Lookup = Callable[[bytes], View | None]


class Database(Protocol):
    """An ordered map of bytes per table, with one open transaction."""

    @property
    def dirty_bytes(self) -> int:
        """An estimate of what the next commit has to write; 0 when nothing changed."""

    @property
    def size(self) -> int:
        """Bytes of the file, or what the open transaction will make of them."""

    @property
    def size_in_use(self) -> int:
        """Bytes that hold data, by the open transaction: pages free for reuse do not count."""

    def get(self, table: Table, key: bytes) -> bytes | None: ...

    def put(self, table: Table, key: bytes, value: bytes) -> None: ...

    def append(self, table: Table, key: bytes, value: bytes) -> None:
        """``put`` of a key above all others of its table."""

    def delete(self, table: Table, key: bytes) -> bool: ...

    def cursor(self, table: Table, start: bytes = b"", end: bytes | None = None) -> Rows:
        """Rows with start <= key < end, in order. Not to be used across a write."""

    def views(self, table: Table, start: bytes, end: bytes | None, most: int) -> Views:
        """The values of [start, end), ``most`` at a time, mostly uncopied: none may be kept. Not
        to be used across a write. For tables in which no two values are equal: the values of
        LATEST hold their keys."""

    def lookup(self, table: Table) -> Lookup:
        """``get`` without a copy, for many keys near each other; for no longer than ``views``."""

    def count(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int = 0
    ) -> tuple[int, bytes]:
        """How many rows [start, end) has, counting ``rows_max`` at most (0: all), and the key of
        the last that was counted."""

    def first(self, table: Table) -> bytes | None:
        """The lowest key of a table."""

    def commit(self) -> None:
        """Blocks: make everything durable, then begin anew. Call on a worker's thread."""

    def copy_to(self, path: str) -> None:
        """Blocks: a synced copy of the last commit. May run beside all other calls."""

    @property
    def is_tracking(self) -> bool:
        """Whether all changes since ``track_changes`` are known."""

    def track_changes(self) -> None:
        """From here on, note which rows change. Call when nothing is uncommitted."""

    def forget_changes(self) -> None: ...

    def adopt_copy(self, path: str) -> None:
        """Blocks: bring a copy of the commit at ``track_changes`` up to date with what is open
        now, make it durable, and put it in the database's place."""

    def replace(self, path: str, aside: str = "") -> None:
        """Blocks: the file at ``path`` becomes the database; what was open is dropped. The file
        that it was stays as ``aside``, if that is given."""

    def close(self) -> None:
        """Let go without committing."""


class Backend(Database, Protocol):
    """One whose rows are checked, if they have checks."""

    @property
    def mark(self) -> int:
        """What the first byte of a row of REVISIONS has to hold besides its own."""

    def joined(
        self, table: Table, start: bytes, end: bytes | None, limit: int, bytes_max: int = 0
    ) -> tuple[list[bytes], int]:
        """The values of the first ``limit`` rows of [start, end), of all of them with 0: joined,
        in pieces of ``ROWS_PER_PIECE``, and how many they are; no further row once there are
        ``bytes_max`` bytes, unless that is 0. Of LATEST alone."""


class RawBackend(Database, Protocol):
    """What ``backend.checked`` stands on."""

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What it raises when the file's own structure is damaged."""

    def neighbours(self, table: Table, key: bytes) -> Sequence[tuple[View, View]]:
        """The rows next to where ``key`` would stand, and their keys; for no longer than
        ``views``."""

    def count_and_ends(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int
    ) -> tuple[int, bytes, Sequence[tuple[View, View]]]:
        """``count``, and the neighbours of ``start`` and ``end``."""

    def entries(self, table: Table) -> int:
        """How many rows the table itself says that it has."""

    def clear(self, table: Table) -> None: ...

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written: checks that it lacks cannot be made."""
