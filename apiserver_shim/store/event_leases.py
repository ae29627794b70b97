"""Leases that many events share, so that an event costs no lease of its own.

Owns: the lease in use and when it is full or too old for the next event. Must never do: keep one
alive: events are to expire. As in a real apiserver: a lease lives a little longer than its events.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.client import Client

EVENT_TTL_S = 3600
REUSE_S = 60
KEYS_PER_LEASE_MAX = 1000


class EventLeases:
    def __init__(self, client: Client, now: Callable[[], float], ttl_s: int = EVENT_TTL_S) -> None:
        self._client = client
        self._now = now
        self._ttl_s = ttl_s
        self._lease = 0
        self._keys = 0
        self._good_until = float("-inf")

    async def lease(self) -> int:
        """One that outlives an event written now."""
        if self._keys >= KEYS_PER_LEASE_MAX or self._now() >= self._good_until:
            granted = await self._client.grant(self._ttl_s + REUSE_S)
            self._lease, self._keys = granted.ID, 0
            self._good_until = self._now() + REUSE_S
        self._keys += 1
        return self._lease
