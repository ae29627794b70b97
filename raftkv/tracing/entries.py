"""Which journeys are in which entry of the log.

Owns: EntryJourneys (``server.entry_trace.EntryTrace``). Must never do: look into an entry for
longer than its first bytes, which name its batch, or at all while no journey is under way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from raftkv.errors import RaftKVError
from raftkv.raft.message import Entry
from raftkv.server.entry_trace import Done, Proceed
from raftkv.tracing.journey import Journey

_BATCH = struct.Struct("<QQ")
"""The beginning of ``apply.batch``'s format: origin and sequence."""


class EntryJourneys:
    """``origin`` names this member in its batches. ``current`` is the journey whose method runs
    right now: what is proposed or read meanwhile is its doing."""

    def __init__(self, clock: Callable[[], float], origin: int) -> None:
        self.clock = clock
        self.current: Journey | None = None
        self._origin = origin
        self._batches: dict[int, list[Journey]] = {}

    @property
    def batches(self) -> int:
        """With journeys in them, on their way through the log."""
        return len(self._batches)

    # --- server.entry_trace.EntryTrace ----------------------------------------------------------

    def proposed(self, done: Done) -> Done:
        return done if self.current is None else _Answered(done, self.current, self)

    def reading(self, proceed: Proceed) -> Proceed:
        journey = self.current
        if journey is None:
            return proceed
        journey.round_began = self.clock()

        def confirmed(error: RaftKVError | None) -> None:
            journey.round_ended = self.clock()
            before, self.current = self.current, journey
            try:
                proceed(error)
            finally:
                self.current = before

        return confirmed

    def taken(self, sequence: int, dones: Sequence[Done]) -> None:
        journeys = [done.journey for done in dones if isinstance(done, _Answered)]
        if journeys:
            now = self.clock()
            for journey in journeys:
                journey.proposed, journey.sequence = now, sequence
            self._batches[sequence] = journeys

    def writing(self, entries: Sequence[Entry]) -> None:
        now = self.clock()
        for entry, journey in self._within(entries):
            journey.wal_began, journey.wal_ended = now, None
            journey.index, journey.term = entry.index, entry.term

    def written(self, entries: Sequence[Entry]) -> None:
        now = self.clock()
        for entry, journey in self._within(entries):
            if journey.index == entry.index:
                journey.wal_ended = now

    def committed(self, entries: Sequence[Entry]) -> None:
        now = self.clock()
        for entry, journey in self._within(entries):
            journey.committed, journey.index, journey.term = now, entry.index, entry.term

    def applying(self, sequence: int) -> None:
        now = self.clock()
        for journey in self._batches.get(sequence, ()):
            journey.apply_began = now

    # --- what becomes of them -------------------------------------------------------------------

    def answered(self, journey: Journey) -> None:
        """Applied, or given up: its entry is looked for no more."""
        if journey.apply_began is not None:
            journey.applied = self.clock()
        self._batches.pop(journey.sequence, None)

    def _within(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Journey]]:
        if not self._batches:
            return
        for entry in entries:
            if len(entry.data) >= _BATCH.size:
                origin, sequence = _BATCH.unpack_from(entry.data)
                if origin == self._origin:
                    for journey in self._batches.get(sequence, ()):
                        yield entry, journey


class _Answered:
    """The ``done`` of a traced proposal."""

    __slots__ = ("journey", "_done", "_entries")

    def __init__(self, done: Done, journey: Journey, entries: EntryJourneys) -> None:
        self.journey = journey
        self._done = done
        self._entries = entries

    def __call__(self, outcome: bytes | RaftKVError) -> None:
        self._entries.answered(self.journey)
        self._done(outcome)
