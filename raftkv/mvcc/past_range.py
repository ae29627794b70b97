"""A bounded part of a range as it was at an earlier revision.

Owns: which of the newest rows were there already, which versions of the others were, and where the
deleted keys come in. Must never do: look up the past of a key that has not changed since.

Its newest row is the answer for most keys: only their mod_revision is looked at. A key changed
since is followed back through its records, whose pointers are the encoded positions of others.
Keys deleted since are in TOMBSTONES: the newest rows are read from one such key to the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from raftkv.backend.environment import ROWS_PER_PIECE, View
from raftkv.backend.ordered_keys import OrderedKeys
from raftkv.mvcc.codec import decode_varint, encode_varint
from raftkv.mvcc.history import History
from raftkv.mvcc.record import (
    HEAD_SIZE,
    JUMP_AT,
    NOWHERE,
    POINTERS_END,
    PREVIOUS_AT,
    encode_position,
    is_live_record,
)
from raftkv.mvcc.row_heads import (
    Moment,
    RowHead,
    key_of_head,
    keys_only_row,
    keys_only_rows,
    row_heads,
)

TOMBSTONES_PER_PART = 1_000
"""Deleted keys that one part may meet; each costs a look-up and a seek."""
_NOWHERE = encode_position(NOWHERE)


class Part(NamedTuple):
    """``pieces`` as in RangeResult, ``found`` rows in all; ``next_key`` is None at the end."""

    pieces: list[bytes]
    found: int
    next_key: bytes | None


class PastRange:
    def __init__(
        self, latest: OrderedKeys, tombstones: OrderedKeys, history: History, at: int
    ) -> None:
        self._latest = latest
        self._tombstones = tombstones
        self._history = history
        self._moment = Moment(at)
        self._after = encode_position((at + 1, 0))
        self._records = history.records()
        self._found_at = NOWHERE

    def rows(
        self,
        start: bytes,
        end: bytes | None,
        rows_max: int,
        seen_max: int,
        bytes_max: int,
        *,
        keys_only: bool,
    ) -> Part:
        """At most ``rows_max`` rows, none after ``bytes_max``, looking at ``seen_max`` at most."""
        part = _Filling(rows_max, seen_max, bytes_max)
        deleted, horizon = self._deleted(start, end)
        for key, place in deleted:
            if self._fill(part, start, key, keys_only):
                return part.done()
            start = key + b"\0"
            row = self._row_of(self._back(place))
            if row is not None:
                part.add(keys_only_rows([row]) if keys_only else [row])
            part.last_key = key
            if part.is_full:
                return part.done()
        if self._fill(part, start, horizon, keys_only):
            return part.done()
        return Part(part.pieces, part.found, horizon if horizon != end else None)

    def count(self, start: bytes, end: bytes | None, seen_max: int) -> tuple[int, bytes | None]:
        """How many there were, and where to go on: it stops after ``seen_max`` newest rows, of
        which one that has to be looked up counts twice."""
        deleted, horizon = self._deleted(start, end)
        revived = [key for key, place in deleted if self._back(place) is not None]
        count = 0
        is_past = self._moment.is_past
        seen = 0
        for views in self._latest.views(start, horizon, min(ROWS_PER_PIECE, seen_max)):
            heads = row_heads(views)
            for head in heads:
                # Made at or before the moment, it was there however often it changed since.
                if not is_past(head[2][1]):
                    count += 1
                    continue
                seen += 1
                if self._version(head) is not None:
                    count += 1
            seen += len(heads)
            if seen >= seen_max:
                last = key_of_head(heads[-1])
                return count + bisect_right(revived, last), last + b"\0"
        return count + len(revived), horizon if horizon != end else None

    def _deleted(
        self, start: bytes, end: bytes | None
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """The first keys deleted since, with their tombstones' places, and how far they reach."""
        found = list(islice(self._tombstones.scan(start, end), TOMBSTONES_PER_PART))
        horizon = found[-1][0] + b"\0" if len(found) == TOMBSTONES_PER_PART else end
        return [(key, place) for key, place in found if place >= self._after], horizon

    def _fill(self, part: _Filling, start: bytes, end: bytes | None, keys_only: bool) -> bool:
        """Add what was there of the newest keys of [start, end); whether the part is full."""
        is_past = self._moment.is_past
        most = min(ROWS_PER_PIECE, part.rows_left, part.seen_left)
        for views in self._latest.views(start, end, most):
            rows: list[View] = []
            heads = row_heads(views)
            left = part.bytes_left
            seen = 0
            for head in heads:
                seen += 1
                row: View | None = head[0]
                if is_past(head[2][2]):
                    row = self._row_of(self._version(head))
                    if row is not None and keys_only:
                        row = keys_only_rows([row])[0]
                elif keys_only:
                    row = keys_only_row(head)
                if row is None:
                    continue
                rows.append(row)
                left -= len(row)
                if left <= 0 or len(rows) == part.rows_left:
                    break
            part.add(rows)
            part.seen_left -= seen
            part.last_key = key_of_head(heads[seen - 1])
            if part.is_full:
                return True
        return False

    def _version(self, head: RowHead) -> View | None:
        """The record of a changed key's version at the moment."""
        row, body, revisions = head
        mod, _ = decode_varint(revisions[2], 0)
        key_end = revisions.start()
        key = bytes(row[body:key_end])
        main, sub = self._found_at
        # Nearly always alone in its txn, or else behind the key before it, as a bulk load has them.
        for place in ((mod, sub + 1), (mod, 0)) if mod == main else ((mod, 0),):
            record = self._records(encode_position(place))
            if record is not None:
                head_and_key = bytes(record[: HEAD_SIZE + len(key)])
                if head_and_key[HEAD_SIZE:] == key and is_live_record(head_and_key):
                    self._found_at = place
                    return self._earlier(head_and_key)
        self._found_at = self._history.link(key_of_head(head), mod).position
        return self._back(encode_position(self._found_at))

    def _back(self, place: bytes) -> View | None:
        record = self._records(place)
        return None if record is None else self._earlier(bytes(record[:HEAD_SIZE]))

    def _earlier(self, pointers: bytes) -> View | None:
        """From a record after the moment, by its pointers back to the one that was the key's."""
        after = self._after
        while True:
            place = pointers[JUMP_AT:POINTERS_END]
            if place < after:
                place = pointers[PREVIOUS_AT:JUMP_AT]
            if place == _NOWHERE:
                return None
            record = self._records(place)
            if record is None:
                return None  # compacted: superseded or deleted before anything readable
            if place < after:
                return record if is_live_record(record) else None
            pointers = bytes(record[:HEAD_SIZE])

    def _row_of(self, record: View | None) -> bytes | None:
        if record is None:
            return None
        return b"\x12" + encode_varint(len(record) - HEAD_SIZE) + record[HEAD_SIZE:]


class _Filling:
    """A part under way, and what it may still hold."""

    def __init__(self, rows_max: int, seen_max: int, bytes_max: int) -> None:
        self.pieces: list[bytes] = []
        self.found = 0
        self.rows_left = rows_max
        self.seen_left = seen_max
        self.bytes_left = bytes_max
        self.last_key = b""

    @property
    def is_full(self) -> bool:
        return self.rows_left <= 0 or self.seen_left <= 0 or self.bytes_left <= 0

    def add(self, rows: Sequence[View]) -> None:
        if rows:
            self.pieces.append(b"".join(rows))
            self.found += len(rows)
            self.rows_left -= len(rows)
            self.bytes_left -= len(self.pieces[-1])

    def done(self) -> Part:
        return Part(self.pieces, self.found, self.last_key + b"\0")
