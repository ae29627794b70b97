"""Peers that cost more than they may: each flood ends in GOAWAY ENHANCE_YOUR_CALM."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from raftkv.wire import frames
from raftkv.wire.flood import Bucket
from raftkv.wire.frames import ConnectionFailure, ErrorCode
from raftkv.wire.headers import block_of
from raftkv.wire.limits import WireLimits
from raftkv.wire.service import Service
from tests.wire.raw import CALL_FIELDS, RawClient, call_fields, message
from tests.wire.services import status_of

CALM = ErrorCode.ENHANCE_YOUR_CALM
LIMITS = WireLimits(resets_burst=50, pings_burst=50, settings_burst=20, idle_frames_burst=50)


def client_of(limits: WireLimits = LIMITS) -> RawClient:
    service = Service("test.Service", status_of, {"Echo": lambda m, call: None})
    return RawClient(service, limits)


def resets(client: RawClient) -> Iterator[bytes]:
    for stream_id in range(1, 10_001, 2):
        yield client.call(stream_id, b"x") + frames.rst_stream(stream_id, ErrorCode.CANCEL)


def malformed(client: RawClient) -> Iterator[bytes]:
    for stream_id in range(1, 10_001, 2):
        yield client.headers(stream_id, [("nonsense", "x")])


def made_to_reset(client: RawClient) -> Iterator[bytes]:
    """CVE-2025-8671: the client makes the server reset streams that are being served."""
    for stream_id in range(1, 10_001, 2):
        yield client.call(stream_id, b"x") + frames.window_update(stream_id, frames.WINDOW_MAX)


def pings(client: RawClient) -> Iterator[bytes]:
    for _ in range(5000):
        yield frames.ping(b"pingping", ack=False)


def settings(client: RawClient) -> Iterator[bytes]:
    for _ in range(5000):
        yield frames.settings({})


def empty_data(client: RawClient) -> Iterator[bytes]:
    yield client.headers(1)
    for _ in range(5000):
        yield client.data(1, b"")


def padding(client: RawClient) -> Iterator[bytes]:
    yield client.headers(1)
    for _ in range(5000):
        yield frames.frame(frames.DATA, frames.PADDED, 1, b"\x03\0\0\0")


def priorities(client: RawClient) -> Iterator[bytes]:
    for _ in range(5000):
        yield frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10")


def unknown(client: RawClient) -> Iterator[bytes]:
    for _ in range(5000):
        yield frames.frame(0x20, 0, 0, b"?")


def acks(client: RawClient) -> Iterator[bytes]:
    for _ in range(5000):
        yield frames.SETTINGS_ACK


def old_streams(client: RawClient) -> Iterator[bytes]:
    """Frames that might have crossed our reset, over and over."""
    yield client.headers(1, call_fields("Nope"))
    for _ in range(5000):
        yield client.headers(1)


def continuations(client: RawClient) -> Iterator[bytes]:
    """CVE-2024-27316: a header block that never ends."""
    yield frames.frame(frames.HEADERS, 0, 1, b"\x82")
    for _ in range(5000):
        yield frames.frame(frames.CONTINUATION, 0, 1, b"")


def long_block(client: RawClient) -> Iterator[bytes]:
    yield frames.frame(frames.HEADERS, 0, 1, b"\x82")
    for _ in range(10):
        yield frames.frame(frames.CONTINUATION, 0, 1, b"\x00\x7f\x81\x7e" + b"a" * 16_000)


def header_bomb(client: RawClient) -> Iterator[bytes]:
    """One large entry of the dynamic table, named over and over."""
    yield client.headers(1, [*CALL_FIELDS, ("bomb", "b" * 3000)])
    yield frames.frame(frames.HEADERS, 4, 3, b"\xbe" * 200)


@pytest.mark.parametrize(
    "flood",
    [
        resets,
        malformed,
        made_to_reset,
        pings,
        settings,
        empty_data,
        padding,
        priorities,
        unknown,
        acks,
        old_streams,
        continuations,
        long_block,
        header_bomb,
    ],
)
def test_flood(flood: Callable[[RawClient], Iterator[bytes]]) -> None:
    """A flood is cut off with ENHANCE_YOUR_CALM, and little output was made for it."""
    client = client_of()
    for data in flood(client):
        client.send(data)
        if client.connection.failure is not None:
            break
    assert client.failure == CALM
    assert len(client.sent) < 10_000


def test_patient_client_is_no_flood() -> None:
    """The same frames spread over time are welcome: a ping each 5 s for a day, and cancels."""
    client = client_of()
    for number in range(17_280):
        client.now += 5.0
        client.send(frames.ping(b"pingping", ack=False))
        stream_id = 2 * number + 1
        client.send(client.call(stream_id, b"x"), frames.rst_stream(stream_id, 8))
    assert client.failure is None


def test_pings_beside_answers_are_no_flood() -> None:
    """A client that measures its path with a ping at every answer may do so without end."""
    client = RawClient(limits=LIMITS)
    for number in range(1000):
        client.send(client.call(2 * number + 1, b"x"), frames.ping(b"bdpbdpbd", ack=False))
        client.send(frames.window_update(0, 100)).read()
    assert client.failure is None


def test_bucket_refills() -> None:
    """A bucket gives its burst at once and its rate for ever, and no more."""
    bucket = Bucket("tests", 3, 2.0)
    for _ in range(3):
        bucket.take(0.0)
    with pytest.raises(ConnectionFailure, match="too many tests"):
        bucket.take(0.0)
    bucket.take(0.5)
    with pytest.raises(ConnectionFailure):
        bucket.take(0.6)


def test_buffered_requests_are_bounded() -> None:
    """Unfinished uploads of one connection stay under a limit of their own, all together."""
    client = client_of(WireLimits(buffered_request_bytes_max=100_000))
    for stream_id in range(1, 41, 2):
        client.send(
            client.headers(stream_id), client.data(stream_id, b"\0\0\x10\0\0" + b"x" * 9000)
        )
    client.read()
    refused = [answer for answer in client.answers.values() if answer.code == 8]
    assert len(refused) == 9
    assert client.connection.inflow.buffered_bytes <= 100_000


def test_header_block_cache_is_bounded_and_right() -> None:
    """Blocks that leave the table alone are kept up to a limit; any table change forgets them."""
    client = RawClient(limits=WireLimits(header_blocks_cached_max=4))
    decoder = client.connection._decoder
    for number in range(20):
        fields = [*call_fields(), ("n", f"{number}")]
        block = block_of([(name.encode(), value.encode()) for name, value in fields])
        head = frames.frame(frames.HEADERS, frames.END_HEADERS, 2 * number + 1, block)
        client.send(head, client.data(2 * number + 1, message(b"x"), flags=1))
        assert 1 <= len(decoder.blocks) <= 4
    client.send(client.call(41, b"x", [*call_fields(), ("inserted", "now")]))
    assert not decoder.blocks
    assert all(client.answer(s).code == 0 for s in range(1, 42, 2))
