"""What etcd's API has of the past: a range's versions, and what differs between two revisions.

Owns: reading them in bounded memory. Must never do: guess at what a compaction took.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import grpc

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.client.calls import Calls, error_of
from raftkv.client.endpoints import Endpoints
from raftkv.client.login import Metadata
from raftkv.errors import Compacted, RaftKVError

PAGE_KEYS = 1_000
"""Keys of one page of a diff; two pages are in memory."""
PROGRESS_PAUSE_S = 0.05
"""Between questions whether all of the past has been sent."""


class Ranging(Protocol):
    async def range(self, request: api.RangeRequest) -> api.RangeResponse: ...


# --- between two revisions ---


class ChangeKind(Enum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """``before`` is None for a key that was added, ``after`` for one that was removed."""

    kind: ChangeKind
    before: KeyValue | None
    after: KeyValue | None

    @property
    def key(self) -> bytes:
        kv = self.after or self.before
        assert kv is not None, "a change has a side"
        return kv.key


async def diff(
    client: Ranging, first: int, last: int, key: bytes, range_end: bytes, page_keys: int = PAGE_KEYS
) -> AsyncIterator[Change]:
    """What differs between the revisions, in the order of keys. A key that was put again counts as
    changed, whatever its value. Raises Compacted and FutureRevision."""
    old = _Side(pages(client, first, key, range_end, page_keys))
    new = _Side(pages(client, last, key, range_end, page_keys))
    before, after = await old.next(), await new.next()
    while before is not None or after is not None:
        if after is None or (before is not None and before.key < after.key):
            yield Change(ChangeKind.REMOVED, before, None)
            before = await old.next()
        elif before is None or after.key < before.key:
            yield Change(ChangeKind.ADDED, None, after)
            after = await new.next()
        else:
            if before.mod_revision != after.mod_revision:
                yield Change(ChangeKind.CHANGED, before, after)
            before, after = await old.next(), await new.next()


class _Side:
    def __init__(self, kvs: AsyncIterator[KeyValue]) -> None:
        self._kvs = kvs

    async def next(self) -> KeyValue | None:
        return await anext(self._kvs, None)


async def pages(
    client: Ranging, revision: int, key: bytes, range_end: bytes, page_keys: int
) -> AsyncIterator[KeyValue]:
    """All keys of the range as they were at ``revision``, read ``page_keys`` at a time. Raises
    Compacted and FutureRevision."""
    while True:
        page = await client.range(
            api.RangeRequest(key=key, range_end=range_end, revision=revision, limit=page_keys)
        )
        for kv in page.kvs:
            yield kv
        if not page.more:
            return
        key = page.kvs[-1].key + b"\0"


# --- all versions ---


@dataclass(frozen=True, slots=True)
class Past:
    """``kept`` is what a compaction at ``compact_revision`` left of earlier versions, by key."""

    compact_revision: int
    kept: list[KeyValue]
    events: list[Event]


async def past(
    endpoints: Endpoints, calls: Calls, client: Ranging, key: bytes, range_end: bytes
) -> Past:
    """Every version since the last compaction, up to now. The member must answer progress
    requests only when a watch has everything (etcd does from 3.4.25 and 3.5.8 on)."""
    now = (await client.range(api.RangeRequest(key=key))).header.revision
    start, kept = 1, []
    while True:
        try:
            events = await _events(endpoints, calls, (key, range_end), start, now)
        except Compacted as error:
            compacted = error.compact_revision
            request = api.RangeRequest(key=key, range_end=range_end, revision=compacted)
            kept, start = list((await client.range(request)).kvs), compacted + 1
            continue
        return Past(start - 1, kept, events)


async def _events(
    endpoints: Endpoints, calls: Calls, keys: tuple[bytes, bytes], start: int, last: int
) -> list[Event]:
    """Those of revisions ``start`` to ``last``."""
    if start > last:
        return []
    return await calls.signed(
        lambda carried: _events_as(endpoints, calls, keys, start, last, carried)
    )


async def _events_as(
    endpoints: Endpoints,
    calls: Calls,
    keys: tuple[bytes, bytes],
    start: int,
    last: int,
    carried: Metadata,
) -> list[Event]:
    call: Any = endpoints.channel().stream_stream(
        "/etcdserverpb.Watch/Watch",
        request_serializer=api.WatchRequest.SerializeToString,
        response_deserializer=api.WatchResponse.FromString,
    )(metadata=carried)
    create = api.WatchCreateRequest(
        key=keys[0], range_end=keys[1], start_revision=start, prev_kv=True
    )
    asking: asyncio.Future[None] | None = None
    events: list[Event] = []
    try:
        await call.write(api.WatchRequest(create_request=create))
        asking = asyncio.ensure_future(_ask_progress(call, calls))
        async for response in call:
            if response.canceled:
                if response.compact_revision:
                    raise Compacted(response.compact_revision)
                raise RaftKVError(response.cancel_reason or "the server ended the watch")
            events += [e for e in response.events if e.kv.mod_revision <= last]
            if response.events:
                is_past = response.events[-1].kv.mod_revision >= last
            else:  # progress: nothing is left up to the header's revision
                is_past = not response.created and response.header.revision >= last
            if is_past:
                return events
    except grpc.aio.AioRpcError as e:
        raise error_of(e) from e
    finally:
        if asking is not None:
            asking.cancel()
        call.cancel()
    raise RaftKVError("the server ended the watch before it had sent everything")


async def _ask_progress(call: Any, calls: Calls) -> None:
    request = api.WatchRequest(progress_request=api.WatchProgressRequest())
    while True:
        await calls.pause(PROGRESS_PAUSE_S)
        await call.write(request)
