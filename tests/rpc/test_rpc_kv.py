"""The KV service: what is refused, which way each request goes, and what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_member import CLUSTER_ID, MEMBER_ID, FakeCall, FakeMember, failure, reply, start
from google.protobuf.message import Message

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    CompactionResponse,
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftkv.errors import LeaderChanged, RaftKVError, RequestTimeout, Stopped, TooManyRequests
from raftkv.rpc.errors import status_of
from raftkv.rpc.kv import kv_service
from raftkv.server.config import Limits
from raftkv.wire.service import Service, Status


def header(revision: int, term: int = 3) -> ResponseHeader:
    return ResponseHeader(
        cluster_id=CLUSTER_ID, member_id=MEMBER_ID, revision=revision, raft_term=term
    )


def put(kv: Service, key: bytes, value: bytes = b"") -> PutResponse:
    return reply(kv, "Put", PutRequest(key=key, value=value), PutResponse)


def get(key: bytes, **fields: object) -> RequestOp:
    return RequestOp(request_range=RangeRequest(key=key, **fields))


def test_put_get_delete(kv: Service) -> None:
    """The life of a key: each reply has a whole header and the fields etcd fills."""
    assert put(kv, b"k", b"v") == PutResponse(header=header(2))
    again = reply(kv, "Put", PutRequest(key=b"k", value=b"w", prev_kv=True), PutResponse)
    assert again.header == header(3)
    assert (again.prev_kv.value, again.prev_kv.version) == (b"v", 1)
    found = reply(kv, "Range", RangeRequest(key=b"k"), RangeResponse)
    assert found.header == header(3)
    (row,) = found.kvs
    assert (row.key, row.value, row.create_revision, row.mod_revision, row.version) == (
        b"k",
        b"w",
        2,
        3,
        2,
    )
    assert (found.count, found.more) == (1, False)
    gone = reply(kv, "DeleteRange", DeleteRangeRequest(key=b"k"), DeleteRangeResponse)
    assert gone == DeleteRangeResponse(header=header(4), deleted=1)
    empty = reply(kv, "Range", RangeRequest(key=b"k"), RangeResponse)
    assert empty == RangeResponse(header=header(4))


def test_an_empty_store_is_at_revision_1(kv: Service) -> None:
    """The first read of a new cluster: etcd's clients count on 1, never 0."""
    found = reply(kv, "Range", RangeRequest(key=b"k"), RangeResponse)
    assert found == RangeResponse(header=header(1))


def test_ranges_show_count_and_more(kv: Service) -> None:
    """Three keys, limit 2: two rows, all counted, more to come."""
    for key in (b"a", b"b", b"c"):
        put(kv, key, key)
    found = reply(kv, "Range", RangeRequest(key=b"a", range_end=b"\0", limit=2), RangeResponse)
    assert [row.key for row in found.kvs] == [b"a", b"b"]
    assert (found.count, found.more) == (3, True)
    counted = reply(
        kv, "Range", RangeRequest(key=b"a", range_end=b"\0", count_only=True), RangeResponse
    )
    assert counted == RangeResponse(header=header(4), count=3)
    old = reply(kv, "Range", RangeRequest(key=b"a", range_end=b"z", revision=2), RangeResponse)
    assert [row.key for row in old.kvs] == [b"a"]
    assert old.header.revision == 4


@pytest.mark.parametrize(
    ("method", "request_", "text"),
    [
        ("Range", RangeRequest(), "key is not provided"),
        ("Range", RangeRequest(key=b"k", sort_order=3), "invalid sort option"),
        ("Range", RangeRequest(key=b"k", sort_target=9), "invalid sort option"),
        ("Put", PutRequest(value=b"v"), "key is not provided"),
        ("Put", PutRequest(key=b"k", value=b"v", ignore_value=True), "value is provided"),
        ("Put", PutRequest(key=b"k", lease=1, ignore_lease=True), "lease is provided"),
        ("Put", PutRequest(key=b"none", ignore_value=True), "key not found"),
        ("Put", PutRequest(key=b"none", ignore_lease=True), "key not found"),
        ("DeleteRange", DeleteRangeRequest(), "key is not provided"),
        ("Txn", TxnRequest(compare=[Compare()]), "key is not provided"),
        ("Txn", TxnRequest(success=[RequestOp()]), "key not found"),
        ("Txn", TxnRequest(success=[get(b"k")] * 129), "too many operations in txn request"),
        (
            "Txn",
            TxnRequest(success=[RequestOp(request_put=PutRequest(key=b"k"))] * 2),
            "duplicate key given in txn request",
        ),
    ],
)
def test_invalid_arguments(kv: Service, method: str, request_: Message, text: str) -> None:
    """Code InvalidArgument, etcd's words, and the revision has not moved."""
    assert failure(kv, method, request_) == Status(3, f"etcdserver: {text}")
    assert put(kv, b"next").header.revision == 2


def test_leases_do_not_exist_yet(kv: Service) -> None:
    """A put with a lease is refused as one with a lease that has expired, key or no key."""
    expected = Status(5, "etcdserver: requested lease not found")
    assert failure(kv, "Put", PutRequest(key=b"k", lease=5)) == expected
    assert failure(kv, "Put", PutRequest(key=b"k", lease=5, ignore_value=True)) == expected


def test_revisions_that_cannot_be_read(kv: Service) -> None:
    """Compacted and future ones, by Range and inside a txn; the compacted one itself is fine."""
    compacted = Status(11, "etcdserver: mvcc: required revision has been compacted")
    future = Status(11, "etcdserver: mvcc: required revision is a future revision")
    for _ in range(4):
        put(kv, b"k")
    reply(kv, "Compact", CompactionRequest(revision=4), CompactionResponse)
    for revision, expected in ((3, compacted), (6, future)):
        assert failure(kv, "Range", RangeRequest(key=b"k", revision=revision)) == expected
        txn = TxnRequest(success=[get(b"k", revision=revision)])
        assert failure(kv, "Txn", txn) == expected
        assert failure(kv, "Compact", CompactionRequest(revision=revision)) == expected
    assert failure(kv, "Compact", CompactionRequest(revision=4)) == compacted
    found = reply(kv, "Range", RangeRequest(key=b"k", revision=4), RangeResponse)
    assert found.kvs[0].version == 3


def test_a_request_over_the_limit_is_too_large(tmp_path: Path) -> None:
    """The limit itself passes, a byte more does not, whatever the method; fields come first."""
    member = FakeMember(tmp_path / "db", Limits(request_bytes_max=100))
    kv = kv_service(member)
    fits = PutRequest(key=b"k", value=b"v" * 95)
    assert len(fits.SerializeToString()) == 100
    reply(kv, "Put", fits, PutResponse)
    large = PutRequest(key=b"k", value=b"v" * 96)
    expected = Status(3, "etcdserver: request is too large")
    assert failure(kv, "Put", large) == expected
    assert failure(kv, "DeleteRange", DeleteRangeRequest(key=b"k" * 99)) == expected
    assert failure(kv, "Txn", TxnRequest(success=[RequestOp(request_put=large)])) == expected
    nothing = PutRequest(value=b"v" * 99)
    assert failure(kv, "Put", nothing).message == "etcdserver: key is not provided"
    member.backend.close()


@pytest.mark.parametrize("method", ["Range", "Put", "DeleteRange", "Txn", "Compact"])
def test_bytes_that_are_no_message(kv: Service, member: FakeMember, method: str) -> None:
    """What grpc-go answers when it cannot unmarshal; nothing reaches the member."""
    status = failure(kv, method, b"\xff\xff\xff")
    assert status.code == 13
    assert status.message.startswith("grpc: error unmarshalling request: ")
    assert member.asked == []


def test_which_way_each_request_goes(kv: Service, member: FakeMember) -> None:
    """Writes go through the log, reads past it, and serializable ones past the quorum too."""
    exact, quick = get(b"k"), get(b"k", serializable=True)
    write = RequestOp(request_put=PutRequest(key=b"k"))
    nested = RequestOp(request_txn=TxnRequest(success=[exact]))
    expected: list[tuple[str, Message, str]] = [
        ("Range", RangeRequest(key=b"k"), "linearize"),
        ("Range", RangeRequest(key=b"k", serializable=True), "read_local"),
        ("Put", PutRequest(key=b"k"), "propose"),
        ("DeleteRange", DeleteRangeRequest(key=b"k"), "propose"),
        ("Compact", CompactionRequest(revision=1), "propose"),
        ("Txn", TxnRequest(success=[exact]), "linearize"),
        ("Txn", TxnRequest(success=[quick], failure=[exact]), "linearize"),
        ("Txn", TxnRequest(success=[quick], failure=[quick]), "read_local"),
        ("Txn", TxnRequest(), "read_local"),
        ("Txn", TxnRequest(success=[exact], failure=[write]), "propose"),
        ("Txn", TxnRequest(success=[nested]), "propose"),
    ]
    for method, request, way in expected:
        member.asked.clear()
        answer = start(kv, method, request).answer
        assert isinstance(answer, bytes), (method, answer)
        assert member.asked == [way], (method, request)


def test_a_read_only_txn(kv: Service) -> None:
    """Answered outside the log with a whole header and etcd's inner ones."""
    put(kv, b"k", b"v")
    compare = Compare(key=b"k", target=Compare.VALUE, value=b"v")
    request = TxnRequest(compare=[compare], success=[get(b"k")], failure=[get(b"x")])
    response = reply(kv, "Txn", request, TxnResponse)
    assert response.header == header(2)
    assert response.succeeded
    inner = response.responses[0].response_range
    assert inner.header == ResponseHeader(revision=2)
    assert inner.kvs[0].value == b"v"


def test_headers_of_reads_follow_the_members_term(kv: Service, member: FakeMember) -> None:
    """The term of the moment of the answer, not of the start."""
    put(kv, b"k")
    member.raft_term = 300
    found = reply(kv, "Range", RangeRequest(key=b"k"), RangeResponse)
    assert found.header == header(2, term=300)


def test_compaction_that_is_not_physical_answers_at_once(kv: Service, member: FakeMember) -> None:
    """Removal has not begun, and the client has its answer; the revision is not moved."""
    put(kv, b"k")
    response = reply(kv, "Compact", CompactionRequest(revision=2), CompactionResponse)
    assert response == CompactionResponse(header=header(2))
    assert member.asked == ["propose", "propose"]


def test_a_physical_compaction_waits_for_the_removal(kv: Service, member: FakeMember) -> None:
    """No answer until the data is gone, then the one that applying made."""
    put(kv, b"k")
    call = start(kv, "Compact", CompactionRequest(revision=2, physical=True))
    assert call.answers == []
    member.finish_compaction()
    assert call.answer == CompactionResponse(header=header(2)).SerializeToString()


def test_a_refused_physical_compaction_answers_at_once(kv: Service, member: FakeMember) -> None:
    """There is no removal to wait for."""
    status = failure(kv, "Compact", CompactionRequest(revision=9, physical=True))
    assert status.code == 11
    assert "when_compacted" not in member.asked


@pytest.mark.parametrize(
    "error",
    [RequestTimeout("t"), Stopped("s"), TooManyRequests("m"), LeaderChanged("c")],
)
def test_what_the_member_answers_with_reaches_the_client(
    kv: Service, member: FakeMember, error: RaftKVError
) -> None:
    """Errors of proposals and of both kinds of reads, by their own status."""
    member.error = error
    expected = status_of(error)
    assert failure(kv, "Put", PutRequest(key=b"k")) == expected
    assert failure(kv, "Range", RangeRequest(key=b"k")) == expected
    assert failure(kv, "Range", RangeRequest(key=b"k", serializable=True)) == expected
    assert failure(kv, "Txn", TxnRequest(success=[get(b"k")])) == expected


def test_a_cancelled_put_still_happens(kv: Service, member: FakeMember) -> None:
    """The client goes away after the proposal: the write is in the log and is applied."""
    member.hold = True
    call = start(kv, "Put", PutRequest(key=b"k"))
    call.cancelled = True
    member.release()
    assert member.store.get(b"k") is not None


def test_a_cancelled_read_is_not_read(
    kv: Service, member: FakeMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that left while its read waited costs no range."""
    member.hold = True
    call = start(kv, "Range", RangeRequest(key=b"k"))
    call.cancelled = True
    monkeypatch.setattr(member.store, "range", None)
    member.release()
    assert call.answers == []


def test_a_bug_in_one_read_is_that_calls_answer(
    kv: Service,
    member: FakeMember,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The member's loop sees no exception, the client no detail, and the log has the traceback."""

    def broken(query: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(member.store, "range", broken)
    member.hold = True
    call = start(kv, "Range", RangeRequest(key=b"k"))
    member.release()
    status = call.answer
    assert isinstance(status, Status)
    assert status.code == 13
    assert "secret" not in status.message
    assert "ZeroDivisionError: secret" in caplog.text


def test_calls_that_require_a_leader(kv: Service, member: FakeMember) -> None:
    """Without a leader they fail at once; those that do not ask go on."""
    member.leader_id = 0
    asks = FakeCall({"hasleader": "true"})
    request = RangeRequest(key=b"k", serializable=True)
    assert start(kv, "Range", request, asks).answer == Status(14, "etcdserver: no leader")
    for metadata in ({}, {"hasleader": "false"}):
        assert isinstance(start(kv, "Range", request, FakeCall(metadata)).answer, bytes)
    member.leader_id = 5
    assert isinstance(start(kv, "Range", request, FakeCall({"hasleader": "true"})).answer, bytes)
