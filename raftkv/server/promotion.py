"""Learners that are to vote get their vote as soon as they would be good voters.

Owns: the judgement of a learner by what its leader sees of it, and when to promote. Must never do:
promote one that is behind: a voter that lacks the log, or acknowledges slowly, makes every commit
that needs it wait. etcd leaves the moment to an operator, and judges by the share of the log alone.

For STEADY_S on end, a learner has to
    have started, which it shows by publishing its name through the log;
    answer the leader (``contact``);
    have nine tenths of the log (etcd's share), and all that the leader had a second ago;
    acknowledge what it is sent within half an election timeout, or as fast as the leader's own
    disk: that is its disk, and the way there;
and with it a quorum of voters must answer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from raftkv.apply.membership import MemberInfo
from raftkv.errors import RaftKVError
from raftkv.log_fields import fields, hex_id
from raftkv.raft.progress import ProgressState
from raftkv.raft.status import MemberProgress, Status
from raftkv.scheduler import Scheduler
from raftkv.server.contact import Contact
from raftkv.server.reviewer import Reviewer

log = logging.getLogger("raftkv.server")

READY_SHARE = 0.9
"""A learner whose log has come so far of the leader's may be promoted (etcd's value)."""
LAG_MAX_S = 1.0
"""What the leader had this long ago, the learner must have."""
STEADY_S = 1.0
"""For so long nothing may have stood in the way."""
ACK_MEMORY_S = 10.0
"""A slow acknowledgement counts for so long, if no other came: without writes none do."""
SAY_AGAIN_S = 60.0
"""A learner that is held up is told of in the log at every change of the reason, and so often."""

Done = Callable[[RaftKVError | None], None]


@dataclass(slots=True)
class _AckClock:
    """``mark`` is the end of the leader's log at ``marked_at``, which the member has yet to
    acknowledge; ``took_s`` is how long it took for the last one."""

    mark: int = 0
    marked_at: float = 0.0
    took_s: float = 0.0
    acked_at: float = 0.0

    def measure(self, progress: MemberProgress, last_index: int, now: float) -> float:
        """How long an acknowledgement takes, at the least. While the member is sent a snapshot, or
        is still asked where its log ends, there is nothing to measure."""
        if now - self.acked_at > ACK_MEMORY_S:
            self.took_s = 0.0
        if progress.state is not ProgressState.REPLICATE:
            self.mark = 0
        elif self.mark and progress.match >= self.mark:
            self.took_s, self.acked_at, self.mark = now - self.marked_at, now, 0
        elif not self.mark and progress.match < last_index:
            self.mark, self.marked_at = last_index, now
        return max(self.took_s, now - self.marked_at) if self.mark else self.took_s


@dataclass(slots=True)
class _Candidate:
    acks: _AckClock = field(default_factory=_AckClock)
    clear_since: float | None = None
    hindrance: str = ""
    told_at: float = float("-inf")
    is_asked: bool = False


class Promotion:
    """``promote`` proposes it, by the rules of a promotion that somebody asks for."""

    def __init__(
        self,
        *,
        status: Callable[[], Status],
        members: Callable[[], list[MemberInfo]],
        contact: Contact,
        reviewer: Reviewer,
        promote: Callable[[MemberInfo, Done], None],
        scheduler: Scheduler,
        election_timeout_s: float,
    ) -> None:
        self._status = status
        self._members = members
        self._contact = contact
        self._reviewer = reviewer
        self._promote = promote
        self._scheduler = scheduler
        self._ack_max_s = election_timeout_s / 2
        self._own_acks = _AckClock()
        self._candidates: dict[int, _Candidate] = {}
        self._ends: deque[tuple[float, int]] = deque()
        """The end of the leader's log at each tick, a second back and a little further."""

    def tick(self, now: float) -> None:
        """Once a tick of the member; on all but a leader with somebody joining it does nothing."""
        joining = [row for row in self._members() if row.is_joining]
        status = self._status() if joining else None
        if status is None or not status.progress:
            self._candidates.clear()
            self._ends.clear()
            return
        self._note_end(status.last_index, now)
        own_s = self._own_acks.measure(status.progress[status.id], status.last_index, now)
        ack_max_s = max(self._ack_max_s, own_s)
        here = {row.id for row in joining}
        self._candidates = {i: c for i, c in self._candidates.items() if i in here}
        for row in joining:
            candidate = self._candidates.setdefault(row.id, _Candidate())
            hindrance = self._found(row, candidate, status, now, ack_max_s)
            self._weigh(row, candidate, hindrance, now)

    def hindrance(self, member_id: int) -> str:
        """What a joining learner waits for, as of the last tick; "" if nothing."""
        candidate = self._candidates.get(member_id)
        return "" if candidate is None else candidate.hindrance

    # --- inside -----------------------------------------------------------------------------

    def _note_end(self, last_index: int, now: float) -> None:
        self._ends.append((now, last_index))
        while len(self._ends) > 1 and self._ends[1][0] <= now - LAG_MAX_S:
            self._ends.popleft()

    def _weigh(self, row: MemberInfo, candidate: _Candidate, hindrance: str, now: float) -> None:
        if hindrance:
            candidate.clear_since = None
        elif candidate.clear_since is None:
            candidate.clear_since = now
        self._tell(row, candidate, hindrance, now)
        is_due = candidate.clear_since is not None and now - candidate.clear_since >= STEADY_S
        if is_due and not candidate.is_asked:
            candidate.is_asked = True
            self._promote(row, lambda error: self._asked(row, candidate, error))

    def _asked(self, row: MemberInfo, candidate: _Candidate, error: RaftKVError | None) -> None:
        """After a refusal it is looked at anew, from the beginning."""
        candidate.is_asked, candidate.clear_since = False, None
        if error is None:
            log.info("a learner has caught up and votes", extra=fields(member_id=hex_id(row.id)))
        else:
            told = fields(member_id=hex_id(row.id), error=str(error))
            log.warning("a learner was not promoted", extra=told)

    def _tell(self, row: MemberInfo, candidate: _Candidate, hindrance: str, now: float) -> None:
        kind, _, _ = hindrance.partition(":")
        was, _, _ = candidate.hindrance.partition(":")
        candidate.hindrance = hindrance
        if hindrance and (kind != was or now - candidate.told_at >= SAY_AGAIN_S):
            candidate.told_at = now
            told = fields(member_id=hex_id(row.id), reason=hindrance)
            log.info("a learner is not promoted yet", extra=told)

    def _found(
        self,
        row: MemberInfo,
        candidate: _Candidate,
        status: Status,
        now: float,
        ack_max_s: float,
    ) -> str:
        """What stands in the way: a kind, and after a colon the figures."""
        progress = status.progress.get(row.id)
        if progress is None:
            return "it is not known to Raft yet"
        match = progress.match
        ack_s = candidate.acks.measure(progress, status.last_index, now)
        then, end_then = self._ends[0]
        leaders = status.progress[status.id].match
        if not row.has_started:
            return "it has not started"
        if not self._contact.reaches(row.id, now):
            return "it does not answer"
        if progress.state is not ProgressState.REPLICATE:
            return f"it is not in step: {progress.state.name.lower()}, it has {match} entries"
        if match < READY_SHARE * leaders:
            return f"it is behind: it has {match} of {leaders} entries"
        if match < end_then or now - then < LAG_MAX_S:
            return f"it lags: it has {match}, the leader had {end_then} {now - then:.1f} s ago"
        if ack_s > ack_max_s:
            return f"it acknowledges slowly: in {ack_s:.1f} s, {ack_max_s:g} s are allowed"
        refusal = self._reviewer.promotable(row, now).refusal
        return "" if refusal is None else f"the quorum would be lost: {refusal}"
