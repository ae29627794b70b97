"""The kubelet: brings this node's pods to what the API and the static sources say.

Owns: which pod has a worker, their statuses in the API, and the last word of a deletion. Must never
do: run two workers under one name, or delete from the API what still runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.kinds import PODS
from apiserver_shim.components.kubelet.container import Container
from apiserver_shim.components.kubelet.hollow_worker import HollowWorker
from apiserver_shim.components.kubelet.machine import Machine
from apiserver_shim.components.kubelet.node import Node, NodePlan
from apiserver_shim.components.kubelet.pod_worker import PodWorker
from apiserver_shim.components.kubelet.static_pods import (
    LOOK_S,
    StaticPods,
    follow_directory,
    follow_url,
    mirror_of,
    mirrored,
)
from apiserver_shim.components.kubelet.volumes import sweep
from apiserver_shim.components.work_queue import WorkQueue

log = logging.getLogger("apiserver_shim.kubelet")

FORCED_GRACE_S = 1.0
"""For a pod that the API has dropped without waiting."""


class Worker(Protocol):
    uid: str
    gone: bool

    def status(self, pod: Object) -> Object: ...
    def container(self, name: str) -> Container | None: ...
    def terminate(self, grace_s: float | None = None) -> None: ...
    async def wait_gone(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PodSources:
    """Besides the API. ``look_s``: how often."""

    directory: Path | None = None
    url: str = ""
    look_s: float = LOOK_S


class Kubelet:
    """``run`` until cancelled; then ``stop`` ends all processes."""

    def __init__(
        self, machine: Machine, plan: NodePlan, sources: PodSources, *, hollow: bool = False
    ) -> None:
        self.plan = plan
        self.node = Node(machine.client, plan, machine.clock)
        self._machine = machine
        self._sources = sources
        self._make = HollowWorker if hollow else PodWorker
        self._pods = Informer(
            machine.client,
            PODS,
            pause=machine.clock.pause,
            fieldSelector=f"spec.nodeName={plan.name}",
        )
        self._pods.listen(self._noticed)
        self._written: dict[tuple[str, str], Object] = {}
        """What our own last writes answered: newer than the copy, for a moment."""
        self._workers: dict[tuple[str, str], Worker] = {}
        self._queue = WorkQueue("pod", self._sync)
        self.static = StaticPods(self._queue.add)

    async def run(self) -> None:
        await self.node.register()
        clock, sources = self._machine.clock, self._sources
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.node.run())
            tasks.create_task(self._pods.run())
            await self._pods.synced.wait()
            known = {pod["metadata"]["uid"] for pod in self._pods}
            known |= {mirrored(pod) for pod in self._pods}
            await sweep(self._machine.directory / "pods", known)
            tasks.create_task(self._queue.run())
            if sources.directory is not None:
                tasks.create_task(
                    follow_directory(
                        sources.directory, self.plan.name, clock, sources.look_s, self.static.put
                    )
                )
            if sources.url:
                tasks.create_task(
                    follow_url(
                        sources.url,
                        self.plan.name,
                        clock,
                        sources.look_s,
                        self._machine.http,
                        self.static.put,
                    )
                )

    async def stop(self, grace_s: float) -> None:
        """End all pods' processes; the API is not told, for the pods are not deleted."""
        for worker in self._workers.values():
            worker.terminate(grace_s)
        await asyncio.gather(*(worker.wait_gone() for worker in self._workers.values()))

    @property
    def is_synced(self) -> bool:
        return self._pods.synced.is_set()

    def pods(self) -> list[Object]:
        """All pods that run here, with their newest status."""
        found = []
        for name, worker in list(self._workers.items()):
            pod = self.static.get(*name) or self._pods.get(*name)
            if pod is not None:
                found.append({**pod, "status": worker.status(pod)})
        return found

    def container(self, namespace: str, pod: str, name: str) -> Container | None:
        """Raises LookupError when the pod is not here."""
        return self._workers[(namespace, pod)].container(name)

    # --- one pod --------------------------------------------------------------------------------

    def _noticed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None, "a change of nothing"
        self._queue.add(pod["metadata"]["namespace"], pod["metadata"]["name"])

    async def _sync(self, namespace: str, name: str) -> None:
        api = self._newest(namespace, name)
        static = self.static.get(namespace, name)
        wanted = static or (api if api is not None and not mirrored(api) else None)
        worker = self._workers.get((namespace, name))
        if worker is not None and (wanted is None or wanted["metadata"]["uid"] != worker.uid):
            self._retire(namespace, name, worker)
        elif static is not None:
            await self._sync_static(static, api)
        elif wanted is not None:
            await self._sync_pod(wanted, worker)
        elif api is not None:
            await self._delete(api)  # a mirror of what is not there any more

    def _retire(self, namespace: str, name: str, worker: Worker) -> None:
        """Its pod is gone or another's name now: end it, then look again."""
        if worker.gone:
            del self._workers[(namespace, name)]
            self._queue.add(namespace, name)
        else:
            worker.terminate(FORCED_GRACE_S)

    async def _sync_pod(self, pod: Object, worker: Worker | None) -> None:
        metadata = pod["metadata"]
        deleted = "deletionTimestamp" in metadata
        finished = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if worker is None and not deleted and not finished:
            worker = self._begin(pod)
        if worker is None:
            if deleted:
                await self._delete(pod)
            return
        if deleted:
            worker.terminate(float(metadata.get("deletionGracePeriodSeconds") or 0))
        await self._write_status(pod, worker)
        if deleted and worker.gone:
            await self._delete(pod)
            del self._workers[(metadata["namespace"], metadata["name"])]

    async def _sync_static(self, pod: Object, mirror: Object | None) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        worker = self._workers.get((namespace, name)) or self._begin(pod)
        if mirror is not None and (
            mirrored(mirror) != pod["metadata"]["uid"] or "deletionTimestamp" in mirror["metadata"]
        ):
            await self._delete(mirror)
        elif mirror is None:
            try:
                mirror = await self._machine.client.create(
                    PODS, namespace, mirror_of(pod, self.node.uid)
                )
            except ApiFailure as e:
                if e.code != 409:
                    raise
                return  # the copy does not show it yet, and will call us then
            self._written[(namespace, name)] = mirror
            await self._write_status(mirror, worker)
        else:
            await self._write_status(mirror, worker)

    def _begin(self, pod: Object) -> Worker:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        changed: Callable[[], None] = lambda: self._queue.add(namespace, name)  # noqa: E731
        worker: Worker = self._make(pod, self._machine, changed)
        self._workers[(namespace, name)] = worker
        return worker

    # --- the API --------------------------------------------------------------------------------

    def _newest(self, namespace: str, name: str) -> Object | None:
        """The copy's, or what our last write answered if the copy is behind it."""
        copy = self._pods.get(namespace, name)
        written = self._written.get((namespace, name))
        if written is None:
            return copy
        if copy is None or _revision(copy) >= _revision(written):
            del self._written[(namespace, name)]
            return copy
        return written

    async def _write_status(self, pod: Object, worker: Worker) -> None:
        status = {**pod.get("status", {}), **worker.status(pod)}
        if status == pod.get("status"):
            return
        metadata = pod["metadata"]
        try:
            written = await self._machine.client.update(PODS, {**pod, "status": status}, "status")
        except ApiFailure as e:
            if e.code != 404:
                raise  # a conflict: again with what is there then
            return  # gone; the watch will say so
        self._written[(metadata["namespace"], metadata["name"])] = written

    async def _delete(self, pod: Object) -> None:
        metadata = pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        try:
            await self._machine.client.delete(
                PODS, metadata["namespace"], metadata["name"], options
            )
        except ApiFailure as e:
            if e.code != 409:
                raise
            log.info("pod %s is another one by now", metadata["name"])


def _revision(pod: Object) -> int:
    """Comparing revisions is a shortcut of ours: the shim's are the store's."""
    return int(pod["metadata"]["resourceVersion"])
