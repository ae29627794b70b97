"""Calls that need asyncio: streaming calls, and plain HTTP requests that came over HTTP/2.

Owns: ``StreamCall`` (the handler's ``service.Stream``) and ``HttpCall``, each with the task that
runs its handler. Must never do: frame or parse; windows are given back through the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raftkv.wire import frames
from raftkv.wire.grpc import (
    CANCELLED,
    INTERNAL,
    PREFIX_BYTES,
    RESOURCE_EXHAUSTED,
    STATUS_OK,
    CallFailure,
    like_messages,
)
from raftkv.wire.headers import Field, block_of
from raftkv.wire.routes import Head
from raftkv.wire.service import HttpHandler, HttpRequest, HttpResponse, Status
from raftkv.wire.stream import StreamState

if TYPE_CHECKING:
    from raftkv.wire.connection import Connection


class TaskCall(StreamState):
    """A call served by a task of its own."""

    __slots__ = ("_task",)

    def __init__(self, connection: Connection, stream_id: int, head: Head) -> None:
        super().__init__(connection, stream_id, head)
        self._task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        super().cancel()
        if self._task is not None:
            self._task.cancel()


class StreamCall(TaskCall):
    """A streaming call: implements ``service.Stream``."""

    __slots__ = ("_drain_waiter", "_ended", "_messages", "_messages_bytes", "_waiter")

    def __init__(self, connection: Connection, stream_id: int, head: Head) -> None:
        super().__init__(connection, stream_id, head)
        head.counts.started += 1
        self._messages: deque[bytes] = deque()
        self._messages_bytes = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        try:
            await self.head.stream(self)
        except asyncio.CancelledError:
            # Our own cancel() answered already; a handler may also have cancelled itself.
            self._finish(Status(CANCELLED, "context canceled"))
        except Exception as error:  # noqa: BLE001 - the service says what its errors mean
            self._finish(self.head.status_of(error))
        else:
            self._finish(STATUS_OK)

    def _finish(self, status: Status) -> None:
        if not self.done:
            self.done = True
            self.count(status.code, 0)
            self.connection.output.finish(self, status)

    # --- the handler's side (service.Stream) -------------------------------------------------

    def __aiter__(self) -> StreamCall:
        return self

    async def __anext__(self) -> bytes:
        while not self._messages:
            if self._ended:
                raise StopAsyncIteration
            assert self._waiter is None, "a stream's requests have one reader"
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        size = len(message) + PREFIX_BYTES
        self._messages_bytes -= size
        self.connection.inflow.taken(self, size)
        return message

    def send(self, message: bytes) -> None:
        if not self.done:
            self.head.counts.stream_messages_sent += 1
            self.connection.output.send(self, message)

    def send_each(self, head: bytes, middles: Sequence[bytes], tail: bytes) -> None:
        if not self.done:
            self.head.counts.stream_messages_sent += len(middles)
            data = like_messages(head, middles, tail)
            self.connection.output.send_messages(self, (data,), len(data), len(middles))

    @property
    def backlog(self) -> int:
        return self.queued

    async def drain(self) -> None:
        low = self.connection.limits.stream_backlog_low_bytes
        while self.queued > low:
            if self._drain_waiter is None or self._drain_waiter.done():
                self._drain_waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drain_waiter)

    # --- the connection's side ------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        return super().held_bytes + self._messages_bytes

    @property
    def unread_bytes(self) -> int:
        return self._messages_bytes

    def receive(self, data: bytes) -> None:
        assert self.reader is not None, f"stream {self.stream_id} receives after its end"
        for message in self.reader.feed(data):
            self.head.counts.stream_messages_received += 1
            self._messages.append(message)
            self._messages_bytes += len(message) + PREFIX_BYTES
        self._wake()

    def end_input(self) -> None:
        if self.reader is not None and self.reader.partial_bytes:
            raise CallFailure(INTERNAL, "unexpected EOF")
        self._ended = True
        self._wake()

    def discard_input(self) -> None:
        super().discard_input()
        self._messages.clear()
        self._messages_bytes = 0

    def drained(self) -> None:
        waiter = self._drain_waiter
        low = self.connection.limits.stream_backlog_low_bytes
        if waiter is not None and not waiter.done() and self.queued <= low:
            waiter.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class HttpCall(TaskCall):
    """A plain HTTP request, for the listener's ``HttpHandler``."""

    __slots__ = ("_body", "_handler")

    def __init__(
        self, connection: Connection, stream_id: int, head: Head, handler: HttpHandler
    ) -> None:
        super().__init__(connection, stream_id, head)
        self._handler = handler
        self._body = bytearray()

    @property
    def held_bytes(self) -> int:
        return len(self._body)

    def receive(self, data: bytes) -> None:
        limit = self.connection.limits.http_body_bytes_max
        if len(self._body) + len(data) > limit:
            raise CallFailure(RESOURCE_EXHAUSTED, f"request body larger than {limit} bytes")
        self._body += data

    def end_input(self) -> None:
        request = HttpRequest(
            method=self.head.http_method.decode("latin-1"),
            target=self.head.path.decode("latin-1"),
            headers=self.head.metadata,
            body=bytes(self._body),
            peer_common_name=self.peer_common_name,
            peer=self.peer,
        )
        self._task = asyncio.get_running_loop().create_task(self._serve(request))

    def discard_input(self) -> None:
        super().discard_input()
        self._body.clear()

    async def _serve(self, request: HttpRequest) -> None:
        try:
            response = await self._handler(request)
        except Exception:  # noqa: BLE001 - a handler's bug is no reason to lose the connection
            response = HttpResponse(500, b"internal error\n")
        if self.done:
            return
        self.done = True
        fields: list[Field] = [
            (b":status", b"%d" % response.status),
            (b"content-type", response.content_type.encode("latin-1")),
            (b"content-length", b"%d" % len(response.body)),
        ]
        for name, value in response.headers.items():
            fields.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        output = self.connection.output
        output.headers(self, block_of(fields))
        if request.method != "HEAD":
            output.body(self, response.body)
        output.end(self, frames.frame(frames.DATA, frames.END_STREAM, self.stream_id))
