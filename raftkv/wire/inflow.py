"""Receive flow control of one connection: what the peer may still send, and what is kept of it.

Owns: the connection's receive window, the streams' ones, and the count of request bytes kept.
The connection's window is given back on arrival, so that one slow stream never stops another;
a stream's window is given back for unfinished messages on arrival (their size has a limit of its
own) and for whole messages as the handler takes them. What that leaves is bounded by
``buffered_request_bytes_max`` over all streams.
Must never do: parse messages; a stream's MessageReader does.
"""

from __future__ import annotations

from raftkv.wire import frames
from raftkv.wire.frames import ConnectionFailure, ErrorCode, StreamFailure
from raftkv.wire.grpc import RESOURCE_EXHAUSTED, CallFailure
from raftkv.wire.limits import WireLimits
from raftkv.wire.output import Output
from raftkv.wire.stream import StreamState


class Inflow:
    """The receive windows of one connection (RFC 9113 section 5.2)."""

    __slots__ = ("_limits", "_output", "_promised", "buffered_bytes", "window")

    def __init__(self, limits: WireLimits, output: Output) -> None:
        self._limits = limits
        self._output = output
        self.window = limits.connection_window_bytes
        self.buffered_bytes = 0
        # By stream with a content-length: how much of it has not come yet (section 8.1.1).
        self._promised: dict[StreamState, int] = {}

    def promise(self, stream: StreamState, content_length: int | None) -> None:
        """The request's DATA must be so many bytes, all together."""
        if content_length is not None:
            self._promised[stream] = content_length

    def is_short(self, stream: StreamState) -> bool:
        """Whether the request is less than it promised."""
        return self._promised.get(stream, 0) > 0

    def refill(self) -> None:
        """Give the connection's window back, once a read. Raises ConnectionFailure."""
        if self.window < 0:
            reason = f"connection window overdrawn by {-self.window} bytes"
            raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, reason)
        whole = self._limits.connection_window_bytes
        if self.window * 2 < whole:
            self._output.control(frames.window_update(0, whole - self.window))
            self.window = whole

    def receive(self, stream: StreamState, data: bytes, size: int) -> None:
        """DATA of an open stream, ``size`` with padding. Raises CallFailure, StreamFailure."""
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFailure(ErrorCode.FLOW_CONTROL_ERROR, "stream window overdrawn")
        if stream in self._promised:
            self._promised[stream] -= len(data)
            if self._promised[stream] < 0:
                raise StreamFailure(ErrorCode.PROTOCOL_ERROR, "more DATA than the content-length")
        before = stream.held_bytes
        try:
            stream.receive(data)
        finally:
            self.buffered_bytes += stream.held_bytes - before
        if self.buffered_bytes > self._limits.buffered_request_bytes_max:
            text = (
                f"unfinished requests of this connection hold {self.buffered_bytes} bytes, "
                f"at most {self._limits.buffered_request_bytes_max} allowed"
            )
            raise CallFailure(RESOURCE_EXHAUSTED, text)
        self.credit(stream)

    def credit(self, stream: StreamState) -> None:
        """Give a stream's window back as far as its unread messages allow."""
        if stream.remote_closed:
            return
        whole = self._limits.stream_window_bytes
        increment = whole - stream.unread_bytes - stream.receive_window
        if increment * 2 >= whole:
            stream.receive_window += increment
            self._output.control(frames.window_update(stream.stream_id, increment))

    def taken(self, stream: StreamState, size: int) -> None:
        """A handler took a message of ``size`` bytes."""
        self.buffered_bytes -= size
        self.credit(stream)

    def release(self, stream: StreamState) -> None:
        """Nothing of what is kept for a stream will be used."""
        self.buffered_bytes -= stream.held_bytes
        stream.reader = None
        self._promised.pop(stream, None)
        assert self.buffered_bytes >= 0, f"request bytes kept: {self.buffered_bytes}"
