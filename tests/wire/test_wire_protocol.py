"""HTTP/2's rules one by one, with frames made by hand and no socket (section numbers: RFC 9113)."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import pytest

from raftkv.wire import frames
from raftkv.wire.frames import ErrorCode, Setting
from raftkv.wire.limits import WireLimits
from raftkv.wire.service import Service, Status, UnaryCall
from tests.wire.raw import RawClient, call_fields, message
from tests.wire.services import status_of

MAX_ID = frames.STREAM_ID_MAX


def word(value: int) -> bytes:
    return value.to_bytes(4, "big")


def test_settings_are_announced_and_acked() -> None:
    """3.4: the server's SETTINGS come first, and the client's are acknowledged."""
    client = RawClient().read()
    first, window, ack = client.control
    assert (first.kind, first.flags) == (frames.SETTINGS, 0)
    announced = dict(frames.read_settings(first.payload))
    assert announced[Setting.MAX_CONCURRENT_STREAMS] == WireLimits().concurrent_streams_max
    assert window.kind == frames.WINDOW_UPDATE
    assert (ack.kind, ack.flags) == (frames.SETTINGS, frames.ACK)


def test_echo_in_one_read() -> None:
    """A call in one read is answered with headers, one message and trailers."""
    client = RawClient()
    client.send(client.call(1, b"hello"), client.call(3, b"again"))
    answer = client.answer(1)
    assert answer.headers == [(":status", "200"), ("content-type", "application/grpc")]
    assert answer.data == message(b"hello")
    assert answer.trailers == {"grpc-status": "0"}
    assert client.answer(3).data == message(b"again")
    assert client.connection.streams == {}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frames.ping(b"12345678", ack=False), "PROTOCOL_ERROR", id="no-settings-first"),
        pytest.param(frames.SETTINGS_ACK, "PROTOCOL_ERROR", id="ack-first"),
    ],
)
def test_first_frame(data: bytes, code: str) -> None:
    """3.4: a connection begins with SETTINGS."""
    client = RawClient(hello=False)
    client.send(data)
    assert client.failure == ErrorCode[code]


def f(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


FATAL = [
    ("oversized-frame", f(frames.DATA, 0, 1, b"x" * 16_385), "FRAME_SIZE_ERROR"),
    ("oversized-head-only", f(frames.DATA, 0, 1, b"x" * 70_000)[:9], "FRAME_SIZE_ERROR"),
    ("data-on-0", f(frames.DATA, 0, 0, b"x"), "PROTOCOL_ERROR"),
    ("data-on-idle", f(frames.DATA, 0, 5, b"x"), "PROTOCOL_ERROR"),
    ("data-padding", f(frames.DATA, 8, 1, b"\x05ab"), "PROTOCOL_ERROR"),
    ("data-padding-empty", f(frames.DATA, 8, 1, b""), "PROTOCOL_ERROR"),
    ("headers-on-0", f(frames.HEADERS, 4, 0, b"\x82"), "PROTOCOL_ERROR"),
    ("headers-on-even", f(frames.HEADERS, 4, 2, b"\x82"), "PROTOCOL_ERROR"),
    ("headers-padding", f(frames.HEADERS, 12, 1, b"\x09ab"), "PROTOCOL_ERROR"),
    ("headers-short-priority", f(frames.HEADERS, 0x24, 1, b"abc"), "FRAME_SIZE_ERROR"),
    ("headers-self-dependent", f(frames.HEADERS, 0x24, 1, word(1) + b"\0"), "PROTOCOL_ERROR"),
    ("hpack-index-0", f(frames.HEADERS, 4, 1, b"\x80"), "COMPRESSION_ERROR"),
    ("hpack-index-absent", f(frames.HEADERS, 4, 1, b"\xbe"), "COMPRESSION_ERROR"),
    ("hpack-truncated", f(frames.HEADERS, 4, 1, b"\x00\x05ab"), "COMPRESSION_ERROR"),
    ("hpack-no-value", f(frames.HEADERS, 4, 1, b"\x00\x01a"), "COMPRESSION_ERROR"),
    ("hpack-long-integer", f(frames.HEADERS, 4, 1, b"\xff" * 9), "COMPRESSION_ERROR"),
    (
        "hpack-bad-huffman",
        f(frames.HEADERS, 4, 1, b"\x00\x84\xff\xff\xff\xff"),
        "COMPRESSION_ERROR",
    ),
    ("hpack-table-size", f(frames.HEADERS, 4, 1, b"\x3f\xe2\x1f"), "COMPRESSION_ERROR"),
    ("hpack-late-table-size", f(frames.HEADERS, 4, 1, b"\x82\x20"), "COMPRESSION_ERROR"),
    ("priority-on-0", f(frames.PRIORITY, 0, 0, b"\0" * 5), "PROTOCOL_ERROR"),
    ("rst-on-0", f(frames.RST_STREAM, 0, 0, word(8)), "PROTOCOL_ERROR"),
    ("rst-on-idle", f(frames.RST_STREAM, 0, 7, word(8)), "PROTOCOL_ERROR"),
    ("rst-size", f(frames.RST_STREAM, 0, 1, b"abc"), "FRAME_SIZE_ERROR"),
    ("settings-on-stream", f(frames.SETTINGS, 0, 1), "PROTOCOL_ERROR"),
    ("settings-size", f(frames.SETTINGS, 0, 0, b"abc"), "FRAME_SIZE_ERROR"),
    ("settings-ack-payload", f(frames.SETTINGS, 1, 0, b"\0" * 6), "FRAME_SIZE_ERROR"),
    ("settings-push", frames.settings({Setting.ENABLE_PUSH: 2}), "PROTOCOL_ERROR"),
    (
        "settings-window",
        frames.settings({Setting.INITIAL_WINDOW_SIZE: 1 << 31}),
        "FLOW_CONTROL_ERROR",
    ),
    ("settings-frame-low", frames.settings({Setting.MAX_FRAME_SIZE: 100}), "PROTOCOL_ERROR"),
    ("settings-frame-high", frames.settings({Setting.MAX_FRAME_SIZE: 1 << 24}), "PROTOCOL_ERROR"),
    ("push-promise", f(frames.PUSH_PROMISE, 4, 1, word(2)), "PROTOCOL_ERROR"),
    ("ping-on-stream", f(frames.PING, 0, 1, b"12345678"), "PROTOCOL_ERROR"),
    ("ping-size", f(frames.PING, 0, 0, b"123"), "FRAME_SIZE_ERROR"),
    ("goaway-on-stream", f(frames.GOAWAY, 0, 1, b"\0" * 8), "PROTOCOL_ERROR"),
    ("goaway-size", f(frames.GOAWAY, 0, 0, b"\0" * 7), "FRAME_SIZE_ERROR"),
    ("window-0", f(frames.WINDOW_UPDATE, 0, 0, word(0)), "PROTOCOL_ERROR"),
    ("window-size", f(frames.WINDOW_UPDATE, 0, 0, b"abc"), "FRAME_SIZE_ERROR"),
    ("window-overflow", f(frames.WINDOW_UPDATE, 0, 0, word(MAX_ID)), "FLOW_CONTROL_ERROR"),
    ("window-idle-stream", f(frames.WINDOW_UPDATE, 0, 9, word(1)), "PROTOCOL_ERROR"),
    ("lone-continuation", f(frames.CONTINUATION, 4, 1, b"\x82"), "PROTOCOL_ERROR"),
    (
        "interrupted-block",
        f(frames.HEADERS, 0, 1, b"\x82") + frames.ping(b"12345678", ack=False),
        "PROTOCOL_ERROR",
    ),
    (
        "continuation-elsewhere",
        f(frames.HEADERS, 0, 1, b"\x82") + f(frames.CONTINUATION, 4, 3, b""),
        "PROTOCOL_ERROR",
    ),
]


@pytest.mark.parametrize(("data", "code"), [pytest.param(d, c, id=i) for i, d, c in FATAL])
def test_connection_error(data: bytes, code: str) -> None:
    """5.4.1: what breaks the connection is answered with GOAWAY, and nothing is read after it."""
    client = RawClient()
    client.send(data)
    assert client.failure == ErrorCode[code]
    client.send(client.call(11, b"ignored")).read()
    assert 11 not in client.answers


STREAM_FATAL = [
    ("window-0", f(frames.WINDOW_UPDATE, 0, 1, word(0)), "PROTOCOL_ERROR"),
    ("window-overflow", f(frames.WINDOW_UPDATE, 0, 1, word(MAX_ID)), "FLOW_CONTROL_ERROR"),
    ("priority-size", f(frames.PRIORITY, 0, 1, b"\0" * 4), "FRAME_SIZE_ERROR"),
    ("trailers-without-end", f(frames.HEADERS, 4, 1, b"\x82"), "PROTOCOL_ERROR"),
]


@pytest.mark.parametrize(("data", "code"), [pytest.param(d, c, id=i) for i, d, c in STREAM_FATAL])
def test_stream_error(data: bytes, code: str) -> None:
    """5.4.2: what breaks one stream is answered with RST_STREAM, and the connection lives."""
    client = RawClient()
    client.send(client.headers(1), data)
    assert client.answer(1).reset == ErrorCode[code]
    assert client.failure is None
    client.send(client.call(3, b"alive"))
    assert client.answer(3).data == message(b"alive")


def test_data_after_end_stream() -> None:
    """5.1: DATA on a half-closed stream resets it."""
    calls: list[UnaryCall] = []
    service = Service("test.Service", status_of, {"Echo": lambda m, call: calls.append(call)})
    client = RawClient(service)
    client.send(client.call(1, b"x"), client.data(1, b"more"))
    assert client.answer(1).reset == ErrorCode.STREAM_CLOSED
    assert calls[0].cancelled


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([*call_fields(), ("Upper", "x")], id="upper-case"),
        pytest.param([*call_fields(), ("connection", "close")], id="connection"),
        pytest.param([*call_fields(), ("x", "a\nb")], id="line-feed"),
        pytest.param([*call_fields(), (":path", "/late")], id="late-pseudo"),
        pytest.param([*call_fields(), (":status", "200")], id="response-pseudo"),
        pytest.param(call_fields(path=None), id="no-path"),
        pytest.param(call_fields()[1:], id="no-method"),
        pytest.param(call_fields(te="gzip"), id="te"),
        pytest.param([], id="nothing"),
    ],
)
def test_malformed_request(fields: list[tuple[str, str]]) -> None:
    """8.1.1: a malformed request resets its stream."""
    client = RawClient()
    client.send(client.call(1, b"x", fields) if fields else f(frames.HEADERS, 4, 1))
    assert client.answer(1).reset == ErrorCode.PROTOCOL_ERROR
    client.send(client.call(3, b"alive"))
    assert client.answer(3).data == message(b"alive")


@pytest.mark.parametrize(
    ("fields", "status", "code", "text"),
    [
        (
            call_fields(content_type="text/plain"),
            "415",
            "3",
            'invalid gRPC request content-type "text/plain"',
        ),
        (call_fields(content_type=None), "415", "3", 'invalid gRPC request content-type ""'),
        (call_fields(content_type="application/grpc-web"), "415", "3", None),
        (
            [(n, "GET" if n == ":method" else v) for n, v in call_fields()],
            "405",
            "13",
            'Received a HEADERS frame with :method "GET" which should be POST',
        ),
        (call_fields(grpc_timeout="nonsense"), "400", "13", None),
        (call_fields(grpc_timeout="123456789S"), "400", "13", None),
    ],
)
def test_refused_request(
    fields: list[tuple[str, str]], status: str, code: str, text: str | None
) -> None:
    """Requests that are HTTP but no gRPC get the HTTP status that grpc-go gives them."""
    client = RawClient()
    client.send(client.headers(1, fields))
    answer = client.answer(1)
    assert answer.trailers[":status"] == status
    assert answer.trailers["grpc-status"] == code
    assert text is None or answer.trailers["grpc-message"] == text.replace("%", "%25")
    assert answer.reset == ErrorCode.NO_ERROR


@pytest.mark.parametrize("subtype", ["application/grpc+proto", "application/grpc;charset=utf8"])
def test_content_subtypes(subtype: str) -> None:
    """Subtypes and parameters of application/grpc are accepted."""
    client = RawClient()
    client.send(client.call(1, b"x", call_fields(content_type=subtype)))
    assert client.answer(1).data == message(b"x")


def test_continuation_and_padding_and_priority() -> None:
    """6.1, 6.2, 6.10: a request in every disguise is the same request."""
    client = RawClient()
    block = client.encoder.encode(call_fields())
    flags = frames.PADDED | frames.PRIORITIZED
    client.send(
        f(frames.HEADERS, flags, 1, b"\x03" + word(0) + b"\x10" + block[:5] + b"\0" * 3),
        f(frames.CONTINUATION, 0, 1, block[5:9]),
        f(frames.CONTINUATION, 0, 1, b""),
        f(frames.CONTINUATION, 4, 1, block[9:]),
        f(frames.PRIORITY, 0, 1, word(0) + b"\x10"),
        f(0xFA, 0xFF, 1, b"unknown frames are ignored"),
        f(frames.DATA, frames.PADDED, 1, b"\x02" + message(b"padded")[:4] + b"\0\0"),
        f(frames.DATA, frames.PADDED, 1, b"\x00" + message(b"padded")[4:]),
        f(frames.DATA, frames.END_STREAM, 1),
    )
    assert client.answer(1).data == message(b"padded")


def test_request_trailers_end_a_stream() -> None:
    """8.1: trailers with END_STREAM end the request."""
    client = RawClient()
    client.send(client.headers(1), client.data(1, message(b"x")))
    client.send(client.headers(1, [("grpc-extra", "1")], flags=5))
    assert client.answer(1).data == message(b"x")


@pytest.mark.parametrize(
    ("payload", "code", "text"),
    [
        (b"", 13, "cardinality violation: received no request message"),
        (b"\0\0\0\0\5ab", 13, "cardinality violation: received no request message"),
        (message(b"a") + message(b"b"), 13, "cardinality violation: received more than one"),
        (b"\2\0\0\0\0", 13, "grpc: unexpected payload format 2"),
        (message(b"x", packed=1), 13, "grpc: compressed flag set with identity or empty encoding"),
        (
            b"\0\xff\xff\xff\xff",
            8,
            "grpc: received message larger than max (4294967295 vs. 2097152)",
        ),
    ],
)
def test_bad_messages(payload: bytes, code: int, text: str) -> None:
    """Bytes that are not one gRPC message get a status, not a reset."""
    client = RawClient()
    client.send(client.headers(1), client.data(1, payload, flags=1))
    answer = client.answer(1)
    assert answer.code == code
    assert answer.trailers["grpc-message"].startswith(text)
    assert client.connection.inflow.buffered_bytes == 0


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"x" * 100)[:-5]])
def test_bad_gzip(body: bytes) -> None:
    """A broken gzip stream is INTERNAL, not a traceback."""
    client = RawClient()
    client.send(client.headers(1, call_fields(grpc_encoding="gzip")))
    client.send(client.data(1, message(body, packed=1), flags=1))
    assert client.answer(1).code == 13


def test_ping_is_answered() -> None:
    """6.7: a PING comes back as an ack with the same bytes; an ack is not answered."""
    client = RawClient().read()
    client.control.clear()
    client.send(frames.ping(b"abcdefgh", ack=False), frames.ping(b"zzzzzzzz", ack=True)).read()
    assert [(c.kind, c.flags, c.payload) for c in client.control] == [
        (frames.PING, frames.ACK, b"abcdefgh")
    ]


def test_concurrent_streams_limit() -> None:
    """5.1.2: one stream more than allowed is refused, and room is made when one ends."""
    calls: list[UnaryCall] = []
    service = Service("test.Service", status_of, {"Echo": lambda m, call: calls.append(call)})
    client = RawClient(service, WireLimits(concurrent_streams_max=2))
    client.send(*(client.call(i, b"x") for i in (1, 3, 5)))
    assert client.answer(5).reset == ErrorCode.REFUSED_STREAM
    calls[0].reply(b"done")
    client.send(client.call(7, b"x"))
    assert len(calls) == 3


def test_stream_ids_grow() -> None:
    """5.1.1: HEADERS for an older id opens nothing."""
    client = RawClient()
    client.send(client.call(5, b"x"), client.call(3, b"y"), client.call(5, b"z")).read()
    assert set(client.answers) == {5}
    assert client.answers[5].data == message(b"x")


def test_late_frames_of_a_finished_stream() -> None:
    """5.1: what crosses the end of a stream on the way is ignored."""
    client = RawClient()
    client.send(client.call(1, b"x"), frames.window_update(1, 10), frames.rst_stream(1, 8))
    client.send(client.headers(3, call_fields("Nope")), client.data(3, b"late", flags=1))
    assert client.answer(3).code == 12
    assert client.failure is None


def test_handler_that_fails_after_partial_upload() -> None:
    """A call that is refused in mid-upload is ended and told to stop sending."""
    client = RawClient()
    client.send(client.headers(1), client.data(1, b"\0\x7f\0\0\0" + b"x" * 100))
    answer = client.answer(1)
    assert answer.code == 8
    assert answer.reset == ErrorCode.NO_ERROR
    assert client.connection.streams == {}


def test_graceful_goaway() -> None:
    """6.8: GOAWAY twice, the second with the last stream that is served; later ones are ignored."""
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


def test_deadlines_are_swept() -> None:
    """Every call past its deadline is answered in one sweep, others stay."""
    calls: list[UnaryCall] = []
    service = Service("test.Service", status_of, {"Echo": lambda m, call: calls.append(call)})
    client = RawClient(service)
    for index, timeout in enumerate(("1S", "2S", "500m", "3H")):
        client.send(client.call(1 + 2 * index, b"x", call_fields(grpc_timeout=timeout)))
    assert client.connection.next_deadline == 0.5
    client.connection.expire(1.5)
    assert [call.cancelled for call in calls] == [True, False, True, False]
    assert client.connection.next_deadline == 2.0
    assert client.answer(1).trailers["grpc-message"] == "context deadline exceeded"
    calls[0].reply(b"late")
    assert client.answer(1).data == b""


def test_requests_wait_while_replies_cannot_leave() -> None:
    """With a full backlog requests are held, and served once half of it has left."""
    served: list[bytes] = []

    def method(data: bytes, call: UnaryCall) -> None:
        served.append(data)
        call.reply(b"r" * 50_000)

    limits = WireLimits(connection_backlog_bytes_max=100_000)
    client = RawClient(Service("test.Service", status_of, {"Echo": method}), limits)
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 0}))
    client.send(*(client.call(1 + 2 * i, b"%d" % i) for i in range(10)))
    assert served == [b"0", b"1"]
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 60_000}))
    client.send(frames.window_update(0, 10_000_000)).read()
    for _ in range(10):
        client.connection.admission.release()
        client.read()
    assert len(served) == 10
    assert client.connection.output.backlog == 0


def test_abandoned_connection_frees_everything() -> None:
    """When the connection is gone every call is cancelled and nothing is kept."""
    calls: list[UnaryCall] = []
    service = Service("test.Service", status_of, {"Echo": lambda m, call: calls.append(call)})
    client = RawClient(service)
    client.send(client.call(1, b"x"), client.headers(3), client.data(3, b"\0\0\0\0\7part"))
    client.connection.abandon_all()
    assert calls[0].cancelled
    assert client.connection.inflow.buffered_bytes == 0
    assert client.connection.streams == {}
    calls[0].reply(b"late")


def test_a_service_may_refuse_metadata() -> None:
    """Its ``vet`` is asked once for equal heads, and sees bytes that are no UTF-8 as such."""
    asked: list[str] = []

    def vet(metadata: Mapping[str, str]) -> Status | None:
        asked.append(metadata.get("client", ""))
        return None if metadata.get("client", "").isprintable() else Status(3, "no text")

    def echo(payload: bytes, call: UnaryCall) -> None:
        call.reply(payload)

    client = RawClient(Service("test.Service", status_of, {"Echo": echo}, vet=vet))
    for stream_id, value in ((1, b"ok"), (3, b"ok"), (5, b"\xff")):
        fields = [*call_fields(), ("client", value)]
        client.send(client.headers(stream_id, fields), client.data(stream_id, message(b"m"), 1))
    assert [client.answer(each).code for each in (1, 3, 5)] == [0, 0, 3]
    assert asked == ["ok", "\udcff"]
