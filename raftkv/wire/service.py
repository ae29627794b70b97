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
        """Whom the client's verified certificate names; "" without one."""


class UnaryCall(Call, Protocol):
    """One request that wants exactly one answer, now or later, on the loop's thread.

    Answers are ignored after the client went away: ``cancelled`` is True from then on.
    """

    @property
    def cancelled(self) -> bool: ...

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

    @property
    def backlog(self) -> int:
        """Bytes queued here that flow control or the socket has not let out yet."""

    async def drain(self) -> None:
        """Return once ``backlog`` is below the low-water mark of the connection's limits."""


UnaryMethod = Callable[[bytes, UnaryCall], None]
StreamMethod = Callable[[Stream], Awaitable[None]]
StatusOf = Callable[[BaseException], Status]


@dataclass(frozen=True, slots=True)
class Service:
    """One gRPC service: ``name`` is the full one (``etcdserverpb.KV``).

    A method that raises is answered with ``status_of(error)``. A unary handler that wants to
    wait keeps its call and answers it later; it never blocks.
    """

    name: str
    status_of: StatusOf
    unary: Mapping[str, UnaryMethod] = field(default_factory=dict)
    streams: Mapping[str, StreamMethod] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP/1.1 request, whole. ``target`` keeps its query string; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


HttpHandler = Callable[[HttpRequest], Awaitable[HttpResponse]]
