"""One pod on this node: init containers in order, then the others side by side, then the end.

Owns: the pod's tasks. Must never do: talk to the API about the pod; the kubelet writes its status.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.kubelet.addresses import HOST_IP
from apiserver_shim.components.kubelet.container import GRACE_S, Container
from apiserver_shim.components.kubelet.machine import Machine
from apiserver_shim.components.kubelet.pod_status import PodView, status_of
from apiserver_shim.components.kubelet.volumes import remove

log = logging.getLogger("apiserver_shim.kubelet")


class PodWorker:
    """``changed`` is called whenever ``status`` may say something new."""

    def __init__(self, pod: Object, machine: Machine, changed: Callable[[], None]) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        self.uid = str(metadata["uid"])
        self.gone = False
        """Nothing of it runs and its directory is removed."""
        self._machine = machine
        self._changed = changed
        before = pod.get("status", {})
        host = bool(spec.get("hostNetwork"))
        self._ip = HOST_IP if host else machine.addresses.take(self.uid)
        self._started_at = before.get("startTime") or machine.clock.stamp()
        # Containers see the pod as it is going to be.
        seen = {**pod, "status": {**before, "podIP": self._ip, "hostIP": HOST_IP}}
        self._policy = str(spec.get("restartPolicy", "Always"))
        self._init = [self._container(seen, each) for each in spec.get("initContainers") or ()]
        self._main = [self._container(seen, each) for each in spec["containers"]]
        self._resume(before)
        self._initialized = not self._init
        self._stopped = False
        self._directory = machine.pod_directory(pod)
        self._grace_s = float(spec.get("terminationGracePeriodSeconds", GRACE_S))
        self._ending: asyncio.Task[None] | None = None
        self._running = asyncio.create_task(self._run())

    def status(self, pod: Object) -> Object:
        view = PodView(
            self._init, self._main, self._initialized, self._stopped, self._ip, self._started_at
        )
        return status_of(pod, view, self._machine.clock.stamp())

    def container(self, name: str) -> Container | None:
        return next((each for each in (*self._main, *self._init) if each.name == name), None)

    def terminate(self, grace_s: float | None = None) -> None:
        """Stop it for good. Asked again with less grace, it takes less."""
        grace_s = self._grace_s if grace_s is None else grace_s
        if self._ending is None:
            self._grace_s = grace_s
            self._ending = asyncio.create_task(self._end(grace_s))
        elif grace_s < self._grace_s:
            self._grace_s = grace_s
            asyncio.get_running_loop().call_later(grace_s, self._kill)

    async def wait_gone(self) -> None:
        if self._ending is not None:
            await self._ending

    def _container(self, pod: Object, spec: Object) -> Container:
        return Container(pod, spec, self._machine, self._changed)

    def _resume(self, before: Object) -> None:
        """Take up what an earlier kubelet began."""
        told = {each["name"]: each for each in before.get("containerStatuses") or ()}
        for each in self._main:
            each.resume(told.get(each.name, {}), self._again)
        if all(each.is_over for each in self._main):
            told = {each["name"]: each for each in before.get("initContainerStatuses") or ()}
            for each in self._init:
                each.resume(told.get(each.name, {}), lambda code: False)

    async def _run(self) -> None:
        try:
            await self._live()
        except Exception:  # a defect of ours: told in full; the pod can still be deleted
            log.exception("pod %s", self.uid)
        # It has come to its end: what is left of it needs no address.
        self._machine.addresses.free(self.uid)
        self._changed()

    async def _live(self) -> None:
        if not all(each.is_over for each in self._main):
            for each in self._init:
                if await each.run(lambda code: code != 0 and self._policy != "Never") != 0:
                    return
        self._initialized = True
        self._changed()
        async with asyncio.TaskGroup() as tasks:
            for each in self._main:
                tasks.create_task(each.run(self._again))

    def _again(self, code: int) -> bool:
        return self._policy == "Always" or (self._policy == "OnFailure" and code != 0)

    async def _end(self, grace_s: float) -> None:
        for each in self._main:
            if "running" in each.state:
                each.tell_killing()
        await asyncio.gather(*(each.stop(grace_s) for each in (*self._init, *self._main)))
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        self._stopped = True
        await remove(self._directory)
        self._machine.addresses.free(self.uid)
        self.gone = True
        self._changed()

    def _kill(self) -> None:
        for each in (*self._init, *self._main):
            each.kill()
