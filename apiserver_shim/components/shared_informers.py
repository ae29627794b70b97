"""One copy of a kind for all who look at it.

Owns: the informers of a process and their tasks. Must never do: let anybody begin before the first
lists are there.
"""

from __future__ import annotations

import asyncio

from apiserver_shim.components.api_client import ApiClient, Kind
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.informer import Informer


class SharedInformers:
    """Ask for all of them with ``of`` before ``run``, which is a task of its owner's."""

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._informers: dict[Kind, Informer] = {}
        self._runs = False

    def of(self, kind: Kind) -> Informer:
        found = self._informers.get(kind)
        if found is None:
            assert not self._runs, f"{kind.plural}: asked for after the informers were started"
            found = Informer(self._client, kind, pause=self._clock.pause)
            self._informers[kind] = found
        return found

    async def run(self) -> None:
        self._runs = True
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers.values():
                tasks.create_task(informer.run())

    async def synced(self) -> None:
        for informer in self._informers.values():
            await informer.synced.wait()
