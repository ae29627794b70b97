"""Linearizable reads: gathered per turn, confirmed by one ReadIndex round, served once applied.

Owns: reads that wait for a round, the one round in flight, and rounds confirmed but not yet
applied. Must never do: serve a read whose round was asked before the read arrived: that is what
makes it linearizable (Raft thesis, 6.4).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from raftkv.errors import RaftKVError, RequestTimeout, TooManyRequests
from raftkv.raft.message import ReadState
from raftkv.server.entry_trace import EntryTrace

Proceed = Callable[[RaftKVError | None], None]

RETRY_S = 0.5
"""A round without an answer (its message or its leader was lost) is asked anew after this."""
_CONTEXT = struct.Struct(">QQ")


@dataclass(slots=True)
class _Round:
    context: bytes
    reads: list[Proceed]
    asked_at: float
    deadline: float


class Reads:
    """Contexts are unique over the member's lives, so an old answer never confirms a new round."""

    def __init__(self, *, origin: int, first_round: int, reads_max: int, timeout_s: float) -> None:
        self._origin = origin
        self._next_round = first_round
        self._reads_max = reads_max
        self._timeout_s = timeout_s
        self._waiting: list[Proceed] = []
        self._waiting_deadline = 0.0
        self._round: _Round | None = None
        self._confirmed: deque[tuple[int, list[Proceed], float]] = deque()
        self._count = 0
        self.trace: EntryTrace | None = None

    @property
    def wants_round(self) -> bool:
        return bool(self._waiting) and self._round is None

    def add(self, proceed: Proceed, now: float) -> None:
        """Queue one read. Raises TooManyRequests at the bound."""
        if self._count >= self._reads_max:
            raise TooManyRequests(f"{self._count} reads wait, the limit is as many")
        if not self._waiting:
            self._waiting_deadline = now + self._timeout_s
        if self.trace is not None:
            proceed = self.trace.reading(proceed)
        self._count += 1
        self._waiting.append(proceed)

    def begin_round(self, now: float) -> bytes:
        """All reads that wait share the round whose context this returns."""
        assert self.wants_round, (len(self._waiting), self._round)
        context = _CONTEXT.pack(self._origin, self._next_round)
        self._next_round += 1
        self._round = _Round(context, self._waiting, now, self._waiting_deadline)
        self._waiting = []
        return context

    def confirm(self, state: ReadState) -> None:
        """Raft answered a round; an answer to a round that was given up is no news."""
        if self._round is not None and self._round.context == state.context:
            self._confirmed.append((state.index, self._round.reads, self._round.deadline))
            self._round = None

    def release(self, applied_index: int) -> None:
        """Serve every confirmed round up to ``applied_index``."""
        while self._confirmed and self._confirmed[0][0] <= applied_index:
            _, reads, _ = self._confirmed.popleft()
            self._answer(reads, None)

    def retry(self, now: float) -> None:
        """Give up a round without an answer; its reads join those that wait for the next."""
        round_ = self._round
        if round_ is not None and now - round_.asked_at >= RETRY_S:
            self._round = None
            self._waiting_deadline = round_.deadline
            self._waiting = round_.reads + self._waiting

    def expire(self, now: float) -> None:
        """Fail what has waited too long. A group fails with its oldest read, never after it."""
        if self._round is not None and self._round.deadline <= now:
            reads, self._round = self._round.reads, None
            self._answer(reads, RequestTimeout("read timed out: no quorum confirmed the leader"))
        if self._waiting and self._waiting_deadline <= now:
            reads, self._waiting = self._waiting, []
            self._answer(reads, RequestTimeout("read timed out: no leader"))
        while self._confirmed and self._confirmed[0][2] <= now:
            _, reads, _ = self._confirmed.popleft()
            self._answer(reads, RequestTimeout("read timed out: this member lags behind"))

    def fail_all(self, error: RaftKVError) -> None:
        groups = [reads for _, reads, _ in self._confirmed]
        if self._round is not None:
            groups.append(self._round.reads)
        groups.append(self._waiting)
        self._confirmed.clear()
        self._round = None
        self._waiting = []
        for reads in groups:
            self._answer(reads, error)

    def _answer(self, reads: list[Proceed], error: RaftKVError | None) -> None:
        self._count -= len(reads)
        for proceed in reads:
            proceed(error)
