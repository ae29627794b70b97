"""A lease that is renewed in the background for as long as it is held.

Owns: KeptLease: how long it is good for, and the moment it is lost; ``keeper`` renews it. Must
never do: take silence for renewal: when no answer has come for a whole TTL since the last renewal
was *sent*, the lease counts as lost, whatever the server still knows.

    async with client.keep_alive(await client.grant(10)) as lease:
        await client.put("mine", "yes", lease=lease.id)
        why = await lease.lost()
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol

from raftkv.errors import RaftKVError, RequestTimeout

RENEWALS_PER_TTL = 3


class Keeper(Protocol):
    """Who renews."""

    def add(self, lease: KeptLease) -> None: ...

    def discard(self, lease: KeptLease) -> None: ...


class KeptLease:
    """Use it as an async context manager: the renewals end with it, the lease itself does not."""

    def __init__(self, keeper: Keeper, lease_id: int, ttl_s: int) -> None:
        loop = asyncio.get_running_loop()
        self.id = lease_id
        self.ttl_s = ttl_s
        self._keeper = keeper
        self._good_until = loop.time() + ttl_s
        self._lost: asyncio.Future[RaftKVError] = loop.create_future()
        self.next_renewal = loop.time()
        self.asked_at: float | None = None
        """When the renewal was sent that has no answer yet."""

    async def __aenter__(self) -> KeptLease:
        self._keeper.add(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._keeper.discard(self)

    @property
    def is_lost(self) -> bool:
        """Whether somebody else may hold what this lease held."""
        return self._lost.done() or asyncio.get_running_loop().time() >= self._good_until

    async def lost(self) -> RaftKVError:
        """Wait until the lease is lost; why."""
        return await asyncio.shield(self._lost)

    # --- the keeper's side ----------------------------------------------------------------------

    @property
    def patience_s(self) -> float:
        """How long one renewal may take until it is asked for elsewhere."""
        return self.ttl_s / RENEWALS_PER_TTL

    @property
    def wakes_at(self) -> float:
        """When there is next something to do about it."""
        due = self.next_renewal if self.asked_at is None else self.asked_at + self.patience_s
        return min(due, self._good_until)

    def asked(self, now: float) -> None:
        self.asked_at = now

    def renewed(self, ttl_s: int) -> None:
        """The answer to the renewal that was asked for last."""
        if self.asked_at is not None:
            self.ttl_s, self._good_until = ttl_s, self.asked_at + ttl_s
            self.next_renewal, self.asked_at = self.asked_at + self.patience_s, None

    def begin_again(self, now: float) -> None:
        """The stream is another one: what was asked on the last will not be answered."""
        self.next_renewal, self.asked_at = now, None

    def lose(self, error: RaftKVError) -> None:
        if not self._lost.done():
            self._lost.set_result(error)

    def check(self, now: float) -> bool:
        """Whether it is still good; it is lost otherwise."""
        if now >= self._good_until:
            self.lose(RequestTimeout(f"lease {self.id:x} was not renewed within its TTL"))
        return not self._lost.done()
