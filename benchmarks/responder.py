"""A server that answers every call with ready bytes: what a generator could drive, were there no
store behind the port.

Owns: ``python -m benchmarks.responder``, a process of its own. Must never do: read a request beyond
its path, or be used where an answer has to be true.

An event of a watch is sent to every watch of every connection when any put arrives, so that a
fan-out finds what it waits for.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from struct import Struct

import click
import hpack

from benchmarks.h2load import grpc_frame
from benchmarks.http2_client import frame
from benchmarks.lease_work import KEEP_ALIVE, TTL_SECONDS
from benchmarks.unary_client import PUT, RANGE, TXN
from benchmarks.watch_work import WATCH
from raftkv.api import kv_pb2
from raftkv.api import rpc_pb2 as pb

_HEAD = Struct(">HBBBI")
_PREFACE_BYTES = 24
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_FRAME_BYTES_MAX = 16_384
_WINDOW_REFILL = 1 << 28
_READ_BYTES = 1 << 20
VALUE_BYTES = 256
LIST_PATH = "/list"
"""Answers of 10 MiB, as a list of 10,000 rows of 1 KiB."""
LIST_BYTES = 10 << 20

_HEADER = pb.ResponseHeader(cluster_id=1, member_id=2, revision=3, raft_term=4)
_ROW = kv_pb2.KeyValue(key=b"k" * 18, value=b"v" * VALUE_BYTES, mod_revision=3, version=1)
_PUT_ANSWER = pb.PutResponse(header=_HEADER).SerializeToString()
ANSWERS = {
    PUT: _PUT_ANSWER,
    RANGE: pb.RangeResponse(header=_HEADER, kvs=[_ROW], count=1).SerializeToString(),
    TXN: pb.TxnResponse(
        header=_HEADER,
        succeeded=True,
        responses=[pb.ResponseOp(response_put=pb.PutResponse.FromString(_PUT_ANSWER))],
    ).SerializeToString(),
    LIST_PATH: b"\0" * LIST_BYTES,
}
STREAM_ANSWERS = {
    WATCH: pb.WatchResponse(header=_HEADER, created=True).SerializeToString(),
    KEEP_ALIVE: pb.LeaseKeepAliveResponse(
        header=_HEADER, ID=1, TTL=TTL_SECONDS
    ).SerializeToString(),
}
EVENT = pb.WatchResponse(
    header=_HEADER, events=[kv_pb2.Event(kv=kv_pb2.KeyValue(key=b"k", value=b"v"))]
).SerializeToString()


def _encoded(*fields: tuple[str, str]) -> bytes:
    """A header block that needs no table: it can be sent at any time, any number of times."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode([hpack.NeverIndexedHeaderTuple(*field) for field in fields]))


_HEAD_BLOCK = _encoded((":status", "200"), ("content-type", "application/grpc"))
_TAIL_BLOCK = _encoded(("grpc-status", "0"))


class _Answer:
    """An encoded answer in parts between which the stream's number goes."""

    def __init__(self, message: bytes) -> None:
        body = grpc_frame(message)
        starts = range(0, len(body), _FRAME_BYTES_MAX)
        frames = [(_HEADERS, _END_HEADERS, _HEAD_BLOCK)]
        frames += [(_DATA, 0, body[start : start + _FRAME_BYTES_MAX]) for start in starts]
        frames += [(_HEADERS, _END_HEADERS | _END_STREAM, _TAIL_BLOCK)]
        self._parts = [
            ((len(payload) >> 8, len(payload) & 0xFF, kind, flags), payload)
            for kind, flags, payload in frames
        ]

    def of(self, stream: int) -> bytes:
        return b"".join(
            part for head, payload in self._parts for part in (_HEAD.pack(*head, stream), payload)
        )


_UNARY = {path: _Answer(message) for path, message in ANSWERS.items()}


class _Client:
    """One connection: requests in, ready bytes out."""

    def __init__(self, connection: socket.socket, on_put: Callable[[], None]) -> None:
        self.socket = connection
        self.watches: list[int] = []
        self.out: list[bytes] = []
        self._on_put = on_put
        self._buffer = b""
        self._greeted = False
        self._decoder = hpack.Decoder()
        self._paths: dict[bytes, str] = {}
        self._calls: dict[int, str] = {}
        self._opened: set[int] = set()
        self._used = 0
        settings = b"".join(
            key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in ((4, 2**31 - 1),)
        )
        refill = (2**31 - 1 - 65_535).to_bytes(4, "big")
        self.out.append(frame(_SETTINGS, 0, 0, settings) + frame(_WINDOW_UPDATE, 0, 0, refill))

    def receive(self) -> bool:
        """One read and every whole frame in it; False when the other side has closed."""
        read = self.socket.recv(_READ_BYTES)
        if not read:
            return False
        buffer = self._buffer + read
        position, end = 0, len(buffer)
        if not self._greeted:
            if end < _PREFACE_BYTES:
                self._buffer = buffer
                return True
            position, self._greeted = _PREFACE_BYTES, True
        while end - position >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(buffer, position)
            after = position + 9 + (high << 8 | low)
            if after > end:
                break
            self._frame(kind, flags, stream, buffer[position + 9 : after])
            position = after
        self._buffer = buffer[position:]
        return True

    def send(self) -> None:
        """All that has gathered, in one write."""
        if self.out:
            gathered, self.out = b"".join(self.out), []
            self.socket.sendall(gathered)

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._data(flags, stream, payload)
        elif kind == _HEADERS:
            self._calls[stream] = self._path(payload)
        elif kind == _SETTINGS and not flags & _ACK:
            self.out.append(frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self.out.append(frame(_PING, _ACK, 0, payload))

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        self._used += len(payload)
        if self._used > _WINDOW_REFILL:
            self.out.append(frame(_WINDOW_UPDATE, 0, 0, self._used.to_bytes(4, "big")))
            self._used = 0
        path = self._calls[stream]
        if path in STREAM_ANSWERS:
            self._message_of_stream(path, stream)
        elif flags & _END_STREAM:
            del self._calls[stream]
            self.out.append(_UNARY[path].of(stream))
            if path == PUT:
                self._on_put()

    def _message_of_stream(self, path: str, stream: int) -> None:
        if stream not in self._opened:
            self._opened.add(stream)
            self.out.append(frame(_HEADERS, _END_HEADERS, stream, _HEAD_BLOCK))
        if path == WATCH:
            self.watches.append(stream)
        self.out.append(frame(_DATA, 0, stream, grpc_frame(STREAM_ANSWERS[path])))

    def _path(self, block: bytes) -> str:
        """A block that added nothing to the table means the same until one does."""
        path = self._paths.get(block)
        if path is None:
            table = self._decoder.header_table
            size = len(table.dynamic_entries)
            fields = {str(name): str(value) for name, value in self._decoder.decode(block)}
            path = fields[":path"]
            if len(table.dynamic_entries) != size:
                self._paths.clear()
            else:
                self._paths[block] = path
        return path


class Responder:
    """All clients of one port, in one thread."""

    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._clients: list[_Client] = []
        self._event = False

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Until the process is ended."""
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._accept()
                elif not self._serve(key.data):
                    self._selector.unregister(key.data.socket)
                    self._clients.remove(key.data)
                    key.data.socket.close()
            if self._event:
                self._tell_watches()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _Client(connection, self._put)
        self._clients.append(client)
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _serve(self, client: _Client) -> bool:
        try:
            alive = client.receive()
            client.send()
        except ConnectionError:
            return False
        return alive

    def _put(self) -> None:
        self._event = True

    def _tell_watches(self) -> None:
        self._event = False
        body = grpc_frame(EVENT)
        for client in self._clients:
            client.out += [frame(_DATA, 0, stream, body) for stream in client.watches]
            client.send()


@click.command()
def main() -> None:
    """Print the port and answer."""
    responder = Responder()
    print(responder.port, flush=True)
    responder.serve()


if __name__ == "__main__":
    main()
