"""DaemonSets: one pod on every node that it fits.

Owns: on which nodes a pod belongs, creating and deleting them, rolling update and OnDelete. Must
never do: bind: a pod is made with an affinity to its node, and the scheduler does the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.controllers.claiming import Claiming
from apiserver_shim.components.controllers.deployments.rolling import share
from apiserver_shim.components.controllers.failure_pauses import FailurePauses
from apiserver_shim.components.controllers.pod_making import PodMaking, pod_from
from apiserver_shim.components.controllers.revision_history import (
    HASH_LABEL,
    RevisionHistory,
    hash_of,
)
from apiserver_shim.components.controllers.surroundings import (
    Controller,
    Surroundings,
    slow_start,
)
from apiserver_shim.components.kinds import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.pod_states import (
    is_active,
    is_available,
    is_ready,
    is_terminal,
    node_of,
)
from apiserver_shim.components.scheduler.affinity import REQUIRED, affinity_of, node_fits
from apiserver_shim.components.scheduler.taints import (
    NO_EXECUTE,
    NO_SCHEDULE,
    NOT_READY,
    UNREACHABLE_NODE,
    UNSCHEDULABLE,
    taints_of,
    tolerations_of,
    untolerated,
)

_TOLERATED = (
    (NOT_READY, NO_EXECUTE),
    (UNREACHABLE_NODE, NO_EXECUTE),
    ("node.kubernetes.io/disk-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/memory-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/pid-pressure", NO_SCHEDULE),
    (UNSCHEDULABLE, NO_SCHEDULE),
)


def daemon_pod(daemon_set: Object, node: str, hashed: str) -> Object:
    """For that node only, and there in spite of its troubles."""
    pod = pod_from(daemon_set["spec"]["template"], daemon_set, labels={HASH_LABEL: hashed})
    spec = pod["spec"]
    affinity = spec["affinity"] = dict(spec.get("affinity") or {})
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = (affinity_of(pod, "nodeAffinity").get(REQUIRED) or {}).get("nodeSelectorTerms")
    here = [{**term, "matchFields": [field]} for term in terms or [{}]]
    affinity["nodeAffinity"] = {
        **(affinity.get("nodeAffinity") or {}),
        REQUIRED: {"nodeSelectorTerms": here},
    }
    spec["tolerations"] = [*tolerations_of(pod), *daemon_tolerations(pod)]
    return pod


def daemon_tolerations(pod: Object) -> list[Object]:
    found = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
    if pod["spec"].get("hostNetwork"):
        key = "node.kubernetes.io/network-unavailable"
        found.append({"key": key, "operator": "Exists", "effect": NO_SCHEDULE})
    return found


def belongs(daemon_set: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod shall be started there, and whether one that is there may stay."""
    pod = copy.deepcopy(daemon_set["spec"]["template"])
    pod.setdefault("spec", {})
    name = node["metadata"]["name"]
    if pod["spec"].get("nodeName") not in (None, "", name) or not node_fits(pod, node):
        return False, False
    allowed = [*tolerations_of(pod), *daemon_tolerations(pod)]
    starts = untolerated(taints_of(node), allowed, (NO_SCHEDULE, NO_EXECUTE)) is None
    stays = untolerated(taints_of(node), allowed, (NO_EXECUTE,)) is None
    return starts, stays


def target_of(pod: Object) -> str:
    """The node it runs on, or is meant for."""
    if node_of(pod):
        return node_of(pod)
    required = affinity_of(pod, "nodeAffinity").get(REQUIRED) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and len(field.get("values") or ()) == 1:
                return str(field["values"][0])
    return ""


class DaemonSetController(Controller):
    title = "daemonset-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._sets = around.informers.of(DAEMON_SETS)
        self._pods = around.informers.of(PODS)
        self._nodes = around.informers.of(NODES)
        revisions = around.informers.of(CONTROLLER_REVISIONS)
        self._claiming = Claiming(self, DAEMON_SETS, PODS, self._pods)
        self._making = PodMaking(self, self._pods)
        self._history = RevisionHistory(self, revisions)
        self._pauses = FailurePauses(around.clock)
        self.follow(self._sets)
        self.follow_owned(self._pods, "DaemonSet")
        self._nodes.listen(self._node_changed)

    async def reconcile(self, namespace: str, name: str) -> None:
        daemon_set = self._sets.get(namespace, name)
        if daemon_set is None or is_being_deleted(daemon_set):
            return
        pods = await self._claiming.claimed(
            daemon_set, daemon_set["spec"]["selector"], self._pods.of(namespace)
        )
        revision = await self._history.current(daemon_set)
        hashed = hash_of(revision)
        wanted = {each["metadata"]["name"]: belongs(daemon_set, each) for each in self._nodes}
        changed = await self._place(daemon_set, pods, wanted, hashed)
        if not changed:
            await self._roll(daemon_set, pods, wanted, hashed)
        await self._history.cut(daemon_set, [hashed, *map(hash_of, pods)])
        status = self._status(daemon_set, pods, wanted, hashed)
        await self.put_status(DAEMON_SETS, self._sets, daemon_set, status)

    async def _place(
        self,
        daemon_set: Object,
        pods: Sequence[Object],
        wanted: dict[str, tuple[bool, bool]],
        hashed: str,
    ) -> bool:
        """Pods where they belong, none where they do not; whether anything was to be done."""
        there: dict[str, list[Object]] = {}
        surplus: list[Object] = []
        for pod in sorted(pods, key=lambda p: str(p["metadata"].get("creationTimestamp", ""))):
            node = target_of(pod)
            others = [each for each in there.get(node, ()) if not is_being_deleted(each)]
            stays = wanted.get(node, (False, False))[1]
            if not is_being_deleted(pod) and is_terminal(pod) and self._must_wait(daemon_set, node):
                there.setdefault(node, []).append(pod)
            elif not is_being_deleted(pod) and (is_terminal(pod) or not stays or others):
                surplus.append(pod)
            else:
                there.setdefault(node, []).append(pod)
        missing = [node for node, (starts, _) in wanted.items() if starts and node not in there]

        async def create(node: str) -> None:
            await self._making.create(daemon_set, daemon_pod(daemon_set, node, hashed))

        async def delete(pod: Object) -> None:
            await self._making.delete(daemon_set, pod)

        await slow_start(surplus, delete)
        await slow_start(missing, create)
        return bool(surplus or missing)

    def _must_wait(self, daemon_set: Object, node: str) -> bool:
        """Whether the next pod may not be made yet, after one that failed."""
        metadata = daemon_set["metadata"]
        seconds = self._pauses.seconds_left((metadata["uid"], node))
        if seconds:
            self.queue.add_later(metadata["namespace"], metadata["name"], seconds)
        return seconds > 0

    async def _roll(
        self,
        daemon_set: Object,
        pods: Sequence[Object],
        wanted: dict[str, tuple[bool, bool]],
        hashed: str,
    ) -> None:
        """Old pods go, no more at a time than maxUnavailable."""
        strategy = daemon_set["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        count = sum(starts for starts, _ in wanted.values())
        asked = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1)
        most = max(share(asked, count, up=True), 1)
        now, min_ready_s = self.clock.now(), daemon_set["spec"].get("minReadySeconds", 0)
        available = [pod for pod in pods if is_active(pod) and is_available(pod, min_ready_s, now)]
        old = [pod for pod in pods if is_active(pod) and hash_of(pod) != hashed]
        broken = [pod for pod in old if pod not in available]
        spare = max(most - (count - len(available)), 0)
        chosen = broken + [pod for pod in old if pod in available][:spare]

        async def delete(pod: Object) -> None:
            await self._making.delete(daemon_set, pod)

        await slow_start(chosen, delete)

    def _status(
        self,
        daemon_set: Object,
        pods: Sequence[Object],
        wanted: dict[str, tuple[bool, bool]],
        hashed: str,
    ) -> Object:
        now, min_ready_s = self.clock.now(), daemon_set["spec"].get("minReadySeconds", 0)
        running = {target_of(pod): pod for pod in pods if is_active(pod)}
        placed = [
            running[node] for node, (starts, _) in wanted.items() if starts & (node in running)
        ]
        count = sum(starts for starts, _ in wanted.values())
        available = sum(is_available(pod, min_ready_s, now) for pod in placed)
        status: Object = {
            "currentNumberScheduled": len(placed),
            "numberMisscheduled": sum(not wanted.get(node, (False, False))[0] for node in running),
            "desiredNumberScheduled": count,
            "numberReady": sum(map(is_ready, placed)),
            "observedGeneration": daemon_set["metadata"].get("generation", 0),
        }
        optional = {
            "updatedNumberScheduled": sum(hash_of(pod) == hashed for pod in placed),
            "numberAvailable": available,
            "numberUnavailable": count - available,
        }
        return status | {name: number for name, number in optional.items() if number}

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        """A node's heartbeat concerns nobody."""
        if old is not None and new is not None and _place_of(old) == _place_of(new):
            return
        for each in self._sets:
            self.add(each)


def _place_of(node: Object) -> tuple[object, object]:
    return node["metadata"].get("labels"), node.get("spec")
