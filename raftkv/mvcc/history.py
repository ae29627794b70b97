"""The past of keys: the REVISIONS table and the chains through it.

Owns: appending records, finding a key's version at a revision, and events of the past.
Must never do: decide what may be read; ``store`` knows what is compacted.
"""

from __future__ import annotations

from collections.abc import Iterator

from raftkv.backend.environment import Backend, Lookup
from raftkv.backend.schema import Table
from raftkv.mvcc.codec import encode_deletion, key_of
from raftkv.mvcc.query import Event, RevisionEvents
from raftkv.mvcc.record import (
    NOWHERE,
    Link,
    Position,
    Record,
    decode_link,
    decode_position,
    decode_record,
    encode_position,
    encode_record,
    is_live_record_of,
)


class History:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def get(self, position: Position) -> Record | None:
        data = self._backend.get(Table.REVISIONS, encode_position(position))
        return None if data is None else decode_record(data)

    def delete(self, position: Position) -> bool:
        return self._backend.delete(Table.REVISIONS, encode_position(position))

    def append(
        self, position: Position, last: Link | None, key_value: bytes, *, is_tombstone: bool
    ) -> Link:
        """Write what happened at ``position`` to a key whose last record is ``last``; return the
        link that the key's next record is chained to."""
        if last is None:
            link, previous = Link(position, 1), NOWHERE
        else:
            link, previous = self._chain(position, last), last.position
        data = encode_record(
            key_value,
            is_tombstone,
            link.depth,
            previous,
            link.jump,
            link.jump_depth,
            self._backend.mark,
        )
        self._backend.append(Table.REVISIONS, encode_position(position), data)
        return link

    def _chain(self, position: Position, last: Link) -> Link:
        """Its far pointer goes over two jumps of one length, or else one step back."""
        far = last.far
        if far is None and last.jump != NOWHERE:
            far = self.link_at(last.jump)
        if far is not None and last.depth - far.depth == far.depth - far.jump_depth:
            return Link(position, last.depth + 1, far.jump, far.jump_depth, far.far)
        return Link(position, last.depth + 1, last.position, last.depth, last)

    def link_at(self, position: Position) -> Link | None:
        data = self._backend.get(Table.REVISIONS, encode_position(position))
        return None if data is None else decode_link(position, data)

    def link(self, key: bytes, revision: int) -> Link:
        """The record of the live version of ``key`` with mod_revision ``revision``.

        Nearly always at sub 0; in a txn of many operations a few rows have to be looked at.
        """
        start = encode_position((revision, 0))
        first = self._backend.get(Table.REVISIONS, start)
        if first is not None and is_live_record_of(first, key):
            return decode_link((revision, 0), first)
        for place, data in self._backend.cursor(Table.REVISIONS, start):
            position = decode_position(place)
            if position[0] != revision:
                break
            if is_live_record_of(data, key):
                return decode_link(position, data)
        raise AssertionError(f"no record of {key!r} at revision {revision}")

    def at(self, position: Position, revision: int) -> Record | None:
        """The key's newest record at or before ``revision``, looking back from ``position``;
        None when it did not exist then."""
        while position != NOWHERE:
            record = self.get(position)
            if record is None:
                return None  # compacted: it was superseded or deleted before anything readable
            if position[0] <= revision:
                return None if record.is_tombstone else record
            position = record.jump if record.jump[0] > revision else record.previous
        return None

    def records(self) -> Lookup:
        """Encoded records by encoded position, uncopied; see ``Backend.lookup``."""
        return self._backend.lookup(Table.REVISIONS)

    def scan(self, start: int, end: int) -> Iterator[tuple[Position, Record]]:
        """Records with start <= main < end, in order."""
        return self.scan_from((start, 0), end)

    def scan_from(self, start: Position, end: int) -> Iterator[tuple[Position, Record]]:
        last = encode_position((end, 0))
        for place, data in self._backend.cursor(Table.REVISIONS, encode_position(start), last):
            yield decode_position(place), decode_record(data)

    def events(
        self, start: int, end: int, revisions_max: int, bytes_max: int, prev_from: int
    ) -> list[RevisionEvents]:
        """The events of at most ``revisions_max`` revisions of [start, end), oldest first; fewer
        once they hold ``bytes_max``. What was there before is given where it was readable at
        ``prev_from`` or later."""
        found: list[RevisionEvents] = []
        group: list[Event] = []
        current = size = 0
        for (main, sub), record in self.scan(start, end):
            if main != current:
                if group:
                    found.append(RevisionEvents(current, tuple(group)))
                    if len(found) == revisions_max or size >= bytes_max:
                        return found
                group, current = [], main
            group.append(self._event(main, sub, record, prev_from))
            size += len(record.key_value)
        if group:
            found.append(RevisionEvents(current, tuple(group)))
        return found

    def _event(self, main: int, sub: int, record: Record, prev_from: int) -> Event:
        key = key_of(record.key_value)
        key_value = encode_deletion(key, main) if record.is_tombstone else record.key_value
        previous = None
        # etcd reads it at main - 1, which a compaction at main has taken away.
        if record.previous != NOWHERE and main - 1 >= prev_from:
            before = self.get(record.previous)
            if before is not None and not before.is_tombstone:
                previous = before.key_value
        return Event(key, main, sub, record.is_tombstone, key_value, previous)
