"""RFC 9113's errors: what a client must not send, frame by frame, and what it gets for it.

Each case begins with the number of the section that forbids it; docs/http2.md lists them all.
"""

from __future__ import annotations

import pytest

from raftkv.wire import frames
from raftkv.wire.frames import ErrorCode, Setting
from tests.wire.raw import RawClient, call_fields, message

MAX_ID = frames.STREAM_ID_MAX
PING = frames.ping(b"12345678", ack=False)
RST = frames.RST_STREAM
SELF_DEPENDENT = (1).to_bytes(4, "big") + b"\0"


def word(value: int) -> bytes:
    return value.to_bytes(4, "big")


def f(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


def settings(name: str, value: int) -> bytes:
    return frames.settings({Setting[name]: value})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PING, id="ping"),
        pytest.param(frames.SETTINGS_ACK, id="settings-ack"),
        pytest.param(f(frames.HEADERS, 5, 1, b"\x82"), id="headers"),
        pytest.param(f(0xFA, 0, 0, b"x"), id="unknown"),
    ],
)
def test_3_4_the_first_frame_is_settings(data: bytes) -> None:
    """3.4: a connection whose first frame is another one ends."""
    client = RawClient(hello=False)
    client.send(data)
    assert client.failure == ErrorCode.PROTOCOL_ERROR


CONNECTION_ERRORS = [
    ("4.2-frame-over-our-limit", f(frames.DATA, 0, 1, b"x" * 16_385), "FRAME_SIZE_ERROR"),
    ("4.2-known-by-its-head", f(frames.DATA, 0, 1, b"x" * 70_000)[:9], "FRAME_SIZE_ERROR"),
    ("4.2-unknown-type-too", f(0xFA, 0, 0, b"x" * 16_385), "FRAME_SIZE_ERROR"),
    ("4.3-block-that-cannot-be-read", f(frames.HEADERS, 4, 1, b"\x80"), "COMPRESSION_ERROR"),
    ("4.3-interrupted-block", f(frames.HEADERS, 0, 1, b"\x82") + PING, "PROTOCOL_ERROR"),
    (
        "4.3-block-within-a-block",
        f(frames.HEADERS, 0, 1, b"\x82") + f(frames.HEADERS, 4, 3, b"\x82"),
        "PROTOCOL_ERROR",
    ),
    (
        "5.5-unknown-frame-within-a-block",
        f(frames.HEADERS, 0, 1, b"\x82") + f(0xFA, 0, 1, b"x"),
        "PROTOCOL_ERROR",
    ),
    ("5.1-data-on-idle", f(frames.DATA, 0, 5, b"x"), "PROTOCOL_ERROR"),
    ("5.1-rst-on-idle", f(RST, 0, 7, word(8)), "PROTOCOL_ERROR"),
    ("5.1-window-update-on-idle", f(frames.WINDOW_UPDATE, 0, 9, word(1)), "PROTOCOL_ERROR"),
    ("5.1-continuation-on-idle", f(frames.CONTINUATION, 4, 1, b"\x82"), "PROTOCOL_ERROR"),
    ("5.1.1-headers-on-even", f(frames.HEADERS, 4, 2, b"\x82"), "PROTOCOL_ERROR"),
    ("6.1-data-on-0", f(frames.DATA, 0, 0, b"x"), "PROTOCOL_ERROR"),
    ("6.1-padding-too-long", f(frames.DATA, 8, 1, b"\x05ab"), "PROTOCOL_ERROR"),
    ("6.1-padding-as-long-as-all", f(frames.DATA, 8, 1, b"\x03ab"), "PROTOCOL_ERROR"),
    ("6.1-padding-without-length", f(frames.DATA, 8, 1, b""), "PROTOCOL_ERROR"),
    ("6.2-headers-on-0", f(frames.HEADERS, 4, 0, b"\x82"), "PROTOCOL_ERROR"),
    ("6.2-padding-too-long", f(frames.HEADERS, 12, 1, b"\x09ab"), "PROTOCOL_ERROR"),
    ("6.2-too-short-for-priority", f(frames.HEADERS, 0x24, 1, b"abc"), "FRAME_SIZE_ERROR"),
    ("6.2-depends-on-itself", f(frames.HEADERS, 0x24, 1, SELF_DEPENDENT), "PROTOCOL_ERROR"),
    ("6.3-priority-on-0", f(frames.PRIORITY, 0, 0, b"\0" * 5), "PROTOCOL_ERROR"),
    ("6.3-priority-size-on-idle", f(frames.PRIORITY, 0, 9, b"\0" * 4), "FRAME_SIZE_ERROR"),
    ("6.4-rst-on-0", f(RST, 0, 0, word(8)), "PROTOCOL_ERROR"),
    ("6.4-rst-size", f(RST, 0, 1, b"abc"), "FRAME_SIZE_ERROR"),
    ("6.5-settings-ack-payload", f(frames.SETTINGS, 1, 0, b"\0" * 6), "FRAME_SIZE_ERROR"),
    ("6.5-settings-on-stream", f(frames.SETTINGS, 0, 1), "PROTOCOL_ERROR"),
    ("6.5-settings-size", f(frames.SETTINGS, 0, 0, b"abc"), "FRAME_SIZE_ERROR"),
    ("6.5.2-push-neither-0-nor-1", settings("ENABLE_PUSH", 2), "PROTOCOL_ERROR"),
    ("6.5.2-window", settings("INITIAL_WINDOW_SIZE", 1 << 31), "FLOW_CONTROL_ERROR"),
    ("6.5.2-frame-size-low", settings("MAX_FRAME_SIZE", 16_383), "PROTOCOL_ERROR"),
    ("6.5.2-frame-size-high", settings("MAX_FRAME_SIZE", 1 << 24), "PROTOCOL_ERROR"),
    ("6.6-a-client-pushes", f(frames.PUSH_PROMISE, 4, 1, word(2)), "PROTOCOL_ERROR"),
    ("6.7-ping-on-stream", f(frames.PING, 0, 1, b"12345678"), "PROTOCOL_ERROR"),
    ("6.7-ping-size", f(frames.PING, 0, 0, b"123"), "FRAME_SIZE_ERROR"),
    ("6.8-goaway-on-stream", f(frames.GOAWAY, 0, 1, b"\0" * 8), "PROTOCOL_ERROR"),
    ("6.8-goaway-size", f(frames.GOAWAY, 0, 0, b"\0" * 7), "FRAME_SIZE_ERROR"),
    ("6.9-increment-0", f(frames.WINDOW_UPDATE, 0, 0, word(0)), "PROTOCOL_ERROR"),
    ("6.9-reserved-bit-is-no-increment", f(8, 0, 0, word(1 << 31)), "PROTOCOL_ERROR"),
    ("6.9-size", f(frames.WINDOW_UPDATE, 0, 0, b"abc"), "FRAME_SIZE_ERROR"),
    ("6.9.1-window-over-2^31-1", f(8, 0, 0, word(MAX_ID)), "FLOW_CONTROL_ERROR"),
    (
        "6.10-continuation-elsewhere",
        f(frames.HEADERS, 0, 1, b"\x82") + f(frames.CONTINUATION, 4, 3, b""),
        "PROTOCOL_ERROR",
    ),
    (
        "6.10-continuation-on-0",
        f(frames.HEADERS, 0, 1, b"\x82") + f(frames.CONTINUATION, 4, 0, b""),
        "PROTOCOL_ERROR",
    ),
    (
        "6.10-after-the-end-of-a-block",
        f(frames.HEADERS, 4, 1, b"\x82") + f(frames.CONTINUATION, 4, 1, b"\x84"),
        "PROTOCOL_ERROR",
    ),
]


@pytest.mark.parametrize(
    ("data", "code"), [pytest.param(d, c, id=i) for i, d, c in CONNECTION_ERRORS]
)
def test_connection_error(data: bytes, code: str) -> None:
    """5.4.1: what breaks the connection is answered with GOAWAY, and nothing is read after it."""
    client = RawClient()
    client.send(data)
    assert client.failure == ErrorCode[code]
    client.send(client.call(11, b"ignored")).read()
    assert 11 not in client.answers


def test_5_1_data_on_an_even_stream() -> None:
    """5.1: even streams are the server's to open, and idle for ever, whatever ids are in use."""
    client = RawClient()
    client.send(client.call(9, b"x"), client.data(4, b"x"))
    assert client.failure == ErrorCode.PROTOCOL_ERROR


def test_5_1_1_an_older_stream_is_not_opened() -> None:
    """5.1.1: HEADERS for an id that was passed over, or was closed by the client, end all."""
    for closed in (3, 5):
        client = RawClient()
        client.send(client.call(5, b"x"), client.call(closed, b"y"))
        assert client.failure == ErrorCode.PROTOCOL_ERROR
        assert client.goaways[-1][0] == 5
        assert set(client.answers) == {5}


STREAM_ERRORS = [
    ("8.1-trailers-without-end", f(frames.HEADERS, 4, 1, b"\0\x01a\x01b"), "PROTOCOL_ERROR"),
    ("6.3-priority-size", f(frames.PRIORITY, 0, 1, b"\0" * 4), "FRAME_SIZE_ERROR"),
    ("6.9-increment-0", f(frames.WINDOW_UPDATE, 0, 1, word(0)), "PROTOCOL_ERROR"),
    ("6.9.1-over-2^31-1", f(frames.WINDOW_UPDATE, 0, 1, word(MAX_ID)), "FLOW_CONTROL_ERROR"),
    ("8.1-pseudo-header-in-trailers", f(frames.HEADERS, 5, 1, b"\x82"), "PROTOCOL_ERROR"),
    ("8.1-connection-field-in-trailers", f(1, 5, 1, b"\0\x07upgrade\x01x"), "PROTOCOL_ERROR"),
]


@pytest.mark.parametrize(("data", "code"), [pytest.param(d, c, id=i) for i, d, c in STREAM_ERRORS])
def test_stream_error(data: bytes, code: str) -> None:
    """5.4.2: what breaks one stream is answered with RST_STREAM, and the connection lives."""
    client = RawClient()
    client.send(client.headers(1), data)
    assert client.answer(1).reset == ErrorCode[code]
    assert client.failure is None
    client.send(client.call(3, b"alive"))
    assert client.answer(3).data == message(b"alive")


LENGTHS = [
    ("less", [("content-length", "9")], [message(b"abc")]),
    ("more", [("content-length", "7")], [message(b"abc")]),
    ("more-in-two", [("content-length", "12")], [message(b"abc"), message(b"abc")]),
    ("none-came", [("content-length", "8")], [b""]),
    ("two-that-differ", [("content-length", "8"), ("content-length", "9")], [message(b"abc")]),
    ("negative", [("content-length", "-8")], [message(b"abc")]),
    ("a-list", [("content-length", "8,8")], [message(b"abc")]),
    ("huge", [("content-length", "9" * 400)], [message(b"abc")]),
]


@pytest.mark.parametrize("method", ["Echo", "Count"])
@pytest.mark.parametrize(
    ("fields", "pieces"), [pytest.param(fields, pieces, id=i) for i, fields, pieces in LENGTHS]
)
async def test_8_1_1_content_length(
    method: str, fields: list[tuple[str, str]], pieces: list[bytes]
) -> None:
    """8.1.1: a request whose DATA is not what its content-length says is malformed."""
    client = RawClient()
    client.send(client.headers(1, [*call_fields(method), *fields]))
    for piece in pieces[:-1]:
        client.send(client.data(1, piece))
    client.send(client.data(1, pieces[-1], flags=1))
    assert client.answer(1).reset == ErrorCode.PROTOCOL_ERROR
    assert client.connection.inflow.buffered_bytes == 0
    assert client.connection.streams == {}


def test_8_1_1_a_right_content_length_is_served() -> None:
    """8.1.1: the sum over all DATA frames without their padding is what counts."""
    client = RawClient()
    fields = [*call_fields(), ("content-length", "8")]
    client.send(client.call(1, b"abc", fields))
    assert client.answer(1).data == message(b"abc")
    client.send(client.headers(3, fields), client.data(3, message(b"abc")[:3]))
    client.send(f(frames.DATA, frames.PADDED | 1, 3, b"\x04" + message(b"abc")[3:] + b"\0" * 4))
    assert client.answer(3).data == message(b"abc")


MALFORMED = [
    ("8.2.1-upper-case", [*call_fields(), ("Upper", "x")]),
    ("8.2.1-space-in-name", [*call_fields(), ("a b", "x")]),
    ("8.2.1-delete-in-name", [*call_fields(), ("a\x7f", "x")]),
    ("8.2.1-colon-in-name", [*call_fields(), ("a:b", "x")]),
    ("8.2.1-beyond-ascii", [*call_fields(), ("gr\u00f6\u00dfe", "x")]),
    ("8.2.1-empty-name", [*call_fields(), ("", "x")]),
    ("8.2.1-zero-in-value", [*call_fields(), ("x", "a\0b")]),
    ("8.2.1-line-feed", [*call_fields(), ("x", "a\nb")]),
    ("8.2.1-carriage-return", [*call_fields(), ("x", "a\rb")]),
    ("8.2.1-space-before-value", [*call_fields(), ("x", " a")]),
    ("8.2.1-tab-after-value", [*call_fields(), ("x", "a\t")]),
    ("8.2.1-line-feed-in-path", call_fields(path="/test.Service/Echo\nx")),
    ("8.2.2-connection", [*call_fields(), ("connection", "close")]),
    ("8.2.2-keep-alive", [*call_fields(), ("keep-alive", "1")]),
    ("8.2.2-proxy-connection", [*call_fields(), ("proxy-connection", "close")]),
    ("8.2.2-transfer-encoding", [*call_fields(), ("transfer-encoding", "chunked")]),
    ("8.2.2-upgrade", [*call_fields(), ("upgrade", "h2c")]),
    ("8.2.2-te-other-than-trailers", call_fields(te="gzip")),
    ("8.3-late", [*call_fields(authority=None), (":authority", "late")]),
    ("8.3-after-a-timeout", [("grpc-timeout", "1S"), *call_fields()]),
    ("8.3-twice", [(":path", "/a"), *call_fields()]),
    ("8.3-of-a-response", [(":status", "200"), *call_fields()]),
    ("8.3-unknown", [(":colour", "red"), *call_fields()]),
    ("8.3.1-no-method", [(n, v) for n, v in call_fields() if n != ":method"]),
    ("8.3.1-no-scheme", [(n, v) for n, v in call_fields() if n != ":scheme"]),
    ("8.3.1-no-path", call_fields(path=None)),
    ("8.3.1-empty-path", call_fields(path="")),
    ("8.3.1-nothing", []),
    ("8.5-connect-with-a-path", [(":method", "CONNECT"), (":path", "/"), (":authority", "a:1")]),
]


@pytest.mark.parametrize("fields", [pytest.param(fields, id=i) for i, fields in MALFORMED])
def test_malformed_request(fields: list[tuple[str, str]]) -> None:
    """8.1.1: a malformed request resets its stream; no handler sees it, and others are served."""
    client = RawClient()
    client.send(client.call(1, b"x", fields) if fields else f(frames.HEADERS, 4, 1))
    assert client.answer(1).reset == ErrorCode.PROTOCOL_ERROR
    assert client.answer(1).data == b""
    client.send(client.call(3, b"alive"))
    assert client.answer(3).data == message(b"alive")
