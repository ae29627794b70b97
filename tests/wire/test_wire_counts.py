"""What came of the calls is counted per method and code; who pings too often is told so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from grpc import StatusCode, aio

from raftkv.wire import frames
from raftkv.wire.calls import CallBook, MethodCounts, SlowCall
from raftkv.wire.frames import ErrorCode
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen
from raftkv.wire.routes import Routes
from tests.wire.raw import RawClient
from tests.wire.services import Held, make_service
from tests.wire.waiting import until


@pytest.fixture
async def slow() -> list[SlowCall]:
    return []


@pytest.fixture
async def book(slow: list[SlowCall]) -> CallBook:
    return CallBook(asyncio.get_running_loop().time, 0.0, slow.append)


@pytest.fixture
async def listener(held: Held, book: CallBook) -> AsyncIterator[Listener]:
    listener = await listen([make_service(held)], None, ("127.0.0.1", 0), calls=book)
    yield listener
    await listener.close(grace_seconds=0)


def counts_of(book: CallBook, method: str) -> MethodCounts:
    return next(counts for counts in book.methods if counts.method == method)


async def test_unary_calls(channel: aio.Channel, book: CallBook, slow: list[SlowCall]) -> None:
    """Started, and handled by code; one that took too long is told with its path and size."""
    call = channel.unary_unary
    for _ in range(3):
        assert await call("/test.Service/Echo")(b"four") == b"four"
    with pytest.raises(aio.AioRpcError) as refused:
        await call("/test.Service/Refuse")(b"no")
    assert refused.value.code() is StatusCode.FAILED_PRECONDITION
    echo, refusal = counts_of(book, "Echo"), counts_of(book, "Refuse")
    assert (echo.started, echo.codes, echo.is_stream) == (3, {0: 3}, False)
    assert (echo.messages_received, echo.messages_sent) == (3, 3)
    assert (refusal.started, refusal.codes) == (1, {0: 0, 9: 1})
    assert [(one.path, one.code, one.response_bytes) for one in slow] == [
        *[("/test.Service/Echo", 0, 4)] * 3,
        ("/test.Service/Refuse", 9, 0),
    ]


async def test_streams(channel: aio.Channel, book: CallBook, slow: list[SlowCall]) -> None:
    """Messages are counted as they pass; a stream is over once, and never slow."""
    stream = channel.stream_stream("/test.Service/Bidi")()
    for number in range(4):
        await stream.write(b"%d" % number)
        await stream.read()
    counts = counts_of(book, "Bidi")
    assert (counts.started, sum(counts.codes.values())) == (1, 0)
    await stream.done_writing()
    assert await stream.code() is StatusCode.OK
    assert (counts.messages_received, counts.messages_sent) == (4, 4)
    assert (counts.is_stream, counts.codes, slow) == (True, {0: 1}, [])


async def test_a_call_that_nobody_waits_for(channel: aio.Channel, book: CallBook) -> None:
    """A deadline that passes is handled with its code, once."""
    with pytest.raises(aio.AioRpcError):
        await channel.unary_unary("/test.Service/Hold")(b"", timeout=0.05)
    counts = counts_of(book, "Hold")
    assert counts.started == 1
    await until(lambda: sum(counts.codes.values()) == 1)
    assert counts.ok == 0


async def test_a_deadline_ends_who_waits(channel: aio.Channel, held: Held) -> None:
    """A method that waits for others hears of it as it hears of a client that has gone."""
    given_up = asyncio.Event()
    asking = channel.unary_unary("/test.Service/Hold")(b"", timeout=0.5)
    await until(lambda: len(held.calls) == 1)
    held.calls[0].when_cancelled(given_up.set)
    with pytest.raises(aio.AioRpcError):
        await asking
    async with asyncio.timeout(20):
        await given_up.wait()


def test_all_methods_are_there_from_the_start() -> None:
    """A method that nobody has called yet is listed with zeros, so that rates can be taken."""
    book = CallBook()
    Routes([make_service()], WireLimits(), calls=book)
    assert {"Echo", "Bidi"} <= {counts.method for counts in book.methods}
    assert all(counts.started == 0 for counts in book.methods)


def pinged(client: RawClient, seconds: float, times: int) -> ErrorCode | None:
    for _ in range(times):
        client.now += seconds
        client.send(frames.ping(b"pingping", ack=False))
    failure = client.connection.failure
    return None if failure is None else failure.code


def test_too_many_pings() -> None:
    """More often than allowed, and more than twice: GOAWAY in grpc-go's words."""
    limits = WireLimits(ping_interval_seconds_min=5.0)
    assert pinged(RawClient(limits=limits), 5.0, 1000) is None
    client = RawClient(limits=limits)
    assert pinged(client, 4.9, 3) is None  # the first has none before it
    assert pinged(client, 4.9, 1) is ErrorCode.ENHANCE_YOUR_CALM
    assert client.connection.failure.reason == "too_many_pings"


def test_pings_after_answers_are_free() -> None:
    """A client measures the path at every answer, as grpc's flow control does."""
    client = RawClient(limits=WireLimits(ping_interval_seconds_min=5.0))
    for number in range(100):
        client.send(client.call(2 * number + 1, b"x"))
        assert pinged(client, 0.001, 1) is None
