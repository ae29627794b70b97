"""Connections between members, by peer URL: TCP for http, TLS over TCP for https.

Owns: dialling and listening, and for TLS the checks of the other side. Must never do: know what is
spoken inside. As in etcd a member shows its own certificate when it calls, and verifies the name in
the URL and, with --peer-cert-allowed-cn or -hostname, the name of whom it calls too.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from cryptography import x509

from raftkv.tls.certificate_check import objection, verified_chain
from raftkv.tls.credentials import Credentials
from raftkv.tls.handshake import Threshold, TlsServer, reason_of
from raftkv.tls.listening import bound
from raftkv.tls.settings import NO_PEER_TLS

TCP_USER_TIMEOUT_MS = 5_000
"""How long the kernel keeps a connection whose peer acknowledges nothing."""
DISMISSAL_S = 5.0
"""How long a connection may stay whose certificate is no longer trusted: members that take new
files move to new connections themselves, and lose nothing by it."""
TLS_HANDSHAKE_RECORD = b"\x16"

Factory = Callable[[], asyncio.Protocol]


class PeerSockets:
    """``tls`` is for https URLs: the listening ones need its certificate."""

    def __init__(self, tls: Credentials | None = None) -> None:
        self._tls = tls or Credentials(NO_PEER_TLS)

    @property
    def tls(self) -> Credentials:
        return self._tls

    async def listen(
        self, url: str, factory: Factory, *, reuse_port: bool = False
    ) -> asyncio.Server | TlsServer:
        """Raises OSError when the address cannot be bound."""
        host, port = host_and_port(url)
        if is_tls(url):
            sockets = await bound(host, port, reuse_port=reuse_port)
            return TlsServer(sockets, self._tls, factory, dismiss=_dismiss)
        return await asyncio.get_running_loop().create_server(
            factory, host, port, reuse_port=reuse_port or None
        )

    async def dial(self, url: str, factory: Factory) -> None:
        """Connect; the protocol hears of it when the other side is checked. Raises OSError."""
        loop = asyncio.get_running_loop()
        host, port = host_and_port(url)
        if not is_tls(url):
            await loop.create_connection(factory, host, port)
            return
        threshold = Threshold()
        bundle = await self._tls.current()
        try:
            await loop.create_connection(
                lambda: threshold, host, port, ssl=bundle.caller, server_hostname=host
            )
            assert threshold.transport is not None, "connected without a transport"
            chain = self._check(url, threshold.transport)
            if reason := self._tls.admit(threshold.transport, chain, bundle, _dismiss):
                raise ConnectionError(f"TLS with {url}: {reason}")
        except ssl.SSLError as e:
            raise ConnectionError(f"TLS with {url}: {reason_of(e)}") from e
        except BaseException:
            threshold.abort()
            raise
        threshold.enter(factory())

    async def open(self, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The same as a pair of streams. Raises OSError."""
        host, port = host_and_port(url)
        if not is_tls(url):
            return await asyncio.open_connection(host, port)
        bundle = await self._tls.current()
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=bundle.caller)
        except ssl.SSLError as e:
            raise ConnectionError(f"TLS with {url}: {reason_of(e)}") from e
        try:
            self._check(url, writer.transport)
        except ConnectionError:
            writer.transport.abort()
            raise
        return reader, writer

    def _check(self, url: str, transport: asyncio.BaseTransport) -> list[x509.Certificate]:
        """The other side's chain. Raises ConnectionError for a name that is not allowed."""
        chain = verified_chain(transport.get_extra_info("ssl_object"))
        if chain and (reason := objection(self._tls.settings, chain, frozenset())):
            raise ConnectionError(f"TLS with {url}: {reason}")
        return chain


def _dismiss(transport: asyncio.Transport) -> None:
    asyncio.get_running_loop().call_later(DISMISSAL_S, transport.abort)


def is_tls(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def host_and_port(url: str) -> tuple[str, int]:
    """The dialling address of a peer URL, which the configuration has checked."""
    parts = urlsplit(url)
    assert parts.hostname is not None, url
    assert parts.port is not None, url
    return parts.hostname, parts.port


def keep_alive(transport: asyncio.Transport) -> None:
    """Have the kernel end a connection whose other side is gone without a word."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
