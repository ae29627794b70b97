"""HTTP/1.1 on the gRPC port: requests good, pipelined, malformed and too large."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from raftkv.wire.http1 import Http1Protocol
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen
from raftkv.wire.service import HttpRequest, HttpResponse
from tests.wire.conftest import http_echo
from tests.wire.waiting import speaking, until

SECONDS = 10


@pytest.fixture
def limits() -> WireLimits:
    return WireLimits(http_body_bytes_max=1000, http_request_seconds_max=0.3)


async def exchange(listener: Listener, *parts: bytes, half_close: bool = False) -> bytes:
    """Everything the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    async with asyncio.timeout(SECONDS):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if half_close:
            writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


def get(path: str = "/x", *headers: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: h", *headers, "", "")).encode()


async def test_get(listener: Listener) -> None:
    """A request gets the handler's answer, with its length and headers."""
    answer = await exchange(listener, get("/a?b=c", "Connection: close"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"x-host: h" in head
    assert body == b"GET /a?b=c 0\n"


async def test_pipelined(listener: Listener) -> None:
    """Requests that come in one packet are answered in order."""
    parts = get("/1") + get("/2") + get("/3", "Connection: close")
    answer = await exchange(listener, parts)
    assert [answer.index(b"GET /%d" % n) for n in (1, 2, 3)] == sorted(
        answer.index(b"GET /%d" % n) for n in (1, 2, 3)
    )


async def test_body_in_pieces(listener: Listener) -> None:
    """Bodies arrive with a length or in chunks, in any pieces."""
    head = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"
    answer = await exchange(listener, head[:20], head[20:], b"01234", b"56789")
    assert answer.endswith(b"POST /p 10\n")
    head = b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = await exchange(listener, head, b"3\r\nabc\r\n", b"4\r\nabcd\r\n0\r\n\r\n")
    assert answer.endswith(b"POST /p 7\n")


async def test_expect_continue(listener: Listener) -> None:
    """A client that waits for 100 Continue gets it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(
        b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    async with asyncio.timeout(SECONDS):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"hi")
        assert (await reader.readuntil(b"POST /p 2\n")).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("version", [b"9.9", b"1.1"])
async def test_a_refused_head_has_no_body(
    listener: Listener, caplog: pytest.LogCaptureFixture, version: bytes
) -> None:
    """HEAD is answered without a body when it is refused, too: for its version, or its body."""
    body = b"" if version == b"9.9" else b"Transfer-Encoding: chunked\r\n"
    data = b"HEAD / HTTP/%s\r\nHost: h\r\n%s\r\nzz\r\n" % (version, body)
    answer = await exchange(listener, data)
    assert answer.split(b" ")[1] in (b"505", b"400")
    assert answer.endswith(b"\r\n\r\n")
    assert caplog.records == []


async def test_head_and_http_1_0(listener: Listener) -> None:
    """HEAD has a length and no body; HTTP/1.0 closes after its answer."""
    request = b"HEAD /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    answer = await exchange(listener, request)
    assert b"content-length: 10\r\n" in answer.lower()
    assert answer.endswith(b"\r\n\r\n")
    assert (await exchange(listener, b"GET / HTTP/1.0\r\n\r\n")).endswith(b"GET / 0\n")


async def test_half_closed_client_gets_its_answer(listener: Listener) -> None:
    """A client that ends its side after the request still hears the answer."""
    assert (await exchange(listener, get(), half_close=True)).endswith(b"GET /x 0\n")


@pytest.mark.parametrize("goes", ["ends its side", "closes", "closes behind much"])
async def test_waiting_for_a_client_that_has_gone_is_given_up(goes: str) -> None:
    """A handler that may wait for ever, as a lock's does, is cancelled; what was pipelined behind
    it does not hide that nobody is there."""
    waits, given_up = asyncio.Event(), asyncio.Event()

    async def wait(_: HttpRequest) -> HttpResponse:
        waits.set()
        try:
            return await asyncio.Future[HttpResponse]()
        finally:
            given_up.set()

    limits = WireLimits(http_half_closed_seconds_max=0.1, http_request_seconds_max=1)
    listener = await listen([], wait, ("127.0.0.1", 0), limits)
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(get() + get())
    async with asyncio.timeout(SECONDS):
        await waits.wait()
        writer.write(get())
        if goes == "closes behind much":
            writer.write(get() * 20_000)
        if goes.startswith("closes"):
            writer.close()
        else:
            writer.write_eof()
        await given_up.wait()
    await until(lambda: listener.connections == 0)
    writer.close()
    await listener.close(0)


async def test_what_is_pipelined_behind_a_slow_request_is_bounded() -> None:
    """Past the limit nothing is read; the answers come all the same, in order."""
    go = asyncio.Event()

    async def slow(request: HttpRequest) -> HttpResponse:
        await go.wait()
        return HttpResponse(200, b"%d;" % len(request.body))

    limits = WireLimits(http_unread_bytes_max=1_000)
    listener = await listen([], slow, ("127.0.0.1", 0), limits)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000
    writer.write(get())
    http1 = await speaking(listener, Http1Protocol)
    await until(lambda: http1._task is not None)
    writer.write(post * 100)
    await until(lambda: not http1._transport.is_reading())
    assert http1._pipelined_bytes < 1_000_000
    go.set()
    async with asyncio.timeout(SECONDS):
        await reader.readuntil(b"0;")
        for _ in range(100):
            await reader.readuntil(b"50000;")
    writer.close()
    await listener.close(0)


async def test_big_answer(listener: Listener) -> None:
    """An answer larger than every buffer arrives whole."""
    answer = await exchange(listener, get("/big", "Connection: close"))
    assert answer.endswith(b"b" * 3_000_000)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nBad Header: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"505"),
        (b"GET /" + b"a" * 70_000, b"431"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 70_000, b"431"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, b"413"),
        (b"GET /fail HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b"500"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"408"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc", b"408"),
    ],
)
async def test_refused(listener: Listener, data: bytes, status: bytes) -> None:
    """What cannot be served gets its status, if a status is possible, and the connection ends."""
    answer = await exchange(listener, data)
    if status == b"408" and data.endswith(b"\r\n"):
        assert answer == b""  # no whole request to answer
    else:
        assert answer.startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("data", [b"", b"\0", b"P", b"PRI * HTTP/2.0\r\n", b"\xff" * 3])
async def test_half_open(data: bytes) -> None:
    """A connection that never gets as far as a request is closed in time."""
    limits = WireLimits(preface_seconds_max=0.1, http_request_seconds_max=0.1)
    listener = await listen([], None, ("127.0.0.1", 0), limits)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(data)
    async with asyncio.timeout(SECONDS):
        with contextlib.suppress(ConnectionResetError):
            answer = await reader.read()
            assert answer == b"" or data[:1] not in (b"", b"P")
    writer.close()
    await listener.close(0)


async def test_close_answers_what_is_under_way(listener: Listener) -> None:
    """A graceful close ends idle connections at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(get())
    async with asyncio.timeout(SECONDS):
        await reader.readuntil(b"GET /x 0\n")
        await listener.close(grace_seconds=SECONDS)
        assert await reader.read() == b""
    writer.close()


async def test_pipelining_without_reading_is_bounded(listener: Listener) -> None:
    """A peer that asks for much and reads nothing gets one answer ahead, not all of them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(get("/big") * 50)
    http1 = await speaking(listener, Http1Protocol)
    await until(lambda: http1._write_paused)
    for _ in range(500):
        await asyncio.sleep(0)
        assert http1._transport.get_write_buffer_size() < 3_100_000
    async with asyncio.timeout(SECONDS):
        for _ in range(50):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(3_000_000)
    writer.close()


async def test_peer_that_never_takes_its_answer() -> None:
    """An answer that does not move for too long ends the connection."""
    limits = WireLimits(stall_seconds_max=0.2)
    listener = await listen([], http_echo, ("127.0.0.1", 0), limits)
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(get("/big") * 10)
    await until(lambda: listener.connections == 1)
    await until(lambda: listener.connections == 0)
    writer.close()
    await listener.close(0)
