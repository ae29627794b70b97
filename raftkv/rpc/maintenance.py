"""etcdserverpb.Maintenance: what a member tells of itself alone, and what an operator asks of it.

Owns: the requests' checks and the answers. Status, Hash and HashKV answer from local state, also
without a leader; alarms change through the log. Must never do: the work, which is the member's.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv import ETCD_VERSION
from raftkv.api.rpc_pb2 import (
    AlarmRequest,
    DefragmentRequest,
    DefragmentResponse,
    DowngradeInfo,
    DowngradeRequest,
    DowngradeResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    MoveLeaderRequest,
    MoveLeaderResponse,
    StatusRequest,
    StatusResponse,
)
from raftkv.apply.alarm import alarm_reply
from raftkv.apply.alarm_book import kind_of
from raftkv.apply.batch import RequestKind
from raftkv.apply.level import OWN_LEVEL, VERSIONS
from raftkv.apply.state import parse
from raftkv.errors import (
    InvalidDowngradeTarget,
    NotCapable,
    RaftKVError,
    UnknownMethod,
    WrongDowngradeVersion,
)
from raftkv.mvcc.hash import HashResult
from raftkv.rpc.errors import status_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.member import MaintenanceMember, Proceed
from raftkv.rpc.snapshot import STORAGE_VERSION, SnapshotMethod
from raftkv.rpc.stream_admission import admitted_stream
from raftkv.rpc.unary import admitted, answer, fail_with, read_for, reply_to
from raftkv.wire.service import Service, UnaryCall

_MAJOR, _MINOR = (int(part) for part in ETCD_VERSION.split(".")[:2])
CLUSTER_VERSION = f"{_MAJOR}.{_MINOR}"
PREVIOUS_VERSION = VERSIONS[OWN_LEVEL - 1]


def maintenance_service(member: MaintenanceMember) -> Service:
    maintenance = _Maintenance(member)
    methods = {
        "Status": maintenance.status,
        "Alarm": maintenance.alarm,
        "Hash": maintenance.hash,
        "HashKV": maintenance.hash_kv,
        "MoveLeader": maintenance.move_leader,
        "Defragment": maintenance.defragment,
        "Downgrade": maintenance.downgrade,
    }
    snapshot = SnapshotMethod(member)
    return Service(
        "etcdserverpb.Maintenance",
        status_of,
        unary=admitted(member, methods, by_learners=("Status",)),
        streams={"Snapshot": admitted_stream(member, snapshot.serve, by_learners=True)},
    )


class _Maintenance:
    def __init__(self, member: MaintenanceMember) -> None:
        self._member = member
        self._headers = Headers(member)
        self._guard = Guard(member)

    def status(self, payload: bytes, call: UnaryCall) -> None:
        """Waits for nothing: a member in trouble must be able to say so. To any user."""
        parse(StatusRequest, payload)
        self._guard.as_user(call, lambda: answer(call, self._status), fail_with(call))

    def _status(self) -> bytes:
        status = self._member.status()
        response = StatusResponse(
            header=self._headers.message(self._member.store.current_revision),
            version=ETCD_VERSION,
            dbSize=status.db_size,
            dbSizeInUse=status.db_size_in_use,
            dbSizeQuota=status.db_size_quota,
            storageVersion=STORAGE_VERSION,
            leader=status.leader_id,
            raftIndex=status.raft_index,
            raftTerm=status.raft_term,
            raftAppliedIndex=status.applied_index,
            errors=status.errors,
            isLearner=status.is_learner,
            downgradeInfo=DowngradeInfo(
                enabled=bool(status.downgrade_version), targetVersion=status.downgrade_version
            ),
        )
        return response.SerializeToString()

    def alarm(self, payload: bytes, call: UnaryCall) -> None:
        """Changes go through the log. A question is a linearizable read of what they made."""
        request = parse(AlarmRequest, payload)
        if request.action != AlarmRequest.GET:
            self._guard.propose(RequestKind.ALARM, payload, call, reply_to(call))
            return
        kind = kind_of(request.alarm)

        def produce() -> bytes:
            self._guard.may.is_user(self._guard.caller(call))
            alarms = [] if kind is None else list(self._member.maintenance.alarms(kind))
            revision = self._member.store.current_revision
            return alarm_reply(self._headers.encoder, revision, alarms)

        self._member.linearize(read_for(call, produce))

    def hash(self, payload: bytes, call: UnaryCall) -> None:
        parse(HashRequest, payload)

        def hashed(crc: int | RaftKVError) -> None:
            if isinstance(crc, RaftKVError):
                call.fail(status_of(crc))
                return
            header = self._headers.message(self._member.store.current_revision)
            call.reply(HashResponse(header=header, hash=crc).SerializeToString())

        self._ask(call, lambda: self._member.maintenance.hash_backend(hashed))

    def hash_kv(self, payload: bytes, call: UnaryCall) -> None:
        revision = parse(HashKVRequest, payload).revision

        def hashed(result: HashResult | RaftKVError) -> None:
            if isinstance(result, RaftKVError):
                call.fail(status_of(result))
                return
            response = HashKVResponse(
                header=self._headers.message(self._member.store.current_revision),
                hash=result.hash,
                compact_revision=result.compact_revision,
                hash_revision=result.hash_revision,
            )
            call.reply(response.SerializeToString())

        self._ask(call, lambda: self._member.maintenance.hash_kv(revision, hashed))

    def move_leader(self, payload: bytes, call: UnaryCall) -> None:
        target = parse(MoveLeaderRequest, payload).targetID

        done = _empty_reply(call, MoveLeaderResponse().SerializeToString())
        self._guard.as_root(
            call, lambda: self._member.maintenance.move_leader(target, done), fail_with(call)
        )

    def defragment(self, payload: bytes, call: UnaryCall) -> None:
        """The answer comes when the smaller file is in place."""
        parse(DefragmentRequest, payload)
        done = _empty_reply(call, DefragmentResponse().SerializeToString())
        self._guard.as_root(
            call, lambda: self._member.maintenance.defragment(done), fail_with(call)
        )

    def downgrade(self, payload: bytes, call: UnaryCall) -> None:
        """A target that is etcd's is judged as etcd does, and there is no older version of that
        API to go to. One that is a version of raftkv is the way back to it."""
        request = parse(DowngradeRequest, payload)
        upgrade = self._member.maintenance.upgrade

        def start() -> None:
            if request.action == DowngradeRequest.CANCEL:
                upgrade.cancel(done)
                return
            if request.action not in (DowngradeRequest.VALIDATE, DowngradeRequest.ENABLE):
                raise UnknownMethod(f"action {request.action} of a downgrade")
            is_own = check_downgrade_target(request.version)
            if request.action == DowngradeRequest.VALIDATE:
                done(None)
            elif is_own:
                upgrade.lower(done)
            else:
                raise NotCapable("there is no older version to downgrade to")

        def done(error: RaftKVError | None) -> None:
            if error is not None:
                call.fail(status_of(error))
                return
            header = self._headers.message(self._member.store.current_revision)
            response = DowngradeResponse(header=header, version=CLUSTER_VERSION)
            call.reply(response.SerializeToString())

        self._ask(call, start)

    def _ask(self, call: UnaryCall, start: Callable[[], None]) -> None:
        """Begin what answers by itself, for root, once this member's state can be read."""

        def proceed(error: RaftKVError | None) -> None:
            if error is None:
                try:
                    start()
                    return
                except RaftKVError as refused:
                    error = refused
            call.fail(status_of(error))

        self._guard.as_root(call, lambda: self._member.read_local(proceed), fail_with(call))


def _empty_reply(call: UnaryCall, reply: bytes) -> Proceed:
    """These answers have no header in etcd."""

    def done(error: RaftKVError | None) -> None:
        if error is None:
            call.reply(reply)
        else:
            call.fail(status_of(error))

    return done


def check_downgrade_target(version: str) -> bool:
    """Whether it is raftkv's version before this one, not etcd's. Raises WrongDowngradeVersion and
    InvalidDowngradeTarget. A patch number is looked over."""
    parts = version.split(".")
    if len(parts) not in (2, 3) or not all(part.isascii() and part.isdigit() for part in parts):
        raise WrongDowngradeVersion(f"{version!r} is no version such as 3.6 or 3.6.0")
    if f"{int(parts[0])}.{int(parts[1])}" == PREVIOUS_VERSION:
        return True
    if (int(parts[0]), int(parts[1])) != (_MAJOR, _MINOR - 1):
        raise InvalidDowngradeTarget(
            f"{version} is neither the minor version before {CLUSTER_VERSION} "
            f"nor raftkv's {PREVIOUS_VERSION}"
        )
    return False
