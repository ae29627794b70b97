"""Removing what no reader may ask for any more.

Owns: how far removal is scheduled and finished, and one bounded step of it. Must never do: look at
more than what happened since the last compaction: its cost is that of the changes, not of the keys.

Every record names the record of the same key before it. So walking the records of
[last compaction, C] and deleting what each names removes exactly the versions superseded at or
before C. A tombstone before C goes as well, and so does its entry in TOMBSTONES; one at C itself
stays for watchers that start there, and goes with the next compaction, whose walk begins at C.

    revision   2      3      4      5          compact(4) deletes 2 (named by 3) and, as 3 is a
    key a     put <- del           put         tombstone before 4, 3 itself; b's 4 names nothing
    key b                   put                and stays, for it is b's newest at 4.
"""

from __future__ import annotations

from itertools import islice

from raftkv.backend.environment import Backend
from raftkv.backend.ordered_keys import OrderedKeys
from raftkv.backend.schema import Meta, Table
from raftkv.mvcc.codec import key_of
from raftkv.mvcc.history import History
from raftkv.mvcc.record import NOWHERE, Position, Record, encode_position

NEVER = -1


class Compaction:
    """``scheduled`` is what readers see; ``finished`` is what the disk has."""

    def __init__(self, backend: Backend, history: History, tombstones: OrderedKeys) -> None:
        self._backend = backend
        self._history = history
        self._tombstones = tombstones
        self.reload()

    def reload(self) -> None:
        self.scheduled = self._read(Meta.COMPACT_SCHEDULED)
        self._finished = self._read(Meta.COMPACT_FINISHED)
        self._next: Position = (max(self._finished, 0), 0)

    @property
    def finished(self) -> int:
        return self._finished

    @property
    def is_pending(self) -> bool:
        return self._finished < self.scheduled

    def schedule(self, revision: int) -> None:
        assert revision > self.scheduled, (revision, self.scheduled)
        self.scheduled = revision
        # What one walk left standing at its own end, the longer walk must see again.
        self._next = min(self._next, (max(self._finished, 0), 0))
        self._write(Meta.COMPACT_SCHEDULED, revision)

    def step(self, records_max: int) -> bool:
        """Look at up to ``records_max`` records; True when all is done. Repeating a step after a
        crash does no harm: what it deletes is gone already."""
        if not self.is_pending:
            return True
        walk = self._history.scan_from(self._next, self.scheduled + 1)
        batch = list(islice(walk, records_max))
        for position, record in batch:
            self._remove(position, record)
        if len(batch) < records_max:
            self._finished = self.scheduled
            self._next = (self._finished, 0)
            self._write(Meta.COMPACT_FINISHED, self._finished)
            return True
        main, sub = batch[-1][0]
        self._next = (main, sub + 1)
        return False

    def _remove(self, position: Position, record: Record) -> None:
        if record.previous != NOWHERE:
            self._history.delete(record.previous)
        if record.is_tombstone and position[0] < self.scheduled:
            self._history.delete(position)
            key = key_of(record.key_value)
            if self._tombstones.get(key) == encode_position(position):
                self._tombstones.delete(key)

    def _read(self, name: bytes) -> int:
        data = self._backend.get(Table.META, name)
        return NEVER if data is None else int(data)

    def _write(self, name: bytes, revision: int) -> None:
        self._backend.put(Table.META, name, b"%d" % revision)
