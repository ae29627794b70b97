"""One range read in pages, at the revision it had when the first was read.

Owns: the pinned revision, where the next page begins, and the count of what no page shows. Must
never do: hold rows, or a position in the database, between two pages: writes, commits and
compactions happen in between, and a page that compaction has overtaken is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from raftkv.mvcc.codec import key_of_row
from raftkv.mvcc.query import RangeQuery
from raftkv.mvcc.range_reader import RangeReader

ROWS_COUNTED_PER_STEP = 10_000
"""Rows behind the limit are only counted, so many at a time."""


class Readable(Protocol):
    """What a cursor asks of the store."""

    @property
    def current_revision(self) -> int: ...

    def check_readable(self, revision: int) -> None:
        """Raises Compacted and FutureRevision."""


@dataclass(frozen=True, slots=True)
class Page:
    """``rows`` as in RangeResult.pieces, one each; ``is_end`` if none follows that is wanted."""

    rows: list[bytes]
    is_end: bool


class RangeCursor:
    """For a query in key order without filters. ``revision`` is the store's at the beginning."""

    def __init__(self, store: Readable, reader: RangeReader, query: RangeQuery) -> None:
        """Raises Compacted and FutureRevision."""
        self._store = store
        self._reader = reader
        self._query = query
        self._next_key = query.key
        self._limit = max(query.limit, 0)
        self._counting = False
        self.revision = store.current_revision
        self.count = 0
        self.more = False
        self._at = query.revision if query.revision > 0 else self.revision
        store.check_readable(self._at)

    def page(self, rows_max: int, bytes_max: int) -> Page:
        """The next rows: at most ``rows_max``, and none after ``bytes_max``. Raises Compacted."""
        assert rows_max > 0, f"a page of {rows_max} rows"
        assert not self._counting, "the last page was read"
        left = self._limit - self.count if self._limit else rows_max
        wanted = min(rows_max, left)
        rows: list[bytes] = []
        size = 0
        found = self._rest()
        for row in islice(found, wanted):
            rows.append(row)
            size += len(row)
            if size >= bytes_max:
                break
        self.count += len(rows)
        if rows:
            self._next_key = key_of_row(rows[-1]) + b"\0"
        follows = next(found, None) is not None
        self._counting = not follows or self.count == self._limit
        self.more = follows and self._counting
        return Page([self._reader.shown(row, self._query) for row in rows], self._counting)

    def count_step(self) -> bool:
        """After the last page: count some of the rows behind the limit; True when all are.
        Raises Compacted."""
        assert self._counting, "there are pages left"
        if not self.more:
            return True
        rows = self._rest()
        passed = sum(1 for _ in islice(rows, ROWS_COUNTED_PER_STEP))
        self.count += passed
        following = next(rows, None)
        if following is None:
            return True
        self._next_key = key_of_row(following)
        return False

    def _rest(self) -> Iterator[bytes]:
        self._store.check_readable(self._at)
        # While nothing was written, the newest rows are the ones: no need to look at each.
        at = None if self._at == self._store.current_revision else self._at
        return self._reader.rows(self._query._replace(key=self._next_key), at)
