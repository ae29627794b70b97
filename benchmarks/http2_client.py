"""A bare HTTP/2 client connection for gRPC calls: fast enough that it is not what gets measured.

Owns: frames, stream ids, header blocks, grpc-status. Must never do: anything but plain text HTTP/2
with prior knowledge, send more than small messages, or hide a status other than OK.

A method's header block is encoded twice: the first time its fields enter the server's dynamic
table, and from then on the short all-indexed block is sent, as any gRPC client does. The server is
asked for a dynamic table of 0 bytes, so that equal trailers are equal bytes and are decoded once.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from struct import Struct

import hpack

from benchmarks.measurement import NotProven

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = Struct(">HBBBI")
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_WINDOW = 2**31 - 1
_READ_BYTES = 1 << 20
# One frame, and far below the window that every server opens: so none has to be waited for.
_SEND_BYTES_MAX = 16_384
# Asked for again in good time before _WINDOW bytes are used up.
_WINDOW_REFILL = 1 << 29


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


class Http2Client:
    """One connection.

    ``on_data(stream, payload)`` gets DATA payloads as they come (they may split messages),
    ``on_end(stream)`` each call that ended with grpc-status 0; NotProven is raised for others.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        on_end: Callable[[int], None],
        on_data: Callable[[int, bytes], None] | None = None,
    ) -> None:
        host, port = endpoint.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_end = on_end
        self._on_data = on_data
        self._buffer = b""
        self._next_stream = 1
        self._used = 0
        self._statuses: dict[bytes, str] = {}
        self._authority = endpoint
        self._encoder = hpack.Encoder()
        self._blocks: dict[str, bytes] = {}
        settings = b"".join(
            key.to_bytes(2, "big") + value.to_bytes(4, "big")
            for key, value in ((1, 0), (2, 0), (4, _WINDOW))
        )
        self.socket.sendall(_PREFACE + frame(_SETTINGS, 0, 0, settings) + _window(_WINDOW - 65_535))

    def call(self, path: str, message: bytes, *, half_close: bool = True) -> tuple[int, bytes]:
        """The new stream and the bytes that start it; the caller sends them, in order of calls."""
        stream = self._next_stream
        self._next_stream += 2
        block = self._blocks.get(path) or self._first_block(path)
        headers = frame(_HEADERS, _END_HEADERS, stream, block)
        return stream, headers + self.message(stream, message, half_close=half_close)

    def _first_block(self, path: str) -> bytes:
        """A path's first block; it moves the table on, so all later ones are encoded anew."""
        first = bytes(self._encoder.encode(self._fields(path)))
        paths = [*self._blocks, path]
        self._blocks = {one: bytes(self._encoder.encode(self._fields(one))) for one in paths}
        return first

    def _fields(self, path: str) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", self._authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]

    def message(self, stream: int, message: bytes, *, half_close: bool = False) -> bytes:
        payload = b"\0" + len(message).to_bytes(4, "big") + message
        assert len(payload) <= _SEND_BYTES_MAX, f"{len(payload)} bytes, {_SEND_BYTES_MAX} at most"
        return frame(_DATA, _END_STREAM if half_close else 0, stream, payload)

    def receive(self) -> None:
        """One read of the socket, and every complete frame in it."""
        read = self.socket.recv(_READ_BYTES)
        if not read:
            raise NotProven("the server closed the connection")
        buffer = self._buffer + read if self._buffer else read
        position, end = 0, len(buffer)
        replies = b""
        while end - position >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(buffer, position)
            after = position + 9 + (high << 8 | low)
            if after > end:
                break
            replies += self._frame(kind, flags, stream, buffer[position + 9 : after])
            position = after
        self._buffer = buffer[position:]
        if replies:
            self.socket.sendall(replies)

    def close(self) -> None:
        self.socket.close()

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if kind == _DATA:
            if self._on_data is not None:
                self._on_data(stream, payload)
            return self._refill(len(payload))
        if kind == _HEADERS:
            if flags & _END_STREAM:
                self._ended(stream, payload)
        elif kind == _SETTINGS and not flags & _ACK:
            return frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            return frame(_PING, _ACK, 0, payload)
        elif kind in (_GOAWAY, _RST_STREAM):
            raise NotProven(f"the server sent frame {kind} on stream {stream}: {payload!r}")
        return b""

    def _ended(self, stream: int, block: bytes) -> None:
        status = self._statuses.get(block)
        if status is None:
            # A decoder of its own: the table has no room, so no block depends on another.
            fields = {str(name): str(value) for name, value in hpack.Decoder().decode(block)}
            status = f"{fields.get('grpc-status')} {fields.get('grpc-message', '')}".strip()
            self._statuses[block] = status
        if status != "0":
            raise NotProven(f"grpc-status {status}")
        self._on_end(stream)

    def _refill(self, size: int) -> bytes:
        self._used += size
        if self._used < _WINDOW_REFILL:
            return b""
        used, self._used = self._used, 0
        return _window(used)


def _window(size: int) -> bytes:
    return frame(8, 0, 0, size.to_bytes(4, "big"))
