"""Locks: one holder at a time, for as long as its lease lives.

Owns: Lock, which takes and gives back, and HeldLock. Must never do: let the holder go on unwarned
when the lease is lost: the body of ``async with`` is cancelled, and LeaseLost raised after it.

    async with client.lock("printer", ttl_s=10) as held:
        await client.txn(Txn().when(held.is_mine).then(put("state", "printing")))

No lock with a lease can keep a holder from acting late, after a pause of its own. ``is_mine`` and
``token`` are for that: a write that names them fails when another holds the lock.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from raftkv.api import rpc_pb2 as api
from raftkv.client.lease import KeptLease
from raftkv.client.line import Line
from raftkv.client.txn import Text, create_revision
from raftkv.errors import LeaseLost, LeaseNotFound, RaftKVError

if TYPE_CHECKING:
    from raftkv.client.client import Client


class HeldLock:
    def __init__(self, key: bytes, token: int, revision: int, lease: KeptLease) -> None:
        self.key = key
        self.token = token
        """The key's create_revision: greater with every holder."""
        self.revision = revision
        """When the lock was seen to be ours."""
        self.lease = lease

    @property
    def is_mine(self) -> api.Compare:
        """Holds in a Txn while the lock is held."""
        return create_revision(self.key) == self.token


class Lock:
    """Use it as an async context manager, once."""

    def __init__(self, client: Client, name: Text, ttl_s: int, value: Text = b"") -> None:
        self._client = client
        self._line = Line(client, name)
        self._ttl_s = ttl_s
        self._value = value
        self._lease: KeptLease | None = None
        self._guard: asyncio.Task[None] | None = None
        self._why: RaftKVError | None = None

    async def __aenter__(self) -> HeldLock:
        """Waits for its turn."""
        assert self._lease is None, "a Lock is taken once: ask client.lock for another"
        granted = await self._client.grant(self._ttl_s)
        lease = self._lease = self._client.keep_alive(granted)
        await lease.__aenter__()
        try:
            token = await self._line.enter(lease, self._value)
            revision = await self._line.wait(lease, token)
        except BaseException:
            await self._give_back(lease)
            raise
        body = asyncio.current_task()
        assert body is not None, "a lock is held by a task"
        self._guard = asyncio.ensure_future(self._watch(lease, body))
        return HeldLock(self._line.key(lease.id), token, revision, lease)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._lease is not None, "left before it was entered"
        assert self._guard is not None, "left before it was held"
        self._guard.cancel()
        if self._why is None:
            await self._give_back(self._lease)
            return
        await self._lease.__aexit__(None, None, None)
        body = asyncio.current_task()
        assert body is not None, "a lock is held by a task"
        body.uncancel()
        if error is None:
            # The body ended before its cancellation reached it: it is taken here.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        if error is None or (isinstance(error, asyncio.CancelledError) and not body.cancelling()):
            raise LeaseLost(f"while the lock was held: {self._why}") from error

    async def _watch(self, lease: KeptLease, body: asyncio.Task[object]) -> None:
        self._why = await lease.lost()
        body.cancel()

    async def _give_back(self, lease: KeptLease) -> None:
        """Revoking the lease deletes the key, also one whose put is still on its way."""
        await lease.__aexit__(None, None, None)
        try:
            await self._client.revoke(lease.id)
        except LeaseNotFound:
            return  # it has ended by itself, and the key with it
