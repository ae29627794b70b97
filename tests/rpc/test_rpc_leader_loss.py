"""Streams that ask for a leader: refused without one, and ended when it is missed for too long."""

from __future__ import annotations

import asyncio

import pytest
from fake_member import FakeMember
from fake_stream import FakeStream, serve

from raftkv.api.rpc_pb2 import RangeRequest, WatchCreateRequest, WatchRequest
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.rpc.kv import kv_service
from raftkv.rpc.lease import lease_service
from raftkv.rpc.maintenance import maintenance_service
from raftkv.rpc.watch import watch_service
from raftkv.server.leader_loss import ELECTION_TIMEOUTS
from raftkv.wire.service import Service, Status

NO_LEADER = Status(14, "etcdserver: no leader")
NOT_FOR_LEARNERS = Status(9, "etcdserver: rpc not supported for learner")
TOKEN = {"hasleader": "true"}
STREAMS = ["Watch", "LeaseKeepAlive", "RangeStream", "Snapshot"]


def service_of(member: FakeMember, method: str) -> Service:
    make = {
        "Watch": watch_service,
        "LeaseKeepAlive": lease_service,
        "RangeStream": kv_service,
        "Snapshot": maintenance_service,
    }[method]
    member.hub = WatchHub(member.store)  # type: ignore[attr-defined]
    return make(member)  # type: ignore[operator, no-any-return]


def ticks(member: FakeMember, count: int) -> None:
    for _ in range(count):
        member.leader_loss.tick(member.leader_id)


@pytest.mark.parametrize("method", STREAMS)
async def test_none_is_opened_without_a_leader(member: FakeMember, method: str) -> None:
    """The same words for all, before anything else is looked at."""
    member.leader_id = 0
    stream = FakeStream([], TOKEN, stays=True)
    assert await serve(service_of(member, method), method, stream) == NO_LEADER
    assert not stream.sent


@pytest.mark.parametrize("method", STREAMS)
async def test_an_open_one_ends_after_three_election_timeouts(
    member: FakeMember, method: str
) -> None:
    """Ticks without a leader, counted anew when one shows up in between; then the same words."""
    stream = FakeStream([], TOKEN, stays=True)
    serving = asyncio.ensure_future(serve(service_of(member, method), method, stream))
    await asyncio.sleep(0)
    patience = ELECTION_TIMEOUTS * member.config.election_timeout_ticks
    member.leader_id = 0
    ticks(member, patience - 1)
    member.leader_id = member.member_id
    ticks(member, 1)
    member.leader_id = 0
    ticks(member, patience - 1)
    await asyncio.sleep(0)
    assert not serving.done()
    ticks(member, 1)
    assert await asyncio.wait_for(serving, 10) == NO_LEADER
    assert not member.leader_loss.waiting


@pytest.mark.parametrize("metadata", [{}, {"hasleader": "false"}])
async def test_a_stream_that_does_not_ask_stays(
    member: FakeMember, metadata: dict[str, str]
) -> None:
    """Whoever can do without a leader is left alone, for ever."""
    stream = FakeStream([], metadata, stays=True)
    serving = asyncio.ensure_future(serve(service_of(member, "Watch"), "Watch", stream))
    await asyncio.sleep(0)
    member.leader_id = 0
    ticks(member, 1_000)
    await asyncio.sleep(0)
    assert not serving.done()
    serving.cancel()


async def test_a_stream_that_its_client_cancels_is_forgotten(member: FakeMember) -> None:
    """Cancelled by the wire, it ends as cancelled and leaves nothing behind."""
    stream = FakeStream([], TOKEN, stays=True)
    serving = asyncio.ensure_future(serve(service_of(member, "Watch"), "Watch", stream))
    await asyncio.sleep(0)
    assert member.leader_loss.waiting == 1
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not member.leader_loss.waiting


@pytest.mark.parametrize("method", ["Watch", "LeaseKeepAlive", "RangeStream"])
async def test_a_learner_serves_no_stream(member: FakeMember, method: str) -> None:
    """But the snapshot; a serializable RangeStream neither, though Range would be served."""
    member.serves_as_learner = True
    request = [RangeRequest(key=b"k", serializable=True)] if method == "RangeStream" else []
    stream = FakeStream(request)
    assert await serve(service_of(member, method), method, stream) == NOT_FOR_LEARNERS


async def test_a_watch_goes_on_when_the_client_has_said_all(member: FakeMember) -> None:
    """As in etcd: a client that closes its half still gets events."""
    service = service_of(member, "Watch")
    create = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
    stream = FakeStream([create])
    serving = asyncio.ensure_future(serve(service, "Watch", stream))
    await asyncio.sleep(0)
    assert len(stream.sent) == 1
    txn = member.store.begin()
    txn.put(b"k", b"v", 0)
    txn.end()
    assert len(stream.sent) == 2
    assert not serving.done()
    serving.cancel()
