"""Maintenance and Cluster: what a member tells of itself and of the others."""

from __future__ import annotations

import pytest
from fake_member import CLUSTER_ID, MEMBER_ID, FakeMember, failure, reply, start

from raftkv import ETCD_VERSION
from raftkv.api.rpc_pb2 import (
    AlarmMember,
    AlarmRequest,
    AlarmResponse,
    AlarmType,
    DefragmentRequest,
    DeleteRangeRequest,
    DowngradeRequest,
    DowngradeResponse,
    HashKVRequest,
    HashKVResponse,
    HashRequest,
    HashResponse,
    Member,
    MemberListRequest,
    MemberListResponse,
    MoveLeaderRequest,
    PutRequest,
    PutResponse,
    RequestOp,
    ResponseHeader,
    StatusRequest,
    StatusResponse,
    TxnRequest,
)
from raftkv.apply.membership import MemberInfo
from raftkv.errors import (
    BadLeaderTransferee,
    DowngradeInProcess,
    NotLeader,
    RequestTimeout,
    TooManyRequests,
)
from raftkv.rpc.cluster import cluster_service
from raftkv.rpc.kv import kv_service
from raftkv.rpc.maintenance import PREVIOUS_VERSION, maintenance_service
from raftkv.wire.service import Status


def test_status_tells_all_it_knows(member: FakeMember) -> None:
    """Every field from the member's status, downgrade_info present, and nothing waited for."""
    member.hold = True
    service = maintenance_service(member)
    status = reply(service, "Status", StatusRequest(), StatusResponse)
    assert status.header == ResponseHeader(
        cluster_id=CLUSTER_ID, member_id=MEMBER_ID, revision=1, raft_term=3
    )
    assert status.version == ETCD_VERSION
    assert (status.dbSize, status.dbSizeInUse, status.leader) == (8192, 4096, MEMBER_ID)
    assert (status.raftIndex, status.raftAppliedIndex, status.raftTerm) == (21, 20, 3)
    assert (status.dbSizeQuota, status.storageVersion) == (2**31, "3.7.0")
    assert status.HasField("downgradeInfo")
    assert not status.isLearner
    assert list(status.errors) == []


def test_status_without_a_leader(member: FakeMember) -> None:
    """It answers all the same, and says what is wrong."""
    member.leader_id = 0
    member.errors = ("etcdserver: no leader",)
    service = maintenance_service(member)
    status = reply(service, "Status", StatusRequest(), StatusResponse)
    assert (status.leader, list(status.errors)) == (0, ["etcdserver: no leader"])


def test_the_version_switches_kubernetes_features_on() -> None:
    """A semantic version of at least 3.5.13, which an apiserver asks of watch progress."""
    assert tuple(int(part) for part in ETCD_VERSION.split(".")) >= (3, 5, 13)


def test_alarms(member: FakeMember) -> None:
    """A change is proposed, a question is a linearizable read; both list etcd's rows."""
    service = maintenance_service(member)
    row = AlarmMember(memberID=9, alarm=AlarmType.NOSPACE)
    change = AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=9, alarm=AlarmType.NOSPACE)
    response = reply(service, "Alarm", change, AlarmResponse)
    assert list(response.alarms) == [row]
    assert response.header == ResponseHeader(
        cluster_id=CLUSTER_ID, member_id=MEMBER_ID, revision=1, raft_term=3
    )
    for kind, rows in (
        (AlarmType.NONE, [row]),
        (AlarmType.NOSPACE, [row]),
        (AlarmType.CORRUPT, []),
    ):
        question = AlarmRequest(alarm=kind)
        assert list(reply(service, "Alarm", question, AlarmResponse).alarms) == rows
    assert member.asked == ["propose", "linearize", "linearize", "linearize"]


def test_a_full_member_refuses_before_it_looks_at_the_fields(member: FakeMember) -> None:
    """etcd asks for room first: a put with no key is NoSpace too. What puts nothing has room."""
    member.room = 100
    kv = kv_service(member)
    no_space = Status(8, "etcdserver: mvcc: database space exceeded")
    put = RequestOp(request_put=PutRequest(key=b"k"))
    assert failure(kv, "Put", PutRequest()) == no_space
    assert failure(kv, "Txn", TxnRequest(failure=[put])) == no_space
    assert member.asked == []
    assert isinstance(start(kv, "DeleteRange", DeleteRangeRequest(key=b"k")).answer, bytes)
    assert isinstance(start(kv, "Txn", TxnRequest()).answer, bytes)


def test_hash_kv(member: FakeMember) -> None:
    """The store's own hash, its revisions, and the current revision in the header."""
    kv, service = kv_service(member), maintenance_service(member)
    for value in (b"1", b"2"):
        reply(kv, "Put", PutRequest(key=b"k", value=value), PutResponse)
    member.asked.clear()
    for asked, hashed in ((0, 3), (2, 2), (3, 3)):
        response = reply(service, "HashKV", HashKVRequest(revision=asked), HashKVResponse)
        assert response.hash == member.store.hash_kv(asked).hash
        assert (response.compact_revision, response.hash_revision) == (-1, hashed)
        assert response.header.revision == 3
    assert member.asked == ["read_local"] * 3


def test_hash_kv_of_a_revision_that_is_not_there(member: FakeMember) -> None:
    """Future and compacted revisions, told as a range's are."""
    kv, service = kv_service(member), maintenance_service(member)
    for _ in range(3):
        reply(kv, "Put", PutRequest(key=b"k"), PutResponse)
    member.store.compact(3)
    member.finish_compaction()
    assert failure(service, "HashKV", HashKVRequest(revision=5)) == Status(
        11, "etcdserver: mvcc: required revision is a future revision"
    )
    assert failure(service, "HashKV", HashKVRequest(revision=2)) == Status(
        11, "etcdserver: mvcc: required revision has been compacted"
    )


def test_hash_is_of_all_rows(member: FakeMember) -> None:
    """It changes with the data, and the same data gives the same hash."""
    kv, service = kv_service(member), maintenance_service(member)

    def crc() -> int:
        return reply(service, "Hash", HashRequest(), HashResponse).hash

    empty = crc()
    reply(kv, "Put", PutRequest(key=b"k", value=b"1"), PutResponse)
    assert crc() == crc() != empty


def test_move_leader(member: FakeMember) -> None:
    """The answer has no header; what the member refuses with is the answer otherwise."""
    service = maintenance_service(member)
    request = MoveLeaderRequest(targetID=7)
    assert start(service, "MoveLeader", request).answer == b""
    for error, status in (
        (NotLeader("x"), Status(9, "etcdserver: not leader")),
        (BadLeaderTransferee("x"), Status(9, "etcdserver: bad leader transferee")),
    ):
        member.maintenance.error = error
        assert failure(service, "MoveLeader", request) == status
    assert member.maintenance.moved == [7, 7, 7]


def test_defragment(member: FakeMember) -> None:
    """The answer has no header, and comes from the member."""
    service = maintenance_service(member)
    assert start(service, "Defragment", DefragmentRequest()).answer == b""
    member.maintenance.error = TooManyRequests("x")
    assert failure(service, "Defragment", DefragmentRequest()).code == 8


def test_downgrade(member: FakeMember) -> None:
    """A target is judged as etcd does: its form, then whether it is the minor version before."""
    service = maintenance_service(member)
    for version in ("3.6", "3.6.0", "3.6.4"):
        request = DowngradeRequest(version=version)
        assert reply(service, "Downgrade", request, DowngradeResponse).version == "3.7"
    for version, text in (
        ("", "wrong downgrade target version format"),
        ("3", "wrong downgrade target version format"),
        ("3.x", "wrong downgrade target version format"),
        ("3.7", "invalid downgrade target version"),
        ("3.5.0", "invalid downgrade target version"),
        ("4.6", "invalid downgrade target version"),
    ):
        status = failure(service, "Downgrade", DowngradeRequest(version=version))
        assert status == Status(3, f"etcdserver: {text}")
    enable = DowngradeRequest(action=DowngradeRequest.ENABLE, version="3.6")
    assert failure(service, "Downgrade", enable) == Status(9, "etcdserver: not capable")
    cancel = DowngradeRequest(action=DowngradeRequest.CANCEL)
    assert reply(service, "Downgrade", cancel, DowngradeResponse).version == "3.7"


def test_downgrade_to_the_version_of_raftkv_before(member: FakeMember) -> None:
    """ENABLE lowers the level and CANCEL ends that; what the member refuses is the answer."""
    service = maintenance_service(member)
    enable = DowngradeRequest(action=DowngradeRequest.ENABLE, version=PREVIOUS_VERSION)
    cancel = DowngradeRequest(action=DowngradeRequest.CANCEL)
    validate = DowngradeRequest(version=PREVIOUS_VERSION + ".0")
    for request in (validate, enable, cancel):
        assert reply(service, "Downgrade", request, DowngradeResponse).version == "3.7"
    assert [each for each in member.asked if each in ("lower", "cancel")] == ["lower", "cancel"]
    member.maintenance.error = DowngradeInProcess("to 0.1")
    text = "etcdserver: cluster has a downgrade job in progress"
    assert failure(service, "Downgrade", enable) == Status(9, text)


@pytest.mark.parametrize("linearizable", [True, False])
def test_member_list(member: FakeMember, linearizable: bool) -> None:
    """All fields of all rows; the header has no revision; linearizable if asked for."""
    member.rows = [
        MemberInfo(1, "one", ("http://p:1", "http://p:2"), ("http://c:1",)),
        MemberInfo(2**64 - 1, "", ("http://q:1",), (), is_learner=True),
    ]
    service = cluster_service(member)
    request = MemberListRequest(linearizable=linearizable)
    response = reply(service, "MemberList", request, MemberListResponse)
    assert response.header == ResponseHeader(
        cluster_id=CLUSTER_ID, member_id=MEMBER_ID, raft_term=3
    )
    assert list(response.members) == [
        Member(ID=1, name="one", peerURLs=["http://p:1", "http://p:2"], clientURLs=["http://c:1"]),
        Member(ID=2**64 - 1, peerURLs=["http://q:1"], isLearner=True),
    ]
    assert member.asked == ["linearize" if linearizable else "read_local"]


def test_a_member_list_that_cannot_be_confirmed(member: FakeMember) -> None:
    """The read's error is the answer."""
    member.error = RequestTimeout("no quorum")
    status = failure(cluster_service(member), "MemberList", MemberListRequest(linearizable=True))
    assert status == Status(14, "etcdserver: request timed out")


def test_what_is_not_there_yet_is_not_registered(member: FakeMember) -> None:
    """The wire answers Unimplemented to a name that a service does not have."""
    assert set(maintenance_service(member).unary) == {
        "Status",
        "Alarm",
        "Hash",
        "HashKV",
        "MoveLeader",
        "Defragment",
        "Downgrade",
    }


@pytest.mark.parametrize(
    "method", ["Status", "HashKV", "Hash", "Alarm", "MoveLeader", "Defragment", "Downgrade"]
)
def test_bytes_that_are_no_message(member: FakeMember, method: str) -> None:
    """As everywhere: Internal, with grpc-go's words."""
    answer = start(maintenance_service(member), method, b"\xff\xff").answer
    assert isinstance(answer, Status)
    assert answer.code == 13
