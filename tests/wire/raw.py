"""A client made of bytes: speaks HTTP/2 frame by frame to a Connection, with no socket between."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import hpack

from raftkv.wire import frames
from raftkv.wire.call import StreamCall
from raftkv.wire.connection import Connection
from raftkv.wire.limits import WireLimits
from raftkv.wire.routes import Head, Routes
from raftkv.wire.service import Service
from raftkv.wire.stream import StreamState
from tests.wire.services import make_service

CALL_FIELDS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Service/Echo"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


def call_fields(method: str = "Echo", **changes: str | None) -> list[tuple[str, str]]:
    """Request fields; ``changes`` replace by name (``_`` for ``-``), or remove with None."""
    fields = dict(CALL_FIELDS)
    fields[":path"] = f"/test.Service/{method}"
    for key, value in changes.items():
        name = key.replace("_", "-")
        name = ":" + name if ":" + name in fields else name
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = value
    return list(fields.items())


def message(data: bytes, *, packed: int = 0) -> bytes:
    return struct.pack(">BI", packed, len(data)) + data


@dataclass
class Frame:
    kind: int
    flags: int
    stream_id: int
    payload: bytes


@dataclass
class Answer:
    """What came back on one stream."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def code(self) -> int:
        return int(self.trailers["grpc-status"])


class RawClient:
    """Feeds bytes to a Connection and reads what it answers."""

    def __init__(
        self,
        service: Service | None = None,
        limits: WireLimits | None = None,
        *,
        hello: bool = True,
    ) -> None:
        limits = limits or WireLimits()
        routes = Routes([service or make_service()], limits)
        self.connection = Connection(routes, limits, self, "raw")
        self.connection.start()
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.now = 0.0
        self.answers: dict[int, Answer] = {}
        self.control: list[Frame] = []
        self.goaways: list[tuple[int, int, bytes]] = []
        self.sent = b""
        self.window_given = 0
        if hello:
            self.send(frames.settings({}))

    # --- connection.Owner -------------------------------------------------------------------

    def wake(self) -> None:
        """The test takes output when it looks."""

    def open_call(self, connection: Connection, stream_id: int, head: Head) -> StreamState:
        return StreamCall(connection, stream_id, head)

    # --- sending -------------------------------------------------------------------------------

    def send(self, *parts: bytes) -> RawClient:
        self.connection.receive(b"".join(parts), self.now)
        return self

    def headers(
        self, stream_id: int, fields: list[tuple[str, str]] | None = None, flags: int = 4
    ) -> bytes:
        block = self.encoder.encode(CALL_FIELDS if fields is None else fields)
        return frames.frame(frames.HEADERS, flags, stream_id, block)

    def data(self, stream_id: int, payload: bytes, flags: int = 0) -> bytes:
        return frames.frame(frames.DATA, flags, stream_id, payload)

    def call(
        self, stream_id: int, data: bytes, fields: list[tuple[str, str]] | None = None
    ) -> bytes:
        return self.headers(stream_id, fields) + self.data(stream_id, message(data), flags=1)

    # --- reading --------------------------------------------------------------------------------

    def read(self) -> RawClient:
        """Sort everything that the connection wants to send."""
        output = self.connection.output
        while data := output.take(1 << 20):
            self.sent += data
            position = 0
            while position < len(data):
                word, flags, stream_id = frames.HEAD.unpack_from(data, position)
                end = position + 9 + (word >> 8)
                assert end <= len(data), "output ends inside a frame"
                self._sort(Frame(word & 0xFF, flags, stream_id, data[position + 9 : end]))
                position = end
        return self

    def _sort(self, frame: Frame) -> None:
        if frame.kind == frames.GOAWAY:
            last, code = struct.unpack_from(">II", frame.payload)
            self.goaways.append((last, code, frame.payload[8:]))
        elif frame.kind in (frames.HEADERS, frames.DATA, frames.RST_STREAM):
            answer = self.answers.setdefault(frame.stream_id, Answer())
            if frame.kind == frames.DATA:
                assert not answer.ended, "DATA after the end"
                answer.data += frame.payload
            elif frame.kind == frames.RST_STREAM:
                answer.reset = struct.unpack(">I", frame.payload)[0]
            else:
                fields = list(self.decoder.decode(frame.payload))
                if not answer.headers:
                    answer.headers = fields
                if frame.flags & frames.END_STREAM:
                    answer.trailers = dict(fields)
            if frame.kind != frames.RST_STREAM and frame.flags & frames.END_STREAM:
                answer.ended = True
        else:
            self.control.append(frame)

    def answer(self, stream_id: int) -> Answer:
        self.read()
        assert stream_id in self.answers, f"nothing on stream {stream_id}: {self.answers}"
        return self.answers[stream_id]

    @property
    def failure(self) -> int | None:
        """The error code of the GOAWAY, if there was one."""
        self.read()
        return self.goaways[-1][1] if self.goaways else None
