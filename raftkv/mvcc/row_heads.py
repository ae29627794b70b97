"""Where the fields before the value lie in many rows, without decoding one.

Owns: heads of rows, and the row that keys_only shows. Must never do: look at a value: it may lie
on pages of its own, which are then not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from raftkv.backend.environment import View
from raftkv.mvcc.codec import decode_varint, encode_varint, key_of_row

_VARINT = rb"([\x80-\xff]*[\x00-\x7f])"
# create_revision, mod_revision and version: above 0 in a stored row, so all three are there.
_match_revisions = re.compile(rb"\x10" + _VARINT + rb"\x18" + _VARINT + rb"\x20" + _VARINT).match
_ROW_BYTES_SHORT = 129
_ROW_BYTES_MIDDLE = 16_386
"""The largest rows whose length takes one byte and two."""
_VARINT_BYTES_MAX = 10


RowHead = tuple[View, int, re.Match[bytes]]
"""A row, where its KeyValue begins, and what matched behind the key: not a class of its own, which
would take longer to make than to fill."""


def row_heads(rows: Sequence[View]) -> list[RowHead]:
    heads: list[RowHead] = []
    for row in rows:
        size = len(row)
        if size <= _ROW_BYTES_SHORT:
            body = 2
        elif size <= _ROW_BYTES_MIDDLE:
            body = 3
        else:
            body = decode_varint(bytes(row[: 1 + _VARINT_BYTES_MAX]), 1)[1]
        key_size, key = row[body + 1], body + 2
        if key_size > 127:
            key_size, key = decode_varint(bytes(row[: key + _VARINT_BYTES_MAX]), body + 1)
        revisions = _match_revisions(row, key + key_size)
        assert revisions is not None, f"a stored row of {size} bytes without revisions"
        heads.append((row, body, revisions))
    return heads


def keys_only_rows(rows: Sequence[View]) -> list[bytes]:
    """The rows without value and lease."""
    return [keys_only_row(head) for head in row_heads(rows)]


def keys_only_row(head: RowHead) -> bytes:
    row, body, revisions = head
    end = revisions.end()
    return b"\x12" + encode_varint(end - body) + row[body:end]


def key_of_head(head: RowHead) -> bytes:
    row, _, revisions = head
    return key_of_row(bytes(row[: revisions.start()]))


class Moment:
    """A revision to compare encoded ones with."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        encoded = encode_varint(revision)
        self._size = len(encoded)
        self._highest_first = encoded[::-1]

    def is_past(self, varint: bytes) -> bool:
        """Whether an encoded revision is after this one. Of two varints of a length, the higher
        is the one whose bytes, the last first, are."""
        size = len(varint)
        return size > self._size or (size == self._size and varint[::-1] > self._highest_first)
