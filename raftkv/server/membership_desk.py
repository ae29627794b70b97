"""Where requests to change the members arrive, on any member.

Owns: the way of a request: what the rows refuse, the leader's review, the steps for the log; and
the promotion of who joins. Must never do: judge (``reviewer``, ``promotion``), or touch the log
(``reconfiguration``).

    request -> rows -> REVIEW_ASK to the leader -> quorum, URLs -> REVIEW_ANSWER -> steps -> log

While a member of version 0.1.0 is in the cluster (level 0) nobody would promote who joins, and not
every leader can review: then all is as in etcd, a voter at once and the check of the asked member.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from raftkv.apply.batch import RequestKind
from raftkv.apply.level import LEVEL_0_2
from raftkv.apply.member_change import MemberAction, MemberStep, check_member_steps
from raftkv.apply.membership import MemberInfo, check_urls_are_free, encode_update
from raftkv.errors import (
    ChangePending,
    InvalidRequest,
    LearnerNotReady,
    MemberNotFound,
    NoLeader,
    NotLeader,
    RaftKVError,
    Stopped,
)
from raftkv.raft.message import NO_NODE, MessageType
from raftkv.scheduler import Scheduler
from raftkv.server.change_claim import ChangeClaim
from raftkv.server.change_request import ChangeKind, ChangeRequest, Review
from raftkv.server.config import PROMOTE_ALL, PROMOTE_NONE
from raftkv.server.contact import Contact
from raftkv.server.engine import Engine
from raftkv.server.health_check import check_add, check_promote, check_remove
from raftkv.server.leader_calls import Answered, LeaderCalls
from raftkv.server.promotion import READY_SHARE, Promotion
from raftkv.server.proposals import Done
from raftkv.server.reviewer import Reviewer

REVIEWS_MAX = 64
"""So many changes of members may wait for their leader's review at one member."""
PENDING_WAIT_S = 2.0
LOOK_AGAIN_S = 0.1
"""A change before this one may be about to be applied here: it is waited for."""
PROBE_GRACE_S = 3.0
"""A review may take so much longer than another request: it waits for whoever does not answer."""

Changed = Callable[[RaftKVError | None], None]
Added = Callable[[MemberInfo | RaftKVError], None]
Reviewed = Callable[[Review | RaftKVError], None]
Propose = Callable[[int, bytes, Done], None]

_ACTIONS = {
    ChangeKind.ADD: MemberAction.ADD,
    ChangeKind.JOIN: MemberAction.JOIN,
    ChangeKind.ADD_LEARNER: MemberAction.ADD_LEARNER,
}


class MembershipDesk:
    """``propose`` writes a request through the log: new URLs are no change of who votes."""

    def __init__(self, engine: Engine, scheduler: Scheduler, propose: Propose) -> None:
        config, me = engine.config, engine.foundation.member_id
        self._engine = engine
        self._config = config
        self._scheduler = scheduler
        self._me = me
        self._propose = propose
        self._rows = engine.reconfiguration
        self._reviewing: dict[bytes, list[Answered]] = {}
        timeout_s = config.election_timeout_ms / 1000
        self._contact = Contact(engine.node, timeout_s)
        self._claim = ChangeClaim(self._rows.members, config.request_timeout_s + PROBE_GRACE_S)
        self._reviewer = Reviewer(
            cluster_id=engine.foundation.cluster_id,
            node=engine.node,
            rows=self._rows,
            contact=self._contact,
            prober=engine.transport,
            scheduler=scheduler,
            claim=self._claim,
            is_strict=config.strict_reconfig_check,
        )
        self.promotion = Promotion(
            status=engine.node.status,
            members=self._rows.members,
            contact=self._contact,
            reviewer=self._reviewer,
            promote=self._promote_joined,
            scheduler=scheduler,
            election_timeout_s=timeout_s,
        )
        self.calls = LeaderCalls(
            me=me,
            first_number=engine.foundation.first_number,
            calls_max=REVIEWS_MAX,
            timeout_s=config.request_timeout_s + PROBE_GRACE_S,
            leader=lambda: engine.leader_id,
            answer=self._answer,
            scheduler=scheduler,
            transport=engine.transport,
            types=(MessageType.REVIEW_ASK, MessageType.REVIEW_ANSWER),
        )

    def start(self) -> None:
        """Begin to tick, until the member stops."""
        if self._engine.stopped:
            self.calls.fail_all(Stopped("the member is stopping"))
            return
        now = self._scheduler.now()
        self._contact.note(now)
        self.promotion.tick(now)
        self.calls.retry(now)
        self._scheduler.call_later(self._config.heartbeat_interval_ms / 1000, self.start)

    # --- requests ---------------------------------------------------------------------------

    def kind_of_addition(self, *, is_learner: bool, stays: bool = False) -> ChangeKind:
        """``is_learner`` as etcd's clients ask; ``stays``, whatever --auto-promote-learners is."""
        mode = self._config.auto_promote_learners
        joins = not is_learner or (mode == PROMOTE_ALL and not stays)
        if joins and mode != PROMOTE_NONE and self._is_known_to_all:
            return ChangeKind.JOIN
        return ChangeKind.ADD_LEARNER if is_learner else ChangeKind.ADD

    def change(self, request: ChangeRequest, done: Added) -> None:
        """``done`` gets the row of whom the request names, or adds. Raises what the rows refuse."""
        if self._engine.stopped:
            raise Stopped("the member is stopping")
        steps, row = self._steps(request)

        def made(error: RaftKVError | None) -> None:
            done(row if error is None else error)

        def reviewed(review: Review | RaftKVError) -> None:
            refusal = review.refusal if isinstance(review, Review) else review
            if refusal is not None:
                done(refusal)
                return
            try:
                self._make(request, steps, made)
            except RaftKVError as e:
                done(e)

        if self._is_known_to_all:
            number = self._me << 64 | self._rows.next_number()
            self._ask_leader(replace(request, number=number), reviewed)
            return
        if self._config.strict_reconfig_check and not request.is_unsafe:
            self._check_as_etcd(request)
        self._make(request, steps, made)

    def review(self, request: ChangeRequest, done: Reviewed) -> None:
        """What the leader says of it, for a request that changes nothing. Raises what the rows
        refuse."""
        self._steps(request)
        self._ask_leader(request, done)

    def promote(self, member_id: int, done: Changed) -> None:
        """On any member. Raises what etcd refuses a promotion for; a follower asks its leader."""
        leader = self._engine.node.status().leader_id
        if leader == NO_NODE:
            raise NoLeader("a promotion needs the leader, and none is known")
        if leader != self._me:
            self._engine.transport.ask_promotion(leader, member_id, done)
            return
        self.promote_here(member_id, done)

    def promote_here(self, member_id: int, done: Changed) -> None:
        """On the leader. Raises also UnhealthyCluster, where etcd promotes who is not there."""
        status = self._engine.node.status()
        if not status.progress:
            raise NotLeader("another member leads by now")
        members = self._rows.members()
        check_member_steps(
            members, [MemberStep(MemberAction.PROMOTE, member_id)], self._config.learners_max
        )
        row = next(row for row in members if row.id == member_id)
        progress = status.progress.get(member_id)
        match = 0 if progress is None else progress.match
        if match < READY_SHARE * status.progress[self._me].match:
            raise LearnerNotReady(f"{member_id:x} has {match} of {status.last_index} entries")
        if self._config.strict_reconfig_check:
            check_promote(members, member_id)
            now = self._scheduler.now()
            refusal = self._reviewer.promotable(row, now).refusal
            if refusal is not None:
                raise refusal
            claimed = f"promote {member_id}".encode()
            self._claim.check(claimed, now)
            self._claim.take(claimed, now)
        steps = [MemberStep(MemberAction.PROMOTE, member_id)]
        if row.replaces in {one.id for one in members}:
            steps.append(MemberStep(MemberAction.REMOVE, row.replaces))
        self._rows.change(steps, done)

    # --- inside -----------------------------------------------------------------------------

    def _ask_leader(self, request: ChangeRequest, done: Reviewed) -> None:
        def answered(outcome: bytes | RaftKVError) -> None:
            if isinstance(outcome, RaftKVError):
                done(outcome)
                return
            review = Review.decode(outcome)
            done(review or RaftKVError("the leader's review cannot be read"))

        self.calls.ask(request.encode(), answered)

    @property
    def _is_known_to_all(self) -> bool:
        return self._engine.applier.level.current >= LEVEL_0_2

    def _promote_joined(self, row: MemberInfo, done: Changed) -> None:
        try:
            self.promote_here(row.id, done)
        except RaftKVError as e:
            done(e)

    def _answer(self, question: bytes, answered: Answered) -> None:
        request = ChangeRequest.decode(question)
        if request is None:
            return  # no member asks so: whoever did waits in vain
        asking = self._reviewing.setdefault(question, [])
        asking.append(answered)
        if len(asking) > 1:
            return  # asked again meanwhile, maybe by the same member: one look is enough

        give_up_at = self._scheduler.now() + PENDING_WAIT_S

        def review() -> None:
            self._reviewer.review(request, reviewed)

        def reviewed(found: Review) -> None:
            is_pending = isinstance(found.refusal, ChangePending)
            if is_pending and self._scheduler.now() < give_up_at and not self._engine.stopped:
                self._scheduler.call_later(LOOK_AGAIN_S, review)
                return
            for answer in self._reviewing.pop(question):
                answer(found.encode())

        review()

    def _check_as_etcd(self, request: ChangeRequest) -> None:
        members, connected_for = self._rows.members(), self._engine.transport.connected_for
        if request.kind is ChangeKind.REMOVE:
            check_remove(members, request.member_id, self._me, connected_for)
        elif request.kind in (ChangeKind.ADD, ChangeKind.ADD_LEARNER):
            is_learner = request.kind is ChangeKind.ADD_LEARNER
            check_add(members, self._me, connected_for, is_learner=is_learner)

    def _make(self, request: ChangeRequest, steps: Sequence[MemberStep], done: Changed) -> None:
        if request.kind is ChangeKind.UPDATE:
            payload = encode_update(request.member_id, request.peer_urls)
            self._propose(
                RequestKind.MEMBER_UPDATE,
                payload,
                lambda outcome: done(outcome if isinstance(outcome, RaftKVError) else None),
            )
        else:
            self._rows.change(steps, done)

    def _steps(self, request: ChangeRequest) -> tuple[list[MemberStep], MemberInfo]:
        """For the log, and the row of whom the request is about. Raises what the rows refuse."""
        members, urls = self._rows.members(), request.peer_urls
        row = next((row for row in members if row.id == request.member_id), None)
        if request.kind in _ACTIONS:
            step = MemberStep(_ACTIONS[request.kind], self._new_id(urls), urls)
            return self._checked(members, [step]), _row_of(step)
        if row is None:
            raise MemberNotFound(f"{request.member_id:x} is no member")
        if request.kind is ChangeKind.REPLACE:
            steps = self._replacing(members, row, urls)
            return self._checked(members, steps), _row_of(steps[-1])
        if request.kind is ChangeKind.UPDATE:
            check_urls_are_free([one for one in members if one.id != row.id], urls)
            return [], row
        return self._checked(members, [MemberStep(MemberAction.REMOVE, row.id)]), row

    def _replacing(
        self, members: Sequence[MemberInfo], old: MemberInfo, urls: tuple[str, ...]
    ) -> list[MemberStep]:
        """At another place the new member comes first, and the old one goes in the change that
        gives the new one its vote. At the same place, or for a learner, both happen at once."""
        if not self._is_known_to_all:
            raise InvalidRequest("raftkv: replace needs all members at version 0.2 or later")
        other = next((row for row in members if row.replaces == old.id), None)
        if other is not None:
            raise InvalidRequest(
                f"raftkv: {other.id:x} is to replace {old.id:x} already; remove it first"
            )
        stays = old.is_learner and not old.is_joining
        action = MemberAction.ADD_LEARNER if stays else MemberAction.JOIN
        new_id = self._new_id(urls)
        if old.is_learner or set(urls) & set(old.peer_urls):
            leaves = MemberStep(MemberAction.REMOVE, old.id)
            return [leaves, MemberStep(action, new_id, urls, old.replaces)]
        return [MemberStep(action, new_id, urls, replaces=old.id)]

    def _checked(self, members: Sequence[MemberInfo], steps: list[MemberStep]) -> list[MemberStep]:
        check_member_steps(members, steps, self._config.learners_max)
        return steps

    def _new_id(self, peer_urls: Sequence[str]) -> int:
        """As etcd's, with a number that is used once in the place of its clock's seconds."""
        unique = f"{self._me:x}/{self._rows.next_number()}"
        text = "".join(sorted(peer_urls)) + self._config.initial_cluster_token + unique
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[:8], "big")


def _row_of(step: MemberStep) -> MemberInfo:
    is_learner = step.action is not MemberAction.ADD
    is_joining = step.action is MemberAction.JOIN
    return MemberInfo(step.member_id, "", step.peer_urls, (), is_learner, is_joining, step.replaces)
