"""Leases at work in a member: who counts the time, and where questions about it go.

Owns: when this member's Lessor takes and leaves office, its way into the log, and keep-alives and
time-to-live on every member. Must never do: answer from a leader's clock before a quorum has
confirmed that it leads, or change the book: applied entries do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from raftkv.apply.batch import RequestKind
from raftkv.errors import Corrupt, NotLeader, RaftKVError
from raftkv.lease.book import LeaseBook
from raftkv.lease.decision import Checkpoint, encode_checkpoints, encode_expiry
from raftkv.lease.lessor import OUT_OF_OFFICE, Lessor, Logged, Renewed
from raftkv.scheduler import Scheduler
from raftkv.server.config import Limits
from raftkv.server.leader_calls import Answered, LeaderCalls, Transport
from raftkv.server.proposals import Done
from raftkv.server.reads import Proceed

TICK_S = 0.5
"""How often the leader looks for leases that are due (etcd's own)."""
NO_LEASE_S = -1
_QUESTION = struct.Struct(">Bq")
_RENEWED = struct.Struct(">q")
_TIME_LEFT = struct.Struct(">qq")


class _Asked(IntEnum):
    """Values travel between members: never renumber."""

    RENEW = 1
    TIME_LEFT = 2


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Whole seconds; ``remaining_s`` is -1 for a lease that there is not."""

    remaining_s: int
    granted_s: int


class Clustered(Protocol):
    """The member that the leases are at work in."""

    @property
    def member_id(self) -> int: ...

    @property
    def leader_id(self) -> int: ...

    @property
    def scheduler(self) -> Scheduler: ...

    def propose(self, kind: int, payload: bytes, done: Done) -> None: ...

    def linearize(self, proceed: Proceed) -> None: ...


class Leasing:
    """``office``: the term in which this member leads and has applied an entry, OUT_OF_OFFICE when
    it does not. Also the Engine's Companion, and the Lessor's Decisions."""

    def __init__(
        self,
        *,
        book: LeaseBook,
        member: Clustered,
        office: Callable[[], int],
        transport: Transport,
        first_number: int,
        extension_s: float,
        timeout_s: float,
        limits: Limits,
    ) -> None:
        self.book = book
        self._member = member
        self._office = office
        self._next_tick = 0.0
        self.lessor = Lessor(
            book,
            self,
            member.scheduler.now,
            extension_s=extension_s,
            checkpoint_interval_s=limits.lease_checkpoint_interval_s,
        )
        self.calls = LeaderCalls(
            me=member.member_id,
            first_number=first_number,
            calls_max=limits.pending_requests_max,
            timeout_s=timeout_s,
            leader=lambda: member.leader_id,
            answer=self._answer,
            scheduler=member.scheduler,
            transport=transport,
        )

    # --- what the services call -----------------------------------------------------------------

    def renew(self, lease_id: int, renewed: Renewed) -> None:
        """Have the leader give the lease its whole TTL anew; ``renewed`` gets that, 0 for a lease
        that there is not, or the error."""

        def answered(outcome: bytes | RaftKVError) -> None:
            found = _unpacked(_RENEWED, outcome)
            renewed(found if isinstance(found, RaftKVError) else found[0])

        self.calls.ask(_QUESTION.pack(_Asked.RENEW, lease_id), answered)

    def time_left(self, lease_id: int, told: Callable[[TimeLeft | RaftKVError], None]) -> None:
        def answered(outcome: bytes | RaftKVError) -> None:
            found = _unpacked(_TIME_LEFT, outcome)
            told(found if isinstance(found, RaftKVError) else TimeLeft(*found))

        self.calls.ask(_QUESTION.pack(_Asked.TIME_LEFT, lease_id), answered)

    def ids(self) -> list[int]:
        """By their end on the leader, who alone knows it; elsewhere by id."""
        self._see_office()
        if self.lessor.term != OUT_OF_OFFICE:
            return self.lessor.by_deadline()
        return sorted(lease.id for lease in self.book.leases)

    # --- engine.Companion -------------------------------------------------------------------------

    def turned(self) -> None:
        self._see_office()

    def ticked(self, now: float) -> None:
        self.calls.retry(now)
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            self._see_office()
            self.lessor.tick()

    def stopped(self, error: RaftKVError) -> None:
        self.calls.fail_all(error)

    def _see_office(self) -> None:
        term = self._office()
        if term != self.lessor.term:
            if self.lessor.term != OUT_OF_OFFICE:
                self.lessor.leave_office()
            if term != OUT_OF_OFFICE:
                self.lessor.take_office(term)

    # --- lessor.Decisions ---------------------------------------------------------------------

    def expire(self, term: int, ids: Sequence[int], logged: Logged) -> None:
        self._log(RequestKind.LEASE_EXPIRY, encode_expiry(term, ids), logged)

    def checkpoint(self, term: int, checkpoints: Sequence[Checkpoint], logged: Logged) -> None:
        self._log(RequestKind.LEASE_CHECKPOINTS, encode_checkpoints(term, checkpoints), logged)

    def _log(self, kind: RequestKind, payload: bytes, logged: Logged) -> None:
        def done(outcome: bytes | RaftKVError) -> None:
            logged(outcome if isinstance(outcome, RaftKVError) else None)

        self._member.propose(kind, payload, done)

    # --- as the leader ------------------------------------------------------------------------

    def _answer(self, question: bytes, answered: Answered) -> None:
        """The read round proves that we lead after the question came, and that we have applied
        what earlier leaders committed (DESIGN.md of raftkv.lease, L3)."""
        if len(question) != _QUESTION.size:
            answered(Corrupt(f"a question of {len(question)} bytes"))
            return
        asked, lease_id = _QUESTION.unpack(question)

        def confirmed(error: RaftKVError | None) -> None:
            self._see_office()
            if error is not None:
                answered(error)
            elif self.lessor.term == OUT_OF_OFFICE:
                answered(NotLeader("this member does not lead"))
            elif asked == _Asked.RENEW:
                self.lessor.renew(lease_id, lambda outcome: answered(_packed(outcome)))
            else:
                answered(self._time_left(lease_id))

        self._member.linearize(confirmed)

    def _time_left(self, lease_id: int) -> bytes:
        lease, remaining_s = self.book.get(lease_id), self.lessor.remaining_s(lease_id)
        if lease is None or remaining_s is None:
            return _TIME_LEFT.pack(NO_LEASE_S, 0)
        return _TIME_LEFT.pack(int(remaining_s), lease.ttl_s)


def _unpacked(layout: struct.Struct, outcome: bytes | RaftKVError) -> tuple[int, ...] | RaftKVError:
    """A leader's answer, which came over the network."""
    if isinstance(outcome, RaftKVError):
        return outcome
    if len(outcome) != layout.size:
        return Corrupt(f"an answer of {len(outcome)} bytes, expected {layout.size}")
    return layout.unpack(outcome)


def _packed(outcome: int | RaftKVError) -> bytes | RaftKVError:
    return outcome if isinstance(outcome, RaftKVError) else _RENEWED.pack(outcome)
