"""etcdserverpb.Maintenance: Status and HashKV.

Owns: what a member tells of itself alone. Both answer from local state, also without a leader.
The service's other methods are not registered yet, so the wire answers Unimplemented to them.
"""

from __future__ import annotations

from raftkv import ETCD_VERSION
from raftkv.api.rpc_pb2 import (
    DowngradeInfo,
    HashKVRequest,
    HashKVResponse,
    StatusRequest,
    StatusResponse,
)
from raftkv.apply.state import parse
from raftkv.rpc.errors import status_of
from raftkv.rpc.header import Headers
from raftkv.rpc.member import MaintenanceMember
from raftkv.rpc.unary import admitted, read_for
from raftkv.wire.service import Service, UnaryCall


def maintenance_service(member: MaintenanceMember) -> Service:
    maintenance = _Maintenance(member)
    methods = {"Status": maintenance.status, "HashKV": maintenance.hash_kv}
    unary = admitted(member, methods, by_learners=("Status",))
    return Service("etcdserverpb.Maintenance", status_of, unary=unary)


class _Maintenance:
    def __init__(self, member: MaintenanceMember) -> None:
        self._member = member
        self._headers = Headers(member)

    def status(self, payload: bytes, call: UnaryCall) -> None:
        """Waits for nothing: a member in trouble must be able to say so."""
        parse(StatusRequest, payload)
        status = self._member.status()
        response = StatusResponse(
            header=self._headers.message(self._member.store.current_revision),
            version=ETCD_VERSION,
            dbSize=status.db_size,
            dbSizeInUse=status.db_size_in_use,
            leader=status.leader_id,
            raftIndex=status.raft_index,
            raftTerm=status.raft_term,
            raftAppliedIndex=status.applied_index,
            errors=status.errors,
            isLearner=status.is_learner,
            downgradeInfo=DowngradeInfo(enabled=False),
        )
        call.reply(response.SerializeToString())

    def hash_kv(self, payload: bytes, call: UnaryCall) -> None:
        revision = parse(HashKVRequest, payload).revision

        def produce() -> bytes:
            store = self._member.store
            result = store.hash_kv(revision)
            return HashKVResponse(
                header=self._headers.message(store.current_revision),
                hash=result.hash,
                compact_revision=result.compact_revision,
                hash_revision=result.hash_revision,
            ).SerializeToString()

        self._member.read_local(read_for(call, produce))
