"""Nodes that fall silent: said to be unknown, tainted, and their pods moved elsewhere.

Owns: watching heartbeats, the conditions and taints that follow, and when pods must leave. Must
never do: trust a node's own clock: silence is measured by ours, since we last saw anything change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.conditions import condition, with_condition
from apiserver_shim.components.controllers.surroundings import (
    Controller,
    Surroundings,
    is_api_error,
    log,
)
from apiserver_shim.components.kinds import LEASES, NODES, PODS
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.pod_states import is_ready, is_terminal, node_of
from apiserver_shim.components.scheduler.taints import (
    NO_EXECUTE,
    NO_SCHEDULE,
    NOT_READY,
    UNREACHABLE_NODE,
    UNSCHEDULABLE,
    taints_of,
    tolerates,
    tolerations_of,
)

PERIOD_S = 5.0
GRACE_S = 40.0
TOLERATED_S = 300.0
"""How long a pod that says nothing of it stays on a node that does not answer: what every
apiserver writes into pods by default."""
LEASE_NAMESPACE = "kube-node-lease"
_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OURS = {NOT_READY, UNREACHABLE_NODE, UNSCHEDULABLE, *_PRESSURES.values()}


@dataclass(slots=True)
class _Heartbeat:
    """What was last seen of a node, and when by our clock."""

    seen: tuple[object, ...]
    at: float


def wanted_taints(node: Object, now: str) -> list[Object]:
    """The node's taints with ours as its conditions ask; those that stay keep their time."""
    ready = (condition(node, "Ready") or {}).get("status")
    keys: list[tuple[str, str]] = []
    if ready is None:  # it has only just been made: what it was made with stays
        both = (NOT_READY, UNREACHABLE_NODE)
        keys += [(t["key"], t["effect"]) for t in taints_of(node) if t["key"] in both]
    elif ready != "True":
        key = UNREACHABLE_NODE if ready == "Unknown" else NOT_READY
        keys += [(key, NO_SCHEDULE), (key, NO_EXECUTE)]
    if node.get("spec", {}).get("unschedulable"):
        keys.append((UNSCHEDULABLE, NO_SCHEDULE))
    for kind, key in _PRESSURES.items():
        if (condition(node, kind) or {}).get("status") == "True":
            keys.append((key, NO_SCHEDULE))
    before = {(each["key"], each["effect"]): each for each in taints_of(node)}
    kept = [each for each in taints_of(node) if each["key"] not in _OURS]
    for key, effect in keys:
        new = {"key": key, "effect": effect, "timeAdded": now}
        kept.append(before.get((key, effect), new))
    return kept


def seconds_tolerated(pod: Object, taint: Object) -> float | None:
    """How long the pod may stay; None for ever, 0 not at all."""
    matching = [each for each in tolerations_of(pod) if tolerates(each, taint)]
    if not matching:
        return TOLERATED_S if taint["key"] in (NOT_READY, UNREACHABLE_NODE) else 0.0
    limits = [each["tolerationSeconds"] for each in matching if "tolerationSeconds" in each]
    return float(max(min(limits), 0)) if limits else None


class NodeController(Controller):
    title = "node-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._nodes = around.informers.of(NODES)
        self._leases = around.informers.of(LEASES)
        self._pods = around.informers.of(PODS)
        self._heartbeats: dict[str, _Heartbeat] = {}
        self._tainted: dict[tuple[str, str], float] = {}
        self.follow(self._nodes)

    def tasks(self) -> list[Callable[[], Awaitable[None]]]:
        return [*super().tasks(), self._look_for_ever]

    async def _look_for_ever(self) -> None:
        while True:
            self.look()
            await self.clock.pause(PERIOD_S)

    def look(self) -> None:
        """At every node: silence makes no event."""
        for node in self._nodes:
            self.add(node)

    async def reconcile(self, namespace: str, name: str) -> None:
        node = self._nodes.get("", name)
        if node is None:
            self._heartbeats.pop(name, None)
            return
        if self._silence_s(node) > GRACE_S:
            await self._say_unknown(node)
            node = self._nodes.get("", name) or node
        taints = wanted_taints(node, self.clock.stamp())
        if taints != taints_of(node):
            spec = {**node.get("spec", {}), "taints": taints}
            if not taints:
                del spec["taints"]
            node = await self.client.update(NODES, {**node, "spec": spec})
            self.wrote(self._nodes, node)
        if (condition(node, "Ready") or {}).get("status", "True") != "True":
            await self._say_pods_not_ready(node)
        await self._evict(node)

    def _silence_s(self, node: Object) -> float:
        name = node["metadata"]["name"]
        lease = self._leases.get(LEASE_NAMESPACE, name) or {}
        beats = tuple(
            each.get("lastHeartbeatTime") for each in node.get("status", {}).get("conditions") or ()
        )
        seen = (node["metadata"]["uid"], (lease.get("spec") or {}).get("renewTime"), beats)
        now = self.clock.monotonic()
        known = self._heartbeats.get(name)
        if known is None or known.seen != seen:
            self._heartbeats[name] = _Heartbeat(seen, now)
            return 0.0
        return now - known.at

    async def _say_unknown(self, node: Object) -> None:
        now = self.clock.stamp()
        ready = condition(node, "Ready")
        if ready is not None and ready["status"] == "Unknown":
            return
        conditions = list(node.get("status", {}).get("conditions") or ())
        reason, text = "NodeStatusUnknown", "Kubelet stopped posting node status."
        if ready is None:
            reason, text = "NodeStatusNeverUpdated", "Kubelet never posted node status."
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready"):
            beat = (condition(node, kind) or {}).get("lastHeartbeatTime", now)
            conditions = with_condition(
                conditions, kind, "Unknown", now, reason, text, lastHeartbeatTime=beat
            )
        status = {**node.get("status", {}), "conditions": conditions}
        written = await self.client.update(NODES, {**node, "status": status}, "status")
        self.wrote(self._nodes, written)
        name = node["metadata"]["name"]
        known = self._heartbeats[name]
        known.seen = (*known.seen[:2], tuple(each.get("lastHeartbeatTime") for each in conditions))
        told = f"Node {name} status is now: NodeNotReady"
        self.events.record(node, "Normal", "NodeNotReady", told)
        await self._nodes.reach(int(written["metadata"]["resourceVersion"]))

    async def _say_pods_not_ready(self, node: Object) -> None:
        """So that no Service sends anything there."""
        for pod in self._pods_on(node):
            if not is_ready(pod):
                continue
            status = dict(pod["status"])
            status["conditions"] = with_condition(
                status["conditions"], "Ready", "False", self.clock.stamp()
            )
            try:
                written = await self.client.update(PODS, {**pod, "status": status}, "status")
            except Exception as e:
                if not is_api_error(e):
                    raise
                log.info("%s is not marked: %s", pod["metadata"]["name"], e)
            else:
                self.wrote(self._pods, written)

    async def _evict(self, node: Object) -> None:
        """Pods whose time with a NoExecute taint is over, by our clock since we saw the taint."""
        name, now = node["metadata"]["name"], self.clock.monotonic()
        taints = [each for each in taints_of(node) if each["effect"] == NO_EXECUTE]
        current = {(name, each["key"]): each for each in taints}
        for key in [key for key in self._tainted if key[0] == name and key not in current]:
            del self._tainted[key]
        for key, taint in current.items():
            passed = now - self._tainted.setdefault(key, now)
            for pod in self._pods_on(node):
                allowed = seconds_tolerated(pod, taint)
                if allowed is None or passed < allowed or is_being_deleted(pod):
                    continue
                metadata = pod["metadata"]
                told = f"Marking for deletion Pod {metadata['namespace']}/{metadata['name']}"
                self.events.record(pod, "Normal", "TaintManagerEviction", told)
                options = {"preconditions": {"uid": metadata["uid"]}}
                await self.client.delete(PODS, metadata["namespace"], metadata["name"], options)

    def _pods_on(self, node: Object) -> list[Object]:
        name = node["metadata"]["name"]
        return [pod for pod in self._pods if node_of(pod) == name and not is_terminal(pod)]
