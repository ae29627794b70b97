"""Cluster: fields, answers and refusals; and what a learner does not serve."""

from __future__ import annotations

import pytest
from fake_member import (
    CLUSTER_ID,
    MEMBER_ID,
    NEW_MEMBER_ID,
    FakeMember,
    failure,
    reply,
    start,
)
from google.protobuf.message import Message

from raftkv.api.rpc_pb2 import (
    HashKVRequest,
    Member,
    MemberAddRequest,
    MemberAddResponse,
    MemberListRequest,
    MemberPromoteRequest,
    MemberPromoteResponse,
    MemberRemoveRequest,
    MemberRemoveResponse,
    MemberUpdateRequest,
    MemberUpdateResponse,
    PutRequest,
    RangeRequest,
    RangeResponse,
    ResponseHeader,
    StatusRequest,
    StatusResponse,
)
from raftkv.apply.membership import MemberInfo
from raftkv.errors import LearnerNotReady, PeerUrlExists, RequestTimeout, UnhealthyCluster
from raftkv.rpc.cluster import cluster_service
from raftkv.rpc.kv import kv_service
from raftkv.rpc.maintenance import maintenance_service
from raftkv.wire.service import Status

HEADER = ResponseHeader(cluster_id=CLUSTER_ID, member_id=MEMBER_ID, raft_term=3)
ROW = MemberInfo(MEMBER_ID, "one", ("http://p:1",), ("http://c:1",))
AS_MESSAGE = Member(ID=MEMBER_ID, name="one", peerURLs=["http://p:1"], clientURLs=["http://c:1"])
NOT_SERVED = Status(9, "etcdserver: rpc not supported for learner")


@pytest.mark.parametrize("is_learner", [False, True])
def test_add_answers_with_the_new_member_and_the_list(member: FakeMember, is_learner: bool) -> None:
    """The member's id and URLs without a name, all members, and no revision in the header."""
    member.rows = [ROW]
    request = MemberAddRequest(peerURLs=["http://n:2", "http://n:1"], isLearner=is_learner)
    answer = reply(cluster_service(member), "MemberAdd", request, MemberAddResponse)
    assert answer.header == HEADER
    urls = ["http://n:1", "http://n:2"]
    assert answer.member == Member(ID=NEW_MEMBER_ID, peerURLs=urls, isLearner=is_learner)
    assert list(answer.members) == [AS_MESSAGE]
    assert member.asked == [f"{'add learner' if is_learner else 'join'} http://n:1,http://n:2"]


@pytest.mark.parametrize(
    "urls", [[], ["n:2380"], ["http://n"], ["http://n:2380/x"], ["ftp://n:1"], ["http://n:nine"]]
)
def test_add_refuses_what_is_no_peer_url(member: FakeMember, urls: list[str]) -> None:
    """Nothing is asked of the member."""
    refused = failure(cluster_service(member), "MemberAdd", MemberAddRequest(peerURLs=urls))
    assert refused == Status(3, "etcdserver: given member URLs are invalid")
    assert member.asked == []


def test_remove_update_and_promote(member: FakeMember) -> None:
    """Each asks for what it says and answers with the list; promote waits to have caught up."""
    member.rows = [ROW]
    service = cluster_service(member)
    removed = reply(service, "MemberRemove", MemberRemoveRequest(ID=7), MemberRemoveResponse)
    update = MemberUpdateRequest(ID=7, peerURLs=["anything"])
    updated = reply(service, "MemberUpdate", update, MemberUpdateResponse)
    promoted = reply(service, "MemberPromote", MemberPromoteRequest(ID=7), MemberPromoteResponse)
    for answer in (removed, updated, promoted):
        assert (answer.header, list(answer.members)) == (HEADER, [AS_MESSAGE])
    assert member.asked == ["remove 7", "update 7 anything", "promote 7", "linearize"]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("MemberAdd", MemberAddRequest(peerURLs=["http://n:1"])),
        ("MemberRemove", MemberRemoveRequest(ID=7)),
        ("MemberUpdate", MemberUpdateRequest(ID=7)),
        ("MemberPromote", MemberPromoteRequest(ID=7)),
    ],
)
def test_refusals_at_once_and_later(member: FakeMember, method: str, request_: Message) -> None:
    """What the member raises, and what it answers later, both reach the client as etcd's."""
    service = cluster_service(member)
    member.refusal = UnhealthyCluster("x")
    assert failure(service, method, request_) == Status(14, "etcdserver: unhealthy cluster")
    member.refusal = LearnerNotReady("x")
    text = "etcdserver: can only promote a learner member which is in sync with leader"
    assert failure(service, method, request_) == Status(9, text)
    member.refusal, member.hold, member.error = None, True, PeerUrlExists("x")
    call = start(service, method, request_)
    assert call.answers == []
    member.release()
    assert call.answer == Status(9, "etcdserver: Peer URLs already exists")
    member.error = RequestTimeout("x")
    call = start(service, method, request_)
    member.release()
    assert call.answer == Status(14, "etcdserver: request timed out")


def test_a_learner_serves_serializable_reads_and_status_alone(member: FakeMember) -> None:
    """Everything else is refused with etcd's words, also without a leader (etcd's order)."""
    member.serves_as_learner = True
    kv, maintenance = kv_service(member), maintenance_service(member)
    local = RangeRequest(key=b"k", serializable=True)
    assert reply(kv, "Range", local, RangeResponse).count == 0
    assert reply(maintenance, "Status", StatusRequest(), StatusResponse).leader == MEMBER_ID
    assert failure(kv, "Range", RangeRequest(key=b"k")) == NOT_SERVED
    assert failure(kv, "Put", PutRequest(key=b"k")) == NOT_SERVED
    assert failure(maintenance, "HashKV", HashKVRequest()) == NOT_SERVED
    assert failure(cluster_service(member), "MemberList", MemberListRequest()) == NOT_SERVED
