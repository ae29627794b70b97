"""A pod of a hollow node: it says that it runs, and nothing does.

Owns: what such a pod tells. Must never do: start a process. With hundreds of hollow nodes the rest
of the control plane can be watched under load on one machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.conditions import with_condition
from apiserver_shim.components.kubelet.addresses import HOST_IP
from apiserver_shim.components.kubelet.machine import Machine
from apiserver_shim.components.kubelet.pod_status import qos_class


class HollowWorker:
    """The same face as PodWorker's."""

    def __init__(self, pod: Object, machine: Machine, changed: Callable[[], None]) -> None:
        self.uid = str(pod["metadata"]["uid"])
        self.gone = False
        self._machine = machine
        self._changed = changed
        self._ip = machine.addresses.take(self.uid)
        self._started_at = pod.get("status", {}).get("startTime") or machine.clock.stamp()

    def status(self, pod: Object) -> Object:
        now = self._machine.clock.stamp()
        conditions = list(pod.get("status", {}).get("conditions") or ())
        for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled"):
            conditions = with_condition(conditions, kind, "True", now, lastProbeTime=None)
        containers = [
            {
                "name": each["name"],
                "state": {"running": {"startedAt": self._started_at}},
                "lastState": {},
                "ready": True,
                "started": True,
                "restartCount": 0,
                "image": each.get("image", ""),
                "imageID": "",
                "containerID": f"hollow://{self.uid}/{each['name']}",
            }
            for each in pod["spec"]["containers"]
        ]
        return {
            "phase": "Running",
            "conditions": conditions,
            "hostIP": HOST_IP,
            "hostIPs": [{"ip": HOST_IP}],
            "podIP": self._ip,
            "podIPs": [{"ip": self._ip}],
            "startTime": self._started_at,
            "containerStatuses": containers,
            "qosClass": qos_class(pod),
        }

    def container(self, name: str) -> None:
        return None

    def terminate(self, grace_s: float | None = None) -> None:
        if not self.gone:
            self.gone = True
            self._machine.addresses.free(self.uid)
            asyncio.get_running_loop().call_soon(self._changed)

    async def wait_gone(self) -> None:
        return None
