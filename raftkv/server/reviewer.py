"""The leader's look at a change of members, before anything is in the log.

Owns: the quorum before and after, what answers at new peer URLs, and the refusal of what would cost
the quorum among those who answer. Must never do: change anything; it may be asked twice. What it
lets through is to be done before the next is: see ``change_claim``.

etcd judges on the member that happens to be asked, by its connections, and looks at no URL. Here
the leader does, by Raft's own answers: it is the leader's view that the next commit depends on.
--strict-reconfig-check=false, and a request that asks for it, leave the judgement out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from raftkv.apply.membership import MemberInfo
from raftkv.errors import MemberNotFound, PeerUrlRefused, RaftKVError, UnhealthyCluster
from raftkv.peer.finding import Finding
from raftkv.raft.raw_node import RawNode
from raftkv.scheduler import Scheduler
from raftkv.server.change_claim import ChangeClaim
from raftkv.server.change_request import ChangeKind, ChangeRequest, Quorum, Review
from raftkv.server.contact import Contact
from raftkv.server.health_check import check_started_for_add, check_started_for_remove
from raftkv.server.peer_answer import PeerAnswer, objection

NEW = 0
"""Stands for the member that has no id yet."""

Reviewed = Callable[[Review], None]
Probed = Callable[[Sequence[Finding]], None]


class Prober(Protocol):
    def probe(self, urls: Sequence[str], done: Probed) -> None:
        """What answers at each of ``urls``, in a bounded time."""


class Rows(Protocol):
    @property
    def removed_ids(self) -> frozenset[int]: ...

    def members(self) -> list[MemberInfo]: ...


class Reviewer:
    """On the leader; elsewhere nobody asks it."""

    def __init__(
        self,
        *,
        cluster_id: int,
        node: RawNode,
        rows: Rows,
        contact: Contact,
        prober: Prober,
        scheduler: Scheduler,
        claim: ChangeClaim,
        is_strict: bool,
    ) -> None:
        self._claim = claim
        self._cluster_id = cluster_id
        self._node = node
        self._rows = rows
        self._contact = contact
        self._prober = prober
        self._scheduler = scheduler
        self._is_strict = is_strict

    def review(self, request: ChangeRequest, done: Reviewed) -> None:
        members = self._rows.members()
        row = next((row for row in members if row.id == request.member_id), None)
        before = self._reachable([one.id for one in members if not one.is_learner])
        if request.member_id and row is None:
            gone = MemberNotFound(f"{request.member_id:x} is no member")
            done(Review(before, before, refusal=gone))
        elif request.peer_urls:

            def probed(findings: Sequence[Finding]) -> None:
                answers = [PeerAnswer.of(finding) for finding in findings]
                done(self._judged(request, row, before, answers))

            self._prober.probe(request.peer_urls, probed)
        else:
            done(self._judged(request, row, before, ()))

    def promotable(self, learner: MemberInfo, now: float) -> Review:
        """Of a learner's vote, and of the leave of whom it replaces: no URL is looked at."""
        members = self._rows.members()
        before = self._reachable([one.id for one in members if not one.is_learner])
        rest = [one for one in before.voters if one != learner.replaces]
        after = self._reachable([*rest, learner.id])
        review = Review(before, after)
        if self._is_strict and not after.is_there:
            return replace(review, refusal=_unhealthy(after, "with its vote"))
        return review

    # --- inside -----------------------------------------------------------------------------

    def _reachable(self, voters: Sequence[int]) -> Quorum:
        now = self._scheduler.now()
        self._contact.note(now)
        reachable = [one for one in voters if self._contact.reaches(one, now)]
        return Quorum(tuple(voters), tuple(reachable))

    def _judged(
        self,
        request: ChangeRequest,
        row: MemberInfo | None,
        before: Quorum,
        answers: Sequence[PeerAnswer],
    ) -> Review:
        after = self._after(request, row, before, answers)
        told = zip(request.peer_urls, answers, strict=True) if answers else ()
        review = Review(before, after, tuple(answer.told(url) for url, answer in told))
        if request.is_unsafe or not self._is_strict:
            return review
        refusal = self._refusal(request, row, review, answers)
        is_news = row is None or set(row.peer_urls) != set(request.peer_urls)
        if refusal is None and request.number and is_news:
            self._claim.take(request.encode(), self._scheduler.now())
        return replace(review, refusal=refusal)

    def _after(
        self,
        request: ChangeRequest,
        row: MemberInfo | None,
        before: Quorum,
        answers: Sequence[PeerAnswer],
    ) -> Quorum:
        """Once all is done: who joins has caught up, and so answers."""
        leaving = row.id if row and request.kind is not ChangeKind.UPDATE else None
        voters = [one for one in before.voters if one != leaving]
        reachable = [one for one in before.reachable if one != leaving]
        replaces_voter = request.kind is ChangeKind.REPLACE and row and not row.is_learner
        if request.kind is ChangeKind.JOIN or replaces_voter:
            voters, reachable = [*voters, NEW], [*reachable, NEW]
        elif request.kind is ChangeKind.ADD:
            voters = [*voters, NEW]
        elif request.kind is ChangeKind.UPDATE and row and any(a.view is None for a in answers):
            reachable = [one for one in reachable if one != row.id]
        return Quorum(tuple(voters), tuple(reachable))

    def _refusal(
        self,
        request: ChangeRequest,
        row: MemberInfo | None,
        review: Review,
        answers: Sequence[PeerAnswer],
    ) -> RaftKVError | None:
        objections = self._objections(request, answers)
        if objections:
            return PeerUrlRefused(f"raftkv: {'; '.join(objections)}")
        try:
            self._check_quorum(request, row, review)
            self._claim.check(request.encode(), self._scheduler.now())
        except RaftKVError as e:
            return e
        return None

    def _objections(self, request: ChangeRequest, answers: Sequence[PeerAnswer]) -> list[str]:
        owner = request.member_id if request.kind is ChangeKind.UPDATE else 0
        found = (
            objection(
                url,
                answer,
                cluster=self._cluster_id,
                removed=self._rows.removed_ids,
                owner=owner,
            )
            for url, answer in zip(request.peer_urls, answers, strict=True)
        )
        return [text for text in found if text]

    def _check_quorum(self, request: ChangeRequest, row: MemberInfo | None, review: Review) -> None:
        """Raises NotEnoughStartedMembers, UnhealthyCluster, PeerUrlRefused."""
        before, after, members = review.before, review.after, self._rows.members()
        if request.kind in (ChangeKind.ADD, ChangeKind.JOIN):
            check_started_for_add(members)
        leaves_now = request.kind is ChangeKind.REMOVE or (
            request.kind is ChangeKind.REPLACE and row and set(row.peer_urls) & {*request.peer_urls}
        )
        if leaves_now and row and not row.is_learner:
            check_started_for_remove(members, row.id)
            rest = tuple(one for one in after.voters if one != NEW)
            left = Quorum(rest, tuple(one for one in after.reachable if one != NEW))
            if not left.is_there:
                raise _unhealthy(left, f"without {row.id:x}")
        if not before.is_there:
            raise _unhealthy(before, "now")
        if request.kind is ChangeKind.ADD and len(before.voters) > 1 and not after.is_there:
            raise _unhealthy(after, "with one more voter that is not started")
        if request.kind is ChangeKind.UPDATE and len(before.voters) > 1 and not after.is_there:
            raise PeerUrlRefused(
                f"raftkv: nothing answers at {', '.join(request.peer_urls)}, and without member "
                f"{request.member_id:x} {len(after.reachable)} of {len(after.voters)} voters "
                f"answer, {after.needed} are needed: have it listen there too, then update"
            )


def _unhealthy(quorum: Quorum, when: str) -> UnhealthyCluster:
    return UnhealthyCluster(
        f"{when}, {len(quorum.reachable)} of {len(quorum.voters)} voters answer, "
        f"{quorum.needed} are needed"
    )
