"""A plain HTTP stream over HTTP/2: DATA frames both ways, within the windows.

Owns: ``Http2Stream``, the handler's ``service.HttpExchange``. Must never do: frame or parse;
windows are given back through the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from raftkv.log_fields import fields
from raftkv.wire import frames
from raftkv.wire.call import TaskCall
from raftkv.wire.headers import Field, block_of
from raftkv.wire.inbox import Inbox
from raftkv.wire.routes import Head
from raftkv.wire.service import HttpHead, HttpStreamHandler, Status

if TYPE_CHECKING:
    from raftkv.wire.connection import Connection

_log = logging.getLogger(__name__)


class Http2Stream(TaskCall):
    __slots__ = ("_drain_waiter", "_inbox", "request")

    def __init__(
        self,
        connection: Connection,
        stream_id: int,
        head: Head,
        request: HttpHead,
        handler: HttpStreamHandler,
    ) -> None:
        super().__init__(connection, stream_id, head)
        self.request = request
        self._inbox = Inbox(lambda size: connection.inflow.taken(self, size))
        self._drain_waiter: asyncio.Future[None] | None = None
        self._task = asyncio.get_running_loop().create_task(self._serve(handler))

    async def _serve(self, handler: HttpStreamHandler) -> None:
        try:
            await handler(self)
        except asyncio.CancelledError:
            pass  # our own cancel: nobody wants an answer any more
        except Exception:  # noqa: BLE001 - a handler's bug is no reason to lose the connection
            told = fields(method=self.request.method, target=self.request.target)
            _log.exception("an HTTP request failed", extra=told)
            if not self.headers_sent:
                self.start(500, "text/plain; charset=utf-8", {})
        if not self.done:
            self.done = True
            output = self.connection.output
            output.end(self, frames.frame(frames.DATA, frames.END_STREAM, self.stream_id))

    # --- the handler's side (service.HttpExchange) ---------------------------------------------

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inbox

    @property
    def backlog(self) -> int:
        return self.queued

    def start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        if self.done:
            return
        fields: list[Field] = [
            (b":status", b"%d" % status),
            (b"content-type", content_type.encode("latin-1")),
        ]
        for name, value in headers.items():
            fields.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        self.connection.output.headers(self, block_of(fields))

    def send(self, data: bytes) -> None:
        if not self.done:
            self.connection.output.body(self, data)

    async def drain(self) -> None:
        while self.queued > self.connection.limits.stream_backlog_low_bytes:
            if self._drain_waiter is None or self._drain_waiter.done():
                self._drain_waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drain_waiter)

    # --- the connection's side -------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        return self._inbox.unread

    @property
    def unread_bytes(self) -> int:
        return self._inbox.unread

    def receive(self, data: bytes) -> None:
        self._inbox.put(data)

    def end_input(self) -> None:
        self._inbox.end()

    def discard_input(self) -> None:
        super().discard_input()
        self._inbox.clear()

    def drained(self) -> None:
        waiter = self._drain_waiter
        low = self.connection.limits.stream_backlog_low_bytes
        if waiter is not None and not waiter.done() and self.queued <= low:
            waiter.set_result(None)

    def end(self, status: Status) -> None:
        """As a plain HTTP client understands it: an end of the body, or 503 where there is none."""
        self.cancel()
        output = self.connection.output
        output.drop(self)
        if not self.headers_sent:
            output.headers(self, block_of([(b":status", b"503")]))
        output.end(self, frames.frame(frames.DATA, frames.END_STREAM, self.stream_id))
