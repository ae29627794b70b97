"""Committed entries on their way into the key space.

Owns: the order of applying, the bound on how much one turn applies, and the gate that is shut
while the backend commits (the worker thread has the write transaction then).
Must never do: apply out of order, twice, or while the gate is shut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from raftkv.apply.applier import Applier
from raftkv.apply.batch import decode_batch
from raftkv.errors import Damaged
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.raft.message import Entry, EntryType
from raftkv.server.entry_trace import EntryTrace
from raftkv.server.proposals import Proposals

STEP_BYTES_MAX = 512 * 1024
"""One turn applies entries up to this many bytes, then lets the loop breathe."""


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
        self.clock: Clock | None = None
        """For metrics: without one, applying is not timed."""
        self.trace: EntryTrace | None = None
        self.entry_seconds: Callable[[float, Entry], None] = lambda seconds, entry: None

    @property
    def backlog(self) -> int:
        """Entries committed and not yet applied."""
        return len(self._entries)

    def add(self, entries: Sequence[Entry]) -> None:
        if self.trace is not None:
            self.trace.committed(entries)
        for entry in entries:
            assert entry.index == self.queued_index + 1, (entry.index, self.queued_index)
            self.queued_index = entry.index
            self._entries.append(entry)

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
