"""PodDisruptionBudgets: how many pods may be evicted now.

Owns: a budget's status, which evictions spend. Must never do: evict.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.conditions import with_condition
from apiserver_shim.components.controllers.deployments.rolling import share
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.kinds import (
    BUDGETS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from apiserver_shim.components.label_selector import selects
from apiserver_shim.components.ownership import controller_of, is_being_deleted
from apiserver_shim.components.pod_states import is_ready, is_terminal

FORGET_EVICTION_S = 120.0
"""A pod whose eviction was allowed and that is still there after so long counts as healthy."""


def desired_healthy(spec: Object, expected: int) -> int:
    if spec.get("maxUnavailable") is not None:
        return max(expected - share(spec["maxUnavailable"], expected, up=True), 0)
    return share(spec.get("minAvailable", 1), expected, up=True)


class DisruptionController(Controller):
    title = "disruption-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._budgets = around.informers.of(BUDGETS)
        self._pods = around.informers.of(PODS)
        self._owners = {
            "ReplicaSet": around.informers.of(REPLICA_SETS),
            "ReplicationController": around.informers.of(REPLICATION_CONTROLLERS),
            "StatefulSet": around.informers.of(STATEFUL_SETS),
            "Deployment": around.informers.of(DEPLOYMENTS),
        }
        self.follow(self._budgets)
        self._pods.listen(self._pod_changed)
        for informer in self._owners.values():
            informer.listen(self._owner_changed)

    async def reconcile(self, namespace: str, name: str) -> None:
        budget = self._budgets.get(namespace, name)
        if budget is None or is_being_deleted(budget):
            return
        pods = [
            pod
            for pod in self._pods.of(namespace)
            if selects(budget["spec"].get("selector"), pod["metadata"].get("labels"))
            and not is_terminal(pod)
        ]
        status = dict(budget.get("status", {}))
        disrupted = self._disrupted(status, pods)
        healthy = sum(
            is_ready(pod) and not is_being_deleted(pod) and pod["metadata"]["name"] not in disrupted
            for pod in pods
        )
        expected = self._expected(budget["spec"], pods)
        desired = desired_healthy(budget["spec"], expected)
        allowed = max(healthy - desired, 0) if expected > 0 else 0
        status.pop("disruptedPods", None)
        status |= {
            "observedGeneration": budget["metadata"].get("generation", 0),
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": with_condition(
                status.get("conditions") or (),
                "DisruptionAllowed",
                "True" if allowed else "False",
                self.clock.stamp(),
                "SufficientPods" if allowed else "InsufficientPods",
                observedGeneration=budget["metadata"].get("generation", 0),
            ),
        }
        for each in status["conditions"]:
            each.setdefault("message", "")
        if disrupted:
            status["disruptedPods"] = disrupted
            self.queue.add_later(namespace, name, FORGET_EVICTION_S)
        await self.put_status(BUDGETS, self._budgets, budget, status)

    def _disrupted(self, status: Object, pods: Sequence[Object]) -> dict[str, str]:
        """Evictions that were allowed and are not yet seen done."""
        there = {pod["metadata"]["name"] for pod in pods if not is_being_deleted(pod)}
        return {
            name: when
            for name, when in (status.get("disruptedPods") or {}).items()
            if name in there and self.clock.seconds_since(when) < FORGET_EVICTION_S
        }

    def _expected(self, spec: Object, pods: Sequence[Object]) -> int:
        """The pods themselves for a plain minAvailable; otherwise what their owners ask for."""
        if isinstance(spec.get("minAvailable"), int):
            return len(pods)
        total, seen = 0, set()
        for pod in pods:
            owner = self._top_owner(pod)
            if owner is None:
                continue
            if owner["metadata"]["uid"] not in seen:
                seen.add(owner["metadata"]["uid"])
                total += int(owner["spec"].get("replicas", 1))
        return total

    def _top_owner(self, obj: Object) -> Object | None:
        ref = controller_of(obj)
        informer = self._owners.get(ref["kind"]) if ref is not None else None
        if ref is None or informer is None:
            return None
        owner = informer.get(obj["metadata"]["namespace"], ref["name"])
        if owner is None or owner["metadata"]["uid"] != ref["uid"]:
            return None
        return self._top_owner(owner) or owner

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            for budget in self._budgets.of(pod["metadata"]["namespace"]):
                if selects(budget["spec"].get("selector"), pod["metadata"].get("labels")):
                    self.add(budget)

    def _owner_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or old["spec"] != new["spec"]:
            for budget in self._budgets.of((new or old or {})["metadata"]["namespace"]):
                self.add(budget)
