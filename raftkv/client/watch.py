"""A watch that outlives connections and members.

Owns: the position of one watch, and taking it up again elsewhere. Must never do: skip or repeat an
event: after any loss the next stream starts at the revision after the last whole response.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from raftkv.api.kv_pb2 import Event
from raftkv.api.rpc_pb2 import WatchCreateRequest, WatchRequest, WatchResponse
from raftkv.client.calls import Calls, error_of, is_transient
from raftkv.client.endpoints import Endpoints
from raftkv.client.login import Metadata
from raftkv.error_texts import error_of_text
from raftkv.errors import Compacted, RaftKVError, WatchCanceled

_METHOD = "/etcdserverpb.Watch/Watch"


@dataclass(frozen=True, slots=True)
class Gap:
    """The events of revisions ``first`` to ``last``, both included, are gone for good."""

    first: int
    last: int


class Watch:
    """``async for response in watch``: each holds all events of one or more whole revisions.

    Raises Compacted when the revisions that it needs are gone (unless ``when_compacted`` is to be
    told, and the watch to go on), WatchCanceled when the server
    refuses it, and the last error when no endpoint answers for as long as the policy allows.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        calls: Calls,
        create: WatchCreateRequest,
        tries_max: int,
        *,
        require_leader: bool = False,
        when_compacted: Callable[[Gap], None] | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._calls = calls
        self._create = create
        self._tries_max = tries_max
        self._metadata: Metadata = (("hasleader", "true"),) if require_leader else ()
        self._when_compacted = when_compacted
        self._failures = 0

    @property
    def next_revision(self) -> int:
        """Where the watch goes on; 0 before it has begun from now."""
        return self._create.start_revision

    async def events(self) -> AsyncIterator[Event]:
        """The same, event by event."""
        async for response in self:
            for event in response.events:
                yield event

    async def __aiter__(self) -> AsyncIterator[WatchResponse]:
        while True:
            endpoint = self._endpoints.current
            try:
                carried = await self._calls.metadata()
                async for response in self._stream(endpoint, carried):
                    yield response
                failure: Exception = Exception(f"{endpoint} ended the watch")
            except Compacted as e:
                self._skip(e)
                continue
            except WatchCanceled as e:
                refused = _named(str(e))
                if refused is None or not await self._calls.renewed(refused, carried):
                    raise
                failure = e
            except grpc.aio.AioRpcError as e:
                if not is_transient(e) and e.code() is not grpc.StatusCode.CANCELLED:
                    raise error_of(e) from e
                failure = e
            await self._take_up_elsewhere(endpoint, failure)

    def _skip(self, error: Compacted) -> None:
        if self._when_compacted is None:
            raise error
        gap = Gap(self._create.start_revision, error.compact_revision - 1)
        self._create.start_revision = error.compact_revision
        self._when_compacted(gap)

    async def _stream(self, endpoint: str, carried: Metadata) -> AsyncIterator[WatchResponse]:
        """The responses with events of one stream."""
        open_stream: Any = self._endpoints.channel(endpoint).stream_stream(
            _METHOD,
            request_serializer=WatchRequest.SerializeToString,
            response_deserializer=WatchResponse.FromString,
        )
        call = open_stream(metadata=(*carried, *self._metadata))
        try:
            await call.write(WatchRequest(create_request=self._create))
            async for response in call:
                self._take(response)
                if response.events:
                    yield response
        finally:
            call.cancel()

    def _take(self, response: WatchResponse) -> None:
        """Note how far the watch has come. Raises what ends it for good."""
        if response.canceled:
            if response.compact_revision:
                raise Compacted(response.compact_revision)
            raise WatchCanceled(response.cancel_reason or "the server ended the watch")
        self._failures = 0
        if response.created and not self._create.start_revision:
            self._create.start_revision = response.header.revision + 1
        elif response.events and not response.fragment:
            self._create.start_revision = response.events[-1].kv.mod_revision + 1

    async def _take_up_elsewhere(self, endpoint: str, failure: Exception) -> None:
        self._failures += 1
        if self._failures >= self._tries_max:
            if isinstance(failure, grpc.aio.AioRpcError):
                raise error_of(failure) from failure
            raise RaftKVError(str(failure)) from failure
        self._endpoints.move_on(endpoint)
        await self._calls.back_off(self._failures)


def _named(reason: str) -> RaftKVError | None:
    """etcd refuses a watch with the text of a gRPC error, as Go formats it."""
    return error_of_text(reason.partition(" desc = ")[2])
