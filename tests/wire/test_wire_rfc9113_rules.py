"""RFC 9113's rules for what a server does: states, windows, settings, the end; by section number.

What a client must not send is in test_wire_rfc9113_errors.py; docs/http2.md lists all rules.
"""

from __future__ import annotations

import asyncio

import hpack
import pytest

from raftkv.wire import frames
from raftkv.wire.frames import ErrorCode, Setting
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener
from raftkv.wire.service import Service, Status, UnaryCall
from tests.wire.raw import RawClient, call_fields, message
from tests.wire.services import status_of

MAX_ID = frames.STREAM_ID_MAX


def f(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


def holding() -> tuple[RawClient, list[UnaryCall]]:
    """A client of a method that keeps its calls for the test to answer."""
    calls: list[UnaryCall] = []
    service = Service("test.Service", status_of, {"Echo": lambda m, call: calls.append(call)})
    return RawClient(service), calls


async def exchange(listener: Listener, data: bytes) -> bytes:
    """All that the server says to ``data`` until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(data)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


# --- 3: starting ---------------------------------------------------------------------------------


async def test_3_1_an_upgrade_to_h2c_is_ignored(listener: Listener) -> None:
    """3.1: the token h2c in Upgrade is of the past; such a request is one of HTTP/1.1."""
    answer = await exchange(
        listener,
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"upgrade: h2c" not in answer.lower()


async def test_3_4_an_invalid_preface_ends_the_connection(listener: Listener) -> None:
    """3.4: bytes that begin as the preface does and go on otherwise are no HTTP/2."""
    answer = await exchange(listener, b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
    assert not answer.startswith(b"\0\0")


def test_3_4_settings_come_first_and_are_acknowledged() -> None:
    """3.4: the server's SETTINGS come first, and the client's are acknowledged after them."""
    client = RawClient().read()
    first, window, ack = client.control
    assert (first.kind, first.flags) == (frames.SETTINGS, 0)
    announced = dict(frames.read_settings(first.payload))
    assert announced[Setting.MAX_CONCURRENT_STREAMS] == WireLimits().concurrent_streams_max
    assert window.kind == frames.WINDOW_UPDATE
    assert (ack.kind, ack.flags) == (frames.SETTINGS, frames.ACK)


# --- 4: frames ---------------------------------------------------------------------------------


def test_4_1_reserved_bit_and_unused_flags_are_ignored() -> None:
    """4.1: bits without a meaning change nothing."""
    client = RawClient()
    block = client.encoder.encode(call_fields())
    reserved = 1 << 31
    client.send(
        f(frames.SETTINGS, 0xFE, reserved),
        f(frames.HEADERS, 4 | 0xD2, 1 | reserved, block),
        f(frames.DATA, 1 | 0xF6, 1 | reserved, message(b"x")),
        f(frames.PING, 0xFE, reserved, b"abcdefgh"),
    )
    assert client.answer(1).data == message(b"x")
    assert client.failure is None
    assert client.control[-1].flags == frames.ACK


def test_4_1_unknown_frames_are_ignored() -> None:
    """4.1, 5.5: a frame of a type that nobody knows changes nothing, on any stream."""
    client = RawClient()
    client.send(f(0xFA, 0xFF, 0, b"x"), client.headers(1), f(0xFA, 0xFF, 1, b"x"))
    client.send(f(0x0B, 1, 77, b""), client.data(1, message(b"x"), flags=1))
    assert client.answer(1).data == message(b"x")
    assert client.failure is None


def test_4_2_nothing_larger_than_the_peer_takes_is_sent() -> None:
    """4.2: DATA comes in frames of at most the peer's SETTINGS_MAX_FRAME_SIZE."""
    client = RawClient()
    client.send(client.call(1, b"40000", call_fields("Grow"))).read()
    longest, position = 0, 0
    while position < len(client.sent):
        word, _, _ = frames.HEAD.unpack_from(client.sent, position)
        longest = max(longest, word >> 8)
        position += 9 + (word >> 8)
    assert longest == frames.FRAME_BYTES_MIN


@pytest.mark.parametrize("refused", ["stream limit", "malformed", "unknown method"])
def test_4_3_blocks_of_refused_streams_are_decoded(refused: str) -> None:
    """4.3: a block is decoded whatever becomes of its stream, or the two tables would part."""
    client = RawClient(limits=WireLimits(concurrent_streams_max=1))
    fields = call_fields("Nope" if refused == "unknown method" else "Echo")
    if refused == "stream limit":
        client.send(client.headers(1))
    if refused == "malformed":
        fields = [*fields, ("connection", "close")]
    client.send(client.headers(3, [*fields, ("x-new", "in the table now")]))
    client.send(f(frames.RST_STREAM, 0, 1, b"\0\0\0\x08") if refused == "stream limit" else b"")
    fields = call_fields("Metadata")
    client.send(client.call(5, b"x-new", [*fields, ("x-new", "in the table now")]))
    assert client.answer(5).data == message(b"in the table now")


def test_4_3_1_a_smaller_table_of_the_peer_is_honoured() -> None:
    """4.3.1: after the peer's table size falls, the next block starts with a size update, once;
    a decoder that insists on it (RFC 7541, 4.2) can read the answer."""
    for method in ("Echo", "Nope", "Fail", "Grow"):
        client = RawClient()
        client.send(frames.settings({Setting.HEADER_TABLE_SIZE: 100}))
        client.decoder.max_allowed_table_size = 100
        body = b"70000" if method == "Grow" else b"\x05x"
        client.send(client.call(1, body, call_fields(method)))
        client.send(frames.window_update(1, 70_000), frames.window_update(0, 70_000)).read()
        assert client.answer(1).ended, method
        client.send(client.call(3, b"again"))
        assert client.answer(3).data == message(b"again")
        assert client.sent.count(b"\x01\x04\0\0\0\x03\x20") == 0
        client.send(frames.settings({Setting.HEADER_TABLE_SIZE: 0}))
        client.decoder.max_allowed_table_size = 0
        client.send(client.call(5, b"last"))
        assert client.answer(5).data == message(b"last")


def test_4_3_1_the_test_of_that_can_fail() -> None:
    """4.3.1: the decoder of these tests does refuse a block without the size update."""
    client = RawClient()
    client.decoder.max_allowed_table_size = 100
    client.send(client.call(1, b"x"))
    with pytest.raises(hpack.exceptions.InvalidTableSizeError):
        client.read()


# --- 5: streams ----------------------------------------------------------------------------------


def test_5_1_data_after_end_stream() -> None:
    """5.1: DATA on a half-closed stream resets it."""
    client, calls = holding()
    client.send(client.call(1, b"x"), client.data(1, b"more"))
    assert client.answer(1).reset == ErrorCode.STREAM_CLOSED
    assert calls[0].cancelled


def test_5_1_headers_after_end_stream() -> None:
    """5.1: HEADERS on a half-closed stream reset it."""
    client, calls = holding()
    client.send(client.call(1, b"x"), client.headers(1, [("x", "y")], flags=5))
    assert client.answer(1).reset == ErrorCode.STREAM_CLOSED
    assert calls[0].cancelled


def test_5_1_half_closed_takes_priority_window_and_reset() -> None:
    """5.1: WINDOW_UPDATE, PRIORITY and RST_STREAM are no faults on a half-closed stream."""
    client, calls = holding()
    client.send(client.call(1, b"x"), frames.window_update(1, 5))
    client.send(f(frames.PRIORITY, 0, 1, b"\0" * 5)).read()
    assert client.answers == {}
    client.send(frames.rst_stream(1, 8)).read()
    assert client.failure is None
    assert client.answers == {}
    assert calls[0].cancelled


def test_5_1_late_frames_of_a_finished_stream() -> None:
    """5.1: WINDOW_UPDATE and RST_STREAM may cross the end of a stream; PRIORITY always may."""
    client = RawClient()
    client.send(client.call(1, b"x"), frames.window_update(1, 10), frames.rst_stream(1, 8))
    client.send(f(frames.PRIORITY, 0, 1, b"\0" * 5), f(frames.PRIORITY, 0, 9, b"\0" * 5)).read()
    assert client.failure is None
    assert client.answers[1].reset is None


def test_5_1_frames_that_cross_our_reset_are_ignored() -> None:
    """5.1: what was sent before the client read our RST_STREAM is taken silently, but counted
    in the connection's window and in the table of fields."""
    client = RawClient()
    client.send(client.headers(3, call_fields("Nope")))
    assert client.answer(3).reset == ErrorCode.NO_ERROR
    before = client.connection.inflow.window
    client.send(client.data(3, b"late"), client.headers(3, [("x-late", "t")], flags=5)).read()
    assert client.failure is None
    assert client.connection.inflow.window == before - 4
    fields = [*call_fields("Metadata"), ("x-late", "t")]
    client.send(client.call(5, b"x-late", fields))
    assert client.answer(5).data == message(b"t")


def test_5_1_resets_are_remembered_within_a_limit() -> None:
    """5.1: which streams we reset is kept for the newest ones only."""
    limits = WireLimits(resets_remembered_max=3)
    client = RawClient(limits=limits)
    for stream_id in range(1, 21, 2):
        client.send(client.headers(stream_id, call_fields("Nope")))
    assert list(client.connection.output.resets) == [15, 17, 19]


def test_5_1_nothing_follows_the_clients_reset() -> None:
    """5.1, 6.4, 5.4.2: a stream that the client reset gets no frame any more, no RST_STREAM."""
    client, calls = holding()
    client.send(client.call(1, b"x"), frames.rst_stream(1, 8))
    calls[0].reply(b"too late")
    client.send(frames.rst_stream(1, 8)).read()
    assert client.answers == {}
    assert client.failure is None


def test_5_1_2_more_streams_than_announced_are_refused() -> None:
    """5.1.2: one stream more than allowed is refused, and room is made when one ends."""
    calls: list[UnaryCall] = []
    service = Service("test.Service", status_of, {"Echo": lambda m, call: calls.append(call)})
    client = RawClient(service, WireLimits(concurrent_streams_max=2))
    client.send(*(client.call(i, b"x") for i in (1, 3, 5)))
    assert client.answer(5).reset == ErrorCode.REFUSED_STREAM
    calls[0].reply(b"done")
    client.send(client.call(7, b"x"))
    assert len(calls) == 3


# --- 6: the frames -------------------------------------------------------------------------------


@pytest.mark.parametrize("ended_by", ["its answer", "the client's reset"])
def test_6_1_data_on_a_closed_stream(ended_by: str) -> None:
    """6.1: DATA on a stream that the client knows to be closed is reset; others are served."""
    client, calls = holding()
    client.send(client.call(1, b"x"))
    if ended_by == "its answer":
        calls[0].reply(b"done")
    else:
        client.send(frames.rst_stream(1, 8))
    client.send(client.data(1, b"more")).read()
    assert client.answers[1].reset == ErrorCode.STREAM_CLOSED
    assert client.failure is None
    client.answers[1].reset = None
    client.send(client.data(1, b"and more")).read()
    assert client.answers[1].reset is None


def test_6_continuation_and_padding_and_priority() -> None:
    """6.1, 6.2, 6.10: a request in every disguise is the same request."""
    client = RawClient()
    block = client.encoder.encode(call_fields())
    flags = frames.PADDED | frames.PRIORITIZED
    client.send(
        f(frames.HEADERS, flags, 1, b"\x03" + b"\0\0\0\0" + b"\x10" + block[:5] + b"\0" * 3),
        f(frames.CONTINUATION, 0, 1, block[5:9]),
        f(frames.CONTINUATION, 0, 1, b""),
        f(frames.CONTINUATION, 4, 1, block[9:]),
        f(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10"),
        f(frames.DATA, frames.PADDED, 1, b"\x02" + message(b"padded")[:4] + b"\0\0"),
        f(frames.DATA, frames.PADDED, 1, b"\x00" + message(b"padded")[4:]),
        f(frames.DATA, frames.END_STREAM, 1),
    )
    assert client.answer(1).data == message(b"padded")


def test_6_5_3_settings_in_order_then_one_ack() -> None:
    """6.5, 6.5.3: of two values the later holds, unknown ones are ignored, one ack follows."""
    client, calls = holding()
    client.read().control.clear()
    client.send(client.call(1, b"x"))
    payload = b"".join(
        number.to_bytes(2, "big") + value.to_bytes(4, "big")
        for number, value in ((4, 0), (0xAAAA, 7), (4, 8), (3, 0))
    )
    client.send(f(frames.SETTINGS, 0, 0, payload))
    calls[0].reply(b"twenty bytes of text")
    assert client.answer(1).data == message(b"twenty bytes of text")[:8]
    assert [(c.kind, c.flags) for c in client.control] == [(frames.SETTINGS, frames.ACK)]


def test_6_5_2_push_is_never_offered() -> None:
    """6.5.2: a server's SETTINGS do not say ENABLE_PUSH 1, and nothing is pushed."""
    client = RawClient()
    client.send(client.call(1, b"x")).read()
    first = dict(frames.read_settings(client.control[0].payload))
    assert first.get(Setting.ENABLE_PUSH, 0) == 0
    assert all(c.kind != frames.PUSH_PROMISE for c in client.control)


def test_6_7_ping_is_answered() -> None:
    """6.7: a PING comes back as an ack with the same bytes; an ack is not answered."""
    client = RawClient().read()
    client.control.clear()
    client.send(frames.ping(b"abcdefgh", ack=False), frames.ping(b"zzzzzzzz", ack=True)).read()
    assert [(c.kind, c.flags, c.payload) for c in client.control] == [
        (frames.PING, frames.ACK, b"abcdefgh")
    ]


def test_6_8_graceful_goaway() -> None:
    """6.8: GOAWAY twice, the second with the last stream that is served; later ones are ignored,
    their blocks decoded all the same, and a later GOAWAY names no later stream."""
    client = RawClient()
    client.send(client.call(1, b"x"))
    client.connection.control.begin_drain()
    client.send(client.call(3, b"crossed on the way")).read()
    assert client.goaways == [(MAX_ID, 0, b"")]
    ping = client.control[-1]
    client.send(frames.ping(ping.payload, ack=True), client.call(5, b"too late")).read()
    late = client.headers(7) + client.data(7, message(b"in pieces")) + client.data(7, b"", flags=1)
    client.send(late, frames.rst_stream(7, 8)).read()
    assert client.failure == ErrorCode.NO_ERROR
    assert client.goaways[1][:2] == (3, 0)
    assert set(client.answers) == {1, 3}
    client.send(f(frames.PING, 0, 0, b"short"))
    assert client.failure == ErrorCode.FRAME_SIZE_ERROR
    assert [last for last, _, _ in client.goaways] == [MAX_ID, 3, 3]


def test_6_8_a_clients_goaway_ends_no_stream() -> None:
    """6.8: streams that are open when the client says GOAWAY are served to their end."""
    client, calls = holding()
    client.send(client.call(1, b"x"), frames.goaway(0, 0, b"bye"))
    calls[0].reply(b"still")
    assert client.answer(1).data == message(b"still")


def test_7_unknown_error_codes_are_nothing_special() -> None:
    """7: RST_STREAM and GOAWAY with a code that nobody knows work as with any other."""
    client, calls = holding()
    client.send(client.call(1, b"x"), client.call(3, b"y"))
    client.send(frames.rst_stream(1, 0xFFFFFFFF), frames.goaway(0, 0xABCDEF)).read()
    assert calls[0].cancelled
    calls[1].reply(b"still")
    assert client.answer(3).data == message(b"still")
    assert client.failure is None


# --- 8: HTTP -----------------------------------------------------------------------------------


def test_8_1_request_trailers_end_a_stream() -> None:
    """8.1: trailers with END_STREAM end the request."""
    client = RawClient()
    client.send(client.headers(1), client.data(1, message(b"x")))
    client.send(client.headers(1, [("grpc-extra", "1")], flags=5))
    assert client.answer(1).data == message(b"x")


@pytest.mark.parametrize("text", ["", " both ends ", "\n", "a", "\t tab", "50 % of größe "])
def test_8_2_1_fields_that_we_send_are_valid(text: str) -> None:
    """8.2.1, 8.2.2, 8.3.2: answers have lower-case names, no white space at a value's ends, and
    :status before all else, once."""
    service = Service(
        "test.Service", status_of, {"Echo": lambda m, call: call.fail(Status(9, text))}
    )
    client = RawClient(service)
    client.send(client.call(1, b"x"))
    fields = client.answer(1).headers
    assert [name for name, _ in fields if name.startswith(":")] == [":status"]
    assert fields[0][0] == ":status"
    for name, value in fields:
        assert name == name.lower()
        assert value == value.strip()
        assert value.isprintable()
        assert name not in ("connection", "transfer-encoding", "keep-alive", "upgrade")


def test_8_2_3_cookie_crumbs_are_joined() -> None:
    """8.2.3: a cookie in crumbs reaches its handler as one, with "; " between them."""
    client = RawClient()
    crumbs = [("cookie", "a=b"), ("cookie", "c=d"), ("x", "1"), ("x", "2")]
    fields = [*call_fields("Metadata"), *crumbs]
    client.send(client.call(1, b"cookie", fields), client.call(3, b"x", fields))
    assert client.answer(1).data == message(b"a=b; c=d")
    assert client.answer(3).data == message(b"1,2")
