"""Bidirectional gRPC streams on one bare HTTP/2 connection, read message by message.

Owns: putting messages together again out of DATA frames. Must never do: decode them.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence

from benchmarks.http2_client import Http2Client
from benchmarks.measurement import NotProven

STALL_SECONDS_MAX = 60.0
_PREFIX_BYTES = 5


class MessageStreams:
    """A connection whose streams are all calls of ``path``; none may end before ``close``.

    ``on_message(stream, message)`` gets each whole message, without its prefix.
    """

    def __init__(self, endpoint: str, path: str, on_message: Callable[[int, bytes], None]) -> None:
        self._path = path
        self._on_message = on_message
        self._partial: dict[int, bytes] = {}
        self.http = Http2Client(endpoint, on_end=self._ended, on_data=self._data)

    def open(self, first: bytes) -> tuple[int, bytes]:
        """A new stream with its first message: its number, and the bytes to send."""
        return self.http.call(self._path, first, half_close=False)

    def _data(self, stream: int, payload: bytes) -> None:
        earlier = self._partial.pop(stream, b"")
        data = earlier + payload if earlier else payload
        position, end = 0, len(data)
        while end - position >= _PREFIX_BYTES:
            size = int.from_bytes(data[position + 1 : position + _PREFIX_BYTES], "big")
            after = position + _PREFIX_BYTES + size
            if after > end:
                break
            self._on_message(stream, data[position + _PREFIX_BYTES : after])
            position = after
        if position < end:
            self._partial[stream] = data[position:]

    def _ended(self, stream: int) -> None:
        raise NotProven(f"stream {stream} of {self._path} ended")


def read_until(
    connections: Sequence[Http2Client], done: Callable[[], bool], what: Callable[[], str]
) -> None:
    """Read all connections until ``done``; NotProven says ``what`` when nothing comes any more."""
    with selectors.EpollSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        while not done():
            ready = selector.select(STALL_SECONDS_MAX)
            if not ready:
                raise NotProven(f"nothing for {STALL_SECONDS_MAX:g} s: {what()}")
            for key, _ in ready:
                key.data.receive()
