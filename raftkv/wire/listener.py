"""Listens on an address and gives every connection the protocol that its first bytes ask for.

Owns: the listening sockets, all open connections, the one timer that serves them and the one
callback a loop turn that writes for all of them, and the graceful end.
Must never do: parse beyond the preface, or see a byte of TLS: ``raftkv.tls`` hands over
connections whose handshake is done and checked, with a transport like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from raftkv.log_fields import fields
from raftkv.tls.certificate_check import peer_common_name
from raftkv.tls.credentials import Credentials
from raftkv.tls.handshake import HandshakeLimits, TlsServer
from raftkv.tls.listening import bound
from raftkv.tls.rate import Ration
from raftkv.wire import frames
from raftkv.wire.calls import CallBook
from raftkv.wire.http1 import Http1Protocol
from raftkv.wire.http2 import Http2Protocol
from raftkv.wire.limits import WireLimits
from raftkv.wire.routes import Routes
from raftkv.wire.service import HttpHandler, HttpStreams, Service
from raftkv.wire.unix_socket import UnixSocket

_log = logging.getLogger(__name__)
_NEVER = float("inf")
# Part of a graceful close that a client gets to see the first GOAWAY and answer its ping.
_DRAIN_PING_SECONDS = 0.25
DISMISSAL_SECONDS_MAX = 5.0
"""How long the calls of a connection may go on whose certificate is no longer trusted."""
_TLS_HANDSHAKE_RECORD = b"\x16"
_LOG_LINES_BURST = 10
_LOG_LINES_PER_SECOND = 1.0


class Conversation(Protocol):
    """What the hub asks of a connection, whichever protocol it speaks."""

    wake_at: float

    def tick(self, now: float) -> None: ...

    def flush(self) -> None: ...

    def begin_drain(self) -> None: ...

    def end_drain(self) -> None: ...

    def stop(self) -> None: ...


class Hub:
    """What the connections of one listener share."""

    def __init__(
        self,
        routes: Routes,
        http: HttpHandler | None,
        limits: WireLimits,
        http_streams: HttpStreams | None = None,
    ) -> None:
        self.routes = routes
        self.http = http
        self.http_streams: HttpStreams = http_streams or (lambda head: None)
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.conversations: set[Conversation] = set()
        self.strangers = Ration(_LOG_LINES_BURST, _LOG_LINES_PER_SECOND, self.loop.time)
        self._awake: list[Conversation] = []
        self._flush_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None

    def join(self, conversation: Conversation) -> None:
        self.conversations.add(conversation)
        if self._timer is None:
            self._timer = self.loop.call_later(self.limits.timer_tick_seconds, self._tick)

    def forget(self, conversation: Conversation) -> None:
        self.conversations.discard(conversation)
        if not self.conversations and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def flush_soon(self, conversation: Conversation) -> None:
        """One callback a turn writes for every connection that asked in it."""
        if not self._awake and not self._flush_scheduled:
            self._flush_scheduled = True
            self.loop.call_soon(self._flush_at_last)
        self._awake.append(conversation)

    def _flush_at_last(self) -> None:
        self._flush_scheduled = False
        self.flush()

    def flush(self) -> None:
        """Write what waits without waiting for the loop to come round."""
        awake, self._awake = self._awake, []
        for conversation in awake:
            conversation.flush()

    def _tick(self) -> None:
        now = self.loop.time()
        for conversation in list(self.conversations):
            if conversation.wake_at <= now:
                conversation.tick(now)
        self._timer = None
        if self.conversations:
            self._timer = self.loop.call_later(self.limits.timer_tick_seconds, self._tick)

    def dismiss(self, transport: asyncio.Transport) -> None:
        """End one connection gracefully: it is told to go, and its calls are answered."""
        conversation = cast(Conversation, transport.get_protocol())
        if conversation not in self.conversations:
            transport.abort()
            return
        conversation.begin_drain()
        for seconds, step in (
            (_DRAIN_PING_SECONDS, conversation.end_drain),
            (DISMISSAL_SECONDS_MAX, conversation.stop),
        ):
            self.loop.call_later(seconds, self._if_present, conversation, step)

    def _if_present(self, conversation: Conversation, step: Callable[[], None]) -> None:
        if conversation in self.conversations:
            step()

    async def wait_empty(self, seconds: float) -> bool:
        """Whether every connection ended in time."""
        if not self.conversations:
            return True
        self._empty = self.loop.create_future()
        done, _ = await asyncio.wait([self._empty], timeout=seconds)
        return bool(done)


class Doorway(asyncio.Protocol):
    """A connection before its first bytes have told HTTP/2 from HTTP/1.1."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._transport: asyncio.Transport | None = None
        self._seen = b""
        self.wake_at = hub.loop.time() + hub.limits.preface_seconds_max

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no subclass of asyncio.Transport, but is one in all it does.
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        if len(self._hub.conversations) >= self._hub.limits.connections_max:
            told = fields(limit=self._hub.limits.connections_max)
            _log.warning("rejected connection: too many are open", extra=told)
            transport.abort()
            return
        transport.set_write_buffer_limits(high=self._hub.limits.socket_buffer_bytes_high)
        self._hub.join(self)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        seen = self._seen
        if seen.startswith(frames.PREFACE):
            self._enter(Http2Protocol, seen[len(frames.PREFACE) :])
        elif seen.startswith(_TLS_HANDSHAKE_RECORD):
            self._refuse_tls()
        elif not frames.PREFACE.startswith(seen):
            self._enter(Http1Protocol, seen)

    def _enter(self, kind: type[Http1Protocol | Http2Protocol], data: bytes) -> None:
        transport = self._transport
        assert transport is not None, "data before the connection was made"
        self._hub.bytes_received += len(self._seen) - len(data)
        protocol = kind(self._hub, transport, _peer_of(transport), peer_common_name(transport))
        self._hub.join(protocol)
        self._hub.forget(self)
        transport.set_protocol(protocol)
        protocol.data_received(data)

    def _refuse_tls(self) -> None:
        transport = self._transport
        assert transport is not None, "data before the connection was made"
        more = self._hub.strangers.ask()
        if more is not None:
            reason = "it speaks TLS, this port is plain: use http"
            told = fields(remote_addr=_peer_of(transport), reason=reason, lines_left_out=more)
            _log.warning("rejected connection", extra=told)
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.forget(self)

    def tick(self, now: float) -> None:
        self.stop()

    def flush(self) -> None:
        """Nothing is sent before the preface."""

    def begin_drain(self) -> None:
        self.stop()

    def end_drain(self) -> None:
        self.stop()

    def stop(self) -> None:
        self.wake_at = _NEVER
        if self._transport is not None:
            self._transport.abort()


def _peer_of(transport: asyncio.Transport) -> str:
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return str(name or "unix")
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{host}:{name[1]}"


class Listener:
    """A listening server. ``close`` ends it gracefully. ``port`` is 0 for a unix socket."""

    def __init__(
        self, hub: Hub, server: asyncio.Server | TlsServer, unix: UnixSocket | None = None
    ) -> None:
        self._hub = hub
        self._server = server
        self._unix = unix
        self.port: int = 0 if unix is not None else server.sockets[0].getsockname()[1]

    @property
    def bytes_received(self) -> int:
        return self._hub.bytes_received

    @property
    def bytes_sent(self) -> int:
        return self._hub.bytes_sent

    @property
    def connections(self) -> int:
        return len(self._hub.conversations)

    def flush(self) -> None:
        """Write the answers made so far, for whoever knows that no more come in this turn."""
        self._hub.flush()

    @property
    def handshakes(self) -> int:
        """TLS handshakes under way."""
        return self._server.handshakes if isinstance(self._server, TlsServer) else 0

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Stop accepting, announce it, wait for what is in flight, then end the rest."""
        hub = self._hub
        self._server.close()
        if self._unix is not None:
            self._unix.remove()
        for conversation in list(hub.conversations):
            conversation.begin_drain()
        until = hub.loop.time() + grace_seconds
        if not await hub.wait_empty(min(grace_seconds, _DRAIN_PING_SECONDS)):
            for conversation in list(hub.conversations):
                conversation.end_drain()
            await hub.wait_empty(max(0.0, until - hub.loop.time()))
        for conversation in list(hub.conversations):
            conversation.stop()
        await hub.wait_empty(1.0)


async def listen(
    services: Sequence[Service],
    http: HttpHandler | None,
    address: tuple[str, int] | str,
    limits: WireLimits | None = None,
    *,
    http_streams: HttpStreams | None = None,
    tls: Credentials | None = None,
    handshakes: HandshakeLimits | None = None,
    calls: CallBook | None = None,
    reuse_port: bool = False,
) -> Listener:
    """Serve ``services`` over gRPC and ``http`` over HTTP/1.1 on one address: host and port, or the
    path of a unix socket. With ``tls`` on TLS only. ``http_streams`` is asked first who serves an
    HTTP request, ``calls`` is told what came of every call. Raises OSError when it cannot listen.
    """
    limits = limits or WireLimits()
    hub = Hub(Routes(services, limits, http, calls), http, limits, http_streams)
    server: asyncio.Server | TlsServer

    def doorway() -> Doorway:
        return Doorway(hub)

    if isinstance(address, str):
        unix = UnixSocket(address)
        if tls is not None:
            server = TlsServer([unix.socket], tls, doorway, handshakes, hub.dismiss)
        else:
            server = await hub.loop.create_unix_server(doorway, sock=unix.socket)
        return Listener(hub, server, unix)
    host, port = address
    if tls is not None:
        sockets = await bound(host, port, reuse_port=reuse_port)
        server = TlsServer(sockets, tls, doorway, handshakes, hub.dismiss)
    else:
        server = await hub.loop.create_server(
            doorway, host, port, backlog=1024, reuse_address=True, reuse_port=reuse_port or None
        )
    return Listener(hub, server)
