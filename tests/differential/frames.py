"""One call made of bytes: what grpcio would never send, and all that a server answers to it.

Owns: a socket with hand-made frames, and the answer as plain values. Must never do: judge it.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field

import hpack

from tests.e2e.broken_client import SOCKET_SECONDS, frame, hello

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1

FIELDS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/etcdserverpb.KV/Range",
    ":authority": "localhost",
    "content-type": "application/grpc",
    "te": "trailers",
}


@dataclass(frozen=True)
class BrokenCall:
    """``fields`` replace FIELDS by name, or remove with None; ``body`` is the DATA."""

    name: str
    body: bytes = b""
    fields: dict[str, str | None] = field(default_factory=dict)


@dataclass
class FrameAnswer:
    """``status`` and the gRPC fields, or how else the call ended."""

    http: str = ""
    code: str = ""
    text: str = ""
    data: bytes = b""
    reset: int | None = None
    goaway: int | None = None
    closed: bool = False


def answer_of(endpoint: str, broken: BrokenCall) -> FrameAnswer:
    """Sends the call with END_STREAM on a connection of its own and reads until it is over."""
    fields = {k: v for k, v in (FIELDS | broken.fields).items() if v is not None}
    block = hpack.Encoder().encode(list(fields.items()))
    last = frame(DATA, END_STREAM, 1, broken.body)
    host, port = endpoint.split(":")
    with socket.create_connection((host, int(port)), timeout=SOCKET_SECONDS) as client:
        client.sendall(hello() + frame(HEADERS, END_HEADERS, 1, block) + last)
        return _read(client)


def _read(client: socket.socket) -> FrameAnswer:
    answer, decoder = FrameAnswer(), hpack.Decoder()
    stream = client.makefile("rb")
    while True:
        try:
            head = stream.read(9)
        except ConnectionResetError:
            head = b""
        if len(head) < 9:
            answer.closed = True
            return answer
        length = int.from_bytes(head[:3], "big")
        kind, flags = head[3], head[4]
        number = int.from_bytes(head[5:9], "big")
        payload = stream.read(length)
        if kind == SETTINGS and not flags & ACK:
            client.sendall(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            client.sendall(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            answer.goaway = struct.unpack_from(">II", payload)[1]
        elif kind == RST_STREAM and number == 1:
            answer.reset = struct.unpack(">I", payload)[0]
            return answer
        elif kind == DATA and number == 1:
            answer.data += payload
        elif kind == HEADERS and number == 1:
            found = dict(decoder.decode(payload))
            answer.http = answer.http or found.get(":status", "")
            answer.code = found.get("grpc-status", answer.code)
            answer.text = found.get("grpc-message", answer.text)
        if kind in (DATA, HEADERS) and number == 1 and flags & END_STREAM:
            return answer
