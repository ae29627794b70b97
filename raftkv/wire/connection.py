"""The receiving half of an HTTP/2 connection: bytes in, handlers called.

Owns: the frame loop, and streams being opened, fed and closed. ``receive`` takes whatever one
socket read brought and serves every request in it. The common request - one HEADERS frame, one
DATA frame with one whole message and END_STREAM - never leaves the loop of ``_receive_frames``;
everything else goes through one method per frame type (control.py for those without requests).
Must never do: touch a socket, a clock or asyncio: time comes in as ``now``, output stays in
``Output`` for the owner to write, and no peer's input makes ``receive`` raise.
Follows RFC 9113; section numbers are its.
"""

from __future__ import annotations

from struct import Struct
from typing import Protocol

from raftkv.wire import frames
from raftkv.wire.admission import Admission
from raftkv.wire.control import Control
from raftkv.wire.frames import ConnectionFailure, ErrorCode, Setting, StreamFailure
from raftkv.wire.grpc import STATUS_DEADLINE, CallFailure, MessageReader
from raftkv.wire.headers import HeaderDecoder
from raftkv.wire.inflow import Inflow
from raftkv.wire.limits import WireLimits
from raftkv.wire.output import Output
from raftkv.wire.routes import Head, Kind, Meaning, Routes
from raftkv.wire.stream import StreamState, UnaryRequest

# The head of a DATA frame and of the gRPC message in it, read as one.
_DATA_MESSAGE = Struct(">IBIBI")
_NEVER = float("inf")


class Owner(Protocol):
    """What a connection asks of whoever drives it."""

    def wake(self) -> None:
        """There is output; said once until it is taken."""

    def open_call(self, connection: Connection, stream_id: int, head: Head) -> StreamState:
        """Begin a streaming call or a plain HTTP request."""


class Connection:
    """One peer's HTTP/2 connection, after its preface."""

    def __init__(
        self, routes: Routes, limits: WireLimits, owner: Owner, peer: str, common_name: str = ""
    ) -> None:
        self.peer = peer
        self.peer_common_name = common_name
        self.limits = limits
        self.streams: dict[int, StreamState] = {}
        self.output = Output(limits, self.streams, owner.wake)
        self.inflow = Inflow(limits, self.output)
        self.admission = Admission(limits, self.output, self.streams)
        self.control = Control(limits, self.output, self.streams, self._abandon)
        # Set once nothing more is read: the owner writes what is left and closes.
        self.failure: ConnectionFailure | None = None
        self.next_deadline = _NEVER
        self._decoder: HeaderDecoder[Meaning] = HeaderDecoder(limits, routes.meaning)
        self._owner = owner
        self.now = 0.0
        self._partial = b""
        # A header block still being continued: its stream, whether that ends, its fragments.
        self._block: tuple[int, bool, list[bytes]] | None = None

    def start(self) -> None:
        """Queue the server's preface (section 3.4)."""
        limits = self.limits
        values = {
            Setting.MAX_CONCURRENT_STREAMS: limits.concurrent_streams_max,
            Setting.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
            Setting.MAX_FRAME_SIZE: limits.frame_bytes_max,
            Setting.MAX_HEADER_LIST_SIZE: limits.header_list_bytes_max,
        }
        self.output.control(frames.settings(values))
        more = limits.connection_window_bytes - frames.WINDOW_DEFAULT
        if more:
            self.output.control(frames.window_update(0, more))

    def receive(self, data: bytes, now: float) -> None:
        """Serve everything in ``data``. A peer's fault ends up in ``failure`` and a GOAWAY."""
        if self.failure is not None:
            return
        self.now = now
        try:
            self._receive_frames(self._partial + data if self._partial else data)
        except ConnectionFailure as failure:
            self.fail(failure)

    def fail(self, failure: ConnectionFailure) -> None:
        self.failure = failure
        self._partial = b""
        last = min(self.control.last_stream_id, self.control.last_accepted_id)
        goaway = frames.goaway(last, failure.code, failure.reason.encode())
        self.output.control(goaway)

    # --- the frame loop ----------------------------------------------------------------------

    def _receive_frames(self, data: bytes) -> None:
        position = 0
        end = len(data)
        frame_bytes_max = self.limits.frame_bytes_max
        read_head = frames.HEAD.unpack_from
        read_message = _DATA_MESSAGE.unpack_from
        decoder = self._decoder
        blocks = decoder.blocks
        inflow = self.inflow
        while end - position >= 9:
            word, flags, stream_id = read_head(data, position)
            after = position + 9 + (word >> 8)
            if after > end or word >> 8 > frame_bytes_max:
                if word >> 8 > frame_bytes_max:
                    reason = f"frame of {word >> 8} bytes, at most {frame_bytes_max} allowed"
                    raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, reason)
                break
            if word & 0xFF == 1 and flags == 4 and self._block is None and self.control.settled:
                block = data[position + 9 : after]
                meaning = blocks.get(block) or decoder.decode(block)
                position = after
                if end - after >= 14:
                    data_word, data_flags, data_id, packed, length = read_message(data, after)
                    if (
                        data_word == length + 5 << 8
                        and data_flags == 1
                        and data_id == stream_id
                        and packed == 0
                        and end - after - 14 >= length
                        and length < frame_bytes_max - 5
                        and meaning[0].kind == 0
                        and self._admits(stream_id)
                    ):
                        position = after + 14 + length
                        inflow.window -= length + 5
                        self._serve(stream_id, meaning, data[after + 14 : position])
                        continue
                self._open(stream_id & frames.STREAM_ID_MAX, meaning, ended=False)
                continue
            payload = data[position + 9 : after]
            self._on_frame(word & 0xFF, flags, stream_id & frames.STREAM_ID_MAX, payload)
            position = after
        self._partial = data[position:]
        inflow.refill()

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "header block interrupted")
        if not self.control.settled and kind != frames.SETTINGS:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "the first frame is no SETTINGS")
        try:
            if kind == frames.DATA:
                self._on_data(flags, stream_id, payload)
            elif kind == frames.HEADERS:
                self._on_headers(flags, stream_id, payload)
            elif kind == frames.CONTINUATION:
                self._on_continuation(flags, stream_id, payload)
            else:
                self.control.on_frame(kind, flags, stream_id, payload, self.now)
        except StreamFailure as failure:
            self._reset(stream_id, failure.code)

    # --- frames with requests in them ------------------------------------------------------------

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self.inflow.window -= size
        data = frames.unpad(flags, payload)
        stream = self.streams.get(stream_id)
        if stream is None:
            if self.control.is_idle(stream_id):
                reason = f"DATA on idle stream {stream_id}"
                raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, reason)
            if self.control.tolerates(stream_id, self.now):
                return
            raise StreamFailure(ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
        if stream.remote_closed:
            raise StreamFailure(ErrorCode.STREAM_CLOSED, "DATA after END_STREAM")
        ended = bool(flags & frames.END_STREAM)
        if not data and not ended:
            self.control.flood.idle_frames.take(self.now)
        # A call that is over already takes no more; its RST_STREAM is on the way.
        stream.remote_closed = ended
        if not stream.done:
            try:
                self.inflow.receive(stream, data, size)
            except CallFailure as failure:
                stream.end(failure.status)
                return
        if ended:
            self._end_input(stream)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        fragment = frames.header_fragment(flags, stream_id, payload)
        ended = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._open(stream_id, self._decoder.decode(fragment), ended=ended)
        else:
            self._block = (stream_id, ended, [fragment])

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream_id:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no header block")
        _, ended, fragments = self._block
        fragments.append(payload)
        if len(fragments) - 1 > self.limits.continuation_frames_max:
            raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames")
        if sum(map(len, fragments)) > self.limits.header_block_bytes_max:
            raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, "header block too large")
        if flags & frames.END_HEADERS:
            self._block = None
            self._open(stream_id, self._decoder.decode(b"".join(fragments)), ended=ended)

    def _admits(self, stream_id: int) -> bool:
        """Whether a new stream may be served without a second thought."""
        return (
            self.control.last_stream_id < stream_id <= self.control.last_accepted_id
            and stream_id & 1 == 1
            and len(self.streams) < self.limits.concurrent_streams_max
        )

    def _serve(self, stream_id: int, meaning: Meaning, message: bytes) -> None:
        """A whole unary request."""
        self.control.last_stream_id = stream_id
        head, timeout = meaning
        call = UnaryRequest(self, stream_id, head)
        call.remote_closed = True
        self.streams[stream_id] = call
        if timeout is not None:
            self._set_deadline(call, timeout)
        self.admission.serve(call, message)

    # --- streams -------------------------------------------------------------------------------

    def _open(self, stream_id: int, meaning: Meaning, *, ended: bool) -> None:
        """A header block is complete: open a stream, or end one with its trailers."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._on_trailers(stream, meaning[0], ended=ended)
            return
        if stream_id & 1 == 0 or stream_id <= 0:
            reason = f"HEADERS on stream {stream_id}"
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, reason)
        if stream_id <= self.control.last_stream_id:
            if self.control.tolerates(stream_id, self.now):
                return
            reason = f"HEADERS on stream {stream_id} after {self.control.last_stream_id}"
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, reason)
        self.control.last_stream_id = stream_id
        if stream_id > self.control.last_accepted_id:
            return  # the client learns of our GOAWAY and tries elsewhere
        head, timeout = meaning
        if head.kind in (Kind.MALFORMED, Kind.TRAILERS):
            self._reset(stream_id, ErrorCode.PROTOCOL_ERROR)
        elif len(self.streams) >= self.limits.concurrent_streams_max:
            self._reset(stream_id, ErrorCode.REFUSED_STREAM)
        elif head.kind == Kind.REFUSED:
            self.output.refuse(stream_id, head.refusal, ended=ended)
        else:
            self._begin(stream_id, head, timeout, ended=ended)

    def _begin(self, stream_id: int, head: Head, timeout: float | None, *, ended: bool) -> None:
        stream: StreamState
        if head.kind in (Kind.UNARY, Kind.MEASURED):
            stream = UnaryRequest(self, stream_id, head)
        else:
            stream = self._owner.open_call(self, stream_id, head)
        stream.reader = MessageReader(self.limits.message_bytes_max, head.encoding)
        stream.receive_window = self.limits.stream_window_bytes
        self.inflow.promise(stream, head.content_length)
        self.streams[stream_id] = stream
        if timeout is not None:
            self._set_deadline(stream, timeout)
        if ended:
            self._end_input(stream)

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        """RST_STREAM for the peer's fault; a peer that keeps at it is a flood."""
        self.control.flood.resets.take(self.now)
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self._abandon(stream)
        self.output.reset(stream_id, code)

    def _on_trailers(self, stream: StreamState, head: Head, *, ended: bool) -> None:
        if stream.remote_closed:
            self._reset(stream.stream_id, ErrorCode.STREAM_CLOSED)
        elif not ended or head.kind != Kind.TRAILERS:
            self._reset(stream.stream_id, ErrorCode.PROTOCOL_ERROR)
        else:
            self._end_input(stream)

    def _end_input(self, stream: StreamState) -> None:
        stream.remote_closed = True
        if stream.done:
            return
        if self.inflow.is_short(stream):
            self._reset(stream.stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        try:
            stream.end_input()
        except CallFailure as failure:
            stream.end(failure.status)

    def _abandon(self, stream: StreamState) -> None:
        stream.cancel()
        stream.discard_input()
        self.output.drop(stream)

    def abandon_all(self) -> None:
        """The connection is gone."""
        for stream in list(self.streams.values()):
            self._abandon(stream)
        self.streams.clear()
        self.admission.held.clear()
        self.output.chunks.clear()

    def release_input(self, stream: StreamState) -> None:
        if stream.reader is not None:
            self.inflow.release(stream)

    # --- deadlines -------------------------------------------------------------------------------

    def _set_deadline(self, stream: StreamState, timeout: float) -> None:
        stream.deadline = deadline = self.now + timeout
        if deadline < self.next_deadline:
            self.next_deadline = deadline

    def expire(self, now: float) -> None:
        """Answer every call whose deadline has passed; one sweep serves them all."""
        nearest = _NEVER
        for stream in list(self.streams.values()):
            deadline = stream.deadline
            if deadline is None or stream.done:
                continue
            if deadline <= now:
                stream.end(STATUS_DEADLINE)
            elif deadline < nearest:
                nearest = deadline
        self.next_deadline = nearest
