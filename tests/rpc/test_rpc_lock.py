"""The Lock and Election services: lines of keys, served in order, that nobody haunts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fake_member import FakeCall, FakeMember, start
from google.protobuf.message import Message
from grpc import aio

from raftkv.api import rpc_pb2 as api
from raftkv.api import v3election_pb2 as election_api
from raftkv.api import v3lock_pb2 as lock_api
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.rpc.election import election_service
from raftkv.rpc.kv import kv_service
from raftkv.rpc.lease import lease_service
from raftkv.rpc.lock import lock_service
from raftkv.rpc.own_calls import OwnCalls
from raftkv.rpc.waiting_calls import WaitingCalls
from raftkv.rpc.watch import watch_service
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import listen
from raftkv.wire.service import Service, Status, UnaryCall
from tests.wire import grpcio_mount

SECONDS = 10


class Desk:
    """As much of the leases' desk as a grant needs."""

    def __init__(self, member: FakeMember) -> None:
        self.book = member.lease_book


class World:
    """A member with its own KV, Watch and Lease, and the two services that stand on them."""

    def __init__(self, path: Path) -> None:
        member = FakeMember(path)
        hub = WatchHub(member.store)
        hub.on_work = lambda: asyncio.get_running_loop().call_soon(hub.catch_up, 1000)
        member.hub, member.random = hub, Random(1)  # type: ignore[attr-defined]
        member.leases = Desk(member)  # type: ignore[attr-defined]
        self.member, self.hub = member, hub
        self.kv = kv_service(member)
        self.lease = lease_service(member)  # type: ignore[arg-type]
        self.own = OwnCalls((self.kv, self.lease, watch_service(member)))  # type: ignore[arg-type]
        self.lock = lock_service(member, self.own)
        self.election = election_service(member, self.own)
        for lease in (1, 2, 3):
            self.ask(self.lease, "LeaseGrant", api.LeaseGrantRequest(TTL=60, ID=lease))

    def ask(self, service: Service, method: str, request: Message) -> FakeCall:
        return start(service, method, request)

    def keys(self, prefix: bytes) -> list[bytes]:
        end = prefix[:-1] + bytes((prefix[-1] + 1,))
        answer = self.ask(self.kv, "Range", api.RangeRequest(key=prefix, range_end=end)).answer
        assert isinstance(answer, bytes)
        return [kv.key for kv in api.RangeResponse.FromString(answer).kvs]

    def take_lock(self, lease: int, name: bytes = b"l") -> FakeCall:
        return self.ask(self.lock, "Lock", lock_api.LockRequest(name=name, lease=lease))

    def campaign(self, lease: int, value: bytes) -> FakeCall:
        request = election_api.CampaignRequest(name=b"e", lease=lease, value=value)
        return self.ask(self.election, "Campaign", request)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "db")
    yield made
    made.member.backend.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - what others do in this loop is awaited
            await asyncio.sleep(0)


async def answer_of(call: FakeCall) -> bytes | Status:
    await until(lambda: call.answers)
    return call.answer


async def locked(call: FakeCall) -> lock_api.LockResponse:
    answer = await answer_of(call)
    assert isinstance(answer, bytes), answer
    return lock_api.LockResponse.FromString(answer)


async def elected(call: FakeCall) -> election_api.CampaignResponse:
    answer = await answer_of(call)
    assert isinstance(answer, bytes), answer
    return election_api.CampaignResponse.FromString(answer)


async def test_a_lock_is_served_in_the_order_of_asking(world: World) -> None:
    """The holder's key is name/lease in hexadecimal; the next gets it when that is deleted, and a
    header no older than that."""
    first = await locked(world.take_lock(1))
    assert first.key == b"l/1"
    second, third = world.take_lock(2), world.take_lock(3)
    await until(lambda: len(world.keys(b"l/")) == 3 and world.hub.watcher_count == 4)
    unlock = lock_api.UnlockRequest(key=first.key)
    answer = await answer_of(world.ask(world.lock, "Unlock", unlock))
    assert isinstance(answer, bytes)
    unlocked = lock_api.UnlockResponse.FromString(answer).header.revision
    got = await locked(second)
    assert (got.key, got.header.revision >= unlocked) == (b"l/2", True)
    assert not third.answers
    assert unlocked > first.header.revision
    world.ask(world.lease, "LeaseRevoke", api.LeaseRevokeRequest(ID=2))
    assert (await locked(third)).key == b"l/3"
    await until(lambda: not world.hub.watcher_count)


async def test_the_holder_may_lock_again(world: World) -> None:
    """The same lease: at once, the same key, no new revision."""
    first, again = await locked(world.take_lock(1)), await locked(world.take_lock(1))
    assert (again.key, again.header.revision) == (first.key, first.header.revision)


async def test_a_waiter_that_goes_away_leaves_no_key(world: World) -> None:
    """Cancelled while it waits, and cancelled while its key is on its way through the log."""
    await locked(world.take_lock(1))
    waiting = world.take_lock(2)
    await until(lambda: world.hub.watcher_count == 2)
    waiting.cancel()
    await until(lambda: world.keys(b"l/") == [b"l/1"])
    await until(lambda: not world.hub.watcher_count)
    asked = len(world.member.asked)
    world.member.hold = True
    entering = world.take_lock(3)
    await until(lambda: len(world.member.asked) > asked)
    entering.cancel()
    world.member.hold = False
    world.member.release()
    before = world.member.store.current_revision
    await until(lambda: world.member.store.current_revision == before + 1)
    assert world.keys(b"l/") == [b"l/1"]


async def test_a_holder_that_cancels_a_second_lock_keeps_the_first(world: World) -> None:
    """It had what it asked for already: nothing is taken back."""
    await locked(world.take_lock(1))
    asked = len(world.member.asked)
    world.member.hold = True
    again = world.take_lock(1)
    await until(lambda: len(world.member.asked) > asked)
    again.cancel()
    world.member.hold = False
    world.member.release()
    await until(lambda: len(asyncio.all_tasks()) == 1)
    await locked(world.take_lock(1))
    assert world.keys(b"l/") == [b"l/1"]


async def test_a_lease_that_ends_ends_the_wait(world: World) -> None:
    """At once, with etcd's words for it; the line goes on."""
    await locked(world.take_lock(1))
    second, third = world.take_lock(2), world.take_lock(3)
    await until(lambda: world.hub.watcher_count == 4)
    world.ask(world.lease, "LeaseRevoke", api.LeaseRevokeRequest(ID=2))
    assert await answer_of(second) == Status(2, "mutex: session is expired")
    world.ask(world.lease, "LeaseRevoke", api.LeaseRevokeRequest(ID=1))
    assert (await locked(third)).key == b"l/3"


async def test_without_a_lease_one_is_granted(world: World) -> None:
    """60 s, nobody renews it; it goes if the caller does."""
    got = await locked(world.take_lock(0))
    lease = int(got.key.partition(b"/")[2], 16)
    granted = world.member.lease_book.get(lease)
    assert granted is not None
    assert granted.ttl_s == 60
    waiting = world.take_lock(0)
    await until(lambda: world.hub.watcher_count == 2)
    waiting.cancel()
    await until(lambda: world.keys(b"l/") == [got.key])
    assert len(world.member.lease_book.leases) == 4


async def test_errors_keep_their_text_and_lose_their_code(world: World) -> None:
    """As in etcd: whatever the inner call meant, this one is Unknown."""
    unknown = await answer_of(world.take_lock(77))
    assert unknown == Status(2, "etcdserver: requested lease not found")
    empty = await answer_of(world.ask(world.lock, "Unlock", lock_api.UnlockRequest()))
    assert empty == Status(2, "etcdserver: key is not provided")
    for method in ("Proclaim", "Resign"):
        nobody = await answer_of(world.ask(world.election, method, election_api.ResignRequest()))
        assert nobody == Status(2, '"leader" field must be provided')
    leader = world.ask(world.election, "Leader", election_api.LeaderRequest(name=b"e"))
    assert await answer_of(leader) == Status(2, "election: no leader")


async def test_an_election(world: World) -> None:
    """Campaign, proclaim, resign, and the next in line leads; a stale leader is told."""
    first = (await elected(world.campaign(1, b"one"))).leader
    assert (first.name, first.key, first.lease) == (b"e", b"e/1", 1)
    second = world.campaign(2, b"two")
    await until(lambda: world.hub.watcher_count == 2)
    proclaim = election_api.ProclaimRequest(leader=first, value=b"uno")
    assert isinstance(await answer_of(world.ask(world.election, "Proclaim", proclaim)), bytes)
    asked = world.ask(world.election, "Leader", election_api.LeaderRequest(name=b"e"))
    answer = await answer_of(asked)
    assert isinstance(answer, bytes)
    assert election_api.LeaderResponse.FromString(answer).kv.value == b"uno"
    again = await elected(world.campaign(1, b"eins"))
    assert again.leader.rev == first.rev
    resign = election_api.ResignRequest(leader=first)
    assert isinstance(await answer_of(world.ask(world.election, "Resign", resign)), bytes)
    assert (await elected(second)).leader.key == b"e/2"
    stale = await answer_of(world.ask(world.election, "Proclaim", proclaim))
    assert stale == Status(2, "election: not leader")
    assert isinstance(await answer_of(world.ask(world.election, "Resign", resign)), bytes)
    assert world.keys(b"e/") == [b"e/2"]


async def test_a_candidate_whose_lease_ends_is_not_elected(world: World) -> None:
    """etcd calls it the leader, for the line before it is empty."""
    await elected(world.campaign(1, b"one"))
    second = world.campaign(2, b"two")
    await until(lambda: world.hub.watcher_count == 2)
    world.ask(world.lease, "LeaseRevoke", api.LeaseRevokeRequest(ID=2))
    assert await answer_of(second) == Status(2, "election: not leader")


class FakeStream:
    """A client that sends one message and listens."""

    deadline: float | None = None
    peer = "127.0.0.1:1"
    peer_common_name = ""
    backlog = 0

    def __init__(self, request: Message) -> None:
        self.metadata: dict[str, str] = {}
        self.request = request.SerializeToString()
        self.told: list[tuple[bytes, bytes]] = []

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield self.request

    def send(self, message: bytes) -> None:
        kv = election_api.LeaderResponse.FromString(message).kv
        self.told.append((kv.key, kv.value))

    async def drain(self) -> None:
        await asyncio.sleep(0)


async def test_observe_tells_every_leader_and_what_it_proclaims(world: World) -> None:
    """From before there is one, over proclaims, to the next."""
    stream = FakeStream(election_api.LeaderRequest(name=b"e"))
    observe: Any = world.election.streams["Observe"]
    observing = asyncio.ensure_future(observe(stream))
    await until(lambda: world.hub.watcher_count == 1)
    first = (await elected(world.campaign(1, b"one"))).leader
    await until(lambda: stream.told)
    await until(lambda: world.hub.watcher_count == 1)
    proclaim = election_api.ProclaimRequest(leader=first, value=b"uno")
    await answer_of(world.ask(world.election, "Proclaim", proclaim))
    second = world.campaign(2, b"two")
    await until(lambda: len(world.keys(b"e/")) == 2)
    resign = election_api.ResignRequest(leader=first)
    await answer_of(world.ask(world.election, "Resign", resign))
    await elected(second)
    await until(lambda: len(stream.told) == 3)
    assert stream.told == [(b"e/1", b"one"), (b"e/1", b"uno"), (b"e/2", b"two")]
    observing.cancel()
    await asyncio.wait([observing])
    await until(lambda: not world.hub.watcher_count)


async def test_inner_calls_speak_for_the_client(world: World) -> None:
    """The client's metadata, peer and deadline reach the services that do the work."""
    seen: list[tuple[object, ...]] = []
    real = world.kv.unary["Txn"]

    def txn(payload: bytes, call: UnaryCall) -> None:
        seen.append((call.metadata, call.deadline, call.peer))
        real(payload, call)

    spied = Service(world.kv.name, world.kv.status_of, unary={**world.kv.unary, "Txn": txn})
    lock = lock_service(world.member, OwnCalls((spied,)))
    call = FakeCall({"token": "t.1"})
    call.deadline, call.peer = 5.0, "10.0.0.1:7"
    start(lock, "Lock", lock_api.LockRequest(name=b"l", lease=1), call)
    await locked(call)
    assert seen == [({"token": "t.1"}, 5.0, "10.0.0.1:7")]


async def test_the_number_of_waiting_calls_is_bounded(world: World) -> None:
    """One more is refused with etcd's "too many requests"; who leaves makes room."""
    waiting = WaitingCalls(waiting_max=1)

    async def forever(payload: bytes, call: UnaryCall) -> bytes:
        await asyncio.get_running_loop().create_future()
        return b""

    service = Service("s", world.kv.status_of, unary={"Wait": waiting.serve(forever)})
    first, second = start(service, "Wait", b""), start(service, "Wait", b"")
    assert second.answer == Status(8, "etcdserver: too many requests")
    first.cancel()
    await until(lambda: not waiting.waiting)
    third = start(service, "Wait", b"")
    assert not third.answers
    third.cancel()
    await until(lambda: not waiting.waiting)


async def test_a_learner_serves_neither(world: World) -> None:
    """With etcd's refusal, as every other write."""
    world.member.serves_as_learner = True
    assert world.take_lock(1).answer == Status(9, "etcdserver: rpc not supported for learner")
    assert world.campaign(1, b"x").answer == Status(9, "etcdserver: rpc not supported for learner")


MOUNTED: tuple[tuple[str, Message], ...] = (
    ("v3lockpb.Lock/Lock", lock_api.LockRequest(name=b"l", lease=1)),
    ("v3lockpb.Lock/Lock", lock_api.LockRequest(name=b"l", lease=1)),
    ("v3lockpb.Lock/Lock", lock_api.LockRequest(name=b"l", lease=77)),
    ("v3lockpb.Lock/Unlock", lock_api.UnlockRequest(key=b"l/1")),
    ("v3lockpb.Lock/Unlock", lock_api.UnlockRequest()),
    ("v3electionpb.Election/Leader", election_api.LeaderRequest(name=b"e")),
    ("v3electionpb.Election/Campaign", election_api.CampaignRequest(name=b"e", lease=2)),
    ("v3electionpb.Election/Leader", election_api.LeaderRequest(name=b"e")),
    ("v3electionpb.Election/Proclaim", election_api.ProclaimRequest(value=b"x")),
    ("v3electionpb.Election/Resign", election_api.ResignRequest()),
)


async def test_both_mounts_give_the_same_answers(tmp_path: Path) -> None:
    """Our wire and grpcio's server, byte for byte."""
    worlds = World(tmp_path / "ours"), World(tmp_path / "theirs")
    ours = await listen([worlds[0].lock, worlds[0].election], None, ("127.0.0.1", 0))
    mounted = [worlds[1].lock, worlds[1].election]
    theirs, port = await grpcio_mount.start(mounted, WireLimits().message_bytes_max)
    answers: list[list[object]] = []
    for at in (ours.port, port):
        async with aio.insecure_channel(f"127.0.0.1:{at}") as channel:
            answers.append([await raw_answer(channel, *each) for each in MOUNTED])
    await ours.close(0)
    await theirs.stop(None)
    for each, first, second in zip(MOUNTED, *answers, strict=True):
        assert first == second, each
    for world in worlds:
        world.member.backend.close()


async def raw_answer(channel: aio.Channel, path: str, request: Message) -> object:
    try:
        return await channel.unary_unary(f"/{path}")(request.SerializeToString(), timeout=SECONDS)
    except aio.AioRpcError as error:
        return error.code(), error.details()
