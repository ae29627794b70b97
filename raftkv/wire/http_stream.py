"""An HTTP/1.1 connection whose request and answer are streams: what chunks and websockets share.

Owns: the transport once ``http1`` has read a request head that asks for a stream, the handler's
task, the bounds of both directions, and the end. Such a connection serves this one request.
Must never do: know what the pieces mean, or how they are framed: its two kinds do that.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from raftkv.log_fields import fields
from raftkv.wire.inbox import Inbox
from raftkv.wire.service import HttpHead, HttpStreamHandler

if TYPE_CHECKING:
    from raftkv.wire.listener import Hub

_log = logging.getLogger(__name__)
_NEVER = float("inf")


class HttpStreamProtocol(asyncio.Protocol):
    """Implements ``service.HttpExchange`` and ``listener.Conversation``."""

    def __init__(
        self, hub: Hub, transport: asyncio.Transport, request: HttpHead, handler: HttpStreamHandler
    ) -> None:
        self.request = request
        self.wake_at = _NEVER
        self._hub = hub
        self._limits = hub.limits
        self._transport = transport
        self._inbox = Inbox(self._taken)
        self._reading_paused = False
        self._lingering = False
        self._stalled_at = -1
        self._writable = asyncio.Event()
        self._writable.set()
        _keep_alive(transport, hub.limits.http_keepalive_seconds)
        self._task = hub.loop.create_task(self._serve(handler))

    async def _serve(self, handler: HttpStreamHandler) -> None:
        try:
            await handler(self)
        except asyncio.CancelledError:
            pass  # the client is gone, or the server stops
        except Exception:  # noqa: BLE001 - a handler's bug ends this connection, not the member
            told = fields(method=self.request.method, target=self.request.target)
            _log.exception("an HTTP request failed", extra=told)
            self._transport.abort()  # so that what came does not look whole
        if not self._lingering and not self._transport.is_closing():
            self._write(self._ending())
            self._linger()

    # --- the handler's side (service.HttpExchange) ------------------------------------------------

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inbox

    def start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    @property
    def backlog(self) -> int:
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        await self._writable.wait()

    # --- each kind's own --------------------------------------------------------------------------

    def _received(self, data: bytes) -> None:
        """Put what it means into the inbox."""
        raise NotImplementedError

    def _ending(self) -> bytes:
        """What ends the answer."""
        raise NotImplementedError

    # --- asyncio's side ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._hub.bytes_received += len(data)
        if self._lingering:
            return
        self._received(data)
        if self._inbox.unread > self._limits.http_unread_bytes_max:
            self._pause_reading()

    def eof_received(self) -> bool:
        """Half a connection is none: whoever wants to hear more keeps both sides open."""
        self._task.cancel()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lingering = True
        self._inbox.clear()
        self._task.cancel()
        self._hub.forget(self)

    def pause_writing(self) -> None:
        self._writable.clear()
        self._pause_reading()  # what is read may have to be answered
        self._stalled_at = -1
        self.wake_at = self._hub.loop.time()

    def resume_writing(self) -> None:
        self._writable.set()
        if not self._lingering:
            self.wake_at = _NEVER
        self._taken(0)

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _taken(self, size: int) -> None:
        may_read = self._writable.is_set() and not self._transport.is_closing()
        if (
            self._reading_paused
            and may_read
            and self._inbox.unread <= self._limits.http_unread_bytes_max
        ):
            self._reading_paused = False
            self._transport.resume_reading()

    def _write(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._hub.bytes_sent += len(data)
            self._transport.write(data)

    # --- the hub's side ---------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """The last words were said long ago, or the client takes nothing from a full buffer."""
        size = self._transport.get_write_buffer_size()
        if self._lingering or size == self._stalled_at:
            self._transport.abort()
            return
        self._stalled_at = size
        self.wake_at = now + self._limits.stall_seconds_max

    def flush(self) -> None:
        """Nothing is ever held back here."""

    def begin_drain(self) -> None:
        """A stream has no end of its own: it ends now, in order."""
        self._task.cancel()

    def end_drain(self) -> None:
        self.begin_drain()

    def stop(self) -> None:
        self._transport.abort()

    def _linger(self) -> None:
        """End our side; let the client read it, and forget what it still sends."""
        self._lingering = True
        self._inbox.clear()
        self.wake_at = self._hub.loop.time() + self._limits.linger_seconds_max
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()


def _keep_alive(transport: asyncio.Transport, seconds: float) -> None:
    """A client that vanished would never be noticed on a stream that says nothing."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(seconds))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(seconds / 3)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
