"""Checks behind the rows of the key space, or none: a database may be on its way between.

Owns: adding a check, taking it off, and the judgement of a row. Must never do: read or write: it is
handed rows, and raises what ``found`` makes. Until every row has a check (``is_complete``) a row of
LATEST says by its length whether it has one, and a record of REVISIONS by MARK.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from raftkv.backend.register import CHECK_BYTES, ZERO, extend
from raftkv.backend.schema import Table
from raftkv.backend.side_checks import Found

if TYPE_CHECKING:
    from raftkv.backend.contract import View

MARK = 2
"""In the first byte of a row of REVISIONS: a check stands behind it."""
PLAIN_KEY_BYTES_MAX = 500
"""A longer key of LATEST is that of a bucket (``backend.ordered_keys``)."""
HEAD_BYTES = 12
"""More than a row of LATEST can have before its key: tags and lengths."""
_LENGTHS = struct.Struct("<II")
_LATEST = Table.LATEST
_PLAIN = slice(None, -CHECK_BYTES)
"""Of a row, without its check: a slice that is made once, and not for each row of a list."""


class InlineChecks:
    def __init__(self, found: Found) -> None:
        self._found = found
        self.is_on = False
        """Whether rows are written with a check."""
        self.is_complete = False
        """Whether every row has one."""

    @property
    def mark(self) -> int:
        return MARK if self.is_on else 0

    def added(self, table: Table, key: bytes, row: bytes) -> bytes:
        """The row as it is written."""
        if not self.is_on:
            return row
        register: int
        if table is _LATEST:
            register = extend(ZERO, row)
        else:
            assert row[0] & MARK, f"a row of {table.name} without its mark"
            register = extend(extend(ZERO, key), row)
        # ``check_after``, written out: this is done twice a put.
        return row + (register ^ ZERO).to_bytes(CHECK_BYTES, "little")

    def stripped(self, table: Table, key: bytes, row: bytes) -> bytes:
        """The row without its check. Raises Damaged."""
        if not self.is_complete and not self._has_check(table, key, row):
            return row
        if table is _LATEST:
            if extend(ZERO, row) != ZERO or not holds(row, key):
                raise self._found(table, key, "fails its check")
        elif extend(extend(ZERO, key), row) != ZERO:
            raise self._found(table, key, "fails its check")
        return row[:-CHECK_BYTES]

    def all_stripped(self, views: Sequence[View], start: bytes) -> Sequence[View]:
        """Rows of LATEST in their order. Raises Damaged."""
        if self.is_complete:
            if extend(ZERO, b"".join(views)) != ZERO:
                raise self._found(_LATEST, start, "or one behind it fails its check")
            plain = _PLAIN
            return [view[plain] for view in views]
        return [self.stripped(_LATEST, b"", bytes(view)) for view in views]

    def check_neighbours(self, found: Iterable[tuple[View, View]]) -> None:
        """Keys and rows of LATEST where a key stands, or would: a search that is led astray by a
        key of which a bit is not what it was ends beside it. Raises Damaged."""
        for place, row in found:
            if not stands_at(row, place):
                raise self._found(_LATEST, bytes(place), "is another key's")

    def converted(self, table: Table, key: bytes, plain: bytes) -> bytes:
        """A row without a check as it would be written now."""
        if table is Table.REVISIONS:
            plain = bytes((plain[0] & ~MARK | self.mark,)) + plain[1:]
        return self.added(table, key, plain)

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


def holds(row: bytes, key: bytes) -> bool:
    """Whether a row of LATEST is that of ``key``, as far as its first bytes tell."""
    return len(key) > PLAIN_KEY_BYTES_MAX or row.find(key, 3, len(key) + HEAD_BYTES) > 0


def stands_at(row: View, key: View) -> bool:
    """The same of views, and by the one place where the key has to begin."""
    size = len(key)
    if size > PLAIN_KEY_BYTES_MAX:
        return True
    at = 1
    try:
        while row[at] > 127:
            at += 1
    except IndexError:
        return False
    at += 3 if size < 128 else 4  # behind a tag, and the key's own length
    return row[at : at + size] == key


def key_in(row: bytes) -> bytes:
    """The key that a row of LATEST holds: its second field, behind a tag and a length."""
    at = 1
    while row[at] & 128:
        at += 1
    at += 2
    size, shift = row[at] & 127, 7
    while row[at] & 128:
        at += 1
        size |= (row[at] & 127) << shift
        shift += 7
    return row[at + 1 : at + 1 + size]


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
