"""From an accepted socket to a verified TLS connection, or to its end, within limits.

Owns: accepting on TLS ports, the handshakes under way and their deadline, the checks after them,
and one log line for each way to fail, at a bounded rate. Must never do: know what is spoken inside,
or hold up the accepting of plain ports, which do not come this way.
A new context is asked for at each handshake, so that files may change under a running port.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from raftkv.tls.certificate_check import address_objection, objection, verified_chain
from raftkv.tls.credentials import Bundle, Credentials
from raftkv.tls.rate import Ration

_log = logging.getLogger(__name__)

_NO_TLS = frozenset({"HTTP_REQUEST", "WRONG_VERSION_NUMBER", "HTTPS_PROXY_REQUEST"})


@dataclass(frozen=True, slots=True)
class HandshakeLimits:
    """A name ends in its unit or in _max."""

    handshake_seconds_max: float = 10.0
    """From accepting to the end of the handshake and of its checks."""
    handshakes_max: int = 1024
    """Under way at once; one more has to wait, unless one has had ``patience_seconds``."""
    patience_seconds: float = 1.0
    """With ``handshakes_max`` under way, the oldest is cut once it has had this long."""
    shutdown_seconds_max: float = 1.0
    """How long the other side may take to confirm the end of a connection."""
    accept_retry_seconds: float = 1.0
    """After the process ran out of descriptors or memory."""
    log_lines_burst: int = 10
    log_lines_per_second: float = 1.0


class TlsServer:
    """Listening sockets of one TLS port. ``factory`` makes the protocol of a verified connection;
    its ``connection_made`` is called with the TLS transport, once all checks are done."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        credentials: Credentials,
        factory: Callable[[], asyncio.Protocol],
        limits: HandshakeLimits | None = None,
    ) -> None:
        self.sockets = tuple(sockets)
        self._credentials = credentials
        self._factory = factory
        self._limits = limits or HandshakeLimits()
        self._loop = asyncio.get_running_loop()
        limit = self._limits
        self._ration = Ration(limit.log_lines_burst, limit.log_lines_per_second, self._loop.time)
        # By age, since a dictionary keeps the order of entry: task to when it began.
        self._under_way: dict[asyncio.Task[None], float] = {}
        self._room = asyncio.Event()
        self._closing = False
        self._accepting = [self._loop.create_task(self._accept(one)) for one in self.sockets]
        for task, one in zip(self._accepting, self.sockets, strict=True):
            task.add_done_callback(lambda _, one=one: one.close())  # type: ignore[misc]

    @property
    def handshakes(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def close(self) -> None:
        """Accept nothing more and cut the handshakes; verified connections go on."""
        self._closing = True
        for task in (*self._accepting, *self._under_way):
            task.cancel()

    # --- accepting ----------------------------------------------------------------------------

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            await self._wait_for_room()
            try:
                accepted, address = await self._loop.sock_accept(listening)
            except OSError as e:
                if e.errno != errno.ECONNABORTED:
                    _log.error("cannot accept on a TLS port: %s", e)
                    await asyncio.sleep(self._limits.accept_retry_seconds)
                continue
            self._begin(accepted, _name_of(address))

    async def _wait_for_room(self) -> None:
        """Return when one more handshake may begin; cuts the oldest if that has had its time."""
        while len(self._under_way) >= self._limits.handshakes_max:
            oldest, began = next(iter(self._under_way.items()))
            left = began + self._limits.patience_seconds - self._loop.time()
            if left <= 0:
                self._under_way.pop(oldest)
                oldest.cancel()
                continue
            self._room.clear()
            try:
                async with asyncio.timeout(left):
                    await self._room.wait()
            except TimeoutError:
                continue  # the oldest has had its time by now

    def _begin(self, accepted: socket.socket, peer: str) -> None:
        task = self._loop.create_task(self._handshake(accepted, peer))
        self._under_way[task] = self._loop.time()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        self._room.set()
        if not task.cancelled() and task.exception() is not None:
            _log.error("a TLS handshake failed by our fault", exc_info=task.exception())

    # --- one handshake ----------------------------------------------------------------------------

    async def _handshake(self, accepted: socket.socket, peer: str) -> None:
        threshold = _Threshold()
        limits = self._limits
        try:
            async with asyncio.timeout(limits.handshake_seconds_max):
                if accepted.family != socket.AF_UNIX:
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                bundle = await self._credentials.current()
                assert bundle.server is not None, "a TLS port without a certificate"
                await self._loop.connect_accepted_socket(
                    lambda: threshold,
                    accepted,
                    ssl=bundle.server,
                    ssl_handshake_timeout=limits.handshake_seconds_max,
                    ssl_shutdown_timeout=limits.shutdown_seconds_max,
                )
                reason = await self._object(threshold, bundle)
        except (OSError, TimeoutError) as e:
            threshold.abort()
            accepted.close()
            self._reject(peer, _words(e, limits))
        except asyncio.CancelledError:
            threshold.abort()
            accepted.close()
            if not self._closing:
                self._reject(peer, "its handshake was cut: there are too many under way")
            raise
        else:
            if reason:
                threshold.abort()
                self._reject(peer, reason)
            else:
                threshold.enter(self._factory())

    async def _object(self, threshold: _Threshold, bundle: Bundle) -> str:
        transport = threshold.transport
        assert transport is not None, "a handshake without a connection"
        chain = verified_chain(transport.get_extra_info("ssl_object"))
        settings = self._credentials.settings
        reason = objection(settings, chain, bundle.revoked)
        if reason or not chain or not settings.checks_client_address or settings.skip_client_san:
            return reason
        name = transport.get_extra_info("peername")
        return await address_objection(chain[0], name[0]) if isinstance(name, tuple) else ""

    def _reject(self, peer: str, reason: str) -> None:
        said, unsaid = self._ration.ask()
        if said:
            more = f" ({unsaid} more not logged)" if unsaid else ""
            _log.warning("rejected connection from %s on a TLS port: %s%s", peer, reason, more)


class _Threshold(asyncio.Protocol):
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
        early = b"".join(self._early)
        self._early.clear()
        if early:
            protocol.data_received(early)
        if not transport.is_closing():
            transport.resume_reading()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def _words(error: BaseException, limits: HandshakeLimits) -> str:
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return f"no handshake within {limits.handshake_seconds_max:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        if error.reason in _NO_TLS:
            return "it speaks no TLS: use https on this port"
        return (error.reason or str(error)).replace("_", " ").lower()
    return str(error) or "it closed the connection"


def _name_of(address: object) -> str:
    if not isinstance(address, tuple):
        return "a unix socket"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"
