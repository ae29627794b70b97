"""Whole calls with grpcio's client: what a user of the server sees."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc import aio

from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener
from tests.wire.services import ODD_TEXT, Held
from tests.wire.waiting import until

CODE = grpc.StatusCode
SECONDS = 10


async def unary(channel: aio.Channel, method: str, message: bytes, **options: Any) -> bytes:
    call = channel.unary_unary(f"/test.Service/{method}")
    async with asyncio.timeout(SECONDS):
        answer: bytes = await call(message, **options)
        return answer


async def failure(channel: aio.Channel, method: str, message: bytes, **options: Any) -> Any:
    with pytest.raises(aio.AioRpcError) as caught:
        await unary(channel, method, message, **options)
    return caught.value


@pytest.mark.parametrize("method", ["Echo", "Later"])
@pytest.mark.parametrize("size", [0, 1, 16_370, 16_384, 65_535, 1_572_864])
async def test_unary_echo(channel: aio.Channel, method: str, size: int) -> None:
    """Messages around every framing limit come back unchanged, answered at once or later."""
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert await unary(channel, method, message) == message


async def test_many_calls_at_once(channel: aio.Channel) -> None:
    """A thousand calls on one connection each get their own answer."""
    messages = [b"%d" % number for number in range(1000)]
    answers = await asyncio.gather(*(unary(channel, "Later", m) for m in messages))
    assert answers == messages


@pytest.mark.parametrize("text", ["plain", ODD_TEXT, "100%25 %zz", "", "z" * 3000])
async def test_status_message(channel: aio.Channel, text: str) -> None:
    """A status message arrives as it was, whatever is in it."""
    error = await failure(channel, "Fail", b"\x05" + text.encode())
    assert error.code() is CODE.NOT_FOUND
    assert error.details() == text


async def test_raised_error_has_its_services_status(channel: aio.Channel) -> None:
    """A handler's exception becomes what ``status_of`` says."""
    error = await failure(channel, "Refuse", b"no")
    assert (error.code(), error.details()) == (CODE.FAILED_PRECONDITION, "no")


async def test_metadata(channel: aio.Channel) -> None:
    """Metadata reaches the handler, binary values in base64 and repeated ones joined."""
    sent = (("token", "abc"), ("blob-bin", b"\x00\x01\xff"), ("twice", "a"), ("twice", "b"))
    assert await unary(channel, "Metadata", b"token", metadata=sent) == b"abc"
    assert await unary(channel, "Metadata", b"blob-bin", metadata=sent) in (b"AAH/", b"AAH/")
    assert await unary(channel, "Metadata", b"twice", metadata=sent) == b"a,b"
    assert await unary(channel, "Metadata", b"content-type") == b"absent"


async def test_deadline_reaches_the_handler(channel: aio.Channel) -> None:
    """The client's timeout becomes a deadline on the loop's clock."""
    # grpcio rounds timeouts up.
    assert await unary(channel, "Deadline", b"", timeout=100) in (b"100", b"101")
    assert await unary(channel, "Deadline", b"") == b"none"


async def test_changing_timeouts(channel: aio.Channel) -> None:
    """Header blocks that change the dynamic table at every call stay understood."""
    for seconds in range(50, 150):
        answer = int(await unary(channel, "Deadline", b"", timeout=seconds))
        assert seconds <= answer <= seconds * 1.02 + 1  # grpcio rounds timeouts up


async def test_deadline_passes(channel: aio.Channel, held: Held) -> None:
    """An expired call fails for the client, and its handler finds it cancelled."""
    error = await failure(channel, "Hold", b"", timeout=0.1)
    assert error.code() is CODE.DEADLINE_EXCEEDED
    await until(lambda: held.calls[0].cancelled)


async def test_client_cancels_unary(channel: aio.Channel, held: Held) -> None:
    """RST_STREAM marks a unary call cancelled, and a late reply goes nowhere."""
    call = channel.unary_unary("/test.Service/Hold")(b"")
    await asyncio.wait_for(held.arrived.wait(), SECONDS)
    call.cancel()
    await until(lambda: held.calls[0].cancelled)
    held.calls[0].reply(b"late")
    assert await unary(channel, "Echo", b"still here") == b"still here"


async def test_client_cancels_stream(channel: aio.Channel, held: Held) -> None:
    """RST_STREAM cancels the handler's task."""
    call = channel.stream_stream("/test.Service/HoldStream")()
    assert await asyncio.wait_for(call.read(), SECONDS) == b"open"
    call.cancel()
    await asyncio.wait_for(held.cancelled.wait(), SECONDS)


async def test_stream_deadline(channel: aio.Channel, held: Held) -> None:
    """A stream's deadline ends its handler too."""
    call = channel.stream_stream("/test.Service/HoldStream")(timeout=0.2)
    assert await call.code() is CODE.DEADLINE_EXCEEDED
    await asyncio.wait_for(held.cancelled.wait(), SECONDS)


async def test_lost_connection_cancels_everything(listener: Listener, held: Held) -> None:
    """When the client's connection ends, its streams' handlers end."""
    channel = aio.insecure_channel(f"127.0.0.1:{listener.port}")
    call = channel.stream_stream("/test.Service/HoldStream")()
    assert await asyncio.wait_for(call.read(), SECONDS) == b"open"
    await channel.close(None)
    await asyncio.wait_for(held.cancelled.wait(), SECONDS)


async def test_bidi_ping_pong(channel: aio.Channel) -> None:
    """Messages go back and forth one by one, and the half-close ends the call with OK."""
    call = channel.stream_stream("/test.Service/Bidi")()
    for number in range(100):
        await call.write(b"%d" % number)
        assert await call.read() == b"%d" % number
    await call.done_writing()
    assert await call.read() is aio.EOF
    assert await call.code() is CODE.OK


async def test_bidi_big_messages(channel: aio.Channel) -> None:
    """Messages larger than every window pass through a stream both ways."""
    messages = [bytes((n,)) * 1_900_000 for n in range(5)]
    call = channel.stream_stream("/test.Service/Bidi")()

    async def write() -> None:
        for message in messages:
            await call.write(message)
        await call.done_writing()

    writer = asyncio.create_task(write())
    async with asyncio.timeout(SECONDS):
        answers = [answer async for answer in call]
        await writer
    assert answers == messages


async def test_client_streaming(channel: aio.Channel) -> None:
    """Many small and large requests are counted to the byte."""
    sizes = [0, 1, 5, 100_000] * 50

    async def requests() -> Any:
        for size in sizes:
            yield b"c" * size

    call = channel.stream_unary("/test.Service/Count")(requests())
    assert int(await asyncio.wait_for(call, SECONDS)) == sum(sizes)


async def test_server_streaming(channel: aio.Channel) -> None:
    """Three thousand messages of a kilobyte arrive in order."""
    call = channel.unary_stream("/test.Service/Burst")(b"3000 1000")
    async with asyncio.timeout(SECONDS):
        numbers = [int.from_bytes(answer[:4], "big") async for answer in call]
    assert numbers == list(range(3000))


async def test_large_reply(channel: aio.Channel) -> None:
    """A unary answer of 20 MB gets through flow control."""
    answer = await unary(channel, "Grow", b"20000000")
    assert len(answer) == 20_000_000


async def test_stream_error_after_messages(channel: aio.Channel) -> None:
    """What was sent before an error arrives before it."""
    call = channel.stream_stream("/test.Service/BreakOff")()
    await call.write(b"first")
    assert await call.read() == b"first"
    assert await call.code() is CODE.FAILED_PRECONDITION
    assert await call.details() == ODD_TEXT


@pytest.mark.parametrize("method", ["Echo", "Bidi"])
async def test_gzip(channel: aio.Channel, method: str) -> None:
    """Compressed requests are understood."""
    message = b"compress me " * 1000
    call = channel.stream_stream(f"/test.Service/{method}")(compression=grpc.Compression.Gzip)
    await call.write(message)
    await call.done_writing()
    assert await call.read() == message
    assert await call.code() is CODE.OK


async def test_gzip_bomb(channel: aio.Channel, limits: WireLimits) -> None:
    """A small message that inflates past the limit is refused."""
    bomb = b"\0" * (limits.message_bytes_max + 1)
    error = await failure(channel, "Echo", bomb, compression=grpc.Compression.Gzip)
    assert error.code() is CODE.RESOURCE_EXHAUSTED
    expected = f"grpc: received message after decompression larger than max {len(bomb) - 1}"
    assert error.details() == expected


async def test_other_compression(channel: aio.Channel) -> None:
    """An encoding that is not installed is UNIMPLEMENTED, in grpc-go's words."""
    error = await failure(channel, "Echo", b"x" * 1000, compression=grpc.Compression.Deflate)
    assert error.code() is CODE.UNIMPLEMENTED
    text = 'grpc: Decompressor is not installed for grpc-encoding "deflate"'
    assert error.details() == text


async def test_oversized_message(channel: aio.Channel, limits: WireLimits) -> None:
    """A message over the limit is refused as grpc-go does, and the connection lives on."""
    size = limits.message_bytes_max + 1
    error = await failure(channel, "Echo", b"x" * size)
    assert error.code() is CODE.RESOURCE_EXHAUSTED
    expected = f"grpc: received message larger than max ({size} vs. {size - 1})"
    assert error.details() == expected
    assert await unary(channel, "Echo", b"after") == b"after"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/test.Service/Nope", "unknown method Nope for service test.Service"),
        ("/no.Such/Echo", "unknown service no.Such"),
        ("/noslash", 'malformed method name: "/noslash"'),
    ],
)
async def test_unknown_method(channel: aio.Channel, path: str, text: str) -> None:
    """Unknown paths are UNIMPLEMENTED in grpc-go's words."""
    with pytest.raises(aio.AioRpcError) as caught:
        await asyncio.wait_for(channel.unary_unary(path)(b""), SECONDS)
    assert caught.value.code() is CODE.UNIMPLEMENTED
    assert caught.value.details() == text


async def test_peer(channel: aio.Channel, held: Held) -> None:
    """A handler learns its client's address."""
    task = asyncio.ensure_future(channel.unary_unary("/test.Service/Hold")(b""))
    await asyncio.wait_for(held.arrived.wait(), SECONDS)
    host, _, port = held.calls[0].peer.rpartition(":")
    held.calls[0].reply(b"")
    assert host == "127.0.0.1"
    assert int(port) > 0
    await task


async def test_graceful_close(listener: Listener, channel: aio.Channel, held: Held) -> None:
    """A close waits for what is in flight, and its answer still arrives."""
    call = asyncio.ensure_future(channel.unary_unary("/test.Service/Hold")(b"", timeout=SECONDS))
    await asyncio.wait_for(held.arrived.wait(), SECONDS)
    closing = asyncio.create_task(listener.close(grace_seconds=SECONDS))
    await asyncio.sleep(0)
    held.calls[0].reply(b"answered")
    assert await call == b"answered"
    await asyncio.wait_for(closing, SECONDS)
    assert listener.connections == 0


async def test_close_ends_streams_after_grace(
    listener: Listener, channel: aio.Channel, held: Held
) -> None:
    """A stream that outlives the grace is ended with UNAVAILABLE."""
    call = channel.stream_stream("/test.Service/HoldStream")()
    assert await call.read() == b"open"
    await asyncio.wait_for(listener.close(grace_seconds=0.05), SECONDS)
    assert await call.code() is CODE.UNAVAILABLE
    await asyncio.wait_for(held.cancelled.wait(), SECONDS)
