"""A kubelet that runs nothing: it says of every pod on its nodes that it runs and is ready.

Owns: nodes' registration and heartbeats, pods' statuses, the end of deleted pods. Must never do:
more than a kubelet may: it only uses the API.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from apiserver_shim.components.api_client import ApiClient, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.conditions import with_condition
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.kinds import NODES, PODS
from apiserver_shim.components.pod_states import is_terminal, node_of
from apiserver_shim.components.work_queue import WorkQueue

Outcome = Callable[[Object], str]
"""What becomes of a pod: ready, unready, Succeeded or Failed."""


class HollowKubelet:
    """For all nodes that it has registered."""

    def __init__(self, client: ApiClient, outcome: Outcome = lambda pod: "ready") -> None:
        self._client = client
        self._clock = Clock()
        self.outcome = outcome
        self._nodes: set[str] = set()
        self._addresses = (f"10.{a}.{b}.{c}" for a, b, c in itertools.product(*[range(1, 250)] * 3))
        self._pods = Informer(client, PODS)
        self._queue = WorkQueue("hollow-kubelet", self._reconcile)
        self._pods.listen(self._changed)

    def tasks(self) -> list[Callable[[], object]]:
        return [self._pods.run, self._queue.run]

    async def register(self, name: str, *, cpu: str = "4", pods: str = "110") -> Object:
        room = {"cpu": cpu, "memory": "8Gi", "pods": pods}
        labels = {"kubernetes.io/hostname": name}
        await self._client.create(
            NODES,
            "",
            {
                "kind": "Node",
                "apiVersion": "v1",
                "metadata": {"name": name, "labels": labels},
                "spec": {},
            },
        )
        conditions = with_condition(
            (),
            "Ready",
            "True",
            self._clock.stamp(),
            "KubeletReady",
            lastHeartbeatTime=self._clock.stamp(),
        )
        status = {"capacity": room, "allocatable": room, "conditions": conditions}
        self._nodes.add(name)
        return await self._client.merge(NODES, "", name, {"status": status}, "status")

    def look_again(self) -> None:
        """Because the outcome of some pod has changed."""
        for pod in self._pods:
            self._changed(None, pod)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and node_of(new) in self._nodes:
            self._queue.add(new["metadata"]["namespace"], new["metadata"]["name"])

    async def _reconcile(self, namespace: str, name: str) -> None:
        pod = self._pods.get(namespace, name)
        if pod is None:
            return
        if "deletionTimestamp" in pod["metadata"]:
            options = {
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": pod["metadata"]["uid"]},
            }
            await self._client.delete(PODS, namespace, name, options)
            return
        status = self._status(pod)
        if status != pod.get("status", {}) and not is_terminal(pod):
            await self._client.update(PODS, {**pod, "status": status}, "status")

    def _status(self, pod: Object) -> Object:
        outcome = self.outcome(pod)
        status = dict(pod.get("status", {}))
        ended = outcome in ("Succeeded", "Failed")
        status["phase"] = outcome if ended else "Running"
        status.setdefault("podIP", next(self._addresses))
        status.setdefault("startTime", self._clock.stamp())
        status["conditions"] = with_condition(
            status.get("conditions") or (),
            "Ready",
            "True" if outcome == "ready" else "False",
            self._clock.stamp(),
        )
        return status
