"""The job controller: pods until enough have succeeded or too many failed.

Owns: a round over one Job: count, judge, create and delete, status. Must never do: count a pod
twice; see ``progress``.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.clocks import moment
from apiserver_shim.components.conditions import is_true, with_condition
from apiserver_shim.components.controllers.jobs import progress
from apiserver_shim.components.controllers.jobs.progress import TRACKING, Tally, Verdict
from apiserver_shim.components.controllers.pod_making import PodMaking, pod_from
from apiserver_shim.components.controllers.surroundings import (
    Controller,
    Surroundings,
    slow_start,
)
from apiserver_shim.components.kinds import JOBS, PODS
from apiserver_shim.components.ownership import is_being_deleted, is_controlled_by
from apiserver_shim.components.pod_states import (
    deletion_rank,
    is_active,
    is_ready,
    is_terminal,
    phase_of,
)

INDEX = "batch.kubernetes.io/job-completion-index"


def is_finished(job: Object) -> bool:
    return is_true(job, "Complete") or is_true(job, "Failed")


def index_of(pod: Object) -> int:
    return int((pod["metadata"].get("annotations") or {}).get(INDEX, -1))


class JobController(Controller):
    title = "job-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._jobs = around.informers.of(JOBS)
        self._pods = around.informers.of(PODS)
        self._making = PodMaking(self, self._pods)
        self.follow(self._jobs)
        self.follow_owned(self._pods, "Job")

    async def reconcile(self, namespace: str, name: str) -> None:
        job = self._jobs.get(namespace, name)
        if job is None:
            await self._let_go_of_orphans(namespace, name)
            return
        pods = [pod for pod in self._pods.of(namespace) if is_controlled_by(pod, job)]
        if is_finished(job) or is_being_deleted(job):
            await self._wind_up(job, pods)
            return
        status = dict(job.get("status", {}))
        self._note_start(job, status)
        counted = progress.tally(status, pods)
        active = [pod for pod in pods if is_active(pod)]
        judged = progress.verdict(job, counted, self._running_s(status))
        if judged.kind == "Complete" and not progress.is_enough(job["spec"], counted, len(active)):
            judged = Verdict()
        if not judged.kind:
            active = await self._bring_to(job, pods, active, counted)
        await self._write(job, status, pods, active, counted, judged)
        await self._release(pods, {*counted.pending_succeeded, *counted.pending_failed})
        if judged.kind:
            await slow_start(active, lambda pod: self._making.delete(job, pod))
        self._look_again(job, status)

    # --- pods -----------------------------------------------------------------------------------

    async def _bring_to(
        self, job: Object, pods: Sequence[Object], active: list[Object], counted: Tally
    ) -> list[Object]:
        """The pods that are active after it, as far as is known."""
        missing = progress.wanted_active(job["spec"], counted, len(active)) - len(active)
        if missing < 0:
            ranked = sorted(active, key=lambda p: deletion_rank(p, {}, self.clock.now()))
            surplus = ranked[:-missing]
            await slow_start(surplus, lambda pod: self._making.delete(job, pod))
            return [pod for pod in active if pod not in surplus]
        if missing > 0 and (wait := self._backoff_left(pods, counted)) > 0:
            metadata = job["metadata"]
            self.queue.add_later(metadata["namespace"], metadata["name"], wait)
            return active
        if missing > 0:
            made = self._new_pods(job, pods, active, missing)
            await slow_start(made, lambda pod: self._making.create(job, pod))
        return active

    def _new_pods(
        self, job: Object, pods: Sequence[Object], active: Sequence[Object], count: int
    ) -> list[Object]:
        if job["spec"].get("completionMode") != "Indexed":
            return [self._pod(job) for _ in range(count)]
        done = self._done_indexes(job, pods)
        busy = {index_of(pod) for pod in active}
        indexes = progress.missing_indexes(job["spec"], done, busy, count)
        return [self._pod(job, index) for index in indexes]

    def _pod(self, job: Object, index: int | None = None) -> Object:
        metadata = job["metadata"]
        labels = {
            "batch.kubernetes.io/controller-uid": metadata["uid"],
            "batch.kubernetes.io/job-name": metadata["name"],
            "controller-uid": metadata["uid"],
            "job-name": metadata["name"],
        }
        if index is not None:
            labels[INDEX] = str(index)
        pod = pod_from(job["spec"]["template"], job, labels=labels)
        pod["metadata"]["finalizers"] = [TRACKING]
        pod["spec"].setdefault("restartPolicy", "Never")
        if index is not None:
            annotations = pod["metadata"].setdefault("annotations", {})
            annotations[INDEX] = str(index)
            pod["metadata"]["generateName"] = f"{metadata['name']}-{index}-"
            for container in pod["spec"].get("containers") or ():
                env = container.setdefault("env", [])
                env.append({"name": "JOB_COMPLETION_INDEX", "value": str(index)})
        return pod

    def _done_indexes(self, job: Object, pods: Sequence[Object]) -> set[int]:
        told = str(job.get("status", {}).get("completedIndexes", ""))
        ended = {index_of(pod) for pod in pods if phase_of(pod) == "Succeeded"}
        return progress.read_ranges(told) | (ended - {-1})

    def _backoff_left(self, pods: Sequence[Object], counted: Tally) -> float:
        """Seconds until the next try after the last failure."""
        ends = [_end_of(pod) for pod in pods if phase_of(pod) == "Failed"]
        last = max(filter(None, ends), default="")
        if not last:
            return 0.0
        recent = counted.all_failed
        return max(progress.backoff_s(recent) - self.clock.seconds_since(last), 0.0)

    async def _release(self, pods: Sequence[Object], written_down: set[str]) -> None:
        for pod in pods:
            if pod["metadata"]["uid"] in written_down and progress.has_tracking(pod):
                await self._untrack(pod)

    async def _untrack(self, pod: Object) -> None:
        metadata = pod["metadata"]
        left = [each for each in metadata["finalizers"] if each != TRACKING]
        patch = {
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": left or None,
            }
        }
        try:
            written = await self.client.merge(PODS, metadata["namespace"], metadata["name"], patch)
        except ApiFailure as e:
            if e.code != 404:
                raise
            return  # it is gone already
        self.wrote(self._pods, written)

    async def _wind_up(self, job: Object, pods: Sequence[Object]) -> None:
        """Of a Job that is over: count what is left, let its pods go, and the Job too in time."""
        status = dict(job.get("status", {}))
        counted = progress.tally(status, pods)
        active = [pod for pod in pods if is_active(pod)]
        if not is_being_deleted(job):
            await self._write(job, status, pods, active, counted, Verdict())
            await slow_start(active, lambda pod: self._making.delete(job, pod))
        going = is_being_deleted(job)
        await self._release(
            pods, {pod["metadata"]["uid"] for pod in pods if going or not is_active(pod)}
        )
        await self._expire(job)

    async def _let_go_of_orphans(self, namespace: str, name: str) -> None:
        """Pods whose Job is gone wait for nobody's count."""
        for pod in self._pods.of(namespace):
            for ref in pod["metadata"].get("ownerReferences") or ():
                ours = ref.get("controller") and (ref["kind"], ref["name"]) == ("Job", name)
                if ours and progress.has_tracking(pod):
                    await self._untrack(pod)

    async def _expire(self, job: Object) -> None:
        """ttlSecondsAfterFinished."""
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None or is_being_deleted(job):
            return
        ends = [
            each["lastTransitionTime"]
            for each in job["status"]["conditions"]
            if each["type"] in ("Complete", "Failed") and each["status"] == "True"
        ]
        metadata = job["metadata"]
        left = ttl - self.clock.seconds_since(max(ends))
        if left > 0:
            self.queue.add_later(metadata["namespace"], metadata["name"], left)
            return
        options = {
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": metadata["uid"]},
        }
        await self.client.delete(JOBS, metadata["namespace"], metadata["name"], options)

    # --- status ---------------------------------------------------------------------------------

    def _note_start(self, job: Object, status: Object) -> None:
        conditions = list(status.get("conditions") or ())
        now = self.clock.stamp()
        if job["spec"].get("suspend"):
            status.pop("startTime", None)
            reason, text = "JobSuspended", "Job suspended"
            status["conditions"] = with_condition(
                conditions, "Suspended", "True", now, reason, text, lastProbeTime=now
            )
            return
        if any(each["type"] == "Suspended" and each["status"] == "True" for each in conditions):
            reason, text = "JobResumed", "Job resumed"
            status["conditions"] = with_condition(
                conditions, "Suspended", "False", now, reason, text, lastProbeTime=now
            )
        status.setdefault("startTime", now)

    def _running_s(self, status: Object) -> float:
        return self.clock.seconds_since(status["startTime"]) if "startTime" in status else 0.0

    async def _write(
        self,
        job: Object,
        status: Object,
        pods: Sequence[Object],
        active: Sequence[Object],
        counted: Tally,
        judged: Verdict,
    ) -> None:
        now = self.clock.stamp()
        running = [] if judged.kind else active
        numbers = {
            "active": len(running),
            "succeeded": counted.succeeded,
            "failed": counted.failed,
        }
        for name, number in numbers.items():
            status.pop(name, None)
            if number:
                status[name] = number
        status["ready"] = sum(map(is_ready, running))
        status["terminating"] = sum(is_being_deleted(pod) and not is_terminal(pod) for pod in pods)
        status["uncountedTerminatedPods"] = {
            name: uids
            for name, uids in (
                ("succeeded", counted.pending_succeeded),
                ("failed", counted.pending_failed),
            )
            if uids
        }
        if job["spec"].get("completionMode") == "Indexed":
            status["completedIndexes"] = progress.index_ranges(self._done_indexes(job, pods))
        if judged.kind:
            self._conclude(job, status, judged, now)
        if await self.put_status(JOBS, self._jobs, job, status) and judged.kind:
            kind = "Normal" if judged.kind == "Complete" else "Warning"
            reason, text = ("Completed", "Job completed")
            if judged.kind == "Failed":
                reason, text = judged.reason, judged.message
            self.events.record(job, kind, reason, text)

    def _conclude(self, job: Object, status: Object, judged: Verdict, now: str) -> None:
        first = "SuccessCriteriaMet" if judged.kind == "Complete" else "FailureTarget"
        conditions = list(status.get("conditions") or ())
        for kind in (first, judged.kind):
            conditions = with_condition(
                conditions, kind, "True", now, judged.reason, judged.message, lastProbeTime=now
            )
        status["conditions"] = conditions
        if judged.kind == "Complete":
            status["completionTime"] = now

    def _look_again(self, job: Object, status: Object) -> None:
        deadline = job["spec"].get("activeDeadlineSeconds")
        if deadline is not None and "startTime" in status:
            metadata = job["metadata"]
            left = max(deadline - self._running_s(status), 0.0) + 0.05
            self.queue.add_later(metadata["namespace"], metadata["name"], left)


def _end_of(pod: Object) -> str:
    """When its last container ended."""
    ends = [
        str(state["finishedAt"])
        for each in pod.get("status", {}).get("containerStatuses") or ()
        if (state := (each.get("state") or {}).get("terminated")) and state.get("finishedAt")
    ]
    return max(ends, key=moment, default=str(pod["metadata"].get("creationTimestamp", "")))
