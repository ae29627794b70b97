"""raftkvpb.Membership: changes of members with what etcd's service has no words for.

Owns: its fields and answers: a member replaced, a dry run, a change in spite of the quorum, a
learner that stays one. Must never do: judge; the leader does. The rest is as in ``cluster``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from raftkv.api.membership_pb2 import MembershipRequest, MembershipResponse, Quorum
from raftkv.apply.state import parse
from raftkv.errors import MalformedRequest, RaftKVError
from raftkv.rpc.cluster import check_peer_urls, message_of
from raftkv.rpc.errors import status_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.member import ClusterMember
from raftkv.rpc.unary import admitted, fail_with
from raftkv.server import change_request
from raftkv.server.change_request import ChangeKind, ChangeRequest, Review
from raftkv.server.status import MemberInfo
from raftkv.wire.service import Service, UnaryCall

Outcome = TypeVar("Outcome")

_KINDS = {
    MembershipRequest.REMOVE: ChangeKind.REMOVE,
    MembershipRequest.REPLACE: ChangeKind.REPLACE,
    MembershipRequest.UPDATE: ChangeKind.UPDATE,
}


def membership_service(member: ClusterMember) -> Service:
    methods = {"Change": _Membership(member).change}
    return Service("raftkvpb.Membership", status_of, unary=admitted(member, methods))


class _Membership:
    def __init__(self, member: ClusterMember) -> None:
        self._member = member
        self._headers = Headers(member)
        self._guard = Guard(member)

    def change(self, payload: bytes, call: UnaryCall) -> None:
        asked = parse(MembershipRequest, payload)
        urls = tuple(sorted(asked.peerURLs))
        if asked.kind != MembershipRequest.REMOVE:
            check_peer_urls(urls)

        def act() -> None:
            desk, request = self._member.membership, self._request(asked, urls)
            if asked.dry_run:
                desk.review(request, self._answer_with(call, self._reviewed))
            else:
                desk.change(request, self._answer_with(call, self._changed))

        self._guard.as_newest_root(call, act, fail_with(call))

    def _request(self, asked: MembershipRequest, urls: tuple[str, ...]) -> ChangeRequest:
        if asked.kind == MembershipRequest.ADD:
            kind = self._member.membership.kind_of_addition(
                is_learner=asked.is_learner, stays=asked.stay_learner
            )
            return ChangeRequest(kind, 0, urls, asked.unsafe)
        known = _KINDS.get(asked.kind)
        if known is None:
            raise MalformedRequest(f"no kind of change has the number {asked.kind}")
        return ChangeRequest(known, asked.ID, urls, asked.unsafe)

    def _answer_with(
        self, call: UnaryCall, response_of: Callable[[Outcome], MembershipResponse]
    ) -> Callable[[Outcome | RaftKVError], None]:
        def done(outcome: Outcome | RaftKVError) -> None:
            if isinstance(outcome, RaftKVError):
                call.fail(status_of(outcome))
                return
            response = response_of(outcome)
            response.header.CopyFrom(self._headers.message())
            response.members.extend(message_of(row) for row in self._member.members())
            call.reply(response.SerializeToString())

        return done

    def _changed(self, row: MemberInfo) -> MembershipResponse:
        return MembershipResponse(member=message_of(row))

    def _reviewed(self, review: Review) -> MembershipResponse:
        refusal = review.refusal
        return MembershipResponse(
            before=_quorum(review.before),
            after=_quorum(review.after),
            notes=review.notes,
            refusal="" if refusal is None else f"{status_of(refusal).message} ({refusal})",
        )


def _quorum(quorum: change_request.Quorum) -> Quorum:
    return Quorum(voters=quorum.voters, reachable=quorum.reachable, needed=quorum.needed)
