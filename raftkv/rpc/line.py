"""The line of those who want one thing: keys ``name/<lease>``, served by create_revision.

Owns: standing in line, waiting for those ahead, and leaving it; and the lease that is granted to
who brings none. Its keys are etcd's (client/v3/concurrency), so that its clients, etcdctl and these
services stand in one line. Must never do: trust a wait alone: the own key is seen again, by a
linearizable read, after those ahead have gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.errors import SessionExpired
from raftkv.rpc.own_calls import Caller, OwnCallFailed
from raftkv.rpc.waiting_calls import WaitingCalls

GRANTED_TTL_S = 60
"""etcd's: what who brings no lease is granted, and nobody renews."""


@asynccontextmanager
async def session(caller: Caller, lease: int, waiting: WaitingCalls) -> AsyncIterator[int]:
    """A lease to stand in line with. One that was granted here goes if the body fails."""
    if lease:
        yield lease
        return
    granted = (await caller.grant(api.LeaseGrantRequest(TTL=GRANTED_TTL_S))).ID
    try:
        yield granted
    except BaseException:
        waiting.afterwards(lambda: caller.revoke(api.LeaseRevokeRequest(ID=granted)))
        raise


@dataclass(frozen=True, slots=True)
class Place:
    """``kv`` is the own key as it was found, None if this call has put it."""

    header: api.ResponseHeader
    create_revision: int
    is_first: bool
    kv: KeyValue | None


class Line:
    """One caller's way through the line called ``name``."""

    def __init__(self, caller: Caller, name: bytes, lease: int) -> None:
        self._caller = caller
        self._lease = lease
        self._prefix = name + b"/"
        self.key = self._prefix + b"%x" % lease
        self._entering: asyncio.Task[Place] | None = None

    async def enter(self, value: bytes) -> Place:
        """Who stands there already with this lease keeps its place, and its value."""
        self._entering = asyncio.ensure_future(self._enter(value))
        return await asyncio.shield(self._entering)

    async def _enter(self, value: bytes) -> Place:
        put = api.PutRequest(key=self.key, value=value, lease=self._lease)
        first = api.RequestOp(request_range=first_in_line(self._prefix))
        own = api.RequestOp(request_range=api.RangeRequest(key=self.key))
        request = api.TxnRequest(
            compare=[_created_at(self.key, 0)],
            success=[api.RequestOp(request_put=put), first],
            failure=[own, first],
        )
        done = await self._caller.txn(request)
        leaders = done.responses[1].response_range.kvs
        if done.succeeded:
            kv, revision = None, done.header.revision
        else:
            kv = done.responses[0].response_range.kvs[0]
            revision = kv.create_revision
        is_first = not leaders or leaders[0].create_revision == revision
        return Place(done.header, revision, is_first, kv)

    async def wait(self, place: Place) -> api.ResponseHeader:
        """Until nobody is ahead; the header of the read that saw so. Raises SessionExpired."""
        ahead = api.RangeRequest(
            key=self._prefix,
            range_end=_end(self._prefix),
            limit=1,
            sort_order=api.RangeRequest.DESCEND,
            sort_target=api.RangeRequest.CREATE,
            max_create_revision=place.create_revision - 1,
        )
        look = api.TxnRequest(
            compare=[_created_at(self.key, place.create_revision)],
            success=[api.RequestOp(request_range=ahead)],
        )
        while True:
            seen = await self._caller.txn(look)
            if not seen.succeeded:
                raise SessionExpired("the key in the line is gone")
            kvs = seen.responses[0].response_range.kvs
            if not kvs:
                return seen.header
            await self._until_either_goes(kvs[0].key, seen.header.revision)

    async def _until_either_goes(self, ahead: bytes, revision: int) -> None:
        """The own key may be the one: then a lease has ended. A watch that is cancelled, because
        of a compaction say, is no sign of anything: who returns looks again."""
        creates = [
            api.WatchCreateRequest(
                key=key, start_revision=revision + 1, filters=[api.WatchCreateRequest.NOPUT]
            )
            for key in (ahead, self.key)
        ]
        async with self._caller.watch(*creates) as responses:
            async for response in responses:
                if response.events or response.canceled:
                    return

    async def leave(self) -> None:
        """Give up a place that was not reached, even one that is only on its way to the log."""
        if self._entering is None:
            return
        try:
            place = await self._entering
        except OwnCallFailed:
            return  # not in line; or nobody knows, and the lease bounds it
        if place.kv is not None and place.is_first:
            return  # it had been reached before this call came
        delete = api.DeleteRangeRequest(key=self.key)
        request = api.TxnRequest(
            compare=[_created_at(self.key, place.create_revision)],
            success=[api.RequestOp(request_delete_range=delete)],
        )
        await self._caller.txn(request)


def first_in_line(prefix: bytes) -> api.RangeRequest:
    return api.RangeRequest(
        key=prefix,
        range_end=_end(prefix),
        limit=1,
        sort_order=api.RangeRequest.ASCEND,
        sort_target=api.RangeRequest.CREATE,
    )


def _created_at(key: bytes, revision: int) -> api.Compare:
    return api.Compare(
        key=key,
        target=api.Compare.CREATE,
        result=api.Compare.EQUAL,
        create_revision=revision,
    )


def owner_only(key: bytes, revision: int, operation: api.RequestOp) -> api.TxnRequest:
    """``operation``, if ``key`` is still the one that was created at ``revision``."""
    return api.TxnRequest(compare=[_created_at(key, revision)], success=[operation])


def is_delete(event: Event) -> bool:
    return event.type == Event.DELETE


def _end(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes((prefix[-1] + 1,))  # it ends with a slash
