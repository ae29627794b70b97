"""Compaction every few minutes, agreed on by all shims through one key.

Owns: the key compact_rev_key and the clock between two compactions. Must never do: compact what was
not there a whole interval ago. The protocol is a real apiserver's: whoever advances the key's
version compacts to the revision that it noted the time before; both kinds may share one store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from raftkv.client import Client, Txn
from raftkv.client.txn import get, put, version
from raftkv.errors import Compacted, RaftKVError

log = logging.getLogger("apiserver_shim.compactor")

KEY = "compact_rev_key"
INTERVAL_S = 300.0


class Compactor:
    def __init__(
        self,
        client: Client,
        *,
        interval_s: float = INTERVAL_S,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._interval_s = interval_s
        self._pause = pause
        self._version = 0
        self._revision = 0

    async def run(self) -> None:
        while True:
            await self._pause(self._interval_s)
            try:
                await self.step()
            except RaftKVError as e:
                log.warning("cannot compact now: %s", e)

    async def step(self) -> None:
        """One round: note today's revision, and compact to the last round's if it is our turn."""
        txn = (
            Txn()
            .when(version(KEY) == self._version)
            .then(put(KEY, str(self._revision)))
            .otherwise(get(KEY))
        )
        reply = await self._client.txn(txn)
        last, self._revision = self._revision, reply.header.revision
        if not reply.succeeded:
            kvs = reply.responses[0].response_range.kvs
            self._version = kvs[0].version if kvs else 0
            return
        self._version += 1
        if last:
            try:
                await self._client.compact(last)
            except Compacted:
                return  # somebody did more
            log.info("compacted up to revision %d", last)
