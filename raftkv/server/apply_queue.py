"""Committed entries on their way into the key space.

Owns: the order of applying, the bound on how much one turn applies, and the gate that is shut
while the backend commits (the worker thread has the write transaction then). While the queue is
held, entries may leave it (``shed``): they come back before anything is applied again.
Must never do: apply out of order, twice, or while the gate is shut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from raftkv.apply.applier import Applier
from raftkv.apply.batch import decode_batch
from raftkv.errors import Damaged
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.raft.message import Entry, EntryType, SnapshotMeta
from raftkv.server.entry_trace import EntryTrace
from raftkv.server.proposals import Proposals

STEP_BYTES_MAX = 512 * 1024
"""One turn applies entries up to this many bytes, then lets the loop breathe."""


ENTRY_BYTES = 256
"""About what an entry takes in memory besides its data."""

Clock = Callable[[], float]


class ApplyQueue:
    """``applied_index`` is the last entry whose effect every read sees."""

    def __init__(
        self,
        *,
        applier: Applier,
        proposals: Proposals,
        hub: WatchHub,
        applied_index: int,
        applied_term: int,
        on_conf_change: Callable[[Entry], None],
    ) -> None:
        self._applier = applier
        self._proposals = proposals
        self._hub = hub
        self._on_conf_change = on_conf_change
        self._entries: deque[Entry] = deque()
        self.applied_index = applied_index
        self.applied_term = applied_term
        self.queued_index = applied_index
        self.is_open = True
        self.is_held = False
        """This member's data is wrong (``server.quarantine``): nothing more is built on it."""
        self.held_bytes = 0
        """What has gathered since it is held, or since entries were last shed."""
        self.shed_index = 0
        """Entries up to this one are not here although they are not applied; 0 for none."""
        self.clock: Clock | None = None
        """For metrics: without one, applying is not timed."""
        self.trace: EntryTrace | None = None
        self.entry_seconds: Callable[[float, Entry], None] = lambda seconds, entry: None

    @property
    def backlog(self) -> int:
        """Entries committed and not yet applied."""
        return len(self._entries)

    @property
    def position(self) -> SnapshotMeta:
        """Of the last entry that was applied."""
        return SnapshotMeta(self.applied_index, self.applied_term)

    def add(self, entries: Sequence[Entry]) -> None:
        if self.trace is not None:
            self.trace.committed(entries)
        for entry in entries:
            assert entry.index == self.queued_index + 1, (entry.index, self.queued_index)
            self.queued_index = entry.index
            self._entries.append(entry)
        if self.is_held:
            self.held_bytes += _size_of(entries)

    def step(self) -> int:
        """Apply what one turn may; return the bytes of log that it was. 0 when there is none."""
        if not self.is_open or self.is_held or not self._entries:
            return 0
        done = 0
        self._hub.hold()  # watchers hear of all entries of a turn at once
        try:
            while self._entries and done < STEP_BYTES_MAX and not self.is_held:
                entry = self._entries[0]
                if self.clock is None:
                    self._apply(entry)
                else:
                    self._apply_timed(entry, self.clock)
                self._entries.popleft()
                done += len(entry.data) + 1
        except Damaged:
            # Half of the entry may be done, in a transaction that will never be committed.
            if not self.is_held:
                raise
        self._hub.release()
        return done

    def reset(self, index: int, term: int) -> None:
        """The state was replaced by a snapshot at ``index``: older entries are in it already."""
        assert index >= self.applied_index, (index, self.applied_index)
        while self._entries and self._entries[0].index <= index:
            self._entries.popleft()
        self.applied_index = index
        self.applied_term = term
        self.queued_index = max(self.queued_index, index)
        if index >= self.shed_index:
            self.shed_index = 0
        self.held_bytes = _size_of(self._entries)

    def shed(self) -> int:
        """Let go of all that waits, up to the index that is returned, while it is held. Before it
        is held no more comes ``take_back``, or ``reset`` at that index or a later one."""
        assert self.is_held, "entries are let go only while none is applied"
        self._entries.clear()
        self.held_bytes, self.shed_index = 0, self.queued_index
        return self.shed_index

    def take_back(self, entries: Sequence[Entry]) -> None:
        """What was let go is here again, all of it that is not applied."""
        missing = [entry for entry in entries if entry.index > self.applied_index]
        found = [entry.index for entry in missing]
        assert found == [*range(self.applied_index + 1, self.shed_index + 1)], (
            self.applied_index,
            self.shed_index,
            found[:1],
            found[-1:],
        )
        self._entries.extendleft(reversed(missing))
        self.shed_index, self.held_bytes = 0, _size_of(self._entries)

    def _apply(self, entry: Entry) -> None:
        assert entry.index == self.applied_index + 1, (entry.index, self.applied_index)
        if entry.type is EntryType.CONF_CHANGE:
            self._on_conf_change(entry)
        elif entry.data:
            self._apply_batch(entry)
        self.applied_index = entry.index
        self.applied_term = entry.term
        self._applier.digest.note(entry.index)

    def _apply_timed(self, entry: Entry, clock: Clock) -> None:
        began = clock()
        self._apply(entry)
        self.entry_seconds(clock() - began, entry)

    def _apply_batch(self, entry: Entry) -> None:
        batch = decode_batch(entry.data)
        mine = self._proposals.is_in_flight(batch.origin, batch.sequence)
        if mine and self.trace is not None:
            self.trace.applying(batch.sequence)
        outcomes = self._applier.apply(entry.index, entry.term, batch, want_replies=mine)
        if mine:
            assert outcomes is not None, (entry.index, batch.sequence)
            self._proposals.resolve(batch.sequence, outcomes)


def _size_of(entries: Iterable[Entry]) -> int:
    return sum(len(entry.data) + ENTRY_BYTES for entry in entries)
