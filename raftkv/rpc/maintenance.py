"""etcdserverpb.Maintenance: Status and HashKV.

Owns: what a member tells of itself alone. Both answer from local state, also without a leader.
The service's other methods are not registered yet, so the wire answers Unimplemented to them.
"""

from __future__ import annotations

from raftkv import ETCD_VERSION
from raftkv.api.rpc_pb2 import (
    AlarmRequest,
    DowngradeInfo,
    HashKVRequest,
    HashKVResponse,
    StatusRequest,
    StatusResponse,
)
from raftkv.apply.alarm import alarm_reply
from raftkv.apply.alarm_book import kind_of
from raftkv.apply.batch import RequestKind
from raftkv.apply.state import parse
from raftkv.rpc.errors import status_of
from raftkv.rpc.header import Headers
from raftkv.rpc.member import MaintenanceMember
from raftkv.rpc.unary import admitted, read_for, reply_to
from raftkv.wire.service import Service, UnaryCall

STORAGE_VERSION = ".".join(ETCD_VERSION.split(".")[:2]) + ".0"
"""etcd's storage versions are those of its minor releases."""


def maintenance_service(member: MaintenanceMember) -> Service:
    maintenance = _Maintenance(member)
    methods = {
        "Status": maintenance.status,
        "Alarm": maintenance.alarm,
        "HashKV": maintenance.hash_kv,
    }
    return Service("etcdserverpb.Maintenance", status_of, unary=admitted(member, methods))


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
            dbSizeQuota=status.db_size_quota,
            storageVersion=STORAGE_VERSION,
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

    def alarm(self, payload: bytes, call: UnaryCall) -> None:
        """Changes go through the log. A question is a linearizable read of what they made."""
        request = parse(AlarmRequest, payload)
        if request.action != AlarmRequest.GET:
            self._member.propose(RequestKind.ALARM, payload, reply_to(call))
            return
        kind = kind_of(request.alarm)

        def produce() -> bytes:
            alarms = [] if kind is None else list(self._member.alarms(kind))
            revision = self._member.store.current_revision
            return alarm_reply(self._headers.encoder, revision, alarms)

        self._member.linearize(read_for(call, produce))

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
