"""Alarms as entries of the log: who raises, what they stop, and that they are state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from raftkv.api import rpc_pb2 as api
from raftkv.apply.alarm_book import Alarm, AlarmBook, AlarmKind
from raftkv.apply.applier import Applier, Outcome
from raftkv.apply.batch import Batch, RequestKind
from raftkv.apply.cost import put_cost, txn_cost
from raftkv.backend.environment import LmdbBackend
from raftkv.errors import Corrupt, NoSpace
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.store import Store

GET, ACTIVATE, DEACTIVATE = api.AlarmRequest.GET, api.AlarmRequest.ACTIVATE, 2
PUT = api.PutRequest(key=b"k", value=b"v")


class Cluster:
    """One applier, fed with one request per entry."""

    def __init__(self, path: Path) -> None:
        self.backend = LmdbBackend(str(path))
        self.store = Store(self.backend)
        self.applier = Applier(
            self.store, self.backend, LeaseBook(self.backend), cluster_id=1, member_id=2
        )
        self._sequence = 0

    def apply(self, kind: RequestKind, request: Message) -> Outcome:
        self._sequence += 1
        batch = Batch(7, self._sequence, [(int(kind), request.SerializeToString())])
        outcomes = self.applier.apply(self._sequence, 1, batch, want_replies=True)
        assert outcomes is not None
        return outcomes[0]

    def alarm(self, action: int, member: int = 0, kind: int = 0) -> list[tuple[int, int]]:
        request = api.AlarmRequest(action=action, memberID=member, alarm=kind)
        outcome = self.apply(RequestKind.ALARM, request)
        assert isinstance(outcome, bytes), outcome
        reply = api.AlarmResponse.FromString(outcome)
        assert reply.header.revision == self.store.current_revision
        return [(row.memberID, row.alarm) for row in reply.alarms]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "db")
    yield cluster
    cluster.backend.close()


def puts(*keys: bytes) -> list[api.RequestOp]:
    return [api.RequestOp(request_put=api.PutRequest(key=key, value=b"v" * 9)) for key in keys]


def test_raise_list_and_lower(cluster: Cluster) -> None:
    """Each answer lists what etcd's does: the alarm concerned, or nothing when nothing was."""
    assert cluster.alarm(GET) == []
    assert cluster.alarm(ACTIVATE, 5, 1) == [(5, 1)]
    assert cluster.alarm(ACTIVATE, 5, 1) == [(5, 1)]
    assert cluster.alarm(ACTIVATE, 3, 2) == [(3, 2)]
    assert cluster.alarm(ACTIVATE, 3, 0) == []
    assert cluster.alarm(ACTIVATE, 3, 9) == []
    assert cluster.alarm(GET) == [(3, 2), (5, 1)]
    assert cluster.alarm(GET, kind=1) == [(5, 1)]
    assert cluster.alarm(DEACTIVATE, 4, 1) == []
    assert cluster.alarm(DEACTIVATE, 5, 1) == [(5, 1)]
    assert cluster.alarm(DEACTIVATE, 5, 1) == []
    assert cluster.alarm(GET) == [(3, 2)]


def test_alarms_are_in_the_database(cluster: Cluster) -> None:
    """A book that reads the backend anew knows the same alarms, ids of 64 bits too."""
    big = 2**64 - 1
    cluster.alarm(ACTIVATE, big, 1)
    cluster.alarm(ACTIVATE, 0, 2)
    book = AlarmBook(cluster.backend)
    assert book.active() == [Alarm(0, AlarmKind.CORRUPT), Alarm(big, AlarmKind.NOSPACE)]
    assert book.no_space
    assert book.corrupt
    assert book.active()[1].text == f"memberID:{big} alarm:NOSPACE"


def test_nospace_stops_what_puts(cluster: Cluster) -> None:
    """Put, and a Txn with a put in either branch, also a nested one; nothing else; until all
    members' alarms are lowered."""
    nested = api.RequestOp(request_txn=api.TxnRequest(failure=puts(b"n")))
    delete = api.RequestOp(request_delete_range=api.DeleteRangeRequest(key=b"k"))
    cluster.apply(RequestKind.PUT, PUT)
    cluster.alarm(ACTIVATE, 5, 1)
    cluster.alarm(ACTIVATE, 6, 1)
    for _ in range(2):
        assert isinstance(cluster.apply(RequestKind.PUT, PUT), NoSpace)
        for txn in (
            api.TxnRequest(success=puts(b"a")),
            api.TxnRequest(success=[delete], failure=puts(b"a")),
            api.TxnRequest(success=[nested]),
        ):
            assert isinstance(cluster.apply(RequestKind.TXN, txn), NoSpace)
        cluster.alarm(DEACTIVATE, 5, 1)
    assert cluster.store.current_revision == 2
    assert isinstance(cluster.apply(RequestKind.TXN, api.TxnRequest(success=[delete])), bytes)
    request = api.DeleteRangeRequest(key=b"\0", range_end=b"\0")
    assert isinstance(cluster.apply(RequestKind.DELETE_RANGE, request), bytes)
    compact = api.CompactionRequest(revision=3)
    assert isinstance(cluster.apply(RequestKind.COMPACT, compact), bytes)
    cluster.alarm(DEACTIVATE, 6, 1)
    assert isinstance(cluster.apply(RequestKind.PUT, PUT), bytes)


def test_corrupt_stops_every_write(cluster: Cluster) -> None:
    """Put, DeleteRange, Txn and Compact are refused as DataLoss; lowering the alarm is not."""
    cluster.apply(RequestKind.PUT, PUT)
    cluster.alarm(ACTIVATE, 5, 2)
    for kind, request in (
        (RequestKind.PUT, PUT),
        (RequestKind.DELETE_RANGE, api.DeleteRangeRequest(key=b"k")),
        (RequestKind.TXN, api.TxnRequest(success=puts(b"a"))),
        (RequestKind.COMPACT, api.CompactionRequest(revision=2)),
    ):
        assert isinstance(cluster.apply(kind, request), Corrupt)
    assert cluster.store.current_revision == 2
    assert cluster.alarm(DEACTIVATE, 5, 2) == [(5, 2)]
    assert isinstance(cluster.apply(RequestKind.PUT, PUT), bytes)


def test_what_a_request_costs() -> None:
    """256 bytes, the key and the value of a put; the dearer branch of a txn, with what is nested;
    nothing without a put."""
    assert put_cost(api.PutRequest(key=b"abc", value=b"12345")) == 264
    nested = api.RequestOp(request_txn=api.TxnRequest(success=puts(b"a", b"b")))
    txn = api.TxnRequest(success=puts(b"a"), failure=[nested, *puts(b"c")])
    assert txn_cost(txn) == 3 * (256 + 1 + 9)
    assert txn_cost(api.TxnRequest(success=[api.RequestOp(request_range=api.RangeRequest())])) == 0
