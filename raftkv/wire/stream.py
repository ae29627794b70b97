"""One HTTP/2 stream and the unary call it carries.

Owns: the state that both halves of the connection keep per stream, and ``UnaryRequest``, which is
that state and the handler's ``UnaryCall`` in one small object, since there is one per request.
Must never do: frame or parse; that is output.py and connection.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from raftkv.wire.grpc import CANCELLED, INTERNAL, OK, CallFailure, MessageReader
from raftkv.wire.routes import Head
from raftkv.wire.service import Status

if TYPE_CHECKING:
    from raftkv.wire.connection import Connection


class StreamState:
    """What is known of an open stream, whatever it carries."""

    __slots__ = (
        "began",
        "cancelled",
        "connection",
        "deadline",
        "done",
        "head",
        "headers_sent",
        "last_frame",
        "queue",
        "queued",
        "reader",
        "receive_window",
        "remote_closed",
        "send_credit",
        "stream_id",
    )

    def __init__(self, connection: Connection, stream_id: int, head: Head) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.head = head
        self.began = connection.now
        self.deadline: float | None = None
        # The handler has answered, or nobody wants an answer any more.
        self.done = False
        self.cancelled = False
        self.remote_closed = False
        # Send window minus the peer's initial window size: a change of that needs no walk.
        self.send_credit = 0
        self.headers_sent = False
        # Pieces that wait for a window; None when none do. ``queued`` is their bytes.
        self.queue: deque[bytes | memoryview] | None = None
        self.queued = 0
        # The frame that ends the stream, once the queue has left.
        self.last_frame: bytes | None = None
        self.receive_window = 0
        self.reader: MessageReader | None = None

    # --- the handler's questions (service.Call) ---------------------------------------------

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.head.metadata

    @property
    def peer(self) -> str:
        return self.connection.peer

    @property
    def peer_common_name(self) -> str:
        return self.connection.peer_common_name

    # --- what the connection tells it --------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        """Request bytes kept for this stream."""
        return self.reader.partial_bytes if self.reader is not None else 0

    @property
    def unread_bytes(self) -> int:
        """Request bytes for which no window is given back yet."""
        return 0

    def receive(self, data: bytes) -> None:
        """DATA without its padding. Raises CallFailure."""

    def end_input(self) -> None:
        """The client half-closed. Raises CallFailure."""

    def discard_input(self) -> None:
        """Nothing more will be read from this stream."""
        self.connection.release_input(self)

    def drained(self) -> None:
        """Some of ``queue`` has left."""

    def cancel(self) -> None:
        """The client went away."""
        if not self.done:
            self.count(CANCELLED, 0)
        self.cancelled = True
        self.done = True

    def count(self, code: int, response_bytes: int) -> None:
        """The call is over; said once, before ``done``."""
        self.head.counts.answered(code, self.began, self.connection.peer, response_bytes)

    def end(self, status: Status) -> None:
        """Answer instead of the handler: a deadline passed, the request is wrong, a shutdown."""
        if not self.done:
            self.count(status.code, 0)
            self.done = True
        self.cancel()
        output = self.connection.output
        output.drop(self)
        output.finish(self, status)


class UnaryRequest(StreamState):
    """A unary call: implements ``service.UnaryCall``."""

    # ``_when_cancelled`` is set by the few that wait: all others do not even clear it.
    __slots__ = ("_when_cancelled", "message")

    def __init__(self, connection: Connection, stream_id: int, head: Head) -> None:
        super().__init__(connection, stream_id, head)
        head.counts.started += 1
        # The request, between its last byte and the client's half-close.
        self.message: bytes | None = None

    @property
    def held_bytes(self) -> int:
        return super().held_bytes + len(self.message or b"")

    def reply(self, message: bytes) -> None:
        if not self.done:
            self.done = True
            connection = self.connection
            # As ``count``, without the call: there is one of these per request.
            self.head.counts.answered(OK, self.began, connection.peer, len(message))
            connection.output.reply(self, message)

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        if not self.done:
            self.done = True
            self.count(OK, sum(map(len, pieces)))
            self.connection.output.reply_in_pieces(self, pieces)

    def fail(self, status: Status) -> None:
        if not self.done:
            assert status.code != OK, "a unary call cannot fail with OK"
            self.done = True
            self.count(status.code, 0)
            self.connection.output.finish(self, status)

    def when_cancelled(self, proceed: Callable[[], object]) -> None:
        self._when_cancelled = proceed

    def cancel(self) -> None:
        was_done = self.done
        super().cancel()
        if not was_done:
            self._give_up()

    def end(self, status: Status) -> None:
        was_done = self.done
        super().end(status)
        if not was_done:
            self._give_up()

    def _give_up(self) -> None:
        """Nobody waits for the handler's answer any more."""
        proceed: Callable[[], object] | None = getattr(self, "_when_cancelled", None)
        if proceed is not None:
            proceed()

    def receive(self, data: bytes) -> None:
        assert self.reader is not None, f"unary stream {self.stream_id} receives without a reader"
        for message in self.reader.feed(data):
            if self.message is not None:
                text = "cardinality violation: received more than one request message"
                raise CallFailure(INTERNAL, text)
            self.message = message

    def end_input(self) -> None:
        assert self.reader is not None, f"unary stream {self.stream_id} ends without a reader"
        if self.message is None or self.reader.partial_bytes:
            text = "cardinality violation: received no request message"
            raise CallFailure(INTERNAL, text)
        message = self.message
        self.discard_input()
        self.connection.admission.serve(self, message)

    def discard_input(self) -> None:
        super().discard_input()
        self.message = None
