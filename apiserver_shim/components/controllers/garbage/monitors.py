"""Watches of the metadata of everything that can be deleted.

Owns: one informer for each kind that discovery names, started and stopped as kinds come and go.
Must never do: keep specs or statuses: only who owns whom matters.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from apiserver_shim.components.api_client import (
    METADATA,
    UNREACHABLE,
    ApiClient,
    ApiFailure,
    Object,
)
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.resources_served import Served, served

log = logging.getLogger("apiserver_shim.garbage")

DISCOVERY_S = 30.0
DISCOVERY_AFTER_CHANGE_S = 0.2
SYNC_S_MAX = 30.0
IGNORED = {("", "events"), ("events.k8s.io", "events")}

Told = Callable[[Served, Object | None, Object | None], None]


class Monitors:
    """``told`` hears of every change of every object."""

    def __init__(self, client: ApiClient, clock: Clock, told: Told) -> None:
        self._client = client
        self._clock = clock
        self._told = told
        self._tasks: dict[Served, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self.served: list[Served] = []
        self.gone: Callable[[Served], None] = lambda served: None
        self.synced = asyncio.Event()
        """Set once the first lists of all kinds are in."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._refresh(tasks)
                    self.synced.set()
                except (ApiFailure, *UNREACHABLE) as e:
                    log.info("discovery: %s", e or type(e).__name__)
                    await self._clock.pause(1.0)
                    continue
                await self._wait()

    async def _refresh(self, tasks: asyncio.TaskGroup) -> None:
        self.served = await served(self._client)
        wanted = {
            each
            for each in self.served
            if {"list", "watch", "delete"} <= each.verbs
            and (each.kind.group, each.kind.plural) not in IGNORED
        }
        for each in [each for each in self._tasks if each not in wanted]:
            self._tasks.pop(each).cancel()
            self.gone(each)
        started: list[Informer] = []
        for each in sorted(wanted - self._tasks.keys(), key=lambda e: e.kind.path()):
            informer = self._informer(each)
            self._tasks[each] = tasks.create_task(informer.run())
            started.append(informer)
        for informer in started:
            async with asyncio.timeout(SYNC_S_MAX):
                await informer.synced.wait()

    def _informer(self, each: Served) -> Informer:
        informer = Informer(self._client, each.kind, form=METADATA, pause=self._clock.pause)

        def changed(old: Object | None, new: Object | None) -> None:
            self._told(each, old, new)
            if each.kind.plural == "customresourcedefinitions":
                self._changed.set()

        informer.listen(changed)
        return informer

    async def _wait(self) -> None:
        """For the next look at discovery: now and then, and soon after a definition changed."""
        try:
            async with asyncio.timeout(DISCOVERY_S):
                await self._changed.wait()
        except TimeoutError:
            return  # now and then
        self._changed.clear()
        await self._clock.pause(DISCOVERY_AFTER_CHANGE_S)
