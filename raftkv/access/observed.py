"""Services whose calls are told to a recorder, each once, when it is over.

Owns: ``observed``, and the call and the stream that it puts between a method and the wire. Must
never do: change an answer, or be there while nobody records: then the services are as they were.

A write whose client has gone is told when its entry was applied, not before: only then its
revision is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from raftkv.access.subject import KEYS_MAX, REFUSED, Answer, KeyRange, Reader, reader_of
from raftkv.wire.grpc import CANCELLED, DEADLINE_EXCEEDED, OK, STATUS_OK
from raftkv.wire.passed_call import PassedCall
from raftkv.wire.service import (
    Call,
    Service,
    Status,
    Stream,
    StreamMethod,
    UnaryCall,
    UnaryMethod,
)

_GONE = Status(CANCELLED, "the client went away")
_LATE = Status(DEADLINE_EXCEEDED, "the client's deadline passed")

WRITES = frozenset(
    (
        "etcdserverpb.KV/Put",
        "etcdserverpb.KV/DeleteRange",
        "etcdserverpb.KV/Txn",
        "etcdserverpb.KV/Compact",
        "etcdserverpb.Lease/LeaseGrant",
        "etcdserverpb.Lease/LeaseRevoke",
    )
)
"""Methods that may make a revision, or take keys away."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A method. ``is_write``: what it did may outlive the client's interest in the answer."""

    service: str
    method: str
    is_write: bool
    read: Reader

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.method}"


class Recorder(Protocol):
    """Is told of calls on the loop's thread, and must not raise or wait."""

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds of the event loop's clock."""

    def called(self, told: ObservedCall, status: Status, answer: Answer) -> None: ...

    def opened(self, route: Route, call: Call) -> None: ...

    def closed(self, route: Route, call: Call, began: float, status: Status, sum_: Sum) -> None: ...


@dataclass(slots=True)
class Sum:
    """What passed through a stream. ``keys`` are KEYS_MAX at most of ``keys_in_all``."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    keys: tuple[KeyRange, ...] = ()
    keys_in_all: int = 0


def observed(service: Service, recorder: Recorder) -> Service:
    def route(method: str) -> Route:
        is_write = f"{service.name}/{method}" in WRITES
        return Route(service.name, method, is_write, reader_of(service.name, method))

    return replace(
        service,
        unary={
            name: _observed_method(route(name), method, service, recorder)
            for name, method in service.unary.items()
        },
        streams={
            name: _observed_stream(route(name), method, service, recorder)
            for name, method in service.streams.items()
        },
    )


def _observed_method(
    route: Route, method: UnaryMethod, service: Service, recorder: Recorder
) -> UnaryMethod:
    status_of = service.status_of

    def serve(payload: bytes, call: UnaryCall) -> None:
        between = ObservedCall(route, recorder, call, payload)
        call.when_cancelled(between)
        try:
            method(payload, between)
        except Exception as error:  # noqa: BLE001 - the service says what its errors mean
            between.fail(status_of(error))

    return serve


class ObservedCall(PassedCall):
    """``UnaryCall`` of a method: what it answers goes to the call of the wire, and is told."""

    __slots__ = ("_answered", "_left", "_recorder", "began", "request", "route")

    def __init__(self, route: Route, recorder: Recorder, call: UnaryCall, request: bytes) -> None:
        # As PassedCall's, without the call: there is one of these per request.
        self.call = call
        self.proceed = None
        self.route = route
        self.request = request
        self.began = recorder.clock()
        self._recorder = recorder
        self._answered = False
        self._left: Status | None = None

    def reply(self, message: bytes) -> None:
        self.call.reply(message)
        if not self._answered:
            self._answered = True
            answer = Answer(message, message, len(message))
            self._recorder.called(self, self._left or STATUS_OK, answer)

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        self.call.reply_in_pieces(pieces)
        self._tell(STATUS_OK, Answer(pieces[0], pieces[-1], sum(map(len, pieces))))

    def fail(self, status: Status) -> None:
        self.call.fail(status)
        self._tell(status, REFUSED)

    def __call__(self) -> None:
        """The client does not wait for the answer any more."""
        deadline = self.call.deadline
        is_late = deadline is not None and deadline <= self._recorder.clock()
        self._left = _LATE if is_late else _GONE
        if not self.route.is_write:
            self._tell(self._left, REFUSED)
        if self.proceed is not None:
            self.proceed()

    def _tell(self, status: Status, answer: Answer) -> None:
        if not self._answered:
            self._answered = True
            if self._left is not None and status.code == OK:
                status = self._left
            self._recorder.called(self, status, answer)


def _observed_stream(
    route: Route, method: StreamMethod, service: Service, recorder: Recorder
) -> StreamMethod:
    async def serve(stream: Stream) -> None:
        began, status = recorder.clock(), STATUS_OK
        between = ObservedStream(route, stream)
        recorder.opened(route, stream)
        try:
            await method(between)
        except asyncio.CancelledError:
            status = _GONE
            raise
        except Exception as error:
            status = service.status_of(error)
            raise
        finally:
            recorder.closed(route, stream, began, status, between.sum)

    return serve


class ObservedStream:
    """``Stream`` of a method: everything passes, and is counted."""

    def __init__(self, route: Route, stream: Stream) -> None:
        self._route = route
        self._stream = stream
        self.sum = Sum()
        self.metadata = stream.metadata
        self.deadline = stream.deadline
        self.peer = stream.peer
        self.peer_common_name = stream.peer_common_name
        self.drain = stream.drain

    async def __aiter__(self) -> AsyncIterator[bytes]:
        told = self.sum
        async for message in self._stream:
            told.messages_in += 1
            told.bytes_in += len(message)
            keys = self._route.read(message, REFUSED).keys
            told.keys_in_all += len(keys)
            if keys and len(told.keys) < KEYS_MAX:
                told.keys += keys
            yield message

    def send(self, message: bytes) -> None:
        self.sum.messages_out += 1
        self.sum.bytes_out += len(message)
        self._stream.send(message)

    def send_each(self, head: bytes, middles: Sequence[bytes], tail: bytes) -> None:
        self.sum.messages_out += len(middles)
        self.sum.bytes_out += len(middles) * (len(head) + len(middles[0]) + len(tail))
        self._stream.send_each(head, middles, tail)

    @property
    def backlog(self) -> int:
        return self._stream.backlog
