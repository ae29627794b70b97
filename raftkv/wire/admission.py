"""Hands whole unary requests to their methods, or keeps them while replies cannot leave.

Owns: the requests held back. A client that asks faster than it reads would otherwise make its
replies pile up here; holding its requests instead bounds them, and costs it only its own time.
What is held is bounded by the concurrent streams limit.
Must never do: hold back streams; their handlers watch ``Stream.backlog``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from raftkv.wire.limits import WireLimits
from raftkv.wire.output import Output
from raftkv.wire.stream import StreamState, UnaryRequest


class Admission:
    """The gate between one connection's parsed requests and their methods."""

    __slots__ = ("_backlog_max", "_output", "_streams", "held")

    def __init__(
        self, limits: WireLimits, output: Output, streams: Mapping[int, StreamState]
    ) -> None:
        self._backlog_max = limits.connection_backlog_bytes_max
        self._output = output
        self._streams = streams
        self.held: deque[tuple[UnaryRequest, bytes]] = deque()

    def serve(self, call: UnaryRequest, message: bytes) -> None:
        output = self._output
        # The longest reply does not count: one list of 100 MiB must not keep puts waiting that
        # come by the same connection, and a second one has to wait.
        if (
            output.backlog >= self._backlog_max
            and output.backlog - self._longest() >= self._backlog_max
        ):
            self.held.append((call, message))
            return
        try:
            call.head.unary(message, call)
        except Exception as error:  # noqa: BLE001 - the service says what its errors mean
            call.fail(call.head.status_of(error))

    def release(self) -> None:
        """Serve what was held, once half of the backlog has left, the longest reply aside."""
        output = self._output
        while self.held and output.backlog - self._longest() <= self._backlog_max // 2:
            call, message = self.held.popleft()
            if not call.done:
                self.serve(call, message)

    def _longest(self) -> int:
        """Bytes that the stream with most of them has queued. Looks at every stream."""
        return max((stream.queued for stream in self._streams.values()), default=0)
