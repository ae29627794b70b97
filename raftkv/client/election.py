"""Elections: one leader at a time, known to all by what it proclaims.

Owns: Election (campaign, leader, observe) and Leadership (proclaim, resign). Must never do: let a
leader proclaim that is none any more; the server compares.

    async with client.election("head").campaign("me", ttl_s=10) as leadership:
        await leadership.proclaim("me, busy")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.client.line import Line
from raftkv.client.lock import HeldLock, Lock
from raftkv.client.txn import Text, Txn, put
from raftkv.errors import Compacted, NotElected

if TYPE_CHECKING:
    from raftkv.client.client import Client


class Election:
    def __init__(self, client: Client, name: Text) -> None:
        self._client = client
        self._name = name
        self._line = Line(client, name)

    def campaign(self, value: Text, ttl_s: int = 10) -> Campaign:
        """Stand for election; entering the context waits until elected, leaving it resigns. The
        body is cancelled, and LeaseLost raised, when the lease is lost."""
        return Campaign(self._client, Lock(self._client, self._name, ttl_s, value))

    async def leader(self) -> KeyValue | None:
        """The leader's key, with what it proclaims; None if nobody leads."""
        found = await self._line.first()
        return found.kvs[0] if found.kvs else None

    async def observe(self) -> AsyncIterator[KeyValue]:
        """The leader now, and then every proclaim and every new leader; without end. A reader that
        falls behind a compaction may miss proclaims, never the present leader."""
        while True:
            found = await self._line.first()
            start = found.header.revision + 1
            if found.kvs:
                yield found.kvs[0]
                async for kv in self._proclaims(found.kvs[0].key, start):
                    yield kv
            else:
                await self._until_somebody_stands(start)

    async def _proclaims(self, key: bytes, start: int) -> AsyncIterator[KeyValue]:
        try:
            async for event in self._client.watch(key, start_revision=start).events():
                if event.type == Event.DELETE:
                    return
                yield event.kv
        except Compacted:
            return  # who returns looks again

    async def _until_somebody_stands(self, start: int) -> None:
        prefix = self._line.prefix
        watch = self._client.watch(prefix, range_end=prefix[:-1] + b"0", start_revision=start)
        try:
            async for event in watch.events():
                if event.type == Event.PUT:
                    return
        except Compacted:
            return  # who returns looks again


class Campaign:
    """Use it as an async context manager, once."""

    def __init__(self, client: Client, lock: Lock) -> None:
        self._client = client
        self._lock = lock

    async def __aenter__(self) -> Leadership:
        return Leadership(self._client, await self._lock.__aenter__())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._lock.__aexit__(kind, error, traceback)


class Leadership:
    """``held.token`` is the fencing token, as a lock's."""

    def __init__(self, client: Client, held: HeldLock) -> None:
        self._client = client
        self.held = held

    async def proclaim(self, value: Text) -> api.TxnResponse:
        """Raises NotElected when another one leads."""
        operation = put(self.held.key, value, lease=self.held.lease.id)
        done = await self._client.txn(Txn().when(self.held.is_mine).then(operation))
        if not done.succeeded:
            raise NotElected(f"the key {self.held.key!r} is gone, or another one's")
        return done
