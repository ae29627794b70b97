"""Answers to RangeQuery: at the newest revision by copying rows, at an older one by history.

Owns: every option of etcd's Range and their order: fetch, filter, sort, limit. Must never do:
decode a row that is only going to be copied. ``count`` is of the range at the revision, whatever
the filters and the limit are.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from raftkv.backend.environment import ROWS_PER_PIECE
from raftkv.backend.ordered_keys import OrderedKeys
from raftkv.mvcc.codec import (
    decode_row,
    encode_key_value,
    encode_row,
    key_of_row,
    revisions_of_row,
)
from raftkv.mvcc.history import History
from raftkv.mvcc.past_range import Part, PastRange
from raftkv.mvcc.query import KeyValue, RangeQuery, RangeResult, SortOrder, SortTarget
from raftkv.mvcc.record import decode_position
from raftkv.mvcc.row_heads import keys_only_rows

FROM_KEY = b"\0"

_SORT_KEYS: dict[SortTarget, Callable[[KeyValue], int | bytes]] = {
    SortTarget.KEY: lambda kv: kv.key,
    SortTarget.VERSION: lambda kv: kv.version,
    SortTarget.CREATE: lambda kv: kv.create_revision,
    SortTarget.MOD: lambda kv: kv.mod_revision,
    SortTarget.VALUE: lambda kv: kv.value,
}


def bounds(key: bytes, range_end: bytes) -> tuple[bytes, bytes | None]:
    """A range with an end as [start, end) with None for no end."""
    return key, None if range_end == FROM_KEY else range_end


class RangeReader:
    """``at`` is None for the newest state, or the older revision to read."""

    def __init__(self, latest: OrderedKeys, tombstones: OrderedKeys, history: History) -> None:
        self._latest = latest
        self._tombstones = tombstones
        self._history = history

    def read(self, query: RangeQuery, at: int | None, current: int) -> RangeResult:
        """``current`` is the revision that the answer names as the store's."""
        if query.range_end and query.range_end != FROM_KEY and query.range_end <= query.key:
            return RangeResult((), 0, False, current)
        if query.count_only:
            return RangeResult((), self._count(query, at), False, current)
        if not query.range_end and not query.keys_only and not _has_filters(query):
            row = self._one(query.key, at)  # neither order nor limit change what is one
            if row is None:
                return RangeResult((), 0, False, current)
            return RangeResult((row,), 1, False, current)
        if is_plain(query):
            if at is None and query.range_end and _is_copied(query):
                return self._copied(query, current)
            rows, count = self._plain(query, at)
        else:
            found = list(self.rows(query, at))
            count = len(found)
            rows = _sorted(_filtered(found, query), query)
        more = 0 < query.limit < len(rows)
        if more:
            rows = rows[: query.limit]
        if query.keys_only:
            rows = [self.shown(row, query) for row in rows]
        return RangeResult(rows, count, more, current)

    def shown(self, row: bytes, query: RangeQuery) -> bytes:
        """The row as the answer has it. etcd 3.7 answers keys_only from its index, which knows
        neither value nor lease, unless it has to sort by the values."""
        if not query.keys_only:
            return row
        kv = decode_row(row)
        lease = kv.lease if query.sort_target is SortTarget.VALUE else 0
        return encode_row(
            encode_key_value(kv.key, kv.create_revision, kv.mod_revision, kv.version, b"", lease)
        )

    def _copied(self, query: RangeQuery, current: int) -> RangeResult:
        """The newest state as it is stored: rows go into the answer without being looked at."""
        limit = max(query.limit, 0)
        pieces, count = self._latest.joined(*bounds(query.key, query.range_end), limit)
        if limit and count == limit:
            count = self._count(query, None)
        return RangeResult(pieces, count, 0 < limit < count, current)

    def _plain(self, query: RangeQuery, at: int | None) -> tuple[list[bytes], int]:
        """In key order, unfiltered: one row more than the limit, and the count of all."""
        # One more than the largest limit would be no index.
        wanted = min(query.limit, sys.maxsize - 1) + 1 if query.limit > 0 else 0
        found = self.rows(query, at)
        rows = list(islice(found, wanted) if wanted else found)
        count = len(rows)
        if wanted and count == wanted:
            # What is newest can be counted without its rows; the past has to be walked.
            count = self._count(query, at) if at is None else count + sum(1 for _ in found)
        return _quirk_sorted(rows, query), count

    def _count(self, query: RangeQuery, at: int | None) -> int:
        if at is None and query.range_end:
            return self._latest.count(*bounds(query.key, query.range_end))[0]
        return sum(1 for _ in self.rows(query, at))

    def copied(
        self, start: bytes, end: bytes | None, rows_max: int, bytes_max: int
    ) -> tuple[list[bytes], int]:
        """The first newest rows as they are stored, in pieces, and how many they are: no further
        one after ``bytes_max``."""
        return self._latest.joined(start, end, rows_max, bytes_max)

    def keys(self, start: bytes, end: bytes | None, rows_max: int, bytes_max: int) -> Part:
        """The first newest rows without their values and leases."""
        pieces: list[bytes] = []
        found, left = 0, bytes_max
        for views in self._latest.views(start, end, min(ROWS_PER_PIECE, rows_max)):
            rows = keys_only_rows(views[: rows_max - found])
            found += len(rows)
            pieces.append(b"".join(rows))
            left -= len(pieces[-1])
            if found == rows_max or left <= 0:
                return Part(pieces, found, key_of_row(rows[-1]) + b"\0")
        return Part(pieces, found, None)

    def past(self, at: int) -> PastRange:
        """The state at an older revision, until the next write."""
        return PastRange(self._latest, self._tombstones, self._history, at)

    def count_newest(self, start: bytes, end: bytes | None, rows_max: int) -> tuple[int, bytes]:
        """How many there are now, counting ``rows_max`` at most, and the last one's key."""
        return self._latest.count(start, end, rows_max)

    def rows(self, query: RangeQuery, at: int | None) -> Iterator[bytes]:
        """Every row of the range in key order."""
        if not query.range_end:
            row = self._one(query.key, at)
            return iter(() if row is None else (row,))
        start, end = bounds(query.key, query.range_end)
        if at is None:
            return (row for _, row in self._latest.scan(start, end))
        return self._past(start, end, at)

    def _one(self, key: bytes, at: int | None) -> bytes | None:
        row = self._latest.get(key)
        if at is None:
            return row
        if row is not None:
            return self._row_at(key, row, at)
        place = self._tombstones.get(key)
        return None if place is None else self._deleted_row_at(place, at)

    def _past(self, start: bytes, end: bytes | None, at: int) -> Iterator[bytes]:
        live = ((key, row, True) for key, row in self._latest.scan(start, end))
        dead = ((key, place, False) for key, place in self._tombstones.scan(start, end))
        for key, data, is_live in heapq.merge(live, dead):
            row = self._row_at(key, data, at) if is_live else self._deleted_row_at(data, at)
            if row is not None:
                yield row

    def _row_at(self, key: bytes, row: bytes, at: int) -> bytes | None:
        _, mod_revision, _ = revisions_of_row(row)
        if mod_revision <= at:
            return row
        record = self._history.at(self._history.link(key, mod_revision).position, at)
        return None if record is None else encode_row(record.key_value)

    def _deleted_row_at(self, place: bytes, at: int) -> bytes | None:
        record = self._history.at(decode_position(place), at)
        return None if record is None else encode_row(record.key_value)


def _is_copied(query: RangeQuery) -> bool:
    """Whether the rows of a plain query leave as they are stored, in the order they have."""
    return not query.keys_only and (
        query.sort_target is SortTarget.KEY or query.sort_order is not SortOrder.NONE
    )


def _has_filters(query: RangeQuery) -> bool:
    return bool(
        query.min_mod_revision
        or query.max_mod_revision
        or query.min_create_revision
        or query.max_create_revision
    )


def is_plain(query: RangeQuery) -> bool:
    """Key order and no filter. A target other than KEY without an order counts as plain, too:
    etcd limits by key order first and sorts what is left."""
    if _has_filters(query):
        return False
    if query.sort_order is SortOrder.NONE:
        return True
    return query.sort_target is SortTarget.KEY and query.sort_order is SortOrder.ASCEND


def _quirk_sorted(rows: list[bytes], query: RangeQuery) -> list[bytes]:
    if query.sort_order is SortOrder.NONE and query.sort_target is not SortTarget.KEY:
        return _sorted(rows, query._replace(sort_order=SortOrder.ASCEND))
    return rows


def _filtered(rows: Iterable[bytes], query: RangeQuery) -> list[bytes]:
    if not _has_filters(query):
        return list(rows)
    kept: list[bytes] = []
    for row in rows:
        create, mod, _ = revisions_of_row(row)
        if (
            query.min_mod_revision <= mod
            and (not query.max_mod_revision or mod <= query.max_mod_revision)
            and query.min_create_revision <= create
            and (not query.max_create_revision or create <= query.max_create_revision)
        ):
            kept.append(row)
    return kept


def _sorted(rows: list[bytes], query: RangeQuery) -> list[bytes]:
    if query.sort_order is SortOrder.NONE and query.sort_target is SortTarget.KEY:
        return rows
    by = _SORT_KEYS[query.sort_target]
    descending = query.sort_order is SortOrder.DESCEND
    return sorted(rows, key=lambda row: by(decode_row(row)), reverse=descending)
