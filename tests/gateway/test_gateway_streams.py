"""The JSON gateway's streams on real sockets: HTTP/1.1 in chunks, and websockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
import websockets

from raftkv.api.rpc_pb2 import RangeRequest, RangeResponse, WatchRequest, WatchResponse
from raftkv.errors import NoLeader
from raftkv.gateway.json_api import JsonApi
from raftkv.gateway.json_streams import JsonStreams
from raftkv.gateway.target import path_of
from raftkv.rpc.errors import status_of
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen
from raftkv.wire.service import HttpRequest, HttpResponse, Service, Stream, UnaryCall

SECONDS = 10
CREATE = b'{"create_request":{"watch_id":"%d"}}'
HEAD = (
    b"POST /v3/watch HTTP/1.1\r\nHost: h\r\nGrpc-Metadata-Hasleader: true\r\n"
    b"Authorization: secret\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Watch:
    """Answers each create request; id 13 is bad luck, id 99 floods, and id 7 says goodbye."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.ended = asyncio.Event()
        self.backlog_max = 0
        self.flooded = 0

    async def serve(self, stream: Stream) -> None:
        self.metadata = dict(stream.metadata)
        try:
            async for payload in stream:
                watch_id = WatchRequest.FromString(payload).create_request.watch_id
                if watch_id == 13:
                    raise NoLeader("bad luck")
                if watch_id == 7:
                    return
                self._answer(stream, watch_id)
                if watch_id == 99:
                    await self._flood(stream)
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()

    def _answer(self, stream: Stream, watch_id: int, reason: str = "") -> None:
        response = WatchResponse(watch_id=watch_id, created=True, cancel_reason=reason)
        stream.send(response.SerializeToString())

    async def _flood(self, stream: Stream) -> None:
        while True:
            self._answer(stream, 99, "x" * 50_000)
            self.flooded += 1
            self.backlog_max = max(self.backlog_max, stream.backlog)
            await asyncio.sleep(0)
            await stream.drain()


@pytest.fixture
async def watch() -> Watch:
    return Watch()


def ranged(payload: bytes, call: UnaryCall) -> None:
    key = RangeRequest.FromString(payload).key
    call.reply(RangeResponse(count=len(key)).SerializeToString())


@pytest.fixture
async def listener(watch: Watch) -> AsyncIterator[Listener]:
    services = [
        Service("etcdserverpb.Watch", status_of, streams={"Watch": watch.serve}),
        Service("etcdserverpb.KV", status_of, unary={"Range": ranged}),
    ]
    api = JsonApi(services)

    async def http(request: HttpRequest) -> HttpResponse:
        return await api(request, path_of(request.target))

    limits = WireLimits(stall_seconds_max=0.2, http_body_bytes_max=5_000_000)
    streams = JsonStreams(services, api).for_request
    listener = await listen(services, http, ("127.0.0.1", 0), limits, http_streams=streams)
    yield listener
    await listener.close(grace_seconds=0)


class Client:
    """One HTTP/1.1 exchange, chunk by chunk."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.status = 0

    async def open(self, head: bytes) -> None:
        self.writer.write(head)

    def chunk(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def head(self) -> None:
        async with asyncio.timeout(SECONDS):
            lines = await self._reader.readuntil(b"\r\n\r\n")
        self.status = int(lines.split(b" ", 2)[1])

    async def line(self) -> dict[str, Any]:
        """The next chunk, which is one JSON object."""
        async with asyncio.timeout(SECONDS):
            size = int(await self._reader.readline(), 16)
            data = await self._reader.readexactly(size + 2)
        value: dict[str, Any] = json.loads(data) if size else {}
        return value

    async def rest(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            return await self._reader.read()


@pytest.fixture
async def client(listener: Listener) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    yield Client(reader, writer)
    writer.close()


def created(watch_id: int) -> dict[str, Any]:
    return {"result": {"watch_id": str(watch_id), "created": True}}


async def test_both_ways_at_once(client: Client, watch: Watch) -> None:
    """Answers come while the request's body is still being written, in chunks cut anywhere."""
    await client.open(HEAD)
    client.chunk(CREATE % 1)
    await client.head()
    assert client.status == 200
    assert await client.line() == created(1)
    both = CREATE % 2 + b"\n" + CREATE % 3
    for at in range(0, len(both), 7):
        client.chunk(both[at : at + 7])
    assert [await client.line(), await client.line()] == [created(2), created(3)]
    assert watch.metadata == {"hasleader": "true", "token": "secret"}


async def test_a_body_that_ends_leaves_the_stream_open(client: Client, watch: Watch) -> None:
    """As curl sends it: a whole body, and then it listens. When it goes away the watch ends."""
    body = CREATE % 1 + CREATE % 2
    await client.open(b"POST /v3beta/watch?x=y HTTP/1.1\r\nHost: h\r\n")
    client.writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    await client.head()
    assert [await client.line(), await client.line()] == [created(1), created(2)]
    assert not watch.ended.is_set()
    client.writer.transport.abort()
    async with asyncio.timeout(SECONDS):
        await watch.ended.wait()


async def test_an_error_before_the_first_answer_has_a_status(client: Client) -> None:
    """HTTP's, as for a unary call, and the connection ends."""
    await client.open(HEAD)
    client.chunk(CREATE % 13)
    await client.head()
    assert client.status == 503
    text = "etcdserver: no leader"
    assert await client.line() == {"error": text, "code": 14, "message": text}
    assert await client.rest() == b"0\r\n\r\n"


async def test_an_error_afterwards_is_the_last_line(client: Client) -> None:
    """The status was said already."""
    await client.open(HEAD)
    client.chunk(CREATE % 1 + CREATE % 13)
    await client.head()
    assert client.status == 200
    assert await client.line() == created(1)
    assert await client.line() == {"error": {"code": 14, "message": "etcdserver: no leader"}}
    assert await client.rest() == b"0\r\n\r\n"


@pytest.mark.parametrize("bad", [b"[]", b'{"create_request":7}', b'{"create_request":}', b"{]}"])
async def test_what_is_no_request_ends_it(client: Client, bad: bytes) -> None:
    """With the code of a wrong argument."""
    await client.open(HEAD)
    client.chunk(bad)
    await client.head()
    assert client.status == 400
    assert (await client.line())["code"] == 3


@pytest.mark.parametrize("target", [b"//[", b"http://[/v3/x", b"?", b"http://h/v3/watch"])
async def test_a_target_of_any_text_has_a_path(client: Client, target: bytes) -> None:
    """Odd ones are not found, and harm nobody; a proxy's form is understood."""
    await client.open(b"POST " + target + b" HTTP/1.1\r\nHost: h\r\n")
    body = CREATE % 1 + CREATE % 7
    client.writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    await client.head()
    assert client.status == (200 if target.endswith(b"watch") else 404)


async def test_a_body_that_stops_within_an_object(client: Client) -> None:
    """Is told so, rather than taken for an end."""
    await client.open(HEAD)
    client.chunk(b'{"create_')
    client.writer.write(b"0\r\n\r\n")
    await client.head()
    assert "within a JSON object" in (await client.line())["message"]


async def test_an_end_in_order(client: Client) -> None:
    """The last chunk is there, so that a client knows that nothing is missing."""
    await client.open(HEAD)
    client.chunk(CREATE % 1 + CREATE % 7)
    await client.head()
    assert await client.line() == created(1)
    assert await client.rest() == b"0\r\n\r\n"


async def test_a_client_that_does_not_read_is_cut_off(client: Client, watch: Watch) -> None:
    """What waits for it is bounded, and after a while of no movement it is gone."""
    await client.open(HEAD)
    client.chunk(CREATE % 99)
    async with asyncio.timeout(SECONDS):
        await watch.ended.wait()
    assert watch.backlog_max < WireLimits().socket_buffer_bytes_high + 200_000


async def test_an_object_that_never_ends_is_refused(client: Client) -> None:
    """Its limit is that of a request, however it comes."""
    await client.open(HEAD)
    client.chunk(b'{"create_request":{"key":"')
    for _ in range(70):
        client.chunk(b"x" * 65_536)
    await client.head()
    assert client.status == 400
    assert "JSON object of more than" in (await client.line())["message"]


async def test_streams_end_when_the_server_stops(
    listener: Listener, client: Client, watch: Watch
) -> None:
    """At once and in order: a stream has no end of its own to wait for."""
    await client.open(HEAD)
    client.chunk(CREATE % 1)
    await client.head()
    await client.line()
    await listener.close(grace_seconds=SECONDS)
    assert await client.rest() == b"0\r\n\r\n"
    assert watch.ended.is_set()


# --- websockets ----------------------------------------------------------------------------------


def url(listener: Listener, path: str = "/v3/watch") -> str:
    return f"ws://127.0.0.1:{listener.port}{path}"


async def test_a_websocket_is_a_stream(listener: Listener, watch: Watch) -> None:
    """Each message is an object, each answer a message; the token comes as a subprotocol."""
    protocols = [websockets.Subprotocol("Bearer"), websockets.Subprotocol("secret.1")]
    async with websockets.connect(url(listener), subprotocols=protocols) as socket:
        assert socket.subprotocol == "Bearer"
        for number in (1, 2):
            await socket.send((CREATE % number).decode())
            assert json.loads(await socket.recv()) == created(number)
        await socket.send(CREATE % 3)
        assert json.loads(await socket.recv()) == created(3)
        assert watch.metadata == {"token": "Bearer secret.1"}
        pong = await socket.ping()
        async with asyncio.timeout(SECONDS):
            await pong
    async with asyncio.timeout(SECONDS):
        await watch.ended.wait()


async def test_a_websocket_ends_in_order(listener: Listener) -> None:
    """With 1000 when the method ends, after the error where there is one."""
    async with websockets.connect(url(listener)) as socket:
        await socket.send((CREATE % 13).decode())
        assert json.loads(await socket.recv())["code"] == 14
        with pytest.raises(websockets.ConnectionClosedOK):
            await socket.recv()


async def test_a_unary_method_over_a_websocket(listener: Listener) -> None:
    """One message there, one back."""
    async with websockets.connect(url(listener, "/v3/kv/range")) as socket:
        await socket.send('{"key":"Zm9v"}')
        assert json.loads(await socket.recv()) == {"count": "3"}
        with pytest.raises(websockets.ConnectionClosedOK):
            await socket.recv()


async def test_a_message_has_a_limit(listener: Listener) -> None:
    """Larger ones end the websocket with 1009."""
    async with websockets.connect(url(listener)) as socket:
        await socket.send("x" * 6_000_000)
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize(
    "headers",
    [
        b"Upgrade: websocket\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 7\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ],
)
async def test_what_is_no_handshake(client: Client, headers: bytes) -> None:
    """400 before anything else is said."""
    await client.open(b"GET /v3/watch HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n")
    await client.head()
    assert client.status == 400


async def test_frames_that_are_none_end_it(client: Client, watch: Watch) -> None:
    """A frame without a mask breaks the protocol: the connection is gone, and the watch."""
    await client.open(
        b"GET /v3/watch HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await client.head()
    assert client.status == 101
    client.writer.write(b"\x81\x02{}")
    async with asyncio.timeout(SECONDS):
        await watch.ended.wait()


HANDSHAKE = (
    b"GET /v3/watch HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A masked frame of less than 126 bytes, masked with zeros."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + b"\0\0\0\0" + payload


@pytest.mark.parametrize("seed", range(6))
async def test_garbage_harms_nobody(
    listener: Listener, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Sessions with bytes changed, left out and repeated, cut anywhere: each connection ends or
    waits, no error of ours is logged, and the next client is served."""
    random = Random(seed)
    sessions = [
        HANDSHAKE + frame(CREATE % 1) + frame(b"", 9) + frame(CREATE % 2) + frame(b"\x03\xe8", 8),
        HEAD + b"%x\r\n%s\r\n" % (len(CREATE % 1), CREATE % 1) + b"0\r\n\r\n",
    ]
    for _ in range(40):
        data = bytearray(random.choice(sessions))
        for _ in range(random.randrange(4)):
            at = random.randrange(len(data))
            data[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        cut = random.randrange(len(data) + 1)
        writer.write(data[:cut])
        await asyncio.sleep(0)
        writer.write(data[cut:])
        if random.random() < 0.5:
            writer.transport.abort()
        else:
            writer.write_eof()
            async with asyncio.timeout(SECONDS):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            writer.close()
    async with websockets.connect(url(listener)) as socket:
        await socket.send((CREATE % 5).decode())
        assert json.loads(await socket.recv()) == created(5)
    assert not [each for each in caplog.records if each.levelname == "ERROR"], caplog.text
