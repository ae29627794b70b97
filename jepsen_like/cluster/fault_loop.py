"""The nemesis at work: it breaks, holds, mends, and waits, until the run says that it is over.

Owns: FaultLoop: what is broken now, and the Fault records. Must never do: leave anything broken:
``run`` returns when all is mended.
"""

from __future__ import annotations

import asyncio
from random import Random

from jepsen_like.checkers.recovery import STUCK
from jepsen_like.client.recorder import Recorder
from jepsen_like.cluster.cluster import TimedOut
from jepsen_like.cluster.injector import Injector
from jepsen_like.history.operation import Fault
from jepsen_like.nemesis.disruption import Disruption, name_of, words_of
from jepsen_like.nemesis.nemesis import Nemesis, Plan


class FaultLoop:
    """``under_way`` is for the nemesis, and for people who look on."""

    def __init__(
        self, nemesis: Nemesis, injector: Injector, recorder: Recorder, random: Random
    ) -> None:
        self._nemesis = nemesis
        self._injector = injector
        self._recorder = recorder
        self._random = random
        self._over = asyncio.Event()
        self._under_way: list[Disruption] = []

    @property
    def under_way(self) -> list[str]:
        return [f"{name_of(one)} ({words_of(one)})" for one in self._under_way]

    def stop(self) -> None:
        """No more of it; what is broken is mended at once."""
        self._over.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as holding:
            while not await self._over_within(self._nemesis.calm_s(self._random)):
                view = await self._injector.view(self._under_way)
                plan = self._nemesis.draw(self._random, view)
                if plan is not None:
                    self._under_way.append(plan.disruption)
                    holding.create_task(self._hold(plan))

    async def _hold(self, plan: Plan) -> None:
        began_s = self._recorder.now_s()
        try:
            async with self._injector.broken(plan.disruption):
                await self._over_within(plan.hold_s)
        except TimedOut as e:
            self._recorder.fault(Fault(STUCK, began_s, self._recorder.now_s(), str(e)))
        finally:
            self._under_way.remove(plan.disruption)
            ended_s = self._recorder.now_s()
            words = words_of(plan.disruption)
            self._recorder.fault(Fault(name_of(plan.disruption), began_s, ended_s, words))

    async def _over_within(self, seconds: float) -> bool:
        """Wait, but not beyond the end of it all."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True
