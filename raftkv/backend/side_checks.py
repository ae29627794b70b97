"""Checks of small tables, in tables of their own, by the same keys.

Owns: those tables, and when they are written: checks gather in memory, for a row of the open
transaction was never on a disk. Must never do: decide who is told: it raises what ``found`` makes.
A version that does not know the tables leaves them alone, and they are of no more use: see
``make_anew``. A row that is missing is noticed, for the two tables lie on different pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from raftkv.backend.register import check_of
from raftkv.backend.schema import CHECKS_OF, Table
from raftkv.errors import Damaged

if TYPE_CHECKING:
    from raftkv.backend.contract import RawBackend, Rows

WAITING_MAX = 1_024
"""Checks of one table that may wait in memory before they are written to it."""

Found = Callable[[Table, bytes, str], Damaged]


class SideChecks:
    def __init__(self, raw: RawBackend, found: Found) -> None:
        self._raw = raw
        self._found = found
        self.are_believed = True
        """False for a file of an older version that cannot be written: its rows are."""
        self._waiting: dict[Table, dict[bytes, bytes | None]] = {t: {} for t in CHECKS_OF}

    def compare(self, table: Table, key: bytes, row: bytes | None) -> None:
        """Raises Damaged."""
        if key in self._waiting[table] or not self.are_believed:
            return
        check = self._raw.get(CHECKS_OF[table], key)
        if row is None and check is not None:
            raise self._found(table, key, "is missing")
        if row is not None and check != check_of(row):
            raise self._found(table, key, "fails its check")

    def note(self, table: Table, key: bytes, row: bytes | None) -> None:
        """``row`` was written, None: deleted."""
        waiting = self._waiting[table]
        waiting[key] = None if row is None else check_of(row)
        if len(waiting) >= WAITING_MAX:
            self.write(table)

    def rows(self, table: Table, start: bytes, end: bytes | None) -> Rows:
        """Rows with start <= key < end, compared. Raises Damaged."""
        if not self.are_believed:
            yield from self._raw.cursor(table, start, end)
            return
        self.write(table)
        checks = self._raw.cursor(CHECKS_OF[table], start, end)
        for key, row in self._raw.cursor(table, start, end):
            checked, check = next(checks, (b"", b""))
            if (checked, check_of(row)) != (key, check):
                raise self._found(table, key, "fails its check")
            yield key, row
        for missing, _ in checks:
            raise self._found(table, missing, "is missing")

    def write(self, table: Table) -> None:
        """Have the table of checks say what the table says."""
        waiting, checks = self._waiting[table], CHECKS_OF[table]
        for key, check in sorted(waiting.items()) if waiting else ():
            if check is None:
                self._raw.delete(checks, key)
            else:
                self._raw.put(checks, key, check)
        waiting.clear()

    def write_all(self) -> None:
        for table in CHECKS_OF:
            self.write(table)

    def forget(self) -> None:
        """The open transaction was dropped."""
        for waiting in self._waiting.values():
            waiting.clear()

    def make_anew(self) -> None:
        """From the rows as they are."""
        for table, checks in CHECKS_OF.items():
            self._raw.clear(checks)
            for key, row in self._raw.cursor(table):
                self._raw.put(checks, key, check_of(row))
