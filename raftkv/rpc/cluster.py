"""etcdserverpb.Cluster: who the members are, and changing that.

Owns: the requests' fields and the answers. Headers of this service carry no revision, as in etcd.
Must never do: judge whether the cluster can bear a change; the member does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from raftkv.api.rpc_pb2 import (
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberListResponse,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
)
from raftkv.apply.state import parse
from raftkv.errors import BadMemberUrls, RaftKVError
from raftkv.rpc.errors import status_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.member import Added, ClusterMember, Proceed
from raftkv.rpc.unary import admitted, fail_with, read_for
from raftkv.server.change_request import ChangeKind, ChangeRequest
from raftkv.server.status import MemberInfo
from raftkv.wire.service import Service, UnaryCall


def cluster_service(member: ClusterMember) -> Service:
    cluster = _Cluster(member)
    methods = {
        "MemberList": cluster.member_list,
        "MemberAdd": cluster.member_add,
        "MemberRemove": cluster.member_remove,
        "MemberUpdate": cluster.member_update,
        "MemberPromote": cluster.member_promote,
    }
    return Service("etcdserverpb.Cluster", status_of, unary=admitted(member, methods))


class _Cluster:
    def __init__(self, member: ClusterMember) -> None:
        self._member = member
        self._headers = Headers(member)
        self._guard = Guard(member)

    def member_list(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(MemberListRequest, payload)

        def produce() -> bytes:
            self._guard.may.is_user(self._guard.caller(call))
            response = MemberListResponse(header=self._headers.message(), members=self._rows())
            return response.SerializeToString()

        proceed = read_for(call, produce)
        if request.linearizable:
            self._member.linearize(proceed)
        else:
            self._guard.read_local(call, proceed)

    def member_add(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(MemberAddRequest, payload)
        urls = tuple(sorted(request.peerURLs))
        check_peer_urls(urls)

        def added(outcome: MemberInfo | RaftKVError) -> None:
            if isinstance(outcome, RaftKVError):
                call.fail(status_of(outcome))
                return
            response = MemberAddResponse(
                header=self._headers.message(), member=message_of(outcome), members=self._rows()
            )
            call.reply(response.SerializeToString())

        def add() -> None:
            desk = self._member.membership
            kind = desk.kind_of_addition(is_learner=request.isLearner)
            desk.change(ChangeRequest(kind, peer_urls=urls), added)

        self._change(call, add)

    def member_remove(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(MemberRemoveRequest, payload)

        def produce() -> bytes:
            response = MemberRemoveResponse(header=self._headers.message(), members=self._rows())
            return response.SerializeToString()

        changed = _changed(read_for(call, produce))
        change = ChangeRequest(ChangeKind.REMOVE, request.ID)
        self._change(call, lambda: self._member.membership.change(change, changed))

    def member_update(self, payload: bytes, call: UnaryCall) -> None:
        """As in etcd, the URLs' form is not looked at here; what answers at them is, by the
        leader."""
        request = parse(MemberUpdateRequest, payload)

        def produce() -> bytes:
            response = MemberUpdateResponse(header=self._headers.message(), members=self._rows())
            return response.SerializeToString()

        changed = _changed(read_for(call, produce))
        change = ChangeRequest(ChangeKind.UPDATE, request.ID, tuple(request.peerURLs))
        self._change(call, lambda: self._member.membership.change(change, changed))

    def member_promote(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(MemberPromoteRequest, payload)

        def produce() -> bytes:
            response = MemberPromoteResponse(header=self._headers.message(), members=self._rows())
            return response.SerializeToString()

        proceed = self._caught_up(read_for(call, produce))
        self._change(call, lambda: self._member.promote_member(request.ID, proceed))

    def _change(self, call: UnaryCall, act: Callable[[], None]) -> None:
        """As in etcd, who asks is settled here and not in the entry, which is Raft's own."""
        self._guard.as_newest_root(call, act, fail_with(call))

    def _caught_up(self, proceed: Proceed) -> Proceed:
        """The leader has promoted, and this member may not know it yet."""

        def promoted(error: RaftKVError | None) -> None:
            if error is None:
                self._member.linearize(proceed)
            else:
                proceed(error)

        return promoted

    def _rows(self) -> list[Member]:
        return [message_of(row) for row in self._member.members()]


def _changed(proceed: Proceed) -> Added:
    return lambda outcome: proceed(outcome if isinstance(outcome, RaftKVError) else None)


def check_peer_urls(urls: Iterable[str]) -> None:
    """As etcd's URL list: http or https, a host with a port, no path. Raises BadMemberUrls."""
    found = list(urls)
    if not found or not all(_is_peer_url(url) for url in found):
        raise BadMemberUrls(f"{found} are no peer URLs")


def _is_peer_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port is not None
        and not parts.path
    )


def message_of(row: MemberInfo) -> Member:
    return Member(
        ID=row.id,
        name=row.name,
        peerURLs=row.peer_urls,
        clientURLs=row.client_urls,
        isLearner=row.is_learner,
    )
