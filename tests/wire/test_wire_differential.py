"""The same services on our wire and on grpcio's server: the same bytes, codes and messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from grpc import aio

from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import listen
from tests.wire import grpcio_mount
from tests.wire.services import ODD_TEXT, make_service

SECONDS = 10
Outcome = tuple[list[bytes], int, str]

UNARY = [
    ("Echo", b""),
    ("Echo", b"hello"),
    ("Echo", bytes(range(256)) * 1000),
    ("Later", b"later"),
    ("Grow", b"3000000"),
    ("Pieces", b"0 0"),
    ("Pieces", b"2 0"),
    ("Pieces", b"3 5"),
    ("Pieces", b"300 1000"),
    ("Pieces", b"12 264001"),
    ("Pieces", b"9 65536"),
    ("Refuse", ODD_TEXT.encode()),
    ("Refuse", b""),
    ("Metadata", b"token"),
    ("Metadata", b"twice"),
    ("Metadata", b"blob-bin"),
    ("Metadata", b"absent"),
    *(("Fail", bytes((code,)) + ODD_TEXT.encode()) for code in range(1, 17)),
    ("Fail", b"\x05"),
    ("Fail", b"\x03etcdserver: key is not provided"),
]
STREAMS: list[tuple[str, list[bytes]]] = [
    ("Bidi", []),
    ("Bidi", [b"", b"one", b"x" * 300_000, b""]),
    ("Count", [b"a" * 1000] * 20),
    ("Burst", [b"50 20000"]),
    ("Burst", [b"0 0"]),
    ("Alike", [b"1 0 0", b"2 0 7", b"300 7 0", b"1 300000 9", b"90 9000 9"]),
    ("BreakOff", [b"first", b"second"]),
    ("BreakOff", []),
]
METADATA = (("token", "t"), ("twice", "1"), ("twice", "2"), ("blob-bin", b"\x00\xfe"))


@pytest.fixture
async def channels() -> AsyncIterator[tuple[aio.Channel, aio.Channel]]:
    """One channel to our wire and one to grpcio's server."""
    service = make_service()
    limit = WireLimits().message_bytes_max
    ours = await listen([service], None, ("127.0.0.1", 0))
    theirs, port = await grpcio_mount.start([service], limit)
    options = [("grpc.max_receive_message_length", -1)]
    async with (
        aio.insecure_channel(f"127.0.0.1:{ours.port}", options) as first,
        aio.insecure_channel(f"127.0.0.1:{port}", options) as second,
    ):
        yield first, second
    await ours.close(0)
    await theirs.stop(None)


async def unary(channel: aio.Channel, method: str, message: bytes) -> Outcome:
    call = channel.unary_unary(f"/test.Service/{method}")(message, metadata=METADATA, timeout=100)
    answers = []
    try:
        answers.append(await asyncio.wait_for(call, SECONDS))
    except aio.AioRpcError as error:
        return [], error.code().value[0], error.details() or ""
    return answers, 0, ""


async def stream(channel: aio.Channel, method: str, messages: list[bytes]) -> Outcome:
    call = channel.stream_stream(f"/test.Service/{method}")(iter(messages))
    answers = []
    try:
        async with asyncio.timeout(SECONDS):
            async for answer in call:
                answers.append(answer)
    except aio.AioRpcError as error:
        return answers, error.code().value[0], error.details() or ""
    return answers, 0, ""


@pytest.mark.parametrize(("method", "message"), UNARY)
async def test_unary(
    channels: tuple[aio.Channel, aio.Channel], method: str, message: bytes
) -> None:
    """Unary calls have the same outcome on both mounts."""
    ours, theirs = [await unary(channel, method, message) for channel in channels]
    assert ours == theirs


@pytest.mark.parametrize(("method", "messages"), STREAMS)
async def test_streams(
    channels: tuple[aio.Channel, aio.Channel], method: str, messages: list[bytes]
) -> None:
    """Streaming calls have the same outcome on both mounts."""
    ours, theirs = [await stream(channel, method, messages) for channel in channels]
    assert ours == theirs


async def test_oversized(channels: tuple[aio.Channel, aio.Channel]) -> None:
    """Both refuse an oversized message with the same code; the wording is grpc-go's on ours."""
    big = b"x" * (WireLimits().message_bytes_max + 1)
    ours, theirs = [await unary(channel, "Echo", big) for channel in channels]
    assert ours[1] == theirs[1] == 8


async def test_unknown_method(channels: tuple[aio.Channel, aio.Channel]) -> None:
    """Both refuse an unknown method with UNIMPLEMENTED."""
    ours, theirs = [await unary(channel, "Nope", b"") for channel in channels]
    assert ours[1] == theirs[1] == 12
