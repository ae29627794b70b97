"""HTTP/2 over real sockets: slow and silent peers, plain HTTP over HTTP/2, TLS, garbage."""

from __future__ import annotations

import asyncio
import random

import hpack
import pytest

from raftkv.wire import frames
from raftkv.wire.frames import ErrorCode
from raftkv.wire.http2 import Http2Protocol
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen
from tests.wire.conftest import http_echo
from tests.wire.raw import call_fields, message
from tests.wire.services import make_service
from tests.wire.waiting import speaking, until

SECONDS = 10


class Peer:
    """A client with a socket and no manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.encoder = hpack.Encoder()

    @classmethod
    async def connect(cls, listener: Listener) -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1 << 16)
        peer = cls(reader, writer)
        writer.write(
            frames.PREFACE + frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: 1 << 30})
        )
        writer.write(frames.window_update(0, 1 << 30))
        return peer

    def call(self, stream_id: int, method: str, data: bytes, flags: int = 1) -> None:
        block = self.encoder.encode(call_fields(method))
        self.writer.write(frames.frame(frames.HEADERS, 4, stream_id, block))
        self.writer.write(frames.frame(frames.DATA, flags, stream_id, message(data)))

    async def frame(self) -> tuple[int, int, int, bytes]:
        async with asyncio.timeout(SECONDS):
            word, flags, stream_id = frames.HEAD.unpack(await self.reader.readexactly(9))
            return word & 0xFF, flags, stream_id, await self.reader.readexactly(word >> 8)

    async def frame_of(self, kind: int) -> tuple[int, int, bytes]:
        while True:
            found, flags, stream_id, payload = await self.frame()
            if found == kind:
                return flags, stream_id, payload

    async def rest(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            try:
                return await self.reader.read()
            except (ConnectionResetError, BrokenPipeError):
                return b""


async def serving(limits: WireLimits) -> Listener:
    return await listen([make_service()], http_echo, ("127.0.0.1", 0), limits)


async def test_slow_reader_costs_bounded_memory() -> None:
    """A client that asks for much and reads nothing: replies stay bounded, by the limit, the
    longest of them, and the one that reached it; requests wait."""
    limits = WireLimits(connection_backlog_bytes_max=1 << 20)
    listener = await serving(limits)
    peer = await Peer.connect(listener)
    for number in range(200):
        peer.call(2 * number + 1, "Grow", b"500000")
    http2 = await speaking(listener, Http2Protocol)
    await until(lambda: http2.connection.output.backlog >= limits.connection_backlog_bytes_max)
    output, transport = http2.connection.output, http2._transport
    for _ in range(1000):
        await asyncio.sleep(0)
        assert output.backlog <= limits.connection_backlog_bytes_max + 2 * 500_005
        assert transport.get_write_buffer_size() <= 2 * limits.socket_buffer_bytes_high + 65_536
    assert len(http2.connection.admission.held) > 100
    got = 0
    while got < 200 * 500_005:
        kind, _, _, payload = await peer.frame()
        got += len(payload) if kind == frames.DATA else 0
    await until(lambda: not http2.connection.streams)
    assert output.backlog == 0
    peer.writer.close()
    await listener.close(0)


async def test_slow_stream_reader_stops_the_handler() -> None:
    """A streaming handler that drains is held back by a client that reads nothing."""
    listener = await serving(WireLimits())
    peer = await Peer.connect(listener)
    peer.call(1, "Burst", b"1000 100000")
    http2 = await speaking(listener, Http2Protocol)
    await until(lambda: http2.connection.output.backlog > 65_536)
    for _ in range(1000):
        await asyncio.sleep(0)
        assert http2.connection.output.backlog <= 65_536 + 100_009
    got = 0
    while got < 1000 * 100_009:
        kind, _, _, payload = await peer.frame()
        got += len(payload) if kind == frames.DATA else 0
    peer.writer.close()
    await listener.close(0)


async def test_peer_that_reads_nothing_is_cut_off() -> None:
    """A full socket that does not move for too long ends the connection."""
    listener = await serving(WireLimits(stall_seconds_max=0.2))
    peer = await Peer.connect(listener)
    for number in range(100):
        peer.call(2 * number + 1, "Grow", b"1000000")
    await until(lambda: listener.connections == 1)
    await until(lambda: listener.connections == 0)
    peer.writer.close()
    await listener.close(0)


async def test_control_flood_without_reading_stops_reading() -> None:
    """Pings from a peer that never reads the acks do not pile up acks."""
    limits = WireLimits(pings_burst=1 << 30, frames_queued_max=100)
    listener = await serving(limits)
    peer = await Peer.connect(listener)
    flood = frames.ping(b"pingping", ack=False) * 1000
    peer.writer.transport.set_write_buffer_limits(high=1 << 16)

    async def ping() -> None:
        while True:
            peer.writer.write(flood)
            await peer.writer.drain()

    task = asyncio.create_task(ping())
    http2 = await speaking(listener, Http2Protocol)
    await until(lambda: http2._reading_paused, 30)
    assert len(http2.connection.output.chunks) < 20_000
    task.cancel()
    peer.writer.transport.abort()
    await until(lambda: listener.connections == 0)
    await listener.close(0)


async def test_silent_peer_is_pinged_and_dropped() -> None:
    """Keepalive: an idle peer is pinged, and dropped when it does not answer."""
    limits = WireLimits(keepalive_interval_seconds=0.1, keepalive_timeout_seconds=0.3)
    listener = await serving(limits)
    peer = await Peer.connect(listener)
    flags, _, payload = await peer.frame_of(frames.PING)
    assert flags == 0
    peer.writer.write(frames.ping(payload, ack=True))
    flags, _, _ = await peer.frame_of(frames.PING)
    assert flags == 0
    await peer.rest()
    await until(lambda: listener.connections == 0)
    peer.writer.close()
    await listener.close(0)


async def test_preface_without_settings_is_dropped() -> None:
    """A peer that stops after the preface is not waited for."""
    listener = await serving(WireLimits(preface_seconds_max=0.1))
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(frames.PREFACE)
    peer = Peer(reader, writer)
    await peer.rest()
    await until(lambda: listener.connections == 0)
    writer.close()
    await listener.close(0)


async def test_garbage_after_preface(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    """Garbage gets a GOAWAY and a closed connection, and leaves nothing in the log."""
    source = random.Random(7)
    for _ in range(20):
        peer = await Peer.connect(listener)
        peer.writer.write(source.randbytes(3000))
        answer = await peer.rest()
        assert b"\x07\0\0\0\0\0" in answer  # a GOAWAY frame's head
        peer.writer.close()
    await until(lambda: listener.connections == 0)
    assert caplog.records == []


async def test_goaway_says_why(listener: Listener) -> None:
    """A protocol error is told with its code and a reason."""
    peer = await Peer.connect(listener)
    peer.writer.write(frames.frame(frames.PING, 0, 0, b"short"))
    _, _, payload = await peer.frame_of(frames.GOAWAY)
    assert int.from_bytes(payload[4:8], "big") == ErrorCode.FRAME_SIZE_ERROR
    assert b"PING of 5 bytes" in payload
    assert await peer.rest() == b""
    peer.writer.close()


async def test_connection_limit() -> None:
    """One connection more than allowed is closed at once."""
    listener = await serving(WireLimits(connections_max=2))
    peers = [await Peer.connect(listener) for _ in range(2)]
    for peer in peers:
        await peer.frame_of(frames.SETTINGS)
    third = await Peer.connect(listener)
    assert await third.rest() == b""
    for peer in (*peers, third):
        peer.writer.close()
    await listener.close(0)


@pytest.mark.parametrize(("path", "status"), [("/x", "200"), ("/fail", "500"), ("/big", "200")])
async def test_plain_http_over_http2(listener: Listener, path: str, status: str) -> None:
    """What is no gRPC call goes to the HTTP handler over HTTP/2 as well."""
    peer = await Peer.connect(listener)
    fields = [(":method", "PUT"), (":scheme", "http"), (":path", path), (":authority", "a")]
    block = peer.encoder.encode(fields)
    peer.writer.write(frames.frame(frames.HEADERS, 4, 1, block))
    peer.writer.write(frames.frame(frames.DATA, 1, 1, b"body"))
    _, _, payload = await peer.frame_of(frames.HEADERS)
    headers = dict(hpack.Decoder().decode(payload))
    assert headers[":status"] == status
    body, flags = b"", 0
    while not flags & frames.END_STREAM:
        flags, _, payload = await peer.frame_of(frames.DATA)
        body += payload
    assert len(body) == int(headers["content-length"])
    peer.writer.close()
