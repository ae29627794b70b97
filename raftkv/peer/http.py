"""A little HTTP/1.1 on the peer port: questions that come before, or beside, the peer protocol.

Owns: reading one request head per connection, and asking one. etcd's members ask each other on
this port in this way too (GET /members). Must never do: know what is asked, keep a connection, or
read a body: there is none in what we ask.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from raftkv.log_fields import fields
from raftkv.peer.codec import PeerProtocolError
from raftkv.peer.sockets import PeerSockets, host_and_port
from raftkv.tls.handshake import TlsServer

HEAD_BYTES_MAX = 8 * 1024
BODY_BYTES_MAX = 1024 * 1024
ASK_TIMEOUT_S = 2.0
WAITING_CONNECTIONS_MAX = 256
WAITING_TIMEOUT_S = 5.0
"""For a question to be asked and answered, before there is a member."""
METHODS = (b"GET ", b"POST")

log = logging.getLogger("raftkv.peer")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """``headers`` have names in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Respond = Callable[[str, str, Callable[[HttpAnswer], None]], None]
"""Gets method, path and where to put the answer, now or later."""


class HttpSink:
    """One request of one connection; everything after it is ignored."""

    def __init__(self, transport: asyncio.Transport, respond: Respond) -> None:
        self._transport = transport
        self._respond = respond
        self._head = b""
        self._asked = False

    def feed(self, data: bytes) -> None:
        """Raises PeerProtocolError for what is no request head."""
        if self._asked:
            return
        self._head += data
        if len(self._head) >= 4 and not self._head.startswith(METHODS):
            raise PeerProtocolError("neither a greeting nor an HTTP request")
        if b"\r\n\r\n" not in self._head:
            if len(self._head) > HEAD_BYTES_MAX:
                raise PeerProtocolError(f"a request head of more than {HEAD_BYTES_MAX} bytes")
            return
        words = self._head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise PeerProtocolError("neither a greeting nor an HTTP request")
        self._asked = True
        self._respond(words[0], words[1], self._reply)

    def lost(self) -> None:
        pass

    def _reply(self, answer: HttpAnswer) -> None:
        if self._transport.is_closing():
            return
        phrase = HTTPStatus(answer.status).phrase
        lines = [f"HTTP/1.1 {answer.status} {phrase}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += [f"Content-Length: {len(answer.body)}", "", ""]
        self._transport.write("\r\n".join(lines).encode() + answer.body)
        self._transport.close()


class _Waiting(asyncio.Protocol):
    """A connection to a member that cannot speak the peer protocol yet."""

    def __init__(self, respond: Respond, connections: set[_Waiting]) -> None:
        self._respond = respond
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._connections) >= WAITING_CONNECTIONS_MAX:
            self._transport.abort()
            return
        self._connections.add(self)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(WAITING_TIMEOUT_S, self._transport.abort)
        self._sink = HttpSink(self._transport, self._respond)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._sink.feed(data)
        except PeerProtocolError:
            self._transport.abort()


async def listen_http(
    sockets: PeerSockets, urls: Sequence[str], respond: Respond
) -> list[asyncio.Server | TlsServer]:
    """Answer on the peer port before there is a member. Raises OSError."""
    connections: set[_Waiting] = set()
    return [await sockets.listen(url, lambda: _Waiting(respond, connections)) for url in urls]


@dataclass(frozen=True, slots=True)
class Fetched:
    """``answer`` is None for ``data`` that is no whole answer in HTTP."""

    data: bytes
    answer: HttpAnswer | None


async def fetch(sockets: PeerSockets, method: str, url: str, path: str) -> Fetched:
    """Ask whoever listens at ``url``. Raises OSError, TimeoutError."""
    host, _ = host_and_port(url)
    data = bytearray()
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            reader, writer = await sockets.open(url)
            try:
                head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode())
                await _read_all(reader, data)
            finally:
                writer.close()
    except TimeoutError:
        if not data:  # else somebody is there, who does not end what we asked to be ended
            raise
    return Fetched(bytes(data), _parse(bytes(data)))


async def ask(
    sockets: PeerSockets, method: str, url: str, path: str, *, is_quiet: bool = False
) -> HttpAnswer | None:
    """The answer of whoever listens at ``url``; None when nobody does, or makes no sense.
    ``is_quiet``: for who asks again and again."""
    try:
        return (await fetch(sockets, method, url, path)).answer
    except (OSError, TimeoutError) as e:
        is_odd = isinstance(e, ConnectionError) and not isinstance(e, ConnectionRefusedError)
        if is_odd and not is_quiet:
            told = fields(url=url, path=path, error=str(e) or "it closed the connection")
            log.warning("cannot ask a peer", extra=told)
        return None


async def _read_all(reader: asyncio.StreamReader, data: bytearray) -> None:
    """Until the other side ends, which it does after its answer."""
    while len(data) < BODY_BYTES_MAX and (more := await reader.read(BODY_BYTES_MAX - len(data))):
        data += more


def _parse(data: bytes) -> HttpAnswer | None:
    head, separator, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if not separator or len(words) < 2 or not words[1].isdigit():
        return None
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("content-length") != str(len(body)):
        return None  # cut off, or longer than what we ask for
    return HttpAnswer(int(words[1]), body, headers)
