"""What a gRPC service looks like to whoever mounts it: bytes in, bytes out, no wire.

Owns: the nouns that handlers and mounts share (Status, Call, UnaryCall, Stream, Service).
Must never do: know HTTP/2, sockets or grpcio. The asyncio server in this package and the
grpcio reference mount of the tests both serve the same ``Service`` values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Status:
    """A gRPC status: ``code`` 0 is OK; ``message`` is text, encoded by the mount."""

    code: int
    message: str = ""


class Call(Protocol):
    """What every handler may ask about its call."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Request metadata: names in lower case, ``-bin`` values left in base64."""

    @property
    def deadline(self) -> float | None:
        """When the client stops waiting, in seconds of the event loop's clock; None for never."""

    @property
    def peer(self) -> str:
        """The client's address as ``host:port``."""

    @property
    def peer_common_name(self) -> str:
        """The CN of the client's certificate, which TLS has verified; "" when it showed none."""


class UnaryCall(Call, Protocol):
    """One request that wants exactly one answer, now or later, on the loop's thread.

    Answers are ignored after the client went away: ``cancelled`` is True from then on.
    """

    @property
    def cancelled(self) -> bool: ...

    def when_cancelled(self, proceed: Callable[[], object]) -> None:
        """Call ``proceed`` once when the client goes away or its deadline passes before the
        answer: for a handler that would wait without end. At most one per call."""

    def reply(self, message: bytes) -> None: ...

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        """``reply`` with what joining the pieces would give; for messages of megabytes."""

    def fail(self, status: Status) -> None: ...


class Stream(Call, Protocol):
    """One streaming call. The handler returns to end it with OK and raises to end it with an error.

    ``async for request in stream`` yields the client's messages until it half-closes. The
    handler's task is cancelled when the client resets the stream or the connection ends.
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def send(self, message: bytes) -> None:
        """Queue one message. Never blocks; watch ``backlog`` to stay bounded."""

    def send_each(self, head: bytes, middles: Sequence[bytes], tail: bytes) -> None:
        """Queue the message ``head + middle + tail`` for each of the middles, of which there is at
        least one, and which are of one length."""

    @property
    def backlog(self) -> int:
        """Bytes queued here that flow control or the socket has not let out yet."""

    async def drain(self) -> None:
        """Return once ``backlog`` is below the low-water mark of the connection's limits."""


class SendsEach(Protocol):
    """A Stream's ``send_each`` where nothing is gained by making many messages at once."""

    def send(self, message: bytes) -> None: ...

    def send_each(self, head: bytes, middles: Sequence[bytes], tail: bytes) -> None:
        for middle in middles:
            self.send(head + middle + tail)


UnaryMethod = Callable[[bytes, UnaryCall], None]
StreamMethod = Callable[[Stream], Awaitable[None]]
StatusOf = Callable[[BaseException], Status]
Vet = Callable[[Mapping[str, str]], Status | None]


def _accept(metadata: Mapping[str, str]) -> Status | None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """One gRPC service: ``name`` is the full one (``etcdserverpb.KV``).

    A method that raises is answered with ``status_of(error)``. A unary handler that wants to
    wait keeps its call and answers it later; it never blocks. ``vet`` is asked once for all calls
    with the same metadata, and may refuse them.
    """

    name: str
    status_of: StatusOf
    unary: Mapping[str, UnaryMethod] = field(default_factory=dict)
    streams: Mapping[str, StreamMethod] = field(default_factory=dict)
    vet: Vet = _accept


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP/1.1 request, whole. ``target`` keeps its query string; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    peer_common_name: str = ""
    """As ``Call.peer_common_name``."""
    peer: str = ""
    """As ``Call.peer``."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpHead:
    """A request before its body. Names and target as in HttpRequest."""

    method: str
    target: str
    headers: Mapping[str, str]
    peer_common_name: str = ""
    """As ``Call.peer_common_name``."""
    peer: str = ""
    """As ``Call.peer``."""


class HttpExchange(Protocol):
    """A plain HTTP request whose body comes, and whose answer goes, in pieces, at the same time.

    The handler returns to end the answer. ``async for piece in exchange`` yields the body as it
    comes, until its end. The handler's task is cancelled when the client goes away.
    """

    request: HttpHead

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        """The answer's head: once, and before anything is sent."""

    def send(self, data: bytes) -> None:
        """Queue one piece; over a websocket, one message. Never blocks."""

    @property
    def backlog(self) -> int:
        """Bytes that the client has not taken yet."""

    async def drain(self) -> None:
        """Return once ``backlog`` is low."""


HttpStreamHandler = Callable[[HttpExchange], Awaitable[None]]
HttpStreams = Callable[[HttpHead], HttpStreamHandler | None]
"""Who serves a request as a stream; None for one that an HttpHandler answers as a whole."""

HttpHandler = Callable[[HttpRequest], Awaitable[HttpResponse]]
