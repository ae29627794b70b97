"""Clients that misbehave below gRPC: sockets with a few hand-made HTTP/2 frames.

Owns: the bytes of a call, and sockets that stop reading, stay silent or vanish by RST. Must never
do: be a client that works; grpcio is one.
"""

from __future__ import annotations

import socket
import struct

from google.protobuf.message import Message

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_HEADERS = 4
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
SOCKET_SECONDS = 30
RECEIVE_BUFFER_BYTES = 4096


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def hello() -> bytes:
    """The preface and empty settings: every window is the 65,535 bytes of the standard."""
    return PREFACE + frame(_SETTINGS, 0, 0, b"")


def call(path: str, message: Message, *, stream: int = 1) -> bytes:
    """A call of ``path`` with one message; the client's side stays open."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())
    payload = message.SerializeToString()
    data = struct.pack(">BI", 0, len(payload)) + payload
    return frame(_HEADERS, _END_HEADERS, stream, block) + frame(_DATA, 0, stream, data)


def connected(endpoint: str, first: bytes) -> socket.socket:
    """A connection that has sent ``first``, with a receive buffer that is soon full."""
    host, port = endpoint.split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    client.settimeout(SOCKET_SECONDS)
    client.connect((host, int(port)))
    client.sendall(first)
    return client


def vanish(client: socket.socket) -> None:
    """Close with RST, as a machine that lost its memory of the connection does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    client.close()


def _text(value: str) -> bytes:
    """A string of HPACK, neither compressed nor indexed, below 127 bytes."""
    assert len(value) < 127, f"{len(value)} bytes, the short form has 126"
    return bytes([len(value)]) + value.encode()
