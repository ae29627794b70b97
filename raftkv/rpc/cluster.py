"""etcdserverpb.Cluster: MemberList.

Owns: the member list's answer. Headers of this service carry no revision, as in etcd. Changing the
membership is not registered yet, so the wire answers Unimplemented to it.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import Member, MemberListRequest, MemberListResponse
from raftkv.apply.state import parse
from raftkv.rpc.errors import status_of
from raftkv.rpc.header import Headers
from raftkv.rpc.member import ClusterMember
from raftkv.rpc.unary import admitted, read_for
from raftkv.wire.service import Service, UnaryCall


def cluster_service(member: ClusterMember) -> Service:
    cluster = _Cluster(member)
    methods = {"MemberList": cluster.member_list}
    return Service("etcdserverpb.Cluster", status_of, unary=admitted(member, methods))


class _Cluster:
    def __init__(self, member: ClusterMember) -> None:
        self._member = member
        self._headers = Headers(member)

    def member_list(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(MemberListRequest, payload)
        proceed = read_for(call, self._member_list)
        if request.linearizable:
            self._member.linearize(proceed)
        else:
            self._member.read_local(proceed)

    def _member_list(self) -> bytes:
        rows = [
            Member(
                ID=row.id,
                name=row.name,
                peerURLs=row.peer_urls,
                clientURLs=row.client_urls,
                isLearner=row.is_learner,
            )
            for row in self._member.members()
        ]
        return MemberListResponse(header=self._headers.message(), members=rows).SerializeToString()
