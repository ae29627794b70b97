"""What every controller is given, and what they have in common.

Owns: Surroundings, the base of a controller, and its rule of fresh copies. Must never do: know what
any controller does.
A controller that has written looks again only when its copies show what it wrote: otherwise it
would create twice what it does not see yet. resourceVersions grow with time over all kinds, so one
number says whether a copy is new enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure, Kind, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.event_recorder import EventRecorder
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.shared_informers import SharedInformers
from apiserver_shim.components.work_queue import WorkQueue

log = logging.getLogger("apiserver_shim.controllers")

BURST_MAX = 500
"""Pods created or deleted in one round of one object."""
BATCH_FIRST = 1
"""A first write alone: if it is refused (a quota, say), so would be all others."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    client: ApiClient
    informers: SharedInformers
    clock: Clock

    def recorder(self, component: str) -> EventRecorder:
        return EventRecorder(self.client, component, self.clock)


class Controller:
    """``reconcile`` brings one object right; whoever changes what it depends on calls ``add``."""

    title = ""

    def __init__(self, around: Surroundings) -> None:
        self.client = around.client
        self.clock = around.clock
        self.events = around.recorder(self.title)
        self.queue = WorkQueue(self.title, self._when_fresh)
        self._due: dict[Informer, int] = {}

    async def reconcile(self, namespace: str, name: str) -> None:
        raise NotImplementedError

    def tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs for as long as the controller does."""
        return [self.queue.run, self.events.run]

    def add(self, obj: Object) -> None:
        metadata = obj["metadata"]
        self.queue.add(metadata.get("namespace", ""), metadata["name"])

    def follow(self, informer: Informer) -> None:
        """Look at each object of that kind whenever it changes."""

        def changed(old: Object | None, new: Object | None) -> None:
            self.add(new or old or {})

        informer.listen(changed)

    def follow_owned(self, owned: Informer, kind: str) -> None:
        """Look at the owner, of that kind, of each object that changes."""

        def changed(old: Object | None, new: Object | None) -> None:
            for obj in (old, new):
                for owner in (obj or {}).get("metadata", {}).get("ownerReferences") or ():
                    if owner.get("controller") and owner["kind"] == kind:
                        self.queue.add((obj or {})["metadata"].get("namespace", ""), owner["name"])

        owned.listen(changed)

    def wrote(self, informer: Informer, obj: Object | None) -> None:
        """``obj`` is the answer to a write of what ``informer`` copies."""
        revision = int((obj or {}).get("metadata", {}).get("resourceVersion") or 0)
        self._due[informer] = max(self._due.get(informer, 0), revision)

    async def put_status(self, kind: Kind, informer: Informer, obj: Object, status: Object) -> bool:
        """Write it if it differs. Raises 409 when the object has changed since."""
        if obj.get("status", {}) == status:
            return False
        self.wrote(informer, await self.client.update(kind, {**obj, "status": status}, "status"))
        return True

    async def _when_fresh(self, namespace: str, name: str) -> None:
        for informer, revision in list(self._due.items()):
            await informer.reach(revision)
            if self._due[informer] == revision:
                del self._due[informer]
        await self.reconcile(namespace, name)


async def slow_start(items: Iterable[T], write: Callable[[T], Awaitable[None]]) -> None:
    """One, two, four ... at a time, up to BURST_MAX in all. Raises the first failure, after the
    batch in which it came."""
    left = list(items)[:BURST_MAX]
    size = BATCH_FIRST
    while left:
        batch, left = left[:size], left[size:]
        results = await asyncio.gather(*(write(item) for item in batch), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        size *= 2


def is_api_error(error: BaseException) -> bool:
    return isinstance(error, (ApiFailure, *UNREACHABLE))
