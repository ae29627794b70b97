"""Keys, one key, its history, and what differs between two revisions: bounded pieces of the store.

Owns: what is read for each, in steps that each take one turn of the loop at most. Must never do:
check who asks: ``session`` calls each step behind the guard; hand out what is compacted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from raftkv.mvcc.codec import decode_key_value, decode_row, rows_of
from raftkv.mvcc.past_range import Part
from raftkv.mvcc.query import KeyValue, RangeQuery
from raftkv.mvcc.record import NOWHERE, Position, Record, decode_position
from raftkv.mvcc.store import Store

PAGE_BYTES_MAX = 4 << 20
"""Of rows in one answer; one row may exceed it."""
STEP_ROWS = 500


@dataclass(frozen=True, slots=True)
class KeysPage:
    """``next_key`` is where the next page begins; None at the end."""

    rows: list[KeyValue]
    next_key: bytes | None


def read_keys(store: Store, start: bytes, end: bytes | None, revision: int, limit: int) -> KeysPage:
    """One step: at most ``limit`` keys. Raises Compacted and FutureRevision."""
    part = store.read_part(start, end, revision, limit, PAGE_BYTES_MAX)
    return KeysPage(_rows(part), part.next_key)


def read_key(store: Store, key: bytes, revision: int) -> KeyValue | None:
    """None when there was none. Raises Compacted and FutureRevision."""
    rows = store.range(RangeQuery(key, revision=revision)).pieces
    return next((decode_row(row) for row in rows_of(rows)), None)


# --- history --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Version:
    """What happened to a key at ``revision``; ``key_value`` is None where it was deleted."""

    revision: int
    key_value: KeyValue | None


def read_history(store: Store, key: bytes, before: int, limit: int) -> tuple[list[Version], bool]:
    """The versions below revision ``before`` (0: all), newest first, and whether there are more.
    What compaction has given up is not among them: what stood at that moment is."""
    found: list[Version] = []
    size = 0
    for position, record in _records_before(store, key, before):
        if len(found) == limit or size >= PAGE_BYTES_MAX:
            return found, True
        kv = None if record.is_tombstone else decode_key_value(record.key_value)
        found.append(Version(position[0], kv))
        size += len(record.key_value)
    return found, False


def _records_before(store: Store, key: bytes, before: int) -> Iterator[tuple[Position, Record]]:
    compacted = store.compact_revision
    position = _newest_position(store, key)
    while position != NOWHERE:
        record = store.history.get(position)
        if record is None or (position[0] <= compacted and record.is_tombstone):
            return
        if not before or position[0] < before:
            yield position, record
            if position[0] <= compacted:
                return
            position = record.previous
        else:
            position = record.jump if record.jump[0] >= before else record.previous


def _newest_position(store: Store, key: bytes) -> Position:
    newest = store.get(key)
    if newest is not None:
        return store.history.link(key, newest.mod_revision).position
    place = store.tombstones.get(key)
    return NOWHERE if place is None else decode_position(place)


# --- differences ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """``before`` and ``after`` are None where the key did not exist."""

    key: bytes
    before: KeyValue | None
    after: KeyValue | None

    @property
    def kind(self) -> str:
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


@dataclass(slots=True)
class Difference:
    """Of [``next_key``, ``end``) between two revisions, ``limit`` keys of it at most. To be stepped
    until ``is_done``; ``next_key`` is then where the next page begins, None at the end."""

    store: Store
    next_key: bytes | None
    end: bytes | None
    first: int
    last: int
    limit: int
    changes: list[Change] = field(default_factory=list)
    _bytes: int = 0

    @property
    def is_done(self) -> bool:
        return self.is_full or self.next_key is None

    @property
    def is_full(self) -> bool:
        return len(self.changes) >= self.limit or self._bytes >= PAGE_BYTES_MAX

    def step(self) -> None:
        """Raises Compacted and FutureRevision."""
        start = self.next_key
        assert start is not None, "the end was reached"
        parts = [
            self.store.read_part(start, self.end, revision, STEP_ROWS, PAGE_BYTES_MAX)
            for revision in (self.first, self.last)
        ]
        horizon = min((part.next_key for part in parts if part.next_key is not None), default=None)
        before, after = (
            {row.key: row for row in _rows(part) if horizon is None or row.key < horizon}
            for part in parts
        )
        self.next_key = horizon
        for key in sorted(before.keys() | after.keys()):
            change = Change(key, before.get(key), after.get(key))
            if _is_same(change.before, change.after):
                continue
            if self.is_full:
                self.next_key = self.changes[-1].key + b"\0"
                return
            self._add(change)

    def _add(self, change: Change) -> None:
        self.changes.append(change)
        for each in (change.before, change.after):
            self._bytes += len(each.value) if each is not None else 0


def _is_same(before: KeyValue | None, after: KeyValue | None) -> bool:
    if before is None or after is None:
        return before is after
    return before.mod_revision == after.mod_revision


def _rows(part: Part) -> list[KeyValue]:
    return [decode_row(row) for row in rows_of(part.pieces)]


# --- ranges ---------------------------------------------------------------------------------


def range_end_of(prefix: bytes) -> bytes:
    """etcd's range end of all keys with ``prefix``: one zero byte where there is no bound."""
    bare = prefix.rstrip(b"\xff")
    return bare[:-1] + bytes((bare[-1] + 1,)) if bare else b"\0"
