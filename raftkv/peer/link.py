"""One outgoing connection to one peer, kept up for as long as the peer is a member.

Owns: dialling, greeting, redialling with backoff, the bound on what waits in the socket, and moving
to a new connection when this member's certificates have changed, without losing what was sent.
Must never do: decide what to send, or resend: Raft repairs what a lost connection swallowed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Sequence
from typing import cast

from raftkv.log_fields import fields, hex_id
from raftkv.peer.codec import PeerProtocolError
from raftkv.peer.framing import Answer, Greeting, decode_answer
from raftkv.peer.sockets import PeerSockets, is_tls, keep_alive
from raftkv.scheduler import Scheduler, Timer

REDIAL_DELAY_MIN_S = 0.05
REDIAL_DELAY_MAX_S = 1.0
DIAL_TIMEOUT_S = 2.0

_TCP_INFO_BYTES = 104
_ROUND_TRIP_AT = 68
"""tcpi_rtt in Linux's struct tcp_info: after 8 one-byte fields and 15 numbers."""
_ROUND_TRIP = struct.Struct("=I")

log = logging.getLogger("raftkv.peer")


class PeerLink:
    """Sends frames to ``target``. ``send`` answers False when they went nowhere."""

    def __init__(
        self,
        *,
        greeting: Greeting,
        urls: Sequence[str],
        sockets: PeerSockets,
        scheduler: Scheduler,
        queue_bytes_max: int,
        told_removed: Callable[[], None],
        changed: Callable[[int, bool], None] = lambda target, is_open: None,
    ) -> None:
        """``changed`` is told when the link comes up or is lost."""
        self.target = greeting.target
        self.urls = tuple(urls)
        self.bytes_sent = 0
        self.disconnects = 0
        self._greeting = greeting
        self._sockets = sockets
        self._scheduler = scheduler
        self._queue_bytes_max = queue_bytes_max
        self._told_removed = told_removed
        self._changed = changed
        self._transport: asyncio.Transport | None = None
        self._is_greeting = False
        self.open_since: float | None = None
        self._closed = False
        self._dials = 0
        self._delay_s = REDIAL_DELAY_MIN_S
        self._timer: Timer | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._moving: asyncio.Task[None] | None = None
        self._successor: asyncio.Transport | None = None
        self._last_complaint = ""

    @property
    def is_open(self) -> bool:
        return self.open_since is not None

    @property
    def round_trip_s(self) -> float | None:
        """As the kernel measures it on the open connection."""
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        if not self.is_open or sock is None:
            return None
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        (microseconds,) = _ROUND_TRIP.unpack_from(info, _ROUND_TRIP_AT)
        return float(microseconds) / 1e6

    def start(self) -> None:
        self._timer = None
        if not self._closed:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())

    def send(self, frames: bytes) -> bool:
        """Queue ``frames``; False when the link is down or its queue is full."""
        if not self.is_open or self._transport is None:
            return False
        if self._transport.get_write_buffer_size() > self._queue_bytes_max:
            return False
        self._transport.write(frames)
        self.bytes_sent += len(frames)
        return True

    def renew(self) -> None:
        """Move to a connection made with the certificates as they are now; the old one stays until
        the peer has accepted the new one, and then sends what was queued on it."""
        url = self.urls[(self._dials - 1) % len(self.urls)]
        if self.is_open and is_tls(url) and not self._closed:
            self._drop_successor()
            self._moving = asyncio.get_running_loop().create_task(self._move(url))

    def close(self) -> None:
        self._closed = True
        self._drop_successor()
        if self._timer is not None:
            self._timer.cancel()
        if self._dialling is not None:
            self._dialling.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _dial(self) -> None:
        url = self.urls[self._dials % len(self.urls)]
        self._dials += 1
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await self._sockets.dial(url, lambda: _LinkProtocol(self))
        except (OSError, TimeoutError) as e:
            self._complain(f"cannot reach {url}: {e or 'no answer in time'}")
            self._redial()

    async def _move(self, url: str) -> None:
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await self._sockets.dial(url, lambda: _SuccessorProtocol(self))
        except (OSError, TimeoutError) as e:
            self._complain(f"cannot reach {url} with new certificates: {e or 'no answer in time'}")

    def _drop_successor(self) -> None:
        if self._moving is not None:
            self._moving.cancel()
        if self._successor is not None:
            self._successor.abort()
            self._successor = None

    def _redial(self) -> None:
        if self._closed or self._timer is not None:
            return
        self._timer = self._scheduler.call_later(self._delay_s, self.start)
        self._delay_s = min(2 * self._delay_s, REDIAL_DELAY_MAX_S)

    def _complain(self, what: str) -> None:
        if what != self._last_complaint:
            self._last_complaint = what
            log.warning("no link to a peer", extra=self._fields(reason=what))

    def _fields(self, **more: str) -> dict[str, dict[str, object]]:
        return fields(remote_peer_id=hex_id(self.target), **more)

    # --- called by the protocol ---------------------------------------------------------

    def on_connected(self, transport: asyncio.Transport) -> None:
        if self._closed:
            transport.abort()
            return
        keep_alive(transport)
        self._transport = transport
        self._is_greeting = True
        transport.write(self._greeting.encode())

    def on_answer(self, data: bytes) -> None:
        assert self._transport is not None, "an answer without a connection"
        self._is_greeting = False
        if not self._is_accepted(self._transport, data):
            return
        self.open_since = self._scheduler.now()
        self._delay_s = REDIAL_DELAY_MIN_S
        self._last_complaint = ""
        log.info("established a link to a peer", extra=self._fields())
        self._changed(self.target, True)

    def on_successor(self, transport: asyncio.Transport) -> None:
        keep_alive(transport)
        self._successor = transport
        transport.write(self._greeting.encode())

    def on_successors_answer(self, transport: asyncio.Transport, data: bytes) -> None:
        if transport is not self._successor or not self._is_accepted(transport, data):
            return
        self._successor = None
        before = self._transport
        if before is None or not self.is_open:
            transport.abort()  # the old one was lost: it is dialled again anyway
            return
        self._transport = transport
        before.close()
        log.info("moved the link to a peer to new certificates", extra=self._fields())

    def _is_accepted(self, transport: asyncio.Transport, data: bytes) -> bool:
        try:
            answer = decode_answer(data)
        except PeerProtocolError as e:
            self._complain(f"answered the greeting with no peer protocol: {e}")
            transport.abort()
            return False
        if answer is Answer.OK:
            return True
        self._complain(f"refused us: {answer.name.lower().replace('_', ' ')}")
        transport.abort()
        if answer is Answer.REMOVED:
            self._told_removed()
        return False

    def on_lost(self, transport: asyncio.Transport) -> None:
        if transport is self._successor:
            self._successor = None
        if transport is not self._transport:
            return
        if self.is_open:
            self.disconnects += 1
            if not self._closed:
                log.warning("lost the link to a peer", extra=self._fields())
                self._changed(self.target, False)
        elif self._is_greeting and not self._closed:
            self._complain("ended the connection before it answered; does it speak TLS, or not?")
        self.open_since = None
        self._transport = None
        self._redial()


class _LinkProtocol(asyncio.Protocol):
    def __init__(self, link: PeerLink) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no subclass of asyncio.Transport, but is one in all it does.
        self._transport = cast(asyncio.Transport, transport)
        self._link.on_connected(self._transport)

    def data_received(self, data: bytes) -> None:
        if not self._link.is_open:
            self._link.on_answer(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.on_lost(self._transport)


class _SuccessorProtocol(_LinkProtocol):
    """The connection that a link moves to; once it has, all that counts is its end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._link.on_successor(self._transport)

    def data_received(self, data: bytes) -> None:
        self._link.on_successors_answer(self._transport, data)
