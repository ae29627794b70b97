"""Leader election by a Lease: of many that could do the work one does.

Owns: taking, renewing and giving back the Lease. Must never do: work on after the time in which it
could not renew: another may have begun. Rules and defaults: client-go's leaderelection. Other
holders' times are not trusted: a Lease has run out when nobody changed it for its duration, by our
own monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.kinds import LEASES

log = logging.getLogger("apiserver_shim.leader")


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds. A leader that cannot renew for ``renew_s`` stops, before ``duration_s`` is over."""

    duration_s: int = 15
    renew_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration_s > self.renew_s > self.retry_s > 0:
            raise ValueError(
                f"lease duration {self.duration_s} s must be longer than renew {self.renew_s} s, "
                f"and that longer than retry {self.retry_s} s"
            )


class LeaderElector:
    def __init__(
        self,
        client: ApiClient,
        name: str,
        identity: str,
        *,
        clock: Clock,
        namespace: str = "kube-system",
        times: LeaseTimes | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._times = times or LeaseTimes()
        self._seen: tuple[str, float] = ("", 0.0)
        """The Lease's resourceVersion as last seen, and since when it has not changed."""

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled: wait for the Lease, work, and begin anew when it is lost."""
        while True:
            while not await self._tried():
                await self._clock.pause(self._times.retry_s)
            log.info("%s/%s: %s leads", self._namespace, self._name, self._identity)
            working = asyncio.ensure_future(work())
            renewing = asyncio.create_task(self._renew())
            try:
                await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return working.result()
                log.warning("%s lost the lease %s", self._identity, self._name)
            finally:
                for task in (working, renewing):
                    task.cancel()
                await asyncio.gather(working, renewing, return_exceptions=True)
                await self._release()

    async def _renew(self) -> None:
        """Returns when the Lease is lost."""
        last = self._clock.monotonic()
        while self._clock.monotonic() - last < self._times.renew_s:
            await self._clock.pause(self._times.retry_s)
            begun = self._clock.monotonic()
            with contextlib.suppress(TimeoutError):  # counts as a try that failed
                async with asyncio.timeout(max(self._times.renew_s - (begun - last), 0.0)):
                    if await self._tried():
                        last = begun

    async def _tried(self) -> bool:
        """One try to take or renew it. False when another has it or nobody answers."""
        try:
            return await self._take()
        except (ApiFailure, *UNREACHABLE) as e:
            log.info("lease %s: %s", self._name, e or type(e).__name__)
            return False

    async def _take(self) -> bool:
        lease = await self._client.get(LEASES, self._namespace, self._name)
        if lease is None:
            await self._client.create(LEASES, self._namespace, self._new())
            return True
        spec = dict(lease.get("spec") or {})
        revision = lease["metadata"]["resourceVersion"]
        if revision != self._seen[0]:
            self._seen = (revision, self._clock.monotonic())
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._identity):
            unchanged_s = self._clock.monotonic() - self._seen[1]
            if unchanged_s < spec.get("leaseDurationSeconds", self._times.duration_s):
                return False
        now = self._clock.micro_stamp()
        if holder != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = spec.get("leaseTransitions", 0) + 1
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._times.duration_s,
            "renewTime": now,
        }
        await self._client.update(LEASES, {**lease, "spec": spec})
        return True

    async def _release(self) -> None:
        """So that the next need not wait; if it cannot be told, they wait."""
        try:
            lease = await self._client.get(LEASES, self._namespace, self._name)
            if lease is None or lease["spec"].get("holderIdentity") != self._identity:
                return
            spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
            await self._client.update(LEASES, {**lease, "spec": spec})
        except (ApiFailure, *UNREACHABLE) as e:
            log.info("lease %s is not given back: %s", self._name, e or type(e).__name__)

    def _new(self) -> Object:
        now = self._clock.micro_stamp()
        return {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._times.duration_s,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }
