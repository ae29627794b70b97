"""Every row with a checksum, compared wherever the row is read.

Owns: the checks, when they are written, and the judgement that a row is damaged. Must never do:
hand out bytes that fail their check: it raises Damaged and tells ``damaged``. The other members
have the row; ``server.quarantine`` fetches their copy.

A check is four bytes: the CRC-32C register after the row, begun at zero. Fed to the register in its
turn it makes zero again, so any number of rows, each followed by its check, leave zero: a list is
checked by one call per piece. The two tables that hold the key space (INLINE) have the check behind
each row; that costs a put a microsecond, where rows of their own would cost five. The others have
tables of checks, by the same keys, which an older version leaves alone; there a row that is missing
is noticed, too. Of LATEST, whose rows hold their keys, a look-up that finds nothing looks at both
neighbours: a changed key stands between them still.

Version 0.1 knows no checks behind rows, so they are written from the cluster's level 1 on
(``write_checks``), and FORMAT tells it to stay away. ``examine`` gives older rows theirs, and takes
all away for a downgrade; until it is through (``is_complete``) a row says by its length or its mark
whether it has one, and one without is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from raftkv.backend.inline_checks import (
    HEAD_BYTES,
    MARK,
    InlineChecks,
)
from raftkv.backend.kept_pieces import KeptPieces
from raftkv.backend.register import CHECK_BYTES, ZERO, check_of, extend
from raftkv.backend.schema import (
    CHECKED_FORMAT_VERSION,
    FORMAT_VERSION,
    INLINE,
    Meta,
    Table,
)
from raftkv.backend.side_checks import SideChecks
from raftkv.errors import Damaged

if TYPE_CHECKING:
    from raftkv.backend.contract import Lookup, RawBackend, Rows, View, Views

_COMPLETE, _PARTIAL = b"complete ", b"partial "


_LATEST, _REVISIONS = Table.LATEST, Table.REVISIONS
_READ_AT_START = (Table.META, Table.MEMBERS, Table.LEASES, Table.AUTH_USERS, Table.AUTH_ROLES)


class CheckedBackend:
    """``Backend`` over one without checks. ``damaged`` is told before Damaged is raised."""

    def __init__(self, raw: RawBackend) -> None:
        self._raw = raw
        self._behind = InlineChecks(self._found)
        self._has_checked_format = False
        self._beside = SideChecks(raw, self._found)
        self._pieces = KeptPieces(partial(self.views, _LATEST))
        self.damaged: Callable[[Damaged], None] = lambda error: None
        self.is_plain = True
        """Whether version 0.1 could read the last commit."""
        try:
            self._open()
        except raw.faults as e:
            raise self._unreadable(Table.META, e) from e

    # --- one row --------------------------------------------------------------------------------

    def get(self, table: Table, key: bytes) -> bytes | None:
        try:
            row = self._raw.get(table, key)
            if table not in INLINE:
                self._beside.compare(table, key, row)
                return row
            if row is None:
                if table is _LATEST and self._behind.is_complete:
                    self._behind.check_neighbours(self._raw.neighbours(_LATEST, key))
                return None
            if self._behind.is_complete:  # most of ``stripped``, written out: a hot path
                if table is not _LATEST:
                    if extend(extend(ZERO, key), row) == ZERO:
                        return row[:-CHECK_BYTES]
                elif extend(ZERO, row) == ZERO and row.find(key, 3, len(key) + HEAD_BYTES) > 0:
                    return row[:-CHECK_BYTES]
            return self._behind.stripped(table, key, row)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        try:
            if table is _LATEST:
                if self._pieces.starts:
                    self._pieces.drop(key)
                if self._behind.is_on:  # ``added``, written out, as in ``append``: hot paths
                    register: int = extend(ZERO, value)
                    value += (register ^ ZERO).to_bytes(CHECK_BYTES, "little")
                self._raw.put(table, key, value)
            elif table in INLINE:
                self._raw.put(table, key, self._behind.added(table, key, value))
            else:
                self._raw.put(table, key, value)
                self._beside.note(table, key, value)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def append(self, table: Table, key: bytes, value: bytes) -> None:
        assert table is _REVISIONS, f"rows of {table.name} are put"
        try:
            if self._behind.is_on:
                assert value[0] & MARK, f"a row of {table.name} without its mark"
                register: int = extend(extend(ZERO, key), value)
                value += (register ^ ZERO).to_bytes(CHECK_BYTES, "little")
            self._raw.append(table, key, value)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def delete(self, table: Table, key: bytes) -> bool:
        try:
            if table not in INLINE:
                self._beside.note(table, key, None)
            elif table is _LATEST:
                self._pieces.drop(key)
            return self._raw.delete(table, key)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def lookup(self, table: Table) -> Lookup:
        look = self._raw.lookup(table)

        def find(key: bytes) -> View | None:
            try:
                row = look(key)
            except self._raw.faults as e:
                raise self._unreadable(table, e) from e
            return None if row is None else self._behind.stripped(table, key, bytes(row))

        assert table in INLINE, f"rows of {table.name} are got"
        return find

    # --- many rows ------------------------------------------------------------------------------

    def cursor(self, table: Table, start: bytes = b"", end: bytes | None = None) -> Rows:
        try:
            if table in INLINE:
                for key, row in self._raw.cursor(table, start, end):
                    yield key, self._behind.stripped(table, key, row)
                return
            yield from self._beside.rows(table, start, end)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def views(self, table: Table, start: bytes, end: bytes | None, most: int) -> Views:
        assert table is Table.LATEST, f"rows of {table.name} do not hold their keys"
        try:
            for views in self._raw.views(table, start, end, most):
                yield self._behind.all_stripped(views, start)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def joined(
        self, table: Table, start: bytes, end: bytes | None, limit: int, bytes_max: int = 0
    ) -> tuple[list[bytes], int]:
        assert table is _LATEST, f"pieces of {table.name} are not kept"
        return self._pieces.joined(start, end, limit, bytes_max)

    def count(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int = 0
    ) -> tuple[int, bytes]:
        """By the keys alone. What lies between the ends is counted in its place, whatever its
        bytes; only a key that is not what it was could move an end, and then it stands there."""
        try:
            if table is not _LATEST or not self._behind.is_complete:
                return self._raw.count(table, start, end, rows_max)
            count, last, ends = self._raw.count_and_ends(table, start, end, rows_max)
            self._behind.check_neighbours(ends)
            return count, last
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def first(self, table: Table) -> bytes | None:
        try:
            return self._raw.first(table)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    @property
    def writes_checks(self) -> bool:
        """Whether rows of the key space are written with a check behind them."""
        return self._behind.is_on

    @property
    def is_complete(self) -> bool:
        """Whether all of them have one."""
        return self._behind.is_complete

    # --- all of it --------------------------------------------------------------------------------

    def write_checks(self, on: bool) -> None:
        """From here on rows of the key space get a check, or none. Until ``examine`` is through,
        those that are there say by themselves whether they have one."""
        if on == self._behind.is_on:
            return
        self._behind.is_on = on
        self.mark = self._behind.mark
        if on:
            self._has_checked_format = True
            self.put(Table.META, Meta.FORMAT, CHECKED_FORMAT_VERSION)
        is_empty = all(self._raw.first(table) is None for table in INLINE)
        self._behind.is_complete = on and is_empty
        if is_empty and not on:
            self.converted()

    @property
    def has_to_convert(self) -> bool:
        if self._behind.is_on:
            return not self._behind.is_complete
        return self._has_checked_format

    def examine(self, table: Table, start: bytes, rows_max: int) -> tuple[bytes | None, int]:
        """Compare up to ``rows_max`` rows from ``start`` on with their checks, and give those of
        INLINE one that they lack, or take it away; the key to go on with, None at the end of the
        table, and how many rows there were. Raises Damaged."""
        seen, key = 0, b""
        changed: list[tuple[bytes, bytes]] = []
        rows = self._raw.cursor(table, start) if table in INLINE else self.cursor(table, start)
        try:
            for key, row in rows:
                seen += 1
                if table in INLINE:
                    plain = self._behind.stripped(table, key, row)
                    if self._behind.is_on == (len(plain) == len(row)):
                        changed.append((key, self._behind.converted(table, key, plain)))
                if seen == rows_max:
                    break
            for key_of_row, row in changed:
                self._raw.put(table, key_of_row, row)
            if seen < rows_max and not start:
                self._check_entries(table, seen)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e
        return (key + b"\0" if seen == rows_max else None), seen

    def _check_entries(self, table: Table, found: int) -> None:
        """Of a table that was walked at once: LMDB counts its rows by itself, too."""
        told = self._raw.entries(table)
        if told != found:
            raise self._found(table, b"", f"is one of {told}, of which {found} are there")

    def converted(self) -> None:
        """All tables of INLINE have been through ``examine`` since ``write_checks``."""
        self._behind.is_complete = self._behind.is_on
        if not self._behind.is_on:
            self._has_checked_format = False
            self.put(Table.META, Meta.FORMAT, FORMAT_VERSION)

    def _write_all(self) -> None:
        state = (_COMPLETE if self._behind.is_complete else _PARTIAL) + self._state()
        self.put(Table.META, Meta.CHECKED, state)
        self._beside.write_all()

    def _state(self) -> bytes:
        """Another after each commit of any version."""
        return check_of(self._raw.get(Table.META, Meta.APPLIED) or b"").hex().encode()

    def _open(self) -> None:
        """An older version may have written to the file since its checks were: then those beside
        the tables are made anew, from what is there."""
        self._pieces.clear()
        self._beside.forget()
        noted, state = self._raw.get(Table.META, Meta.CHECKED) or b"", self._state()
        is_checked = self._raw.get(Table.META, Meta.FORMAT) == CHECKED_FORMAT_VERSION
        self._behind.is_on = self._has_checked_format = is_checked
        self.mark = self._behind.mark  # what the first byte of a row of REVISIONS holds, too
        self.is_plain = not is_checked
        self._behind.is_complete = self._behind.is_on and noted.startswith(_COMPLETE)
        if noted in (_COMPLETE + state, _PARTIAL + state):
            self._check_first_tables()
        elif is_checked:
            raise Damaged(f"the database was committed as {noted!r} and is {state!r}")
        elif self._raw.is_read_only:
            self._beside.are_believed = False
        else:
            self._beside.make_anew()

    def _check_first_tables(self) -> None:
        """What is read before there is anybody to tell."""
        for table in _READ_AT_START:
            for _ in self.cursor(table):
                pass

    def _found(self, table: Table, key: bytes, what: str) -> Damaged:
        error = Damaged(f"in table {table.database.decode()} the row of key {key!r} {what}")
        self.damaged(error)
        return error

    def _unreadable(self, table: Table, cause: Exception) -> Damaged:
        error = Damaged(f"table {table.database.decode()} cannot be read: {cause}")
        self.damaged(error)
        return error

    # --- the file ---------------------------------------------------------------------------------

    @property
    def dirty_bytes(self) -> int:
        return self._raw.dirty_bytes

    @property
    def size(self) -> int:
        return self._raw.size

    @property
    def size_in_use(self) -> int:
        return self._raw.size_in_use

    def commit(self) -> None:
        """Raises Damaged, and leaves it to the caller, who is on the loop's thread again, to tell
        ``damaged``."""
        try:
            self._write_all()
            self._raw.commit()
            self.is_plain = not self._has_checked_format
        except self._raw.faults as e:
            raise Damaged(f"the database cannot be written: {e}") from e

    def copy_to(self, path: str) -> None:
        self._raw.copy_to(path)

    @property
    def is_tracking(self) -> bool:
        return self._raw.is_tracking

    def track_changes(self) -> None:
        self._raw.track_changes()

    def forget_changes(self) -> None:
        self._raw.forget_changes()

    def adopt_copy(self, path: str) -> None:
        self._write_all()
        self._pieces.clear()
        self._raw.adopt_copy(path)

    def replace(self, path: str, aside: str = "") -> None:
        self._raw.replace(path, aside)
        self._open()

    def close(self) -> None:
        self._raw.close()
