"""A member's own services, called for a client by another service of the same member.

Owns: OwnCalls and Caller: one request in, its answer out, without a wire; watches likewise. Every
call carries the metadata, the peer and the deadline of the client's own call: **who asks is decided
here and nowhere else**, so that a check of the caller that the called service makes is a check of
the client. Must never do: reach past the services to the member, or retry.

As in etcd, an error of a call keeps its text and loses its code.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from google.protobuf.message import Message

from raftkv.api import rpc_pb2 as api
from raftkv.errors import RaftKVError
from raftkv.rpc.errors import status_of
from raftkv.wire.service import Call, SendsEach, Service, Status

ReplyT = TypeVar("ReplyT", bound=Message)

_KV, _LEASE, _WATCH = "etcdserverpb.KV", "etcdserverpb.Lease", "etcdserverpb.Watch"


class OwnCallFailed(RaftKVError):
    """What an own service answered in place of a reply; etcd's text."""


class OwnCalls:
    """``services`` are those of the member."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = {service.name: service for service in services}

    def on_behalf_of(self, call: Call) -> Caller:
        return Caller(self._services, call)


class Caller:
    """Each method raises OwnCallFailed."""

    def __init__(self, services: dict[str, Service], call: Call) -> None:
        self._services = services
        self._call = call

    async def range(self, request: api.RangeRequest) -> api.RangeResponse:
        return await self._unary(_KV, "Range", request, api.RangeResponse)

    async def txn(self, request: api.TxnRequest) -> api.TxnResponse:
        return await self._unary(_KV, "Txn", request, api.TxnResponse)

    async def delete(self, request: api.DeleteRangeRequest) -> api.DeleteRangeResponse:
        return await self._unary(_KV, "DeleteRange", request, api.DeleteRangeResponse)

    async def grant(self, request: api.LeaseGrantRequest) -> api.LeaseGrantResponse:
        return await self._unary(_LEASE, "LeaseGrant", request, api.LeaseGrantResponse)

    async def revoke(self, request: api.LeaseRevokeRequest) -> api.LeaseRevokeResponse:
        return await self._unary(_LEASE, "LeaseRevoke", request, api.LeaseRevokeResponse)

    @asynccontextmanager
    async def watch(
        self, *creates: api.WatchCreateRequest
    ) -> AsyncIterator[AsyncIterator[api.WatchResponse]]:
        """The responses to ``creates`` on a stream of their own, which ends with the context. One
        that is cancelled comes from a compaction; any other cancellation raises."""
        requests = [
            api.WatchRequest(create_request=create).SerializeToString() for create in creates
        ]
        stream = _OwnStream(self._call, requests)
        method = self._services[_WATCH].streams["Watch"]
        serving = asyncio.ensure_future(method(stream))
        serving.add_done_callback(lambda _: stream.wake())
        try:
            yield _responses(stream, serving)
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError, RaftKVError):
                await serving

    async def _unary(self, name: str, method: str, request: Message, reply: type[ReplyT]) -> ReplyT:
        service, call = self._services[name], _OwnCall(self._call)
        try:
            service.unary[method](request.SerializeToString(), call)
        except Exception as error:  # noqa: BLE001 - the service says what its errors mean
            call.fail(service.status_of(error))
        outcome = await call.outcome
        if isinstance(outcome, Status):
            raise OwnCallFailed(outcome.message)
        return reply.FromString(outcome)


async def _responses(
    stream: _OwnStream, serving: asyncio.Future[None]
) -> AsyncIterator[api.WatchResponse]:
    while True:
        while stream.sent:
            response = api.WatchResponse.FromString(stream.take())
            if response.canceled and not response.compact_revision:
                raise OwnCallFailed(response.cancel_reason or "the watch was cancelled")
            yield response
        if serving.done():
            error = None if serving.cancelled() else serving.exception()
            text = "the watch ended" if error is None else status_of(error).message
            raise OwnCallFailed(text)
        await stream.wait()


class _OnBehalf:
    """``Call``: all that tells who the client is, and nothing else, is taken from its call."""

    def __init__(self, call: Call) -> None:
        self.metadata = call.metadata
        self.deadline = call.deadline
        self.peer = call.peer
        self.peer_common_name = call.peer_common_name


class _OwnCall(_OnBehalf):
    """``UnaryCall`` whose answer can be awaited; to cancel that is to go away."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.outcome: asyncio.Future[bytes | Status] = asyncio.get_running_loop().create_future()

    @property
    def cancelled(self) -> bool:
        return self.outcome.cancelled()

    def when_cancelled(self, proceed: Callable[[], object]) -> None:
        def ended(outcome: asyncio.Future[bytes | Status]) -> None:
            if outcome.cancelled():
                proceed()

        self.outcome.add_done_callback(ended)

    def reply(self, message: bytes) -> None:
        if not self.outcome.done():
            self.outcome.set_result(message)

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        self.reply(b"".join(pieces))

    def fail(self, status: Status) -> None:
        if not self.outcome.done():
            self.outcome.set_result(status)


class _OwnStream(_OnBehalf, SendsEach):
    """``Stream`` of requests that are there from the start; its reader drains what is sent."""

    def __init__(self, call: Call, requests: Sequence[bytes]) -> None:
        super().__init__(call)
        self.sent: deque[bytes] = deque()
        self.backlog = 0
        self._requests = requests
        self._something = asyncio.Event()
        self._drained = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for request in self._requests:
            yield request
        await asyncio.get_running_loop().create_future()  # until the reader ends the stream

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        self.backlog += len(message)
        self._something.set()

    async def drain(self) -> None:
        while self.sent:
            self._drained.clear()
            await self._drained.wait()

    # --- the reader's side ------------------------------------------------------------------

    def take(self) -> bytes:
        message = self.sent.popleft()
        self.backlog -= len(message)
        if not self.sent:
            self._drained.set()
        return message

    async def wait(self) -> None:
        """Until something was sent since the last wait, or the stream has ended."""
        await self._something.wait()
        self._something.clear()

    def wake(self) -> None:
        self._something.set()
