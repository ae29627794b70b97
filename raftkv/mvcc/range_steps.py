"""One range as one answer, read a bounded part at a time: a long one must not hold up the loop.

Owns: the pinned revision, what was read so far, and how much one step may read. Must never do: hold
a position in the database between two steps: writes, commits and compactions happen in between,
and a step that compaction has overtaken is refused.

Almost every range ends with its first step, which does what ``RangeReader`` does, no more. Later
ones read the newest rows as long as nothing was written, and the rows of the pinned revision by
history from then on.
"""

from __future__ import annotations

from raftkv.mvcc.codec import key_of_row, rows_of
from raftkv.mvcc.query import RangeQuery, RangeResult, SortOrder, SortTarget
from raftkv.mvcc.range_cursor import Readable
from raftkv.mvcc.range_reader import FROM_KEY, RangeReader, is_plain

ROWS_PER_STEP = 20_000
BYTES_PER_STEP = 16 << 20
"""Of the newest rows: some 10 milliseconds of copying or counting."""
PAST_ROWS_PER_STEP = 4_000
"""Of rows that have to be looked at one by one: about as long."""


def may_be_long(query: RangeQuery) -> bool:
    """In key order and without filters, so that the rows leave as they are found."""
    return (
        bool(query.range_end)
        and (query.range_end == FROM_KEY or query.range_end > query.key)
        and is_plain(query)
        and (query.sort_target is SortTarget.KEY or query.sort_order is not SortOrder.NONE)
    )


class RangeSteps:
    """For a query that ``may_be_long``. The answer is of the store as it is now."""

    def __init__(self, store: Readable, reader: RangeReader, query: RangeQuery) -> None:
        """Raises Compacted and FutureRevision."""
        self.query = query
        self._store = store
        self._reader = reader
        self._revision = store.current_revision
        self._at = query.revision if query.revision > 0 else self._revision
        self._limit = max(query.limit, 0)
        self._next_key = query.key
        self._pieces: list[bytes] = []
        self._shown = 0
        self._counted = 0
        self._is_read = query.count_only
        store.check_readable(self._at)

    def step(self) -> RangeResult | None:
        """Go on; the answer, once there is nothing left to read. Raises Compacted."""
        self._store.check_readable(self._at)
        if not self._is_read:
            if self._read():
                return RangeResult(self._pieces, self._shown, False, self._revision)
            if not self._limit or self._shown < self._limit:
                return None
            # The rows are there; what is told beside them is how many there would be.
            self._is_read, self._next_key = True, self.query.key
        if not self._count():
            return None
        more = not self.query.count_only and self._counted > self._shown
        return RangeResult(self._pieces, self._counted, more, self._revision)

    @property
    def _is_newest(self) -> bool:
        return self._at == self._store.current_revision

    def _read(self) -> bool:
        """Some more rows; whether the range ended before the limit did."""
        query = self.query
        left = self._limit - self._shown if self._limit else ROWS_PER_STEP
        if self._is_newest and not query.keys_only:
            wanted = min(left, ROWS_PER_STEP)
            pieces, found = self._reader.copied(self._rest, wanted, BYTES_PER_STEP)
        else:
            wanted = min(left, PAST_ROWS_PER_STEP)
            at = None if self._is_newest else self._at
            pieces = self._reader.some(self._rest, at, wanted, BYTES_PER_STEP)
            found = len(pieces)
        if query.keys_only and pieces:
            self._pieces += [self._reader.shown(row, query) for row in pieces]
        else:
            self._pieces += pieces
        self._shown += found
        is_end = found < wanted and sum(map(len, pieces)) < BYTES_PER_STEP
        if not is_end and self._shown != self._limit:
            *_, last = rows_of(pieces[-1:])
            self._next_key = key_of_row(last) + b"\0"
        return is_end

    def _count(self) -> bool:
        """Some more; whether all are counted."""
        if self._is_newest:
            rows_max = ROWS_PER_STEP
            found, last = self._reader.count_newest(self._rest, rows_max)
        else:
            rows_max = PAST_ROWS_PER_STEP
            rows = self._reader.some(self._rest, self._at, rows_max, BYTES_PER_STEP)
            found, last = len(rows), key_of_row(rows[-1]) if rows else b""
            if rows and sum(map(len, rows)) >= BYTES_PER_STEP:
                rows_max = found
        self._counted += found
        if found < rows_max:
            return True
        self._next_key = last + b"\0"
        return False

    @property
    def _rest(self) -> RangeQuery:
        return self.query._replace(key=self._next_key)
