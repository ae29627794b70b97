"""The deployment controller: one round over a Deployment and its ReplicaSets.

Owns: the order of a round: own sets, newest set, scale, strategy, clean up, status. Must never do:
touch pods; ReplicaSets do. A round does one kind of step and is called again by what that changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.conditions import condition
from apiserver_shim.components.controllers.claiming import Claiming
from apiserver_shim.components.controllers.deployments import revisions, rolling, statuses
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
from apiserver_shim.components.ownership import (
    controller_of,
    is_being_deleted,
    is_controlled_by,
)
from apiserver_shim.components.pod_states import is_terminal

HISTORY_LIMIT = 10


@dataclass(slots=True)
class Round:
    """What one round works on. ``old`` is the oldest first; ``newest`` None until it is made."""

    deployment: Object
    newest: Object | None
    old: list[Object]
    most: rolling.Limits

    @property
    def wanted(self) -> int:
        return statuses.wanted_of(self.deployment)

    @property
    def sets(self) -> list[Object]:
        return [*self.old, *([self.newest] if self.newest else [])]


class DeploymentController(Controller):
    title = "deployment-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._deployments = around.informers.of(DEPLOYMENTS)
        self._sets = around.informers.of(REPLICA_SETS)
        self._pods = around.informers.of(PODS)
        self._claiming = Claiming(self, DEPLOYMENTS, REPLICA_SETS, self._sets)
        self.follow(self._deployments)
        self.follow_owned(self._sets, "Deployment")
        self._pods.listen(self._pod_gone)

    async def reconcile(self, namespace: str, name: str) -> None:
        deployment = self._deployments.get(namespace, name)
        if deployment is None:
            return
        sets = await self._claiming.claimed(
            deployment, deployment["spec"]["selector"], self._sets.of(namespace)
        )
        now = self._round(deployment, sets)
        if not is_being_deleted(deployment) and await self._told_pause(deployment):
            return  # the status has changed: the round comes again with it
        if is_being_deleted(deployment):
            await self._put_status(now)
        elif deployment["spec"].get("paused") or self._is_scaled(now):
            await self._scale_all(now)
        elif (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            await self._recreate(now)
        else:
            await self._roll(now)

    def _round(self, deployment: Object, sets: Sequence[Object]) -> Round:
        newest = revisions.newest_of(deployment, sets)
        old = [each for each in sorted(sets, key=revisions.age_key) if each is not newest]
        strategy = deployment["spec"].get("strategy") or {}
        most = rolling.Limits(0, 0)
        if strategy.get("type", "RollingUpdate") == "RollingUpdate":
            asked = strategy.get("rollingUpdate") or {}
            most = rolling.limits(
                asked.get("maxSurge", "25%"),
                asked.get("maxUnavailable", "25%"),
                statuses.wanted_of(deployment),
            )
        return Round(deployment, newest, old, most)

    # --- strategies -----------------------------------------------------------------------------

    async def _roll(self, now: Round) -> None:
        if await self._newest(now):
            return await self._put_status(now)
        assert now.newest is not None, "a round goes on without a newest set"
        if all(map(_is_observed, now.sets)):
            there = sum(map(_pods_of, now.sets))
            replicas = rolling.new_replicas(now.wanted, there, _size(now.newest), now.most)
            if await self._resize(now, now.newest, replicas):
                return await self._put_status(now)
        old = [each for each in now.old if _size(each)]
        sizes = rolling.old_replicas(
            now.wanted, _counts(now.newest), [_counts(each) for each in old], now.most
        )
        for each, size in zip(old, sizes, strict=True):
            await self._resize(now, each, size)
        await self._clean_up(now)
        return await self._put_status(now)

    async def _recreate(self, now: Round) -> None:
        """All old pods go before the first new one comes."""
        shrunk = [await self._resize(now, each, 0) for each in now.old if _size(each)]
        if any(shrunk) or self._old_pods_run(now):
            return await self._put_status(now)
        if not await self._newest(now):
            assert now.newest is not None, "a round goes on without a newest set"
            await self._resize(now, now.newest, now.wanted)
            await self._clean_up(now)
        return await self._put_status(now)

    def _old_pods_run(self, now: Round) -> bool:
        uids = {each["metadata"]["uid"] for each in now.old}
        return any(
            (controller_of(pod) or {}).get("uid") in uids and not is_terminal(pod)
            for pod in self._pods.of(now.deployment["metadata"]["namespace"])
        )

    # --- the newest set -------------------------------------------------------------------------

    async def _newest(self, now: Round) -> bool:
        """Make it, or bring its annotations up to date; whether either was to be done."""
        revision = revisions.next_revision(now.old)
        if now.newest is None:
            await self._make(now, revision)
            return True
        annotations = revisions.set_annotations(now.deployment, now.newest, revision)
        min_ready_s = now.deployment["spec"].get("minReadySeconds", 0)
        told = annotations.get(revisions.REVISION, "")
        if await self._tell_revision(now, told):
            return True
        if (
            annotations == revisions.annotations_of(now.newest)
            and now.newest["spec"].get("minReadySeconds", 0) == min_ready_s
        ):
            return await self._tell_found(now)
        metadata = {**now.newest["metadata"], "annotations": annotations}
        spec = {**now.newest["spec"], "minReadySeconds": min_ready_s}
        await self._put_set(now, {**now.newest, "metadata": metadata, "spec": spec})
        return True

    async def _make(self, now: Round, revision: int) -> None:
        deployment = now.deployment
        collisions = deployment.get("status", {}).get("collisionCount", 0)
        hashed = revisions.template_hash(deployment["spec"]["template"], collisions)
        replicas = 0  # until it is known how many pods the old sets have
        if all(map(_is_observed, now.old)):
            replicas = rolling.new_replicas(now.wanted, sum(map(_pods_of, now.old)), 0, now.most)
        annotations = revisions.set_annotations(deployment, None, revision)
        annotations |= revisions.size_annotations(now.wanted, now.most)
        made = revisions.new_set(deployment, hashed, replicas, annotations)
        namespace, name = made["metadata"]["namespace"], made["metadata"]["name"]
        try:
            created = await self.client.create(REPLICA_SETS, namespace, made)
        except ApiFailure as e:
            if e.code != 409:
                told = f"Failed to create new replica set {name!r}: {e.message}"
                self.events.record(deployment, "Warning", "ReplicaSetCreateError", told)
                raise
            await self._collided(now, name, collisions)
            return
        self.wrote(self._sets, created)
        now.newest = created
        self._tell_scaled(deployment, created, 0, replicas)
        told = f'Created new replica set "{name}"'
        conditions = statuses.say_progress(deployment, self.clock, "NewReplicaSetCreated", told)
        status = {**deployment.get("status", {}), "conditions": conditions}
        now.deployment = {**deployment, "status": status}

    async def _collided(self, now: Round, name: str, collisions: int) -> None:
        """The name is taken: by our own set, which the copy does not show yet, or by another's."""
        deployment = now.deployment
        there = await self.client.get(REPLICA_SETS, deployment["metadata"]["namespace"], name)
        if (
            there is not None
            and is_controlled_by(there, deployment)
            and revisions.same_template(there["spec"]["template"], deployment["spec"]["template"])
        ):
            return self.wrote(self._sets, there)
        status = {**deployment.get("status", {}), "collisionCount": collisions + 1}
        await self.put_status(DEPLOYMENTS, self._deployments, deployment, status)
        return self.add(deployment)

    async def _tell_revision(self, now: Round, revision: str) -> bool:
        deployment = now.deployment
        annotations = revisions.annotations_of(deployment)
        if annotations.get(revisions.REVISION) == revision:
            return False
        annotations[revisions.REVISION] = revision
        metadata = {**deployment["metadata"], "annotations": annotations}
        now.deployment = await self.client.update(DEPLOYMENTS, {**deployment, "metadata": metadata})
        self.wrote(self._deployments, now.deployment)
        return True

    async def _tell_found(self, now: Round) -> bool:
        """A set that was there before, after an undo say, and nobody has said so yet."""
        if condition(now.deployment, statuses.PROGRESSING) is not None or now.newest is None:
            return False
        told = f'Found new replica set "{now.newest["metadata"]["name"]}"'
        conditions = statuses.say_progress(now.deployment, self.clock, "FoundNewReplicaSet", told)
        status = {**now.deployment.get("status", {}), "conditions": conditions}
        now.deployment = {**now.deployment, "status": status}
        return False

    # --- sizes ----------------------------------------------------------------------------------

    def _is_scaled(self, now: Round) -> bool:
        """Someone has changed spec.replicas since the sets were sized."""
        asked = [each for each in now.sets if _size(each)]
        annotated = [revisions.annotations_of(each).get(revisions.DESIRED) for each in asked]
        return any(text is not None and text != str(now.wanted) for text in annotated)

    async def _scale_all(self, now: Round) -> None:
        """Without a step of the update: the one set that runs, or all in proportion."""
        if now.newest is not None:
            revision = revisions.next_revision(now.old)
            told = revisions.set_annotations(now.deployment, now.newest, revision)
            await self._tell_revision(now, told.get(revisions.REVISION, ""))
        running = [each for each in now.sets if _size(each)]
        if len(running) <= 1:
            only = running[0] if running else now.newest
            if only is not None:
                await self._resize(now, only, now.wanted)
        elif now.newest is not None and _is_saturated(now.newest, now.wanted):
            for each in running:
                if each is not now.newest:
                    await self._resize(now, each, 0)
        elif (now.deployment["spec"].get("strategy") or {}).get("type") != "Recreate":
            running.sort(key=revisions.age_key, reverse=True)
            running.sort(key=_size, reverse=True)
            allowed = now.wanted + now.most.surge if now.wanted else 0
            annotated = [revisions.number_in(each, revisions.MAX) for each in running]
            sizes = rolling.proportions(list(map(_size, running)), annotated, allowed)
            for each, size in zip(running, sizes, strict=True):
                await self._resize(now, each, size)
        await self._clean_up(now)
        await self._put_status(now)

    async def _resize(self, now: Round, each: Object, replicas: int) -> bool:
        before = _size(each)
        annotations = revisions.annotations_of(each)
        sized = {**annotations, **revisions.size_annotations(now.wanted, now.most)}
        if before == replicas and sized == annotations:
            return False
        metadata = {**each["metadata"], "annotations": sized}
        spec = {**each["spec"], "replicas": replicas}
        await self._put_set(now, {**each, "metadata": metadata, "spec": spec})
        if before != replicas:
            self._tell_scaled(now.deployment, each, before, replicas)
        return before != replicas

    async def _put_set(self, now: Round, new: Object) -> None:
        written = await self.client.update(REPLICA_SETS, new)
        self.wrote(self._sets, written)
        uid = written["metadata"]["uid"]
        if now.newest is not None and now.newest["metadata"]["uid"] == uid:
            now.newest = written
        now.old = [written if each["metadata"]["uid"] == uid else each for each in now.old]

    def _tell_scaled(self, deployment: Object, each: Object, before: int, after: int) -> None:
        if before == after:
            return
        name, way = each["metadata"]["name"], "up" if after > before else "down"
        told = f"Scaled {way} replica set {name} from {before} to {after}"
        self.events.record(deployment, "Normal", "ScalingReplicaSet", told)

    # --- the end of a round ---------------------------------------------------------------------

    async def _clean_up(self, now: Round) -> None:
        """Old sets beyond the history's limit, once the update is done."""
        limit = now.deployment["spec"].get("revisionHistoryLimit", HISTORY_LIMIT)
        if not statuses.is_complete(now.deployment, now.deployment.get("status", {})):
            return
        idle = [each for each in now.old if not is_being_deleted(each)]
        idle.sort(key=lambda each: revisions.number_in(each, revisions.REVISION))
        for each in idle[: max(len(idle) - int(limit), 0)]:
            status = each.get("status", {})
            seen = status.get("observedGeneration", 0) >= each["metadata"].get("generation", 0)
            if status.get("replicas", 0) or _size(each) or not seen:
                continue
            metadata = each["metadata"]
            await self.client.delete(REPLICA_SETS, metadata["namespace"], metadata["name"])

    async def _told_pause(self, deployment: Object) -> bool:
        """The condition Progressing says that it is paused, or no more."""
        current = condition(deployment, statuses.PROGRESSING) or {}
        overdue = current.get("reason") == statuses.DEADLINE_EXCEEDED
        if overdue or not statuses.has_deadline(deployment):
            return False
        paused = bool(deployment["spec"].get("paused"))
        told = current.get("reason") == "DeploymentPaused"
        if paused == told:
            return False
        reason, text = ("DeploymentResumed", "Deployment is resumed")
        if paused:
            reason, text = ("DeploymentPaused", "Deployment is paused")
        conditions = statuses.say_progress(deployment, self.clock, reason, text)
        status = {**deployment.get("status", {}), "conditions": conditions}
        return await self.put_status(DEPLOYMENTS, self._deployments, deployment, status)

    async def _put_status(self, now: Round) -> None:
        status = statuses.counts(now.deployment, now.sets, now.newest)
        told = statuses.conditions(
            now.deployment, now.sets, now.newest, status, now.most, self.clock
        )
        status["conditions"] = told
        stored = self._deployments.get(
            now.deployment["metadata"]["namespace"], now.deployment["metadata"]["name"]
        )
        if stored is not None and stored.get("status", {}) != status:
            written = await self.client.update(
                DEPLOYMENTS, {**now.deployment, "status": status}, "status"
            )
            self.wrote(self._deployments, written)
        left = statuses.seconds_to_deadline(now.deployment, told, self.clock)
        if left:
            metadata = now.deployment["metadata"]
            self.queue.add_later(metadata["namespace"], metadata["name"], left + 1)

    def _pod_gone(self, old: Object | None, new: Object | None) -> None:
        """With Recreate the next step waits for the last old pod."""
        if new is not None and not is_terminal(new):
            return
        pod = new or old or {}
        ref = controller_of(pod)
        namespace = pod["metadata"].get("namespace", "")
        owner = self._sets.get(namespace, ref["name"]) if ref is not None else None
        above = controller_of(owner) if owner is not None else None
        if above is not None and above["kind"] == "Deployment":
            self.queue.add(namespace, above["name"])


def _size(each: Object) -> int:
    found = each["spec"].get("replicas")
    return 1 if found is None else int(found)


def _counts(each: Object) -> rolling.Counts:
    """Available pods that are to go count no more."""
    available = int(each.get("status", {}).get("availableReplicas", 0))
    return rolling.Counts(_size(each), min(available, _size(each)))


def _pods_of(each: Object) -> int:
    """Those asked for, or those still there. Kubernetes counts the first only, and so may have
    more than maxSurge for a moment."""
    return max(_size(each), int(each.get("status", {}).get("replicas", 0)))


def _is_observed(each: Object) -> bool:
    """Its status is of its present spec."""
    seen = int(each.get("status", {}).get("observedGeneration", 0))
    return seen >= int(each["metadata"].get("generation", 0))


def _is_saturated(each: Object, wanted: int) -> bool:
    return (
        _size(each) == wanted
        and revisions.annotations_of(each).get(revisions.DESIRED) == str(wanted)
        and int(each.get("status", {}).get("availableReplicas", 0)) == wanted
    )
