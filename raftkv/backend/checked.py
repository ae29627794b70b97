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

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import google_crc32c

from raftkv.backend.pieces import ROWS_PER_PIECE, up_to
from raftkv.backend.schema import (
    CHECKED_FORMAT_VERSION,
    CHECKS_OF,
    FORMAT_VERSION,
    INLINE,
    Meta,
    Table,
)
from raftkv.errors import Damaged

if TYPE_CHECKING:
    from raftkv.backend.environment import Lookup, RawBackend, Rows, View, Views

CHECK_BYTES = 4
MARK = 2
"""In the first byte of a row of REVISIONS: a check stands behind it."""
PLAIN_KEY_BYTES_MAX = 500
"""A longer key of LATEST is that of a bucket (``backend.ordered_keys``)."""
WAITING_MAX = 1_024
"""Checks of one table that may wait in memory before they are written to it."""
_ZERO = 0xFFFFFFFF
"""google_crc32c shows and takes the register inverted."""
_COMPLETE, _PARTIAL = b"complete ", b"partial "
_LENGTHS = struct.Struct("<II")
_extend = google_crc32c.extend


_LATEST = Table.LATEST
_READ_AT_START = (Table.META, Table.MEMBERS, Table.LEASES, Table.AUTH_USERS, Table.AUTH_ROLES)
_HEAD_BYTES = 12
"""More than a row of LATEST can have before its key: tags and lengths."""


def check_of(row: bytes) -> bytes:
    crc: int = _extend(_ZERO, row)
    return (crc ^ _ZERO).to_bytes(CHECK_BYTES, "little")


def _holds(row: bytes, key: bytes) -> bool:
    """Whether a row of LATEST is that of ``key``, as far as its first bytes tell."""
    return len(key) > PLAIN_KEY_BYTES_MAX or row.find(key, 3, len(key) + _HEAD_BYTES) > 0


class CheckedBackend:
    """``Backend`` over one without checks. ``damaged`` is told before Damaged is raised."""

    def __init__(self, raw: RawBackend) -> None:
        self._raw = raw
        self.writes_checks = False
        """Whether rows of the key space are written with a check behind them."""
        self.is_complete = False
        """Whether all of them have one."""
        self._has_checked_format = False
        self._waiting: dict[Table, dict[bytes, bytes | None]] = {t: {} for t in CHECKS_OF}
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
            if table is _LATEST and self.is_complete:
                if row is None:
                    self._check_neighbours(key)
                    return None
                if _extend(_ZERO, row) == _ZERO and _holds(row, key):
                    return row[:-CHECK_BYTES]
            if table in INLINE:
                return None if row is None else self._stripped(table, key, row)
            self._check_beside(table, key, row)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e
        return row

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        try:
            if table in INLINE:
                self._raw.put(table, key, self._with_check(table, key, value))
            else:
                self._raw.put(table, key, value)
                self._wait(table, key, check_of(value))
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def append(self, table: Table, key: bytes, value: bytes) -> None:
        assert table in INLINE, f"rows of {table.name} are put"
        try:
            self._raw.append(table, key, self._with_check(table, key, value))
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def delete(self, table: Table, key: bytes) -> bool:
        try:
            if table not in INLINE:
                self._wait(table, key, None)
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
            return None if row is None else self._stripped(table, key, bytes(row))

        assert table in INLINE, f"rows of {table.name} are got"
        return find

    # --- many rows ------------------------------------------------------------------------------

    def cursor(self, table: Table, start: bytes = b"", end: bytes | None = None) -> Rows:
        try:
            if table in INLINE:
                for key, row in self._raw.cursor(table, start, end):
                    yield key, self._stripped(table, key, row)
                return
            self._write(table)
            checks = self._raw.cursor(CHECKS_OF[table], start, end)
            for key, row in self._raw.cursor(table, start, end):
                checked, check = next(checks, (b"", b""))
                if (checked, check_of(row)) != (key, check):
                    raise self._found(table, key, "fails its check")
                yield key, row
            for missing, _ in checks:
                raise self._found(table, missing, "is missing")
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def views(self, table: Table, start: bytes, end: bytes | None, most: int) -> Views:
        assert table is Table.LATEST, f"rows of {table.name} do not hold their keys"
        try:
            for views in self._raw.views(table, start, end, most):
                yield self._all_stripped(views, start)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def joined(
        self, table: Table, start: bytes, end: bytes | None, limit: int, bytes_max: int = 0
    ) -> tuple[list[bytes], int]:
        pieces: list[bytes] = []
        count, left = 0, bytes_max
        most = min(limit, ROWS_PER_PIECE) if limit else ROWS_PER_PIECE
        for found in self.views(table, start, end, most):
            views = found[: limit - count] if limit else found
            if bytes_max:
                views = views[: up_to(left, views)]
            count += len(views)
            pieces.append(b"".join(views))
            left -= len(pieces[-1])
            if (bytes_max and left <= 0) or count == limit:
                break
        return pieces, count

    def count(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int = 0
    ) -> tuple[int, bytes]:
        """By the keys alone: a row's bytes are not looked at."""
        try:
            return self._raw.count(table, start, end, rows_max)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    def first(self, table: Table) -> bytes | None:
        try:
            return self._raw.first(table)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e

    # --- behind the row ---------------------------------------------------------------------------

    @property
    def mark(self) -> int:
        """What the first byte of a row of REVISIONS has to hold besides."""
        return MARK if self.writes_checks else 0

    def _with_check(self, table: Table, key: bytes, row: bytes) -> bytes:
        if not self.writes_checks:
            return row
        register: int
        if table is _LATEST:
            register = _extend(_ZERO, row)
        else:
            assert row[0] & MARK, f"a row of {table.name} without its mark"
            register = _extend(_extend(_ZERO, key), row)
        return row + (register ^ _ZERO).to_bytes(CHECK_BYTES, "little")

    def _stripped(self, table: Table, key: bytes, row: bytes) -> bytes:
        """The row without its check. Raises Damaged."""
        if not self.is_complete and not self._has_check(table, key, row):
            return row
        if table is _LATEST:
            if _extend(_ZERO, row) != _ZERO or not _holds(row, key):
                raise self._found(table, key, "fails its check")
        elif _extend(_extend(_ZERO, key), row) != _ZERO:
            raise self._found(table, key, "fails its check")
        return row[:-CHECK_BYTES]

    def _all_stripped(self, views: Sequence[View], start: bytes) -> Sequence[View]:
        if self.is_complete:
            if _extend(_ZERO, b"".join(views)) != _ZERO:
                raise self._found(Table.LATEST, start, "or one behind it fails its check")
            return [view[:-CHECK_BYTES] for view in views]
        return [self._stripped(_LATEST, b"", bytes(view)) for view in views]

    def _has_check(self, table: Table, key: bytes, row: bytes) -> bool:
        """Of a row that is older than the checks, or not converted yet. Raises Damaged."""
        if table is Table.REVISIONS:
            return bool(row and row[0] & MARK)
        try:
            end = _bucket_end(row) if len(key) > PLAIN_KEY_BYTES_MAX else _row_end(row)
        except (IndexError, struct.error):
            end = -1
        if len(row) - end not in (0, CHECK_BYTES):
            raise self._found(table, key, f"has {len(row)} bytes and says that it ends at {end}")
        return len(row) != end

    def _check_neighbours(self, key: bytes) -> None:
        """``key`` is not in LATEST: or it is, and a bit of it is not what it was."""
        for place, head in self._raw.neighbours(_LATEST, key, _HEAD_BYTES):
            if not _holds(head, place):
                raise self._found(_LATEST, place, "is another key's")

    # --- beside the table -------------------------------------------------------------------------

    def _check_beside(self, table: Table, key: bytes, row: bytes | None) -> None:
        """Raises Damaged. A row of the open transaction was never on a disk."""
        if key in self._waiting[table]:
            return
        check = self._raw.get(CHECKS_OF[table], key)
        if row is None and check is not None:
            raise self._found(table, key, "is missing")
        if row is not None and check != check_of(row):
            raise self._found(table, key, "fails its check")

    def _wait(self, table: Table, key: bytes, check: bytes | None) -> None:
        waiting = self._waiting[table]
        waiting[key] = check
        if len(waiting) >= WAITING_MAX:
            self._write(table)

    def _write(self, table: Table) -> None:
        """Have the table of checks say what the table says."""
        waiting, checks = self._waiting[table], CHECKS_OF[table]
        for key, check in sorted(waiting.items()) if waiting else ():
            if check is None:
                self._raw.delete(checks, key)
            else:
                self._raw.put(checks, key, check)
        waiting.clear()

    # --- all of it --------------------------------------------------------------------------------

    def write_checks(self, on: bool) -> None:
        """From here on rows of the key space get a check, or none. Until ``examine`` is through,
        those that are there say by themselves whether they have one."""
        if on == self.writes_checks:
            return
        self.writes_checks = on
        if on:
            self._has_checked_format = True
            self.put(Table.META, Meta.FORMAT, CHECKED_FORMAT_VERSION)
        is_empty = all(self._raw.first(table) is None for table in INLINE)
        self.is_complete = on and is_empty
        if is_empty and not on:
            self.converted()

    @property
    def has_to_convert(self) -> bool:
        if self.writes_checks:
            return not self.is_complete
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
                    plain = self._stripped(table, key, row)
                    if self.writes_checks == (len(plain) == len(row)):
                        changed.append((key, self._converted(table, key, plain)))
                if seen == rows_max:
                    break
            for key_of_row, row in changed:
                self._raw.put(table, key_of_row, row)
            if seen < rows_max and not start:
                self._check_entries(table, seen)
        except self._raw.faults as e:
            raise self._unreadable(table, e) from e
        return (key + b"\0" if seen == rows_max else None), seen

    def _converted(self, table: Table, key: bytes, plain: bytes) -> bytes:
        if table is Table.REVISIONS:
            plain = bytes((plain[0] & ~MARK | self.mark,)) + plain[1:]
        return self._with_check(table, key, plain)

    def _check_entries(self, table: Table, found: int) -> None:
        """Of a table that was walked at once: LMDB counts its rows by itself, too."""
        told = self._raw.entries(table)
        if told != found:
            raise self._found(table, b"", f"is one of {told}, of which {found} are there")

    def converted(self) -> None:
        """All tables of INLINE have been through ``examine`` since ``write_checks``."""
        self.is_complete = self.writes_checks
        if not self.writes_checks:
            self._has_checked_format = False
            self.put(Table.META, Meta.FORMAT, FORMAT_VERSION)

    def _write_all(self) -> None:
        state = (_COMPLETE if self.is_complete else _PARTIAL) + self._state()
        self.put(Table.META, Meta.CHECKED, state)
        for table in CHECKS_OF:
            self._write(table)

    def _state(self) -> bytes:
        """Another after each commit of any version."""
        return check_of(self._raw.get(Table.META, Meta.APPLIED) or b"").hex().encode()

    def _open(self) -> None:
        """An older version may have written to the file since its checks were: then those beside
        the tables are made anew, from what is there."""
        for waiting in self._waiting.values():
            waiting.clear()
        noted, state = self._raw.get(Table.META, Meta.CHECKED) or b"", self._state()
        is_checked = self._raw.get(Table.META, Meta.FORMAT) == CHECKED_FORMAT_VERSION
        self.writes_checks = self._has_checked_format = is_checked
        self.is_plain = not is_checked
        self.is_complete = self.writes_checks and noted.startswith(_COMPLETE)
        if noted in (_COMPLETE + state, _PARTIAL + state):
            self._check_first_tables()
        elif is_checked:
            raise Damaged(f"the database was committed as {noted!r} and is {state!r}")
        else:
            for table, checks in CHECKS_OF.items():
                self._raw.clear(checks)
                for key, row in self._raw.cursor(table):
                    self._raw.put(checks, key, check_of(row))

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
        self._raw.adopt_copy(path)

    def replace(self, path: str, aside: str = "") -> None:
        self._raw.replace(path, aside)
        self._open()

    def close(self) -> None:
        self._raw.close()


def _row_end(row: bytes) -> int:
    """Where the kvs field of a RangeResponse ends that begins here."""
    at, size, shift = 1, 0, 0
    while True:
        byte = row[at]
        size |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return at + size


def _bucket_end(bucket: bytes) -> int:
    at = 0
    while at + CHECK_BYTES < len(bucket):
        at += _LENGTHS.size + sum(_LENGTHS.unpack_from(bucket, at))
    return at
