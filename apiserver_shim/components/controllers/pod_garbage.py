"""Pods that nobody will ever end: of nodes that are gone, or finished long ago.

Owns: removing them. Must never do: take a pod from a node that only does not answer; ``nodes``
decides about those.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.controllers.surroundings import (
    Controller,
    Surroundings,
    is_api_error,
    log,
)
from apiserver_shim.components.kinds import NODES, PODS
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.pod_states import is_terminal, node_of

PERIOD_S = 20.0
QUARANTINE_S = 40.0
"""A node must have been missing for so long: it may be about to register again."""
TERMINATED_MAX = 12_500


class PodGarbageController(Controller):
    title = "pod-garbage-collector"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._pods = around.informers.of(PODS)
        self._nodes = around.informers.of(NODES)
        self._missing: dict[str, float] = {}

    def tasks(self) -> list[Callable[[], Awaitable[None]]]:
        return [self._look_for_ever, self.events.run]

    async def _look_for_ever(self) -> None:
        while True:
            await self.look()
            await self.clock.pause(PERIOD_S)

    async def look(self) -> None:
        for pod in self.garbage():
            try:
                await self._remove(pod)
            except Exception as e:
                if not is_api_error(e):
                    raise
                metadata = pod["metadata"]
                log.info("%s/%s stays: %s", metadata["namespace"], metadata["name"], e)

    def garbage(self) -> list[Object]:
        pods = list(self._pods)
        nodes = {each["metadata"]["name"] for each in self._nodes}
        gone = self._gone(nodes, {node_of(pod) for pod in pods} - {""})
        found = [pod for pod in pods if node_of(pod) in gone]
        found += [pod for pod in pods if is_being_deleted(pod) and not node_of(pod)]
        return found + too_many([pod for pod in pods if node_of(pod) not in gone])

    def _gone(self, nodes: set[str], used: set[str]) -> set[str]:
        now = self.clock.monotonic()
        self._missing = {name: self._missing.get(name, now) for name in used - nodes}
        return {name for name, since in self._missing.items() if now - since >= QUARANTINE_S}

    async def _remove(self, pod: Object) -> None:
        metadata = pod["metadata"]
        if not is_terminal(pod):
            status = {**pod.get("status", {}), "phase": "Failed"}
            await self.client.update(PODS, {**pod, "status": status}, "status")
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        await self.client.delete(PODS, metadata["namespace"], metadata["name"], options)


def too_many(pods: Iterable[Object]) -> list[Object]:
    """The oldest of those that have ended, beyond TERMINATED_MAX."""
    ended = [pod for pod in pods if is_terminal(pod)]
    ended.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    return ended[: max(len(ended) - TERMINATED_MAX, 0)]
