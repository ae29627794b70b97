"""The sending half of an HTTP/2 connection: frames out, as the peer's windows and socket allow.

Owns: the send windows (RFC 9113 section 5.2), the queues of streams that must wait for one, and
``chunks``, the bytes that may go to the socket now. A reply that fits everything at once becomes
three chunks and is forgotten; only what does not fit is queued, per stream, and leaves by
``pump`` in turns of one frame a stream.
Our encoder keeps no dynamic table, but a peer that makes its own smaller must be told that ours is
not larger: the next block then begins with a table size update (RFC 7541 section 4.2).
Invariants: ``backlog`` is the sum of all streams' ``queued``; a stream with ``queued`` is in
``_ready`` unless its own window is exhausted; DATA never exceeds either window.
Must never do: touch a socket or a clock; the owner calls ``take`` and writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from struct import Struct

from raftkv.wire import frames
from raftkv.wire.frames import ConnectionFailure, ErrorCode, StreamFailure
from raftkv.wire.grpc import (
    OK,
    PREFIX_BYTES,
    RESPONSE_BLOCK,
    STATUS_OK,
    trailers_block,
    trailers_only_block,
)
from raftkv.wire.limits import WireLimits
from raftkv.wire.service import Status
from raftkv.wire.stream import StreamState

# A whole unary answer around its message: HEADERS frame, DATA frame head, gRPC prefix.
_REPLY = Struct(f">IBI{len(RESPONSE_BLOCK)}sIBIBI")
_REPLY_HEADERS = len(RESPONSE_BLOCK) << 8 | frames.HEADERS
_OK_BLOCK = trailers_block(STATUS_OK)
_OK_TRAILERS = Struct(f">IBI{len(_OK_BLOCK)}s")
_OK_TRAILERS_HEAD = len(_OK_BLOCK) << 8 | frames.HEADERS
_ENDS = frames.END_HEADERS | frames.END_STREAM
_MESSAGE = Struct(">IBIBI")  # DATA frame head and gRPC prefix
_PREFIX = Struct(">BI")
_TABLE_BYTES_DEFAULT = 4_096
_TABLE_SIZE_UPDATE = b"\x20"  # to 0

Chunk = bytes | memoryview


class Output:
    """What waits to be sent on one connection."""

    __slots__ = (
        "_frame_bytes_limit",
        "_notify",
        "_ready",
        "_resets_remembered_max",
        "_streams",
        "_table_bytes_max",
        "_table_update_due",
        "_whole_reply_bytes_max",
        "answers",
        "backlog",
        "chunks",
        "dirty",
        "frame_bytes_max",
        "initial_window",
        "moved_bytes",
        "paused",
        "resets",
        "window",
    )

    def __init__(
        self, limits: WireLimits, streams: dict[int, StreamState], notify: Callable[[], None]
    ) -> None:
        self._streams = streams
        self._notify = notify
        self._frame_bytes_limit = limits.frame_bytes_out_max
        self._resets_remembered_max = limits.resets_remembered_max
        # The peer's SETTINGS_HEADER_TABLE_SIZE, and whether the next block must tell of its fall.
        self._table_bytes_max = _TABLE_BYTES_DEFAULT
        self._table_update_due = False
        self._ready: dict[StreamState, None] = {}
        self.chunks: list[Chunk] = []
        # True while the owner knows that there is something to take; saves it further calls.
        self.dirty = False
        # The socket is full: queue instead of framing.
        self.paused = False
        self.backlog = 0
        # Messages and status sent so far: a measure of work, for the ping flood guard.
        self.answers = 0
        self.moved_bytes = 0
        self.window = frames.WINDOW_DEFAULT
        self.initial_window = frames.WINDOW_DEFAULT
        self.frame_bytes_max = frames.FRAME_BYTES_MIN
        # As ``frame_bytes_max``; no reply leaves by the short way while a table update is due.
        self._whole_reply_bytes_max = frames.FRAME_BYTES_MIN
        # Streams ended by our RST_STREAM, oldest first: the peer may not have read it yet.
        self.resets: dict[int, None] = {}

    # --- what calls send ------------------------------------------------------------------

    def reply(self, stream: StreamState, message: bytes) -> None:
        """The only message and the end of a unary call."""
        length = len(message)
        size = length + PREFIX_BYTES
        if (
            size <= self._whole_reply_bytes_max
            and size <= self.window
            and size <= self.initial_window + stream.send_credit
            and not self.paused
        ):
            self.window -= size
            stream_id = stream.stream_id
            self.chunks += (
                _REPLY.pack(
                    _REPLY_HEADERS, 4, stream_id, RESPONSE_BLOCK, size << 8, 0, stream_id, 0, length
                ),
                message,
                _OK_TRAILERS.pack(_OK_TRAILERS_HEAD, _ENDS, stream_id, _OK_BLOCK),
            )
            del self._streams[stream_id]
            self.answers += 1
            if not self.dirty:
                self._wake()
        else:
            self.send(stream, message)
            self.finish(stream, STATUS_OK)

    def reply_in_pieces(self, stream: StreamState, pieces: Sequence[bytes]) -> None:
        """``reply`` with a message that nobody joined."""
        self.answers += 1
        self.headers(stream, RESPONSE_BLOCK)
        self._enqueue(stream, _PREFIX.pack(0, sum(map(len, pieces))))
        for piece in pieces:
            self._enqueue(stream, piece)
        self.finish(stream, STATUS_OK)

    def send(self, stream: StreamState, message: bytes) -> None:
        """One message of a response."""
        self.answers += 1
        stream_id = stream.stream_id
        if not stream.headers_sent:
            self.headers(stream, RESPONSE_BLOCK)
        length = len(message)
        size = length + PREFIX_BYTES
        if (
            stream.queue is None
            and size <= self.frame_bytes_max
            and size <= self.window
            and size <= self.initial_window + stream.send_credit
            and not self.paused
        ):
            self.window -= size
            stream.send_credit -= size
            self.chunks += (_MESSAGE.pack(size << 8, 0, stream_id, 0, length), message)
        else:
            self._enqueue(stream, _PREFIX.pack(0, length))
            self._enqueue(stream, message)
        if not self.dirty:
            self._wake()

    def headers(self, stream: StreamState, block: bytes) -> None:
        stream.headers_sent = True
        frame = frames.frame(frames.HEADERS, frames.END_HEADERS, stream.stream_id, block)
        self.control(self._with_table_update(frame))

    def body(self, stream: StreamState, data: bytes) -> None:
        """Bytes of a plain HTTP response."""
        if data:
            self._enqueue(stream, data)
        if not self.dirty:
            self._wake()

    def finish(self, stream: StreamState, status: Status) -> None:
        """End a response with its trailers, once everything queued before has left."""
        if stream.headers_sent:
            block = trailers_block(status)
        else:
            assert status.code != OK or stream.queue is None, "messages before their headers"
            block = trailers_only_block(status)
        self.end(stream, frames.frame(frames.HEADERS, _ENDS, stream.stream_id, block))

    def end(self, stream: StreamState, last_frame: bytes) -> None:
        """``last_frame`` carries END_STREAM."""
        if stream.queue is None:
            self._close(stream, last_frame)
        else:
            stream.last_frame = last_frame

    def control(self, frame: bytes) -> None:
        """A frame outside flow control."""
        self.chunks.append(frame)
        if not self.dirty:
            self._wake()

    def refuse(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        """A whole response in one block, to a request that has ended or need not go on."""
        self.control(self._with_table_update(frames.frame(frames.HEADERS, _ENDS, stream_id, block)))
        if not ended:
            self.reset(stream_id, ErrorCode.NO_ERROR)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """RST_STREAM."""
        self.control(self._reset_frame(stream_id, code))

    def drop(self, stream: StreamState) -> None:
        """Forget what a stream has queued; it was reset."""
        if stream.queue is not None:
            self.backlog -= stream.queued
            stream.queued = 0
            stream.queue = None
            self._ready.pop(stream, None)

    # --- what the peer allows ----------------------------------------------------------------

    def widen(self, increment: int) -> None:
        """WINDOW_UPDATE of the connection."""
        self.window += increment
        if self.window > frames.WINDOW_MAX:
            raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, "connection window over 2^31-1")
        if self._ready and not self.dirty:
            self._wake()

    def widen_stream(self, stream: StreamState, increment: int) -> None:
        """WINDOW_UPDATE of a stream. Raises StreamFailure."""
        stream.send_credit += increment
        if self.initial_window + stream.send_credit > frames.WINDOW_MAX:
            raise StreamFailure(ErrorCode.FLOW_CONTROL_ERROR, "stream window over 2^31-1")
        self._unblock(stream)

    def set_initial_window(self, value: int) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE: applies to open streams too, and may leave one negative."""
        self.initial_window = value
        for stream in self._streams.values():
            if value + stream.send_credit > frames.WINDOW_MAX:
                raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, "stream window over 2^31-1")
            self._unblock(stream)

    def set_frame_bytes_max(self, value: int) -> None:
        self.frame_bytes_max = min(value, self._frame_bytes_limit)
        if not self._table_update_due:
            self._whole_reply_bytes_max = self.frame_bytes_max

    def set_table_bytes_max(self, value: int) -> None:
        """SETTINGS_HEADER_TABLE_SIZE."""
        if value < self._table_bytes_max:
            self._table_update_due = True
            self._whole_reply_bytes_max = -1
        self._table_bytes_max = value

    def _unblock(self, stream: StreamState) -> None:
        if stream.queue is not None:
            self._ready[stream] = None
            if not self.dirty:
                self._wake()

    # --- what the owner writes -----------------------------------------------------------------

    def take(self, bytes_max: int) -> bytes:
        """Everything framed, and up to about ``bytes_max`` of what the windows let out."""
        if self._ready and not self.paused:
            self._pump(bytes_max)
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.dirty = False
        return data

    @property
    def can_move(self) -> bool:
        """Whether another ``take`` would bring out queued bytes."""
        return bool(self._ready) and self.window > 0 and not self.paused

    def _pump(self, bytes_left: int) -> None:
        ready = self._ready
        while ready and self.window > 0 and bytes_left > 0:
            stream = next(iter(ready))
            del ready[stream]
            room = min(self.window, self.initial_window + stream.send_credit)
            if room <= 0:
                continue  # a WINDOW_UPDATE for it brings it back
            # Streams take turns of one frame; one that is alone takes all turns at once.
            turn = self.frame_bytes_max if ready else max(bytes_left, self.frame_bytes_max)
            size = min(room, turn, stream.queued)
            self._frame(stream, size)
            bytes_left -= size
            if stream.queued:
                ready[stream] = None
                continue
            stream.queue = None
            if stream.last_frame is not None:
                self._close(stream, stream.last_frame)

    def _frame(self, stream: StreamState, size: int) -> None:
        """Move ``size`` bytes from a stream's queue to ``chunks``, as DATA frames."""
        queue = stream.queue
        assert queue is not None, f"stream {stream.stream_id} is ready with nothing queued"
        cut_frames(queue, size, self.frame_bytes_max, stream.stream_id, self.chunks)
        self.window -= size
        self.backlog -= size
        self.moved_bytes += size
        self.answers += 1
        stream.send_credit -= size
        stream.queued -= size
        assert self.window >= 0, f"connection window {self.window} overdrawn"
        stream.drained()

    def _enqueue(self, stream: StreamState, piece: bytes) -> None:
        if not piece:
            return
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(piece)
        stream.queued += len(piece)
        self.backlog += len(piece)
        self._ready[stream] = None

    def _close(self, stream: StreamState, last_frame: bytes) -> None:
        stream_id = stream.stream_id
        self.chunks.append(self._with_table_update(last_frame))
        if not stream.remote_closed:
            # The response is over before the request is: the rest need not be sent.
            self.chunks.append(self._reset_frame(stream_id, ErrorCode.NO_ERROR))
        stream.discard_input()
        self._streams.pop(stream_id, None)
        if not self.dirty:
            self._wake()

    def _reset_frame(self, stream_id: int, code: ErrorCode) -> bytes:
        resets = self.resets
        resets[stream_id] = None
        if len(resets) > self._resets_remembered_max:
            del resets[next(iter(resets))]
        return frames.rst_stream(stream_id, code)

    def _with_table_update(self, frame: bytes) -> bytes:
        """``frame`` as it must leave; every HEADERS frame but a short reply's comes by here."""
        if not self._table_update_due or frames.kind_of(frame) != frames.HEADERS:
            return frame
        self._table_update_due = False
        self._whole_reply_bytes_max = self.frame_bytes_max
        return frames.prepended(frame, _TABLE_SIZE_UPDATE)

    def _wake(self) -> None:
        self.dirty = True
        self._notify()


def cut_frames(
    queue: deque[Chunk], size: int, frame_bytes_max: int, stream_id: int, chunks: list[Chunk]
) -> None:
    """Move ``size`` bytes from ``queue`` to ``chunks``, with the head of a DATA frame before every
    ``frame_bytes_max`` of them. Frames do not care where pieces end."""
    append = chunks.append
    head = frames.HEAD.pack(frame_bytes_max << 8, 0, stream_id)
    at, view = 0, memoryview(queue[0])
    end = len(view)
    while size:
        left = frame_bytes_max
        if size < left:
            left = size
            head = frames.HEAD.pack(left << 8, 0, stream_id)
        append(head)
        size -= left
        while end - at <= left:
            append(view[at:])
            left -= end - at
            queue.popleft()
            if not queue:
                return
            at, view = 0, memoryview(queue[0])
            end = len(view)
        if left:
            append(view[at : at + left])
            at += left
    if at:
        queue[0] = view[at:]
