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


def f(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


def word(value: int) -> bytes:
    return value.to_bytes(4, "big")


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


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"x" * 100, mtime=0)[:-5]])
def test_bad_gzip(body: bytes) -> None:
    """A broken gzip stream is INTERNAL, not a traceback."""
    client = RawClient()
    client.send(client.headers(1, call_fields(grpc_encoding="gzip")))
    client.send(client.data(1, message(body, packed=1), flags=1))
    assert client.answer(1).code == 13


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
    """With a full backlog requests are held, and served once half of it has left. The longest of
    the replies does not count."""
    served: list[bytes] = []

    def method(data: bytes, call: UnaryCall) -> None:
        served.append(data)
        call.reply(b"r" * 50_000)

    limits = WireLimits(connection_backlog_bytes_max=100_000)
    client = RawClient(Service("test.Service", status_of, {"Echo": method}), limits)
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 0}))
    client.send(*(client.call(1 + 2 * i, b"%d" % i) for i in range(10)))
    assert served == [b"0", b"1", b"2"]
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
