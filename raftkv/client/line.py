"""The line of those who want one thing: keys ``name/<lease>``, served by create_revision.

Owns: entering, waiting and looking, for locks and elections alike; etcd's own recipe, so that all
clients of etcd stand in one line. Must never do: believe in a turn that a linearizable read has not
confirmed, or wait on when the lease is lost.

The key is the client's own, so that a request whose answer is lost may be asked again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.client.lease import KeptLease
from raftkv.client.txn import Text, Txn, create_revision, encoded, get, put
from raftkv.errors import Compacted, LeaseLost, MaybeExecuted, SessionExpired

if TYPE_CHECKING:
    from raftkv.client.client import Client

TRIES_MAX = 10
"""How often a request of the line is asked whose answer was lost."""


class Line:
    """The line called ``name``."""

    def __init__(self, client: Client, name: Text) -> None:
        self._client = client
        self.prefix = encoded(name) + b"/"

    def key(self, lease_id: int) -> bytes:
        return self.prefix + b"%x" % lease_id

    async def first(self) -> api.RangeResponse:
        """Whose turn it is; no row if nobody stands here."""
        return await self._client.range(
            api.RangeRequest(
                key=self.prefix,
                range_end=self.prefix[:-1] + b"0",  # what follows the slash
                limit=1,
                sort_order=api.RangeRequest.ASCEND,
                sort_target=api.RangeRequest.CREATE,
            )
        )

    async def enter(self, lease: KeptLease, value: Text) -> int:
        """The create_revision of the own key: the place in the line."""
        key = self.key(lease.id)
        txn = Txn().when(create_revision(key) == 0)
        txn = txn.then(put(key, value, lease=lease.id)).otherwise(get(key))
        for attempt in range(1, TRIES_MAX + 1):
            try:
                done = await self._client.txn(txn)
            except MaybeExecuted:
                if attempt == TRIES_MAX:
                    raise
                await self._client.back_off(attempt)
                continue
            if done.succeeded:
                return done.header.revision
            return done.responses[0].response_range.kvs[0].create_revision
        raise AssertionError("the last try returns or raises")

    async def wait(self, lease: KeptLease, revision: int) -> int:
        """Until all that came before ``revision`` have gone; the revision at which that was seen.
        Raises LeaseLost and SessionExpired."""
        lost = asyncio.ensure_future(lease.lost())
        turn = asyncio.ensure_future(self._turn(self.key(lease.id), revision))
        try:
            await asyncio.wait((lost, turn), return_when=asyncio.FIRST_COMPLETED)
            if turn.done():
                return turn.result()
            raise LeaseLost(f"while in line: {lost.result()}")
        finally:
            lost.cancel()
            turn.cancel()
            await asyncio.wait((lost, turn))

    async def _turn(self, key: bytes, revision: int) -> int:
        ahead = api.RangeRequest(
            key=self.prefix,
            range_end=self.prefix[:-1] + b"0",
            limit=1,
            sort_order=api.RangeRequest.DESCEND,
            sort_target=api.RangeRequest.CREATE,
            max_create_revision=revision - 1,
        )
        look = Txn().when(create_revision(key) == revision)
        look = look.then(api.RequestOp(request_range=ahead))
        while True:
            seen = await self._client.read_txn(look)
            if not seen.succeeded:
                raise SessionExpired(f"the key {key!r} in the line is gone")
            kvs = seen.responses[0].response_range.kvs
            if not kvs:
                return seen.header.revision
            await self._until_gone(kvs[0], seen.header.revision)

    async def _until_gone(self, ahead: KeyValue, revision: int) -> None:
        try:
            async for event in self._client.watch(ahead.key, start_revision=revision + 1).events():
                if event.type == Event.DELETE:
                    return
        except Compacted:
            return  # who returns looks again
