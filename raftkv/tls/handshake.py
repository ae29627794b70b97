"""From an accepted socket to a verified TLS connection, or to its end, within limits.

Owns: accepting on TLS ports, the handshakes under way and their deadline, the checks after them,
and one log line for each way to fail, at a bounded rate. Must never do: know what is spoken inside,
or hold up the accepting of plain ports, which do not come this way.
A new context is asked for at each handshake, so that files may change under a running port.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from raftkv.log_fields import fields
from raftkv.tls.certificate_check import address_objection, objection, verified_chain
from raftkv.tls.credentials import Bundle, Credentials
from raftkv.tls.open_connections import Dismiss
from raftkv.tls.rate import Ration

_log = logging.getLogger(__name__)

_NO_TLS = frozenset({"HTTP_REQUEST", "WRONG_VERSION_NUMBER", "HTTPS_PROXY_REQUEST"})
_ACCEPTED_PER_TURN_MAX = 64


@dataclass(frozen=True, slots=True)
class HandshakeLimits:
    """A name ends in its unit or in _max."""

    handshake_seconds_max: float = 10.0
    """From accepting to the end of the handshake and of its checks."""
    handshakes_max: int = 1024
    """Under way at once; one more has to wait, unless one has had ``patience_seconds``."""
    patience_seconds: float = 1.0
    """With ``handshakes_max`` under way, the oldest is cut once it has had this long."""
    shutdown_seconds_max: float = 60.0
    """How long the other side may take to read what was sent last and to confirm the end."""
    accept_retry_seconds: float = 1.0
    """After the process ran out of descriptors or memory."""
    log_lines_burst: int = 10
    log_lines_per_second: float = 1.0


def abort(transport: asyncio.Transport) -> None:
    """The plainest way to end a connection."""
    transport.abort()


class TlsServer:
    """Listening sockets of one TLS port. ``factory`` makes the protocol of a verified connection;
    its ``connection_made`` is called with the TLS transport, once all checks are done. ``dismiss``
    ends a connection that is no longer to be there."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        credentials: Credentials,
        factory: Callable[[], asyncio.Protocol],
        limits: HandshakeLimits | None = None,
        dismiss: Dismiss = abort,
    ) -> None:
        self.sockets = tuple(sockets)
        self._credentials = credentials
        self._factory = factory
        self._dismiss = dismiss
        self._limits = limits or HandshakeLimits()
        self._loop = asyncio.get_running_loop()
        limit = self._limits
        self._ration = Ration(limit.log_lines_burst, limit.log_lines_per_second, self._loop.time)
        # By age, since a dictionary keeps the order of entry: task to when it began.
        self._under_way: dict[asyncio.Task[None], float] = {}
        self._pause: asyncio.TimerHandle | None = None
        self._closing = False
        self._watch()

    @property
    def handshakes(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def close(self) -> None:
        """Accept nothing more and cut the handshakes; verified connections go on."""
        self._closing = True
        if self._pause is not None:
            self._pause.cancel()
        for one in self.sockets:
            self._loop.remove_reader(one)
            one.close()
        for task in self._under_way:
            task.cancel()

    # --- accepting ----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Accept from now on, until there is no room."""
        self._pause = None
        for one in self.sockets:
            self._loop.add_reader(one, self._accept, one)

    def _wait(self, seconds: float) -> None:
        """Accept nothing for so long, or until there is room."""
        for one in self.sockets:
            self._loop.remove_reader(one)
        self._pause = self._loop.call_later(seconds, self._go_on)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(0 if self._pause is not None else _ACCEPTED_PER_TURN_MAX):
            if len(self._under_way) >= self._limits.handshakes_max:
                began = next(iter(self._under_way.values()))
                self._wait(max(0.0, began + self._limits.patience_seconds - self._loop.time()))
                return
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return  # nobody is waiting, or no longer
            except OSError as e:
                _log.error("cannot accept on a TLS port", extra=fields(error=str(e)))
                self._wait(self._limits.accept_retry_seconds)
                return
            accepted.setblocking(False)
            self._begin(accepted, _name_of(address))

    def _go_on(self) -> None:
        """The wait is over; if there is still no room, the oldest has had its time."""
        if len(self._under_way) >= self._limits.handshakes_max:
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            oldest.cancel()
        self._watch()

    def _begin(self, accepted: socket.socket, peer: str) -> None:
        task = self._loop.create_task(self._handshake(accepted, peer))
        self._under_way[task] = self._loop.time()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        was_full = len(self._under_way) >= self._limits.handshakes_max
        self._under_way.pop(task, None)
        if was_full and self._pause is not None and not self._closing:
            self._pause.cancel()
            self._watch()
        if not task.cancelled() and task.exception() is not None:
            _log.error("a TLS handshake failed by our fault", exc_info=task.exception())

    # --- one handshake ----------------------------------------------------------------------------

    async def _handshake(self, accepted: socket.socket, peer: str) -> None:
        threshold = Threshold()
        reason = "its handshake was cut: there are too many under way"
        try:
            async with asyncio.timeout(self._limits.handshake_seconds_max):
                reason = await self._verify(accepted, threshold)
        except (OSError, TimeoutError, ValueError) as e:
            reason = _words(e, self._limits)
        finally:
            if reason:
                threshold.abort()
                accepted.close()
                self._reject(peer, reason)
        if not reason:
            threshold.enter(self._factory())

    async def _verify(self, accepted: socket.socket, threshold: Threshold) -> str:
        """Why the connection will not do; "" when ``threshold`` holds a good one. Raises OSError,
        and ValueError for a certificate that cannot be read."""
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bundle = await self._credentials.current()
        assert bundle.server is not None, "a TLS port without a certificate"
        await self._loop.connect_accepted_socket(
            lambda: threshold,
            accepted,
            ssl=bundle.server,
            ssl_handshake_timeout=self._limits.handshake_seconds_max,
            ssl_shutdown_timeout=self._limits.shutdown_seconds_max,
        )
        return await self._object(threshold, bundle)

    async def _object(self, threshold: Threshold, bundle: Bundle) -> str:
        transport = threshold.transport
        assert transport is not None, "a handshake without a connection"
        chain = verified_chain(transport.get_extra_info("ssl_object"))
        settings = self._credentials.settings
        reason = objection(settings, chain, bundle.revoked)
        name = transport.get_extra_info("peername")
        checks_address = settings.checks_client_address and not settings.skip_client_san
        if chain and checks_address and not reason and isinstance(name, tuple):
            reason = await address_objection(chain[0], name[0])
        return reason or self._credentials.admit(transport, chain, bundle, self._dismiss)

    def _reject(self, peer: str, reason: str) -> None:
        if self._closing:
            return
        more = self._ration.ask()
        if more is not None:
            told = fields(remote_addr=peer, reason=reason, lines_left_out=more)
            _log.warning("rejected connection on a TLS port", extra=told)


class Threshold(asyncio.Protocol):
    """Holds a connection whose handshake is done until its checks are: what comes meanwhile waits,
    one read of it, since reading stops."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no subclass of asyncio.Transport, but is one in all it does.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    def enter(self, protocol: asyncio.Protocol) -> None:
        """Hand the connection over, with what came early."""
        transport = self.transport
        assert transport is not None, "nothing to hand over"
        if self._lost or transport.is_closing():
            transport.abort()
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if transport.is_closing():
            return
        # First, for the protocol may want to stop reading again; what comes by it comes later.
        transport.resume_reading()
        early = b"".join(self._early)
        self._early.clear()
        if early:
            protocol.data_received(early)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def _words(error: BaseException, limits: HandshakeLimits) -> str:
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return f"no handshake within {limits.handshake_seconds_max:g} s"
    if isinstance(error, ssl.SSLError):
        wanted = ", which this port wants: use https" if error.reason in _NO_TLS else ""
        return reason_of(error) + wanted
    return str(error) or "it closed the connection"


def reason_of(error: ssl.SSLError) -> str:
    """OpenSSL's reason in words, without its file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if error.reason in _NO_TLS:
        return "it speaks no TLS"
    words = (error.reason or str(error)).replace("_", " ").lower()
    _, alert, told = words.partition(" alert ")
    return f"it ended the handshake: {told}" if alert else words


def _name_of(address: object) -> str:
    if not isinstance(address, tuple):
        return "a unix socket"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"
