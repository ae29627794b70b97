"""The leader's clock: until when each lease runs, and what is to be logged about it.

Owns: the deadlines of one term in office. Must never do: change the book, or decide anything out
of office. DESIGN.md has the invariants (L1-L6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

from raftkv.errors import NotLeader, RaftKVError
from raftkv.lease.book import Lease, LeaseBook
from raftkv.lease.decision import Checkpoint
from raftkv.lease.due_heap import DueHeap

OUT_OF_OFFICE = 0
EXPIRED_PER_TICK_MAX = 500
CHECKPOINTS_PER_TICK_MAX = 1_000
ENDED = 0
"""The TTL in the answer to a keep-alive of a lease that is no more."""

Renewed = Callable[[int | RaftKVError], None]
Logged = Callable[[RaftKVError | None], None]


class Decisions(Protocol):
    """The way into the log. ``logged`` is called once: applied, or not known to be."""

    def expire(self, term: int, ids: Sequence[int], logged: Logged) -> None: ...

    def checkpoint(self, term: int, checkpoints: Sequence[Checkpoint], logged: Logged) -> None: ...


@dataclass(slots=True)
class _Tenure:
    """One lease in this term. ``since`` is the last renewal or checkpoint; ``unsettled`` the number
    of the newest checkpoint that may yet be applied; ``waiting`` hear when the lease has ended."""

    lease: Lease
    deadline: float
    since: float
    unsettled: int = 0
    waiting: list[Renewed] = field(default_factory=list)


class Lessor:
    """``extension_s`` is what a lease gets on top when a new leader takes office."""

    def __init__(
        self,
        book: LeaseBook,
        decisions: Decisions,
        now: Callable[[], float],
        *,
        extension_s: float,
        checkpoint_interval_s: float,
    ) -> None:
        self._book = book
        self._decisions = decisions
        self._now = now
        self._extension_s = extension_s
        self._interval_s = checkpoint_interval_s
        self.term = OUT_OF_OFFICE
        self._vacate()
        book.observer = self

    def _vacate(self) -> None:
        self._tenures: dict[int, _Tenure] = {}
        self._expiries = DueHeap(self._deadline_of)
        self._checkpoints = DueHeap(self._checkpoint_due)
        self._expiring: set[int] = set()
        self._checkpoint_number = 0

    # --- office -------------------------------------------------------------------------------

    def take_office(self, term: int) -> None:
        """Every lease has its time anew: what earlier leaders promised is not known here."""
        assert self.term == OUT_OF_OFFICE, f"in office for term {self.term}, asked for {term}"
        self.term = term
        now = self._now()
        for lease in self._book.leases:
            left = lease.remaining_s or lease.ttl_s
            self._tenures[lease.id] = _Tenure(lease, now + left + self._extension_s, now)
        self._expiries.fill(self._tenures)
        self._checkpoints.fill(filter(self._wants_checkpoints, self._tenures))

    def leave_office(self) -> None:
        """Nothing is due here any more; whoever waits asks the next leader."""
        self.term = OUT_OF_OFFICE
        waiting = [each for tenure in self._tenures.values() for each in tenure.waiting]
        self._vacate()
        for renewed in waiting:
            renewed(NotLeader("this member leads no more"))

    # --- what was applied: book.LeaseObserver -----------------------------------------------------

    def granted(self, lease: Lease) -> None:
        if self.term == OUT_OF_OFFICE:
            return
        now = self._now()
        self._tenures[lease.id] = _Tenure(lease, now + lease.ttl_s, now)
        self._expiries.add(lease.id)
        if self._wants_checkpoints(lease.id):
            self._checkpoints.add(lease.id)

    def ended(self, lease_id: int) -> None:
        tenure = self._tenures.pop(lease_id, None)
        self._expiring.discard(lease_id)
        if tenure is not None:
            for renewed in tenure.waiting:
                renewed(ENDED)

    # --- questions: only in office, after leadership was confirmed ------------------------------

    def renew(self, lease_id: int, renewed: Renewed) -> None:
        """``renewed`` gets the lease's TTL, ENDED for one that there is not, or the error."""
        tenure = self._tenures.get(lease_id)
        if tenure is None:
            renewed(ENDED)
        elif tenure.deadline <= self._now():
            tenure.waiting.append(renewed)  # its end is due, and is not taken back
        else:
            tenure.since = self._now()
            tenure.deadline = tenure.since + tenure.lease.ttl_s
            if tenure.unsettled or tenure.lease.remaining_s:
                self._take_back_checkpoint(tenure, renewed)
            else:
                renewed(tenure.lease.ttl_s)

    def remaining_s(self, lease_id: int) -> float | None:
        """None for a lease that there is not; never below 0."""
        tenure = self._tenures.get(lease_id)
        return None if tenure is None else max(tenure.deadline - self._now(), 0.0)

    def by_deadline(self) -> list[int]:
        return sorted(self._tenures, key=lambda each: self._tenures[each].deadline)

    # --- time passes ----------------------------------------------------------------------------

    def tick(self) -> None:
        """Propose what has fallen due."""
        if self.term == OUT_OF_OFFICE:
            return
        now = self._now()
        self._expire(now)
        self._checkpoint(now)

    @property
    def looked_at(self) -> int:
        """How many entries of the heaps ticks have looked at since office was taken."""
        return self._expiries.looked_at + self._checkpoints.looked_at

    def _expire(self, now: float) -> None:
        ids = self._expiries.take(now, EXPIRED_PER_TICK_MAX)
        if not ids:
            return
        term = self.term
        self._expiring.update(ids)

        def logged(error: RaftKVError | None) -> None:
            if error is None or self.term != term:
                return
            for lease_id in ids:  # decided again at the next tick; the first may come as well
                if lease_id in self._expiring:
                    self._expiring.discard(lease_id)
                    self._expiries.add(lease_id)

        self._decisions.expire(term, ids, logged)

    def _checkpoint(self, now: float) -> None:
        ids = self._checkpoints.take(now, CHECKPOINTS_PER_TICK_MAX)
        chosen: list[Checkpoint] = []
        self._checkpoint_number += 1
        for lease_id in ids:
            tenure = self._tenures[lease_id]
            tenure.since = now
            self._checkpoints.add(lease_id)
            left = tenure.deadline - now
            if left > 0:
                tenure.unsettled = self._checkpoint_number
                chosen.append((lease_id, ceil(left)))  # a lease may end late, never early
        if chosen:
            self._decisions.checkpoint(self.term, chosen, self._settle(chosen))

    def _take_back_checkpoint(self, tenure: _Tenure, renewed: Renewed) -> None:
        """Log that the lease has its whole time again, and answer only then (L5)."""
        chosen = [(tenure.lease.id, 0)]
        settle = self._settle(chosen)

        def logged(error: RaftKVError | None) -> None:
            settle(error)
            renewed(tenure.lease.ttl_s if error is None else error)

        self._decisions.checkpoint(self.term, chosen, logged)

    def _settle(self, chosen: Sequence[Checkpoint]) -> Logged:
        """Once this is applied, no checkpoint before it can come any more. Until then, and if
        nobody knows, the leases count as checkpointed."""
        term, number = self.term, self._checkpoint_number

        def logged(error: RaftKVError | None) -> None:
            if error is not None or self.term != term:
                return
            for lease_id, _ in chosen:
                tenure = self._tenures.get(lease_id)
                if tenure is not None and tenure.unsettled <= number:
                    tenure.unsettled = 0

        return logged

    # --- what the heaps ask ---------------------------------------------------------------------

    def _deadline_of(self, lease_id: int) -> float | None:
        if lease_id in self._expiring or lease_id not in self._tenures:
            return None
        return self._tenures[lease_id].deadline

    def _checkpoint_due(self, lease_id: int) -> float | None:
        tenure = self._tenures.get(lease_id)
        return None if tenure is None else tenure.since + self._interval_s

    def _wants_checkpoints(self, lease_id: int) -> bool:
        return self._tenures[lease_id].lease.ttl_s > self._interval_s
