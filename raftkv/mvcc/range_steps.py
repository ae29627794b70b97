"""One range as one answer, read a bounded part at a time: a long one must not hold up the loop.

Owns: the pinned revision, what was read so far, and how much one step may read. Must never do: hold
a position in the database between two steps: writes, commits and compactions happen in between,
and a step that compaction has overtaken is refused.

Almost every range ends with its first step, which does what ``RangeReader`` does, no more. Later
ones read the newest rows as long as nothing was written, and those of the pinned revision by
``PastRange`` from then on.
"""

from __future__ import annotations

from raftkv.mvcc.codec import key_of_row, rows_of
from raftkv.mvcc.past_range import Part
from raftkv.mvcc.query import RangeQuery, RangeResult, SortOrder, SortTarget
from raftkv.mvcc.range_cursor import Readable
from raftkv.mvcc.range_reader import FROM_KEY, RangeReader, bounds, is_plain
from raftkv.mvcc.range_tails import RangeTails

ROWS_PER_STEP = 20_000
BYTES_PER_STEP = 16 << 20
"""Of the newest rows: some 10 milliseconds of copying or counting."""
HEADS_PER_STEP = 10_000
"""Of rows whose fields before the value are looked at: about as long."""
PAST_ROWS_PER_STEP = 4_000
"""Of rows that may have to be looked up by history, one by one: about as long."""


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

    def __init__(
        self, store: Readable, reader: RangeReader, tails: RangeTails, query: RangeQuery
    ) -> None:
        """Raises Compacted and FutureRevision."""
        self.query = query
        self._store = store
        self._reader = reader
        self._tails = tails
        self._revision = store.current_revision
        self._at = query.revision if query.revision > 0 else self._revision
        self._limit = max(query.limit, 0)
        self._next_key = query.key
        self._pieces: list[bytes] = []
        self._shown = 0
        self._following = query.key
        """Where the next page would begin."""
        self._behind = 0
        """How many were counted that are not shown."""
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
            self._is_read = True
            end = self.query.range_end
            behind = self._tails.get(self._at, self.query.key, end)
            if behind is not None:
                self._behind = behind - self._shown
                self._tails.keep(self._at, self._next_key, end, self._behind)
                return self._result()
            self._following = self._next_key
        if not self._count():
            return None
        if self._shown and self._behind:
            self._tails.keep(self._at, self._following, self.query.range_end, self._behind)
        return self._result()

    def _result(self) -> RangeResult:
        more = self._shown > 0 and self._behind > 0
        return RangeResult(self._pieces, self._shown + self._behind, more, self._revision)

    @property
    def _is_newest(self) -> bool:
        return self._at == self._store.current_revision

    def _read(self) -> bool:
        """Some more rows; whether the range ended before the limit did."""
        left = self._limit - self._shown if self._limit else ROWS_PER_STEP
        part = self._part(left)
        self._pieces += part.pieces
        self._shown += part.found
        if part.next_key is None:
            assert not self._limit or self._shown < self._limit, (self._shown, self._limit)
            return True
        self._next_key = part.next_key
        return False

    def _part(self, left: int) -> Part:
        start, end = bounds(self._next_key, self.query.range_end)
        if not self._is_newest:
            past = self._reader.past(self._at)
            rows_max = min(left, PAST_ROWS_PER_STEP)
            return past.rows(
                start,
                end,
                rows_max,
                PAST_ROWS_PER_STEP,
                BYTES_PER_STEP,
                keys_only=self.query.keys_only,
            )
        if self.query.keys_only:
            return self._reader.keys(start, end, min(left, HEADS_PER_STEP), BYTES_PER_STEP)
        wanted = min(left, ROWS_PER_STEP)
        pieces, found = self._reader.copied(start, end, wanted, BYTES_PER_STEP)
        if found < wanted and sum(map(len, pieces)) < BYTES_PER_STEP:
            return Part(pieces, found, None)
        *_, last = rows_of(pieces[-1:])
        return Part(pieces, found, key_of_row(last) + b"\0")

    def _count(self) -> bool:
        """Some more; whether all are counted."""
        start, end = bounds(self._next_key, self.query.range_end)
        if not self._is_newest:
            found, following = self._reader.past(self._at).count(start, end, HEADS_PER_STEP)
            self._behind += found
            if following is None:
                return True
            self._next_key = following
            return False
        found, last = self._reader.count_newest(start, end, ROWS_PER_STEP)
        self._behind += found
        if found < ROWS_PER_STEP:
            return True
        self._next_key = last + b"\0"
        return False
