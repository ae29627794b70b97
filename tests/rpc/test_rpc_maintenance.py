"""Maintenance and Cluster: what a member tells of itself and of the others."""

from __future__ import annotations

import pytest
from fake_member import CLUSTER_ID, MEMBER_ID, FakeMember, failure, reply, start

from raftkv import ETCD_VERSION
from raftkv.api.rpc_pb2 import (
    HashKVRequest,
    HashKVResponse,
    Member,
    MemberListRequest,
    MemberListResponse,
    PutRequest,
    PutResponse,
    ResponseHeader,
    StatusRequest,
    StatusResponse,
)
from raftkv.apply.membership import MemberInfo
from raftkv.errors import RequestTimeout
from raftkv.rpc.cluster import cluster_service
from raftkv.rpc.kv import kv_service
from raftkv.rpc.maintenance import maintenance_service
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
    assert set(maintenance_service(member).unary) == {"Status", "HashKV"}


@pytest.mark.parametrize("method", ["Status", "HashKV"])
def test_bytes_that_are_no_message(member: FakeMember, method: str) -> None:
    """As everywhere: Internal, with grpc-go's words."""
    answer = start(maintenance_service(member), method, b"\xff\xff").answer
    assert isinstance(answer, Status)
    assert answer.code == 13
