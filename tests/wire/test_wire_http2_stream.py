"""Plain HTTP streams over HTTP/2: pieces both ways, within the windows."""

from __future__ import annotations

import asyncio

import pytest

from raftkv.wire import frames
from raftkv.wire.connection import Connection
from raftkv.wire.http2_stream import Http2Stream
from raftkv.wire.routes import Head, Routes
from raftkv.wire.service import HttpExchange, HttpHead, HttpRequest, HttpResponse, Status
from raftkv.wire.stream import StreamState
from tests.wire.raw import RawClient
from tests.wire.services import make_service

FIELDS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/v3/watch"),
    (":authority", "h"),
]
SECONDS = 10


async def never(request: HttpRequest) -> HttpResponse:
    raise AssertionError("all is served as a stream here")


class Upper:
    """Says what it hears in capitals; "flood" has it say more than anybody asked for."""

    def __init__(self) -> None:
        self.backlog_max = 0
        self.request: HttpHead | None = None
        self.fails = False

    async def __call__(self, exchange: HttpExchange) -> None:
        self.request = exchange.request
        if self.fails:
            raise RuntimeError("a handler's bug")
        exchange.start(200, "text/plain", {"X-Y": "z"})
        async for piece in exchange:
            if piece == b"flood":
                await self._flood(exchange)
            exchange.send(piece.upper())

    async def _flood(self, exchange: HttpExchange) -> None:
        while True:
            exchange.send(b"f" * 20_000)
            self.backlog_max = max(self.backlog_max, exchange.backlog)
            await exchange.drain()


class StreamClient(RawClient):
    """A raw client whose plain HTTP requests go to one handler."""

    def __init__(self, handler: Upper) -> None:
        super().__init__()
        self.handler = handler
        routes = Routes([make_service()], self.connection.limits, never)
        self.connection = Connection(routes, self.connection.limits, self, "raw")
        self.connection.start()
        self.send(frames.settings({}))

    def open_call(self, connection: Connection, stream_id: int, head: Head) -> StreamState:
        request = HttpHead("POST", head.path.decode(), head.metadata)
        return Http2Stream(connection, stream_id, head, request, self.handler)


@pytest.fixture
async def upper() -> Upper:
    return Upper()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_both_ways_at_once(upper: Upper) -> None:
    """Each piece is answered before the next is sent; the end of one is the end of the other."""
    client = StreamClient(upper)
    client.send(client.headers(1, FIELDS), client.data(1, b"one"))
    await turns()
    answer = client.read().answer(1)
    assert (":status", "200") in answer.headers
    assert ("x-y", "z") in answer.headers
    assert answer.data == b"ONE"
    client.send(client.data(1, b"two"), client.data(1, b"", flags=1))
    await turns()
    assert client.read().answer(1).data == b"ONETWO"
    assert client.connection.streams == {}
    assert upper.request is not None
    assert (upper.request.target, upper.request.headers["host"]) == ("/v3/watch", "h")


async def test_a_slow_reader_is_waited_for(upper: Upper) -> None:
    """What the windows do not let out is bounded by what the handler sends at a time."""
    client = StreamClient(upper)
    client.send(client.headers(1, FIELDS), client.data(1, b"flood"))
    await turns()
    first = len(client.read().answer(1).data)
    assert first == frames.WINDOW_DEFAULT
    low = client.connection.limits.stream_backlog_low_bytes
    assert low < upper.backlog_max <= low + 20_000
    client.send(frames.window_update(0, 200_000), frames.window_update(1, 100_000))
    for _ in range(10):
        client.read()
        await turns()
    assert len(client.answer(1).data) == first + 100_000
    assert upper.backlog_max <= low + 20_000


async def test_unread_pieces_hold_the_window_back(upper: Upper) -> None:
    """A handler that does not read is not sent more than the stream's window."""
    client = StreamClient(upper)
    client.send(client.headers(1, FIELDS), client.data(1, b"flood"))
    await turns()
    stream = client.connection.streams[1]
    before = stream.receive_window
    piece = b"x" * 16_000
    for _ in range(40):
        client.send(client.data(1, piece))
    await turns()
    assert stream.unread_bytes == 640_000
    assert stream.receive_window == before - 640_000
    client.send(frames.rst_stream(1, frames.ErrorCode.CANCEL))
    assert client.connection.inflow.buffered_bytes == 0


async def test_a_bug_and_a_stop_have_a_status(upper: Upper) -> None:
    """500 for a handler that fails before it has begun, 503 for one that is not let begin."""
    client = StreamClient(upper)
    upper.fails = True
    client.send(client.headers(1, FIELDS))
    await turns()
    assert (":status", "500") in client.read().answer(1).headers
    client.send(client.headers(3, FIELDS))
    client.connection.streams[3].end(Status(14, "stopping"))
    assert (":status", "503") in client.read().answer(3).headers
