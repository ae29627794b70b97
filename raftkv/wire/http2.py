"""Drives one HTTP/2 connection on an asyncio transport.

Owns: when output is written (once at the end of a read for answers made during it, once a loop
turn for all others), the socket's backpressure, and the connection's timers.
Must never do: look into frames; connection.py does. Backpressure: while the socket is full,
streams queue instead of framing (``Output.paused``) and, past ``frames_queued_max`` frames that
cannot be queued, reading stops too. A peer that lets nothing move for ``stall_seconds_max`` is
cut off.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from raftkv.log_fields import fields
from raftkv.wire import frames
from raftkv.wire.call import HttpCall, StreamCall
from raftkv.wire.connection import Connection
from raftkv.wire.frames import ConnectionFailure, ErrorCode
from raftkv.wire.grpc import UNAVAILABLE
from raftkv.wire.http2_stream import Http2Stream
from raftkv.wire.routes import Head, Kind
from raftkv.wire.service import HttpHead, Status
from raftkv.wire.stream import StreamState

if TYPE_CHECKING:
    from raftkv.wire.listener import Hub

_log = logging.getLogger(__name__)
_KEEPALIVE_PING = frames.ping(b"raftkv:k", ack=False)
_STOPPED = Status(UNAVAILABLE, "the server is stopping")


class Http2Protocol(asyncio.Protocol):
    """One connection, its transport and its clock."""

    def __init__(
        self, hub: Hub, transport: asyncio.Transport, peer: str, peer_common_name: str = ""
    ) -> None:
        self._hub = hub
        self._limits = hub.limits
        self._transport = transport
        self._time = hub.loop.time
        self._reading_paused = False
        self._closed = False
        # Once closing: when the peer has had long enough to read what was sent last.
        self._linger_until: float | None = None
        self.connection = Connection(hub.routes, hub.limits, self, peer, peer_common_name)
        now = self._time()
        self.wake_at = now
        self._settings_due = now + self._limits.preface_seconds_max
        self._heard_at = now
        self._keepalive_sent_at: float | None = None
        self._moved_at = now
        self._moved_mark = (0, 0)
        self.connection.start()

    # --- asyncio's side -------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        connection = self.connection
        output = connection.output
        self._heard_at = now = self._time()
        self._hub.bytes_received += len(data)
        # Answers made while reading leave below, in one write; nobody need be woken for them.
        output.dirty = True
        try:
            connection.receive(data, now)
        except Exception:  # noqa: BLE001 - our bug ends this connection, not the member
            _log.exception("a connection failed", extra=fields(remote_addr=connection.peer))
            connection.fail(ConnectionFailure(ErrorCode.INTERNAL_ERROR, "internal error"))
        if connection.next_deadline < self.wake_at:
            self.wake_at = connection.next_deadline
        self.flush()

    def pause_writing(self) -> None:
        self.connection.output.paused = True
        self._moved_at = self._time()
        self.wake_at = min(self.wake_at, self._moved_at)

    def resume_writing(self) -> None:
        self.connection.output.paused = False
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        self.wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self.connection.abandon_all()
        self._hub.forget(self)

    # --- the connection's side (connection.Owner) ---------------------------------------------

    def wake(self) -> None:
        self.connection.output.dirty = True
        self._hub.flush_soon(self)

    def open_call(self, connection: Connection, stream_id: int, head: Head) -> StreamState:
        if head.kind == Kind.HTTP:
            assert self._hub.http is not None, "an HTTP head without an HTTP handler"
            target, method = head.path.decode("latin-1"), head.http_method.decode("latin-1")
            name, peer = self.connection.peer_common_name, self.connection.peer
            request = HttpHead(method, target, head.metadata, name, peer)
            handler = self._hub.http_streams(request)
            if handler is not None:
                return Http2Stream(connection, stream_id, head, request, handler)
            return HttpCall(connection, stream_id, head, self._hub.http)
        return StreamCall(connection, stream_id, head)

    # --- writing ---------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what may leave; at most until the socket is full."""
        connection = self.connection
        output = connection.output
        if self._closed:
            return
        if output.paused and connection.failure is None:
            self._throttle()
            return
        data = output.take(self._limits.write_bytes_max)
        while data:
            self._hub.bytes_sent += len(data)
            self._transport.write(data)
            if not output.can_move:
                break
            data = output.take(self._limits.write_bytes_max)
        connection.admission.release()
        if connection.failure is not None or (
            connection.control.draining and not connection.streams
        ):
            self._close_when_drained()

    def _throttle(self) -> None:
        """The socket is full; ``resume_writing`` flushes. Until then do not make more frames."""
        output = self.connection.output
        if len(output.chunks) > self._limits.frames_queued_max and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _close_when_drained(self) -> None:
        control = self.connection.control
        drained = control.last_accepted_id != frames.STREAM_ID_MAX
        if self.connection.failure is None and not drained:
            return  # the client may not have seen our first GOAWAY yet
        self._linger()

    def _linger(self) -> None:
        """Close, but let the peer read what was sent.

        After a failure the peer may still be sending, and closing on it would be a TCP reset that
        overtakes our GOAWAY: so only our side ends, and what comes is read and forgotten a while.
        """
        self._closed = True
        if self.connection.failure is not None and self._transport.can_write_eof():
            seconds = self._limits.linger_seconds_max
            self._transport.write_eof()
        else:
            seconds = self._limits.stall_seconds_max
            self._transport.close()
        self._linger_until = self.wake_at = self._time() + seconds

    # --- time --------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Whatever is due; sets ``wake_at`` to when the next thing can be."""
        if self._linger_until is not None:
            if now >= self._linger_until:
                self._transport.abort()
            return
        connection = self.connection
        if connection.next_deadline <= now:
            connection.expire(now)
        due = min(connection.next_deadline, self._keep_alive(now), self._watch_stall(now))
        if not connection.control.settled:
            due = min(due, self._settings_due)
            if now >= self._settings_due:
                self.abort()
        self.wake_at = due

    def _keep_alive(self, now: float) -> float:
        interval = self._limits.keepalive_interval_seconds
        # At or after: uvloop's clock counts whole milliseconds.
        if self._keepalive_sent_at is None or self._heard_at >= self._keepalive_sent_at:
            self._keepalive_sent_at = None
            if now < self._heard_at + interval:
                return self._heard_at + interval
            self._keepalive_sent_at = now
            self.connection.output.control(_KEEPALIVE_PING)
        due = self._keepalive_sent_at + self._limits.keepalive_timeout_seconds
        if now >= due:
            self.abort()
        return due

    def _watch_stall(self, now: float) -> float:
        """Full buffers that do not move at all are a peer that reads nothing."""
        output = self.connection.output
        full = output.paused or output.backlog >= self._limits.connection_backlog_bytes_max
        mark = (output.moved_bytes, self._transport.get_write_buffer_size())
        if not full or mark != self._moved_mark:
            self._moved_mark = mark
            self._moved_at = now
        if now >= self._moved_at + self._limits.stall_seconds_max:
            told = fields(remote_addr=self.connection.peer)
            _log.warning("closing a connection whose client reads nothing", extra=told)
            self.abort()
        return now + self._limits.stall_seconds_max / 4

    # --- the end -----------------------------------------------------------------------------

    def begin_drain(self) -> None:
        self.connection.control.begin_drain()

    def end_drain(self) -> None:
        """Accept nothing more; close as soon as nothing is in flight."""
        self.connection.control.begin_drain()
        self.connection.control.end_drain()
        self.wake()

    def stop(self) -> None:
        """Answer everything still in flight and close."""
        for stream in list(self.connection.streams.values()):
            if not stream.done:
                stream.end(_STOPPED)
        self.end_drain()
        self.flush()
        self._linger()

    def abort(self) -> None:
        self._closed = True
        self._transport.abort()
