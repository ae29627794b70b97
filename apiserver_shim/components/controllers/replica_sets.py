"""ReplicaSets and ReplicationControllers: as many pods as the spec says.

Owns: counting, creating and deleting, and both kinds' status. Must never do: look at a pod that
another controls. The two kinds differ by a row: ReplicaKind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from apiserver_shim.components.api_client import ApiFailure, Kind, Object
from apiserver_shim.components.conditions import with_condition, without_condition
from apiserver_shim.components.controllers.claiming import Claiming
from apiserver_shim.components.controllers.pod_making import PodMaking, pod_from
from apiserver_shim.components.controllers.surroundings import (
    BURST_MAX,
    Controller,
    Surroundings,
    is_api_error,
    slow_start,
)
from apiserver_shim.components.kinds import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from apiserver_shim.components.label_selector import selects
from apiserver_shim.components.ownership import (
    controller_of,
    is_being_deleted,
)
from apiserver_shim.components.pod_states import (
    deletion_rank,
    is_active,
    is_available,
    is_ready,
    node_of,
    seconds_until_available,
)


@dataclass(frozen=True, slots=True)
class ReplicaKind:
    """``selector``: the spec's, in the form of a ReplicaSet's."""

    kind: Kind
    name: str
    title: str
    selector: Callable[[Object], Object]


def _of_replica_set(obj: Object) -> Object:
    found: Object = obj["spec"]["selector"]
    return found


def _of_replication_controller(obj: Object) -> Object:
    """Labels; without any it is the template's."""
    spec = obj["spec"]
    labels = spec.get("selector") or spec["template"].get("metadata", {}).get("labels") or {}
    return {"matchLabels": labels}


REPLICA_SET = ReplicaKind(REPLICA_SETS, "ReplicaSet", "replicaset-controller", _of_replica_set)
REPLICATION_CONTROLLER = ReplicaKind(
    REPLICATION_CONTROLLERS,
    "ReplicationController",
    "replication-controller",
    _of_replication_controller,
)


class ReplicaSetController(Controller):
    def __init__(self, around: Surroundings, row: ReplicaKind = REPLICA_SET) -> None:
        self.title = row.title
        super().__init__(around)
        self._row = row
        self._sets = around.informers.of(row.kind)
        self._pods = around.informers.of(PODS)
        self._claiming = Claiming(self, row.kind, PODS, self._pods)
        self._making = PodMaking(self, self._pods)
        self.follow(self._sets)
        self.follow_owned(self._pods, row.name)
        self._pods.listen(self._orphan_changed)

    async def reconcile(self, namespace: str, name: str) -> None:
        owner = self._sets.get(namespace, name)
        if owner is None:
            return
        selector = self._row.selector(owner)
        pods = await self._claiming.claimed(owner, selector, self._pods.of(namespace))
        active = [pod for pod in pods if is_active(pod)]
        failure: ApiFailure | None = None
        error: BaseException | None = None
        if not is_being_deleted(owner):
            try:
                await self._bring_to(owner, active)
            except Exception as e:
                if not is_api_error(e):
                    raise
                error, failure = e, e if isinstance(e, ApiFailure) else None
        status = self._status(owner, active, failure)
        await self.put_status(self._row.kind, self._sets, owner, status)
        self._look_again(owner, active)
        if error is not None:
            raise error

    async def _bring_to(self, owner: Object, active: Sequence[Object]) -> None:
        missing = replicas_of(owner) - len(active)
        if missing > 0:
            template = owner["spec"]["template"]

            async def create(_: int) -> None:
                await self._making.create(owner, pod_from(template, owner))

            await slow_start(range(missing), create)
        elif missing < 0:
            surplus = choose_surplus(active, self._per_node(owner), -missing, self.clock.now())

            async def delete(pod: Object) -> None:
                await self._making.delete(owner, pod)

            await slow_start(surplus, delete)
        if abs(missing) > BURST_MAX:
            self.add(owner)

    def _per_node(self, owner: Object) -> Counter[str]:
        """Active pods of this set and of those with the same owner, on each node."""
        above = controller_of(owner)
        family = [owner]
        if above is not None:
            family += [
                each
                for each in self._sets.of(owner["metadata"]["namespace"])
                if (controller_of(each) or {}).get("uid") == above["uid"]
            ]
        uids = {each["metadata"]["uid"] for each in family}
        return Counter(
            node_of(pod)
            for pod in self._pods.of(owner["metadata"]["namespace"])
            if is_active(pod) and (controller_of(pod) or {}).get("uid") in uids
        )

    def _status(
        self, owner: Object, active: Sequence[Object], failure: ApiFailure | None
    ) -> Object:
        now = self.clock.now()
        labels = owner["spec"]["template"].get("metadata", {}).get("labels") or {}
        min_ready_s = owner["spec"].get("minReadySeconds", 0)
        counts = {
            "fullyLabeledReplicas": sum(
                selects({"matchLabels": labels}, pod["metadata"].get("labels")) for pod in active
            ),
            "readyReplicas": sum(map(is_ready, active)),
            "availableReplicas": sum(is_available(pod, min_ready_s, now) for pod in active),
        }
        conditions = list(owner.get("status", {}).get("conditions") or ())
        if failure is None:
            conditions = without_condition(conditions, "ReplicaFailure")
        else:
            reason = "FailedCreate" if replicas_of(owner) > len(active) else "FailedDelete"
            conditions = with_condition(
                conditions, "ReplicaFailure", "True", self.clock.stamp(), reason, failure.message
            )
        return {
            "replicas": len(active),
            **{name: count for name, count in counts.items() if count},
            "observedGeneration": owner["metadata"].get("generation", 0),
            **({"conditions": conditions} if conditions else {}),
        }

    def _look_again(self, owner: Object, active: Sequence[Object]) -> None:
        """When the next ready pod comes to be available."""
        min_ready_s = owner["spec"].get("minReadySeconds", 0)
        now = self.clock.now()
        waits = [seconds_until_available(pod, min_ready_s, now) for pod in active]
        pending = [seconds for seconds in waits if seconds]
        if pending:
            metadata = owner["metadata"]
            self.queue.add_later(metadata["namespace"], metadata["name"], min(pending))

    def _orphan_changed(self, old: Object | None, new: Object | None) -> None:
        """Sets that may want to adopt it."""
        if new is None or controller_of(new) is not None:
            return
        labels = new["metadata"].get("labels")
        for each in self._sets.of(new["metadata"].get("namespace", "")):
            if labels and selects(self._row.selector(each), labels):
                self.add(each)


def replicas_of(owner: Object) -> int:
    found = owner["spec"].get("replicas")
    return 1 if found is None else int(found)


def choose_surplus(
    active: Sequence[Object], per_node: Counter[str], count: int, now: datetime
) -> list[Object]:
    """The ``count`` pods that are missed least."""
    ranked = sorted(active, key=lambda pod: deletion_rank(pod, per_node, now))
    return ranked[:count]
