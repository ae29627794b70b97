"""Leader election: one works, the others wait; on a real store, with clocks that the test moves."""

from __future__ import annotations

import asyncio

import pytest

from apiserver_shim.components.kinds import LEASES
from apiserver_shim.components.leader import LeaderElector, LeaseTimes
from tests.shim.control_plane import ControlPlane
from tests.shim.virtual_clock import VirtualClock

pytestmark = pytest.mark.e2e
SYSTEM = "kube-system"


class Candidate:
    """Works, when it leads, until it is stopped."""

    def __init__(self, plane: ControlPlane, lease: str, identity: str) -> None:
        self.time = VirtualClock()
        self.identity = identity
        self.works = False
        self.ends = asyncio.Event()
        elector = LeaderElector(plane.client, lease, identity, clock=self.time.clock)
        self.task = plane.start(lambda: elector.lead(self._work))

    async def _work(self) -> None:
        self.works = True
        try:
            await self.ends.wait()
        finally:
            self.works = False


def test_lease_times_must_leave_room() -> None:
    """A leader must stop before its lease runs out, and try more than once."""
    with pytest.raises(ValueError, match="must be longer than renew"):
        LeaseTimes(duration_s=10, renew_s=10)
    with pytest.raises(ValueError, match="longer than retry"):
        LeaseTimes(renew_s=2, retry_s=2)


async def test_a_second_waits_until_the_first_is_silent(plane: ControlPlane) -> None:
    """A holder that no longer renews keeps the lease for its whole duration, by the other's clock,
    then loses it; the number of transitions grows."""
    first = Candidate(plane, "silent", "a")

    async def leads(candidate: Candidate) -> bool:
        return candidate.works

    await plane.until(lambda: leads(first), "the first leads")
    second = Candidate(plane, "silent", "b")

    async def waits() -> bool:
        return second.time.paused == 1

    for _ in range(7):  # 14 s: the lease lasts 15
        await plane.until(waits, "the second waits for its next try")
        second.time.advance(2)
        assert not second.works
    await plane.until(waits, "the second waits for its next try")
    second.time.advance(2)
    await plane.until(lambda: leads(second), "the second leads")
    lease = await plane.client.get(LEASES, SYSTEM, "silent") or {}
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("b", 1)
    first.time.advance(2)  # its next renewal finds another's name; it must end within 10 s
    for _ in range(6):
        await asyncio.sleep(0)

    async def stopped() -> bool:
        first.time.advance(1)
        return not first.works

    await plane.until(stopped, "the first has stopped its work")


async def test_renewing_keeps_it(plane: ControlPlane) -> None:
    """For as long as the holder renews every 2 s nobody else gets it."""
    first = Candidate(plane, "kept", "a")

    async def renews() -> bool:
        return first.works and first.time.paused == 1

    await plane.until(renews, "the first leads")
    second = Candidate(plane, "kept", "b")

    async def waits() -> bool:
        return second.time.paused == 1

    for _ in range(12):
        await plane.until(waits, "the second waits")
        before = (await plane.client.get(LEASES, SYSTEM, "kept") or {})["spec"]["renewTime"]
        first.time.advance(2)

        async def renewed(earlier: str = before) -> bool:
            now = await plane.client.get(LEASES, SYSTEM, "kept") or {}
            return bool(now["spec"]["renewTime"] != earlier) and first.time.paused == 1

        await plane.until(renewed, "the first has renewed")
        second.time.advance(2)
    assert (first.works, second.works) == (True, False)


async def test_a_lease_that_is_given_back_is_taken_at_once(plane: ControlPlane) -> None:
    """A leader that is stopped releases it: the next one need not wait 15 s."""
    first = Candidate(plane, "given", "a")

    async def leads(candidate: Candidate) -> bool:
        return candidate.works

    await plane.until(lambda: leads(first), "the first leads")
    first.task.cancel()
    await asyncio.gather(first.task, return_exceptions=True)
    lease = await plane.client.get(LEASES, SYSTEM, "given") or {}
    assert lease["spec"]["holderIdentity"] == ""
    second = Candidate(plane, "given", "b")
    await plane.until(lambda: leads(second), "the second leads without any time passing")
    assert second.time.seconds == 0
