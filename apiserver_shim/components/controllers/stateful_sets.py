"""StatefulSets: pods with names that stay, made and taken away in order.

Owns: the order (web-0 before web-1, each ready before the next; away from the highest down), the
update from the highest down to the partition, and the claims of volumeClaimTemplates. Must never
do: have two pods of one name, or more than one step under way, unless the policy is Parallel.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.controllers.claiming import Claiming
from apiserver_shim.components.controllers.pod_making import PodMaking, pod_from
from apiserver_shim.components.controllers.revision_history import (
    HASH_LABEL,
    RevisionHistory,
    hash_of,
)
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.kinds import CLAIMS, CONTROLLER_REVISIONS, PODS, STATEFUL_SETS
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.pod_states import (
    is_available,
    is_ready,
    is_terminal,
    phase_of,
)

POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_ORDINAL = re.compile(r"^(.*)-([0-9]+)$")


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next. ``create``: ordinals; ``delete``: pods."""

    create: tuple[int, ...] = ()
    delete: tuple[Object, ...] = ()


def ordinal_of(pod: Object, name: str) -> int | None:
    found = _ORDINAL.match(pod["metadata"]["name"])
    return int(found.group(2)) if found and found.group(1) == name else None


def next_step(
    stateful_set: Object, pods: dict[int, Object], newest: str, healthy: dict[int, bool]
) -> Step:
    """``pods`` and ``healthy`` (running, ready for long enough, not going) by ordinal."""
    spec = stateful_set["spec"]
    first = int((spec.get("ordinals") or {}).get("start", 0))
    wanted = range(first, first + int(spec.get("replicas", 1)))
    parallel = spec.get("podManagementPolicy") == "Parallel"
    ended = [pods[i] for i in wanted if i in pods and is_terminal(pods[i])]
    ended = [pod for pod in ended if not is_being_deleted(pod)]
    if ended:
        return Step(delete=tuple(ended if parallel else ended[:1]))
    create: list[int] = []
    for ordinal in wanted:
        if ordinal not in pods:
            create.append(ordinal)
            if not parallel:
                return Step(create=tuple(create))
        elif not parallel and not healthy[ordinal]:
            return _update_of_broken(spec, pods, ordinal, newest)
    surplus = sorted((i for i in pods if i not in wanted), reverse=True)
    delete = [pods[i] for i in surplus if not is_being_deleted(pods[i])]
    if parallel:
        if create or delete:
            return Step(tuple(create), tuple(delete))
    elif surplus:
        going = len(delete) < len(surplus)
        return Step() if going else Step(delete=tuple(delete[:1]))
    return _update(spec, pods, wanted, newest, healthy)


def _partition(spec: Object) -> int | None:
    """Ordinals from there on are updated; None: none are."""
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return None
    return int((strategy.get("rollingUpdate") or {}).get("partition", 0))


def _update_of_broken(spec: Object, pods: dict[int, Object], ordinal: int, newest: str) -> Step:
    """A pod that is not well holds up all others; only that it is old can be helped."""
    partition = _partition(spec)
    pod = pods[ordinal]
    old = hash_of(pod) != newest and not is_being_deleted(pod)
    if partition is not None and ordinal >= partition and old and phase_of(pod) == "Pending":
        return Step(delete=(pod,))
    return Step()


def _update(
    spec: Object, pods: dict[int, Object], wanted: range, newest: str, healthy: dict[int, bool]
) -> Step:
    partition = _partition(spec)
    if partition is None:
        return Step()
    for ordinal in reversed(wanted):
        if ordinal < partition:
            break
        pod = pods[ordinal]
        if hash_of(pod) != newest and not is_being_deleted(pod):
            return Step(delete=(pod,))
        if not healthy[ordinal]:
            break
    return Step()


class StatefulSetController(Controller):
    title = "statefulset-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._sets = around.informers.of(STATEFUL_SETS)
        self._pods = around.informers.of(PODS)
        self._claims = around.informers.of(CLAIMS)
        self._claiming = Claiming(self, STATEFUL_SETS, PODS, self._pods)
        self._making = PodMaking(self, self._pods)
        revisions = around.informers.of(CONTROLLER_REVISIONS)
        self._history = RevisionHistory(self, revisions)
        self.follow(self._sets)
        self.follow_owned(self._pods, "StatefulSet")

    async def reconcile(self, namespace: str, name: str) -> None:
        stateful_set = self._sets.get(namespace, name)
        if stateful_set is None or is_being_deleted(stateful_set):
            return
        own = (p for p in self._pods.of(namespace) if ordinal_of(p, name) is not None)
        claimed = await self._claiming.claimed(stateful_set, stateful_set["spec"]["selector"], own)
        pods = {ordinal: p for p in claimed if (ordinal := ordinal_of(p, name)) is not None}
        newest = hash_of(await self._history.current(stateful_set))
        now, min_ready_s = self.clock.now(), stateful_set["spec"].get("minReadySeconds", 0)
        healthy = {
            ordinal: is_available(pod, min_ready_s, now) and not is_being_deleted(pod)
            for ordinal, pod in pods.items()
        }
        step = next_step(stateful_set, pods, newest, healthy)
        current = self._current(stateful_set, newest)
        for ordinal in step.create:
            await self._create(
                stateful_set, ordinal, self._hash_for(stateful_set, ordinal, current, newest)
            )
        for pod in step.delete:
            await self._making.delete(stateful_set, pod)
        if min_ready_s and not all(healthy.values()):
            self.queue.add_later(namespace, name, 1.0)
        await self._history.cut(stateful_set, [newest, current, *map(hash_of, claimed)])
        status = _status(stateful_set, claimed, healthy, current, newest)
        await self.put_status(STATEFUL_SETS, self._sets, stateful_set, status)

    def _current(self, stateful_set: Object, newest: str) -> str:
        """The hash of the revision that is fully rolled out."""
        told = str(stateful_set.get("status", {}).get("currentRevision", ""))
        return told.rpartition("-")[2] or newest

    def _hash_for(self, stateful_set: Object, ordinal: int, current: str, newest: str) -> str:
        """A pod below the partition comes back as it was."""
        partition = _partition(stateful_set["spec"])
        return current if partition is not None and ordinal < partition else newest

    async def _create(self, stateful_set: Object, ordinal: int, hashed: str) -> None:
        template = stateful_set["spec"]["template"]
        for each in self._history.of(stateful_set):
            if hash_of(each) == hashed:
                template = copy.deepcopy(each["data"]["spec"]["template"])
                template.pop("$patch", None)
        name = f"{stateful_set['metadata']['name']}-{ordinal}"
        labels = {HASH_LABEL: hashed, POD_NAME: name, POD_INDEX: str(ordinal)}
        pod = pod_from(template, stateful_set, name=name, labels=labels)
        pod["spec"] |= {"hostname": name}
        if stateful_set["spec"].get("serviceName"):
            pod["spec"]["subdomain"] = stateful_set["spec"]["serviceName"]
        await self._create_claims(stateful_set, pod)
        try:
            await self._making.create(stateful_set, pod)
        except ApiFailure as e:
            if e.code != 409:
                raise
            # the old pod of that name is not quite gone: its end brings us here again

    async def _create_claims(self, stateful_set: Object, pod: Object) -> None:
        """A claim per template and ordinal, which stays when the pod goes."""
        metadata = pod["metadata"]
        volumes = {each["name"]: each for each in pod["spec"].get("volumes") or ()}
        for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
            volume = template["metadata"]["name"]
            name = f"{volume}-{metadata['name']}"
            volumes[volume] = {"name": volume, "persistentVolumeClaim": {"claimName": name}}
            if self._claims.get(metadata["namespace"], name) is not None:
                continue
            labels = stateful_set["spec"]["selector"].get("matchLabels") or {}
            claim = {
                "kind": "PersistentVolumeClaim",
                "apiVersion": "v1",
                "metadata": {
                    **{k: v for k, v in template["metadata"].items() if k in ("annotations",)},
                    "name": name,
                    "namespace": metadata["namespace"],
                    "labels": {**(template["metadata"].get("labels") or {}), **labels},
                },
                "spec": template["spec"],
            }
            try:
                await self.client.create(CLAIMS, metadata["namespace"], claim)
            except ApiFailure as e:
                if e.code != 409:
                    raise
                # it is there already: that is what it is for
        if volumes:
            pod["spec"]["volumes"] = list(volumes.values())


def _status(
    stateful_set: Object,
    pods: Sequence[Object],
    healthy: dict[int, bool],
    current: str,
    newest: str,
) -> Object:
    name = stateful_set["metadata"]["name"]
    there = [pod for pod in pods if not is_terminal(pod)]
    updated = [pod for pod in there if hash_of(pod) == newest and not is_being_deleted(pod)]
    wanted = int(stateful_set["spec"].get("replicas", 1))
    if len(updated) == wanted == len(there) and all(healthy.values()):
        current = newest
    status: Object = {
        "observedGeneration": stateful_set["metadata"].get("generation", 0),
        "replicas": len(there),
        "availableReplicas": sum(healthy.values()),
        "currentRevision": f"{name}-{current}",
        "updateRevision": f"{name}-{newest}",
    }
    optional = {
        "readyReplicas": sum(map(is_ready, there)),
        "currentReplicas": sum(hash_of(pod) == current for pod in there),
        "updatedReplicas": len(updated),
    }
    status |= {key: number for key, number in optional.items() if number}
    return {**status, "collisionCount": 0}
