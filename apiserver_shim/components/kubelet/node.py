"""This machine as a Node: registered, and alive.

Owns: the Node object, its status and its Lease. Must never do: stop trying. Times are a real
kubelet's: the Lease every 10 s, the status when it changed and every 5 minutes.
"""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass, field

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.conditions import condition, with_condition
from apiserver_shim.components.kinds import LEASES, NODES
from apiserver_shim.components.kubelet.addresses import HOST_IP

log = logging.getLogger("apiserver_shim.kubelet")

LEASE_NAMESPACE = "kube-node-lease"
LEASE_S = 40
BEAT_S = 10.0
REPORT_S = 300.0
AGAIN_S = 1.0
VERSION = "v1.34.0+raftkv"
PODS_MAX = 110
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class NodePlan:
    """``port``: where the kubelet's HTTP server listens; 0 for none. ``taints``: of a node that is
    registered for the first time."""

    name: str
    pod_cidr: str
    port: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[Object, ...] = ()
    pods_max: int = PODS_MAX
    cpus: int = 0
    memory_kib: int = 0


def taint_of(text: str) -> Object:
    """KEY=VALUE:EFFECT, or KEY:EFFECT. Raises ValueError."""
    name, found, effect = text.rpartition(":")
    key, _, value = name.partition("=")
    if not found or not key or effect not in EFFECTS:
        raise ValueError(f"taint {text!r}: want KEY=VALUE:EFFECT, one of {', '.join(EFFECTS)}")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


class Node:
    """``register``, then ``run`` as a task. ``uid`` is empty before."""

    def __init__(self, client: ApiClient, plan: NodePlan, clock: Clock) -> None:
        self._client = client
        self._plan = plan
        self._clock = clock
        self._reported = float("-inf")
        self.uid = ""

    async def register(self) -> None:
        """Until it is done."""
        while True:
            try:
                await self._register()
                await self._beat()
                return
            except (ApiFailure, *UNREACHABLE) as e:
                log.warning("node %s is not registered: %s", self._plan.name, e or type(e).__name__)
            await self._clock.pause(AGAIN_S)

    async def run(self) -> None:
        while True:
            await self._clock.pause(BEAT_S)
            try:
                await self._beat()
                await self._report()
            except (ApiFailure, *UNREACHABLE) as e:
                log.warning("node %s: no heartbeat: %s", self._plan.name, e or type(e).__name__)

    async def _register(self) -> None:
        plan = self._plan
        labels = {
            "kubernetes.io/hostname": plan.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _architecture(),
            **plan.labels,
        }
        node = await self._client.get(NODES, "", plan.name)
        if node is None:
            node = {
                "kind": "Node",
                "apiVersion": "v1",
                "metadata": {"name": plan.name, "labels": labels},
                "spec": {"podCIDR": plan.pod_cidr, "podCIDRs": [plan.pod_cidr]},
            }
            if plan.taints:
                node["spec"]["taints"] = list(plan.taints)
            node = await self._client.create(NODES, "", node)
            log.info("node %s registered", plan.name)
        else:
            node = await self._client.merge(NODES, "", plan.name, {"metadata": {"labels": labels}})
        self.uid = node["metadata"]["uid"]
        self._reported = float("-inf")
        await self._report()

    async def _report(self) -> None:
        """The status, when it has changed or has not been told for long."""
        node = await self._client.get(NODES, "", self._plan.name)
        if node is None:
            await self._register()
            return
        ready = condition(node, "Ready")
        now = self._clock.monotonic()
        if ready and ready["status"] == "True" and now - self._reported < REPORT_S:
            return
        status = self.status(node)
        await self._client.merge(NODES, "", self._plan.name, {"status": status}, "status")
        self._reported = now

    def status(self, node: Object) -> Object:
        plan, now = self._plan, self._clock.stamp()
        conditions = list(node.get("status", {}).get("conditions") or ())
        for kind, truth, reason, message in (
            (
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            ),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            (
                "PIDPressure",
                "False",
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available",
            ),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ):
            others = [each for each in conditions if each["type"] == kind]
            kept = [{**each, "lastHeartbeatTime": now} for each in others]
            conditions = [each for each in conditions if each["type"] != kind]
            conditions += with_condition(
                kept, kind, truth, now, reason, message, lastHeartbeatTime=now
            )
        room = {
            "cpu": str(plan.cpus or os.cpu_count() or 1),
            "memory": f"{plan.memory_kib or _memory_kib()}Ki",
            "pods": str(plan.pods_max),
            "ephemeral-storage": "10Gi",
        }
        return {
            "capacity": room,
            "allocatable": room,
            "conditions": conditions,
            "addresses": [
                {"type": "InternalIP", "address": HOST_IP},
                {"type": "Hostname", "address": plan.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": plan.port}},
            "nodeInfo": _node_info(plan.name),
        }

    async def _beat(self) -> None:
        now = self._clock.micro_stamp()
        lease = await self._client.get(LEASES, LEASE_NAMESPACE, self._plan.name)
        spec = {
            "holderIdentity": self._plan.name,
            "leaseDurationSeconds": LEASE_S,
            "renewTime": now,
        }
        if lease is not None:
            await self._client.update(LEASES, {**lease, "spec": spec})
            return
        new = {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {
                "name": self._plan.name,
                "namespace": LEASE_NAMESPACE,
                "ownerReferences": [
                    {
                        "apiVersion": "v1",
                        "kind": "Node",
                        "name": self._plan.name,
                        "uid": self.uid,
                    }
                ],
            },
            "spec": spec,
        }
        await self._client.create(LEASES, LEASE_NAMESPACE, new)


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _memory_kib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024


def _node_info(name: str) -> Object:
    return {
        "machineID": name,
        "systemUUID": name,
        "bootID": name,
        "kernelVersion": platform.release(),
        "osImage": platform.system(),
        "containerRuntimeVersion": "process://1.0.0",
        "kubeletVersion": VERSION,
        "kubeProxyVersion": VERSION,
        "operatingSystem": "linux",
        "architecture": _architecture(),
    }
