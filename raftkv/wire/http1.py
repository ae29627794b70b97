"""HTTP/1.1 on the same port: /health, /version, /metrics and the JSON gateway come this way.

Owns: one connection's request/response cycle over ``h11``, one request at a time; a pipelined
request waits in h11's buffer. Reading goes on while a handler runs, so that a client's going is
seen, and stops where too much is pipelined or the peer does not take its answer: both buffers are
bounded.
Must never do: know any path; the listener's HttpHandler does.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import h11

from raftkv.log_fields import fields
from raftkv.wire.http1_stream import Http1Stream
from raftkv.wire.http_stream import HttpStreamProtocol
from raftkv.wire.service import HttpHead, HttpRequest, HttpResponse
from raftkv.wire.websocket import BadHandshake, WebSocketStream, asks_for_websocket

if TYPE_CHECKING:
    from raftkv.wire.listener import Hub

_log = logging.getLogger(__name__)
_NEVER = float("inf")


class Http1Protocol(asyncio.Protocol):
    """One HTTP/1.1 connection."""

    def __init__(
        self, hub: Hub, transport: asyncio.Transport, peer: str, peer_common_name: str = ""
    ) -> None:
        self._hub = hub
        self._limits = hub.limits
        self._transport = transport
        self._peer = peer
        self._peer_common_name = peer_common_name
        self._h11 = self._new_h11()
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._pipelined_bytes = 0
        self._draining = False
        # The last answer is out; what still comes is read and forgotten, so that no TCP reset
        # overtakes it.
        self._lingering = False
        self._write_paused = False
        self.wake_at = hub.loop.time() + self._limits.http_request_seconds_max

    def _new_h11(self) -> h11.Connection:
        limit = self._limits.http_head_bytes_max
        return h11.Connection(h11.SERVER, max_incomplete_event_size=limit)

    # --- asyncio's side -------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._hub.bytes_received += len(data)
        if self._lingering:
            return
        self._h11.receive_data(data)
        if self._task is None:
            self._advance()
            return
        self._pipelined_bytes += len(data)
        if self._pipelined_bytes > self._limits.http_unread_bytes_max and not self._draining:
            # Nor is it seen now whether anybody is still there: that has a limit, too.
            self._transport.pause_reading()
            self.wake_at = self._hub.loop.time() + self._limits.http_request_seconds_max

    def eof_received(self) -> bool:
        if self._lingering:
            return False
        self._h11.receive_data(b"")
        if self._task is None:
            self._advance()
            return False
        # The answer may still be read, but for what waits (a lock, a campaign) nobody does: Go's
        # server, and so etcd, gives a call up here.
        self._draining = True
        self.wake_at = self._hub.loop.time() + self._limits.http_half_closed_seconds_max
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()
        self._hub.forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._task is None:
            self._transport.pause_reading()
            self.wake_at = self._hub.loop.time() + self._limits.stall_seconds_max

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._task is None and not self._lingering and not self._transport.is_closing():
            self._next_request()

    # --- requests ---------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take events until one needs waiting for."""
        try:
            while self._task is None and not self._lingering:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    self._continue()
                    return
                if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    self._close()
                    return
                self._take(event)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, f"bad request: {error}\n")

    def _continue(self) -> None:
        if self._h11.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            self._write(self._h11.send(go_on))

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._request = event
            if event.http_version not in (b"1.0", b"1.1"):
                self._refuse(505, "this is an HTTP/1.1 server\n")
                return
            if self._become_stream(event):
                return
            self.wake_at = self._hub.loop.time() + self._limits.http_request_seconds_max
        elif isinstance(event, h11.Data):
            if len(self._body) + len(event.data) > self._limits.http_body_bytes_max:
                limit = self._limits.http_body_bytes_max
                self._refuse(413, f"request body larger than {limit} bytes\n")
                return
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            self._pipelined_bytes = 0
            self.wake_at = _NEVER
            self._task = self._hub.loop.create_task(self._serve(self._whole_request()))

    def _become_stream(self, event: h11.Request) -> bool:
        """Hand the transport over, if the request asks for what is served as a stream."""
        head = _head_of(event, self._peer_common_name, self._peer)
        handler = self._hub.http_streams(head)
        if handler is None or self._draining:
            return False
        hub, transport = self._hub, self._transport
        stream: HttpStreamProtocol
        rest = b""
        if asks_for_websocket(head):
            fields = list(event.headers)
            try:
                stream = WebSocketStream(hub, transport, head, handler, fields)
            except BadHandshake as error:
                raise h11.RemoteProtocolError(f"no websocket: {error}", 400) from None
            rest, _ = self._h11.trailing_data
        else:
            stream = Http1Stream(hub, transport, head, handler, self._h11)
        self._lingering = True  # nothing of this connection is ours any more
        hub.join(stream)
        hub.forget(self)
        transport.set_protocol(stream)
        if rest:
            stream.data_received(rest)
        return True

    def _whole_request(self) -> HttpRequest:
        request = self._request
        assert request is not None, "h11 ended a request it never began"
        head = _head_of(request, self._peer_common_name, self._peer)
        body = bytes(self._body)
        self._body.clear()
        return HttpRequest(
            head.method, head.target, head.headers, body, head.peer_common_name, head.peer
        )

    async def _serve(self, request: HttpRequest) -> None:
        handler = self._hub.http
        if handler is None:
            response = HttpResponse(404, b"not found\n")
        else:
            try:
                response = await handler(request)
            except Exception:  # noqa: BLE001 - a handler's bug is the client's 500
                told = fields(method=request.method, target=request.target)
                _log.exception("an HTTP request failed", extra=told)
                response = HttpResponse(500, b"internal error\n")
        self._task = None
        if self._transport.is_closing():
            return
        self._respond(response, head_only=request.method == "HEAD")
        if self._h11.our_state is h11.MUST_CLOSE or self._draining:
            self._close()
            return
        self._h11.start_next_cycle()
        self._request = None
        if not self._write_paused:
            self._next_request()

    def _next_request(self) -> None:
        """The answer before it has left, or nearly: go on, with what is pipelined first."""
        self.wake_at = self._hub.loop.time() + self._limits.http_idle_seconds_max
        self._transport.resume_reading()
        self._advance()

    def _close(self) -> None:
        """Close once everything written has left, within limits."""
        self._lingering = True
        self.wake_at = self._hub.loop.time() + self._limits.stall_seconds_max
        self._transport.close()

    def _respond(self, response: HttpResponse, *, head_only: bool = False) -> None:
        headers = [
            ("content-type", response.content_type),
            ("content-length", str(len(response.body))),
            *response.headers.items(),
        ]
        if self._draining:
            headers.append(("connection", "close"))
        head = h11.Response(status_code=response.status, headers=headers)
        self._write(self._h11.send(head))
        if not head_only:
            self._write(self._h11.send(h11.Data(data=response.body)))
        self._write(self._h11.send(h11.EndOfMessage()))

    def _refuse(self, status: int, text: str) -> None:
        """Answer a broken request, if an answer is still possible, and close."""
        self._draining = True
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head_only = self._request is not None and self._request.method == b"HEAD"
            response = HttpResponse(status, text.encode("utf-8", "replace"))
            self._respond(response, head_only=head_only)
        if self._transport.can_write_eof():
            self._lingering = True
            self.wake_at = self._hub.loop.time() + self._limits.linger_seconds_max
            self._transport.write_eof()
        else:
            self._close()

    def _write(self, data: bytes | None) -> None:
        if data:
            self._hub.bytes_sent += len(data)
            self._transport.write(data)

    # --- the hub's side ------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """A request did not arrive in time, the connection was idle too long, or what a client
        that may have gone waits for took too long."""
        self.wake_at = _NEVER
        if self._lingering or self._write_paused:
            self._transport.abort()
        elif self._task is not None:
            self._task.cancel()
            self._close()
        elif self._h11.our_state is h11.SEND_RESPONSE:
            self._refuse(408, "request not received in time\n")
        else:
            self._close()

    def flush(self) -> None:
        """Nothing is ever held back here."""

    def begin_drain(self) -> None:
        self._draining = True
        if self._task is None and self._h11.our_state is h11.IDLE:
            self._close()

    def end_drain(self) -> None:
        self.begin_drain()

    def stop(self) -> None:
        self._transport.close()


def _head_of(request: h11.Request, peer_common_name: str, peer: str) -> HttpHead:
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in request.headers:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    method, target = request.method.decode("latin-1"), request.target.decode("latin-1")
    return HttpHead(method, target, headers, peer_common_name, peer)
