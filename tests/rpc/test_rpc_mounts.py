"""etcd's services on our wire and on grpcio's server: the same requests, byte-equal answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from google.protobuf.message import Message
from grpc import aio

from raftkv.api import rpc_pb2 as api
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.rpc.cluster import cluster_service
from raftkv.rpc.kv import kv_service
from raftkv.rpc.maintenance import maintenance_service
from raftkv.rpc.watch import watch_service
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import listen
from raftkv.wire.service import Service
from tests.rpc.fake_member import FakeMember
from tests.rpc.guarded_member import ANN, BOB, ROOT, found
from tests.wire import grpcio_mount

KEYS = (b"a", b"b", b"b/1", b"b/2", b"c")
ENDS = (b"", b"\0", b"b0", b"d")
SECONDS = 10


def services(path: Path) -> list[Service]:
    member = FakeMember(path)
    member.hub = WatchHub(member.store)  # type: ignore[attr-defined]
    return [
        kv_service(member),
        maintenance_service(member),
        cluster_service(member),
        watch_service(member),  # type: ignore[arg-type]
    ]


@pytest.fixture
async def channels(tmp_path: Path) -> AsyncIterator[tuple[aio.Channel, aio.Channel]]:
    """A channel to each mount; each mount has a member of its own, with the same ids."""
    async with mounted(services(tmp_path / "ours"), services(tmp_path / "theirs")) as both:
        yield both


@asynccontextmanager
async def mounted(
    first: Sequence[Service], second: Sequence[Service]
) -> AsyncIterator[tuple[aio.Channel, aio.Channel]]:
    """``first`` on our wire, ``second`` on grpcio's server."""
    ours = await listen(first, None, ("127.0.0.1", 0))
    limit = WireLimits().message_bytes_max
    theirs, port = await grpcio_mount.start(second, limit)
    async with (
        aio.insecure_channel(f"127.0.0.1:{ours.port}") as one,
        aio.insecure_channel(f"127.0.0.1:{port}") as other,
    ):
        yield one, other
    await ours.close(0)
    await theirs.stop(None)


def requests(seed: int, count: int) -> list[tuple[str, Message]]:
    """Reads, writes and mistakes, as a client may send them in a row."""
    random = Random(seed)

    def get() -> api.RangeRequest:
        return api.RangeRequest(
            key=random.choice((b"", *KEYS)),
            range_end=random.choice(ENDS),
            limit=random.randrange(3),
            revision=random.choice((0, 0, 0, 2, 5, 90)),
            sort_order=random.randrange(4),
            sort_target=random.randrange(5),
            keys_only=random.random() < 0.2,
            count_only=random.random() < 0.2,
            serializable=random.random() < 0.5,
        )

    def put() -> api.PutRequest:
        return api.PutRequest(
            key=random.choice((b"", *KEYS)),
            value=random.randbytes(random.randrange(40)),
            prev_kv=random.random() < 0.5,
            ignore_value=random.random() < 0.1,
            lease=random.choice((0, 0, 0, 0, 7)),
        )

    def delete() -> api.DeleteRangeRequest:
        key, end = random.choice(KEYS), random.choice(ENDS)
        return api.DeleteRangeRequest(key=key, range_end=end, prev_kv=random.random() < 0.5)

    def txn() -> api.TxnRequest:
        compare = api.Compare(
            key=random.choice(KEYS), target=random.randrange(4), result=random.randrange(4)
        )
        op = random.choice((get, put, delete))()
        name = {"R": "request_range", "P": "request_put", "D": "request_delete_range"}
        made = api.RequestOp(**{name[type(op).__name__[0]]: op})  # type: ignore[arg-type]
        other = api.RequestOp(request_put=put())
        return api.TxnRequest(compare=[compare], success=[made], failure=[other, made])

    made: list[tuple[str, Message]] = []
    for _ in range(count):
        name, make = random.choice(
            (("KV/Range", get), ("KV/Put", put), ("KV/DeleteRange", delete), ("KV/Txn", txn))
        )
        made.append((name, make()))
    made.append(("KV/Compact", api.CompactionRequest(revision=3)))
    made.append(("KV/Compact", api.CompactionRequest(revision=2)))
    made.append(("Maintenance/HashKV", api.HashKVRequest()))
    made.append(("Maintenance/Status", api.StatusRequest()))
    made.append(("Cluster/MemberList", api.MemberListRequest(linearizable=True)))
    made.append(("Lease/LeaseGrant", api.LeaseGrantRequest(TTL=5)))
    return made


async def ask(
    channel: aio.Channel, method: str, payload: bytes, *metadata: tuple[str, str]
) -> tuple[bytes, int, str]:
    """The answer's own bytes, or the code and the words of the refusal."""
    call = channel.unary_unary(f"/etcdserverpb.{method}")
    try:
        return await asyncio.wait_for(call(payload, metadata=metadata), SECONDS), 0, ""
    except aio.AioRpcError as error:
        return b"", error.code().value[0], error.details() or ""


@pytest.mark.parametrize("seed", range(4))
async def test_unary_answers_are_byte_equal(
    channels: tuple[aio.Channel, aio.Channel], seed: int
) -> None:
    """Every answer and every refusal, in the order of the requests."""
    answered = 0
    for method, request in requests(seed, 120):
        payload = request.SerializeToString()
        first, second = [await ask(channel, method, payload) for channel in channels]
        if method == "Lease/LeaseGrant":
            assert first[1] == second[1] == 12  # grpcio words an unknown service differently
            continue
        assert first == second, (method, request)
        answered += first[1] == 0
    assert answered > 40, answered


async def test_malformed_requests_are_refused_alike(
    channels: tuple[aio.Channel, aio.Channel],
) -> None:
    """Bytes that are no message get the same code and words."""
    for method in ("KV/Put", "KV/Range", "KV/Txn", "Maintenance/HashKV"):
        outcomes = [await ask(channel, method, b"\x0a\xff\xff") for channel in channels]
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][1] == 13


async def watched(channel: aio.Channel) -> list[bytes]:
    """All responses of a stream with three watchers, a refusal, writes, and a cancel."""
    call = channel.stream_stream("/etcdserverpb.Watch/Watch")()
    creates = [
        api.WatchCreateRequest(key=b"a"),
        api.WatchCreateRequest(key=b"b", range_end=b"c", prev_kv=True, watch_id=7),
        api.WatchCreateRequest(key=b"b", filters=[api.WatchCreateRequest.NOPUT]),
        api.WatchCreateRequest(key=b"b", range_end=b"a"),
    ]
    got: list[bytes] = []
    for create in creates:
        await call.write(api.WatchRequest(create_request=create).SerializeToString())
        got.append(await asyncio.wait_for(call.read(), SECONDS))
    for method, request in requests(9, 60):
        if method in ("KV/Put", "KV/DeleteRange"):
            await ask(channel, method, request.SerializeToString())
    cancel = api.WatchCancelRequest(watch_id=7)
    await call.write(api.WatchRequest(cancel_request=cancel).SerializeToString())
    while not api.WatchResponse.FromString(got[-1]).canceled or len(got) == len(creates):
        got.append(await asyncio.wait_for(call.read(), SECONDS))
    await call.done_writing()
    return got


async def test_watch_responses_are_byte_equal(channels: tuple[aio.Channel, aio.Channel]) -> None:
    """Created, events, refused and canceled: the same bytes in the same order."""
    ours, theirs = [await watched(channel) for channel in channels]
    assert ours == theirs
    assert len(ours) > 10


async def chunks(channel: aio.Channel, request: api.RangeRequest) -> tuple[list[bytes], int, str]:
    """The messages of a RangeStream, and how it ended."""
    call = channel.unary_stream("/etcdserverpb.KV/RangeStream")(request.SerializeToString())
    got: list[bytes] = []
    try:
        async with asyncio.timeout(SECONDS):
            async for message in call:
                got.append(message)
    except aio.AioRpcError as error:
        return got, error.code().value[0], error.details() or ""
    return got, 0, ""


async def test_range_streams_are_byte_equal(channels: tuple[aio.Channel, aio.Channel]) -> None:
    """The same chunks, cut alike; merged, they are Range's answer; refusals have the same words."""
    for number in range(50):
        put = api.PutRequest(key=b"k%02d" % number, value=b"v" * 50_000).SerializeToString()
        for channel in channels:
            await ask(channel, "KV/Put", put)
    asked = [
        api.RangeRequest(key=b"k", range_end=b"l"),
        api.RangeRequest(key=b"k", range_end=b"l", limit=33, serializable=True),
        api.RangeRequest(key=b"k", range_end=b"\0", keys_only=True),
        api.RangeRequest(key=b"k", sort_order=api.RangeRequest.DESCEND),
        api.RangeRequest(),
    ]
    for request in asked:
        ours, theirs = [await chunks(channel, request) for channel in channels]
        assert ours == theirs
        whole = api.RangeStreamResponse.FromString(b"".join(ours[0])).range_response
        answer, code, _ = await ask(channels[0], "KV/Range", request.SerializeToString())
        if not ours[1]:
            assert (whole, code) == (api.RangeResponse.FromString(answer), 0)
        assert (len(ours[0]) > 2) == (not ours[1])


async def test_guarded_answers_are_byte_equal(tmp_path: Path) -> None:
    """With auth enabled, as nobody, as each user and with a token that is none: the same requests,
    in the same order, and users, roles and tokens among them."""
    members = [found(tmp_path / "ours"), found(tmp_path / "theirs")]
    assert members[0].tokens == members[1].tokens, "chance is given, so that both may be compared"
    tokens = [members[0].tokens[name] for name in (ANN, BOB, ROOT)]
    random = Random(5)
    asked: list[tuple[str, Message]] = requests(11, 100)[:-1]
    asked += [
        ("Auth/AuthStatus", api.AuthStatusRequest()),
        ("Auth/Authenticate", api.AuthenticateRequest(name="ann", password="ann's")),
        ("Auth/Authenticate", api.AuthenticateRequest(name="ann", password="bob's")),
        ("Auth/UserAdd", api.AuthUserAddRequest(name="new", password="pw")),
        ("Auth/UserGet", api.AuthUserGetRequest(name="ann")),
        ("Auth/UserList", api.AuthUserListRequest()),
        ("Auth/RoleGet", api.AuthRoleGetRequest(role="ann's role")),
        ("Auth/RoleList", api.AuthRoleListRequest()),
        ("Lease/LeaseGrant", api.LeaseGrantRequest(TTL=5)),
        ("Lease/LeaseLeases", api.LeaseLeasesRequest()),
    ]
    every = [list(m.services.values()) for m in members]
    refused = 0
    async with mounted(*every) as channels:
        for method, request in asked:
            payload = request.SerializeToString()
            for token in (*random.sample(tokens, 2), "madeup.1", ""):
                name = random.choice(("token", "authorization"))
                metadata = ((name, token),) if token else ()
                first, second = [await ask(c, method, payload, *metadata) for c in channels]
                assert first == second, (method, request)
                refused += first[1] in (3, 7, 16)
    assert refused > 200, refused
