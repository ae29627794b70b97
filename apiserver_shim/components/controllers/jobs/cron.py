"""CronJobs: a Job whenever the schedule says so.

Owns: missed times, concurrencyPolicy, suspend and the history's limits. Must never do: make two
Jobs for one time: a Job's name holds its time.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.clocks import moment, stamp
from apiserver_shim.components.conditions import is_true
from apiserver_shim.components.controllers.jobs.controller import is_finished
from apiserver_shim.components.controllers.jobs.schedules import Schedule, parse
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.kinds import CRON_JOBS, JOBS
from apiserver_shim.components.ownership import (
    is_being_deleted,
    is_controlled_by,
    reference_to,
)

MISSED_MAX = 100
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def last_due(schedule: Schedule, since: datetime, now: datetime) -> tuple[datetime | None, int]:
    """The last time in (since, now], and how many there were, counted up to MISSED_MAX + 1."""
    found, count, at = None, 0, since
    while count <= MISSED_MAX:
        following = schedule.next_after(at)
        if following is None or following > now:
            break
        found = at = following
        count += 1
    return found, count


class CronJobController(Controller):
    title = "cronjob-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._cron_jobs = around.informers.of(CRON_JOBS)
        self._jobs = around.informers.of(JOBS)
        self.follow(self._cron_jobs)
        self.follow_owned(self._jobs, "CronJob")

    async def reconcile(self, namespace: str, name: str) -> None:
        cron_job = self._cron_jobs.get(namespace, name)
        if cron_job is None or is_being_deleted(cron_job):
            return
        jobs = [job for job in self._jobs.of(namespace) if is_controlled_by(job, cron_job)]
        status = self._seen(cron_job, jobs)
        await self._cut_history(cron_job, jobs)
        try:
            schedule, zone = self._schedule(cron_job)
        except (ValueError, ZoneInfoNotFoundError) as e:
            self.events.record(cron_job, "Warning", "UnparseableSchedule", f"unparseable: {e}")
        else:
            await self._start_if_due(cron_job, jobs, status, schedule, zone)
        await self.put_status(CRON_JOBS, self._cron_jobs, cron_job, status)

    def _schedule(self, cron_job: Object) -> tuple[Schedule, ZoneInfo | None]:
        spec = cron_job["spec"]
        zone = ZoneInfo(spec["timeZone"]) if spec.get("timeZone") else None
        return parse(spec["schedule"]), zone

    async def _start_if_due(
        self,
        cron_job: Object,
        jobs: Sequence[Object],
        status: Object,
        schedule: Schedule,
        zone: ZoneInfo | None,
    ) -> None:
        now = self.clock.now().astimezone(zone or UTC)
        metadata, spec = cron_job["metadata"], cron_job["spec"]
        since = moment(status.get("lastScheduleTime") or metadata["creationTimestamp"])
        due, count = last_due(schedule, since.astimezone(zone or UTC), now)
        following = schedule.next_after(now)
        if following is not None:
            seconds = (following - now).total_seconds() + 0.1
            self.queue.add_later(metadata["namespace"], metadata["name"], seconds)
        if count > MISSED_MAX:
            told = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds"
            self.events.record(cron_job, "Warning", "TooManyMissedTimes", told)
            due = _last_before(schedule, now)
        if due is None or spec.get("suspend"):
            return
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and (now - due).total_seconds() > deadline:
            told = f"Missed scheduled time to start a job: {stamp(due)}"
            self.events.record(cron_job, "Warning", "MissSchedule", told)
            return
        running = [job for job in jobs if not is_finished(job)]
        policy = spec.get("concurrencyPolicy", "Allow")
        if running and policy == "Forbid":
            told = "Not starting job because prior execution is running and concurrency policy is"
            self.events.record(cron_job, "Normal", "JobAlreadyActive", f"{told} Forbid")
            return
        if policy == "Replace":
            for job in running:
                await self._delete(job)
            status.pop("active", None)
        await self._start(cron_job, due, status)

    async def _start(self, cron_job: Object, due: datetime, status: Object) -> None:
        metadata, template = cron_job["metadata"], copy.deepcopy(cron_job["spec"]["jobTemplate"])
        about = template.get("metadata") or {}
        job = {
            "kind": "Job",
            "apiVersion": "batch/v1",
            "metadata": {
                "name": f"{metadata['name']}-{int(due.timestamp()) // 60}",
                "namespace": metadata["namespace"],
                "labels": dict(about.get("labels") or {}),
                "annotations": {**(about.get("annotations") or {}), SCHEDULED_AT: stamp(due)},
                "ownerReferences": [reference_to(cron_job)],
            },
            "spec": template["spec"],
        }
        try:
            made = await self.client.create(JOBS, metadata["namespace"], job)
        except ApiFailure as e:
            if e.code != 409:
                raise
            # made in an earlier round whose status was lost
        else:
            self.wrote(self._jobs, made)
            told = f"Created job {made['metadata']['name']}"
            self.events.record(cron_job, "Normal", "SuccessfulCreate", told)
            status["active"] = [*status.get("active", ()), _reference(made)]
        status["lastScheduleTime"] = stamp(due)

    def _seen(self, cron_job: Object, jobs: Sequence[Object]) -> Object:
        status = dict(cron_job.get("status", {}))
        status.pop("active", None)
        running = [job for job in jobs if not is_finished(job)]
        if running:
            status["active"] = [_reference(job) for job in running]
        ends = [job["status"]["completionTime"] for job in jobs if is_true(job, "Complete")]
        if ends:
            status["lastSuccessfulTime"] = max([*ends, status.get("lastSuccessfulTime", "")])
        return status

    async def _cut_history(self, cron_job: Object, jobs: Sequence[Object]) -> None:
        spec = cron_job["spec"]
        for kind, limit in (
            ("Complete", spec.get("successfulJobsHistoryLimit", 3)),
            ("Failed", spec.get("failedJobsHistoryLimit", 1)),
        ):
            ended = [job for job in jobs if is_true(job, kind) and not is_being_deleted(job)]
            ended.sort(key=lambda job: str(job.get("status", {}).get("startTime", "")))
            for job in ended[: max(len(ended) - int(limit), 0)]:
                await self._delete(job)

    async def _delete(self, job: Object) -> None:
        metadata = job["metadata"]
        options = {"propagationPolicy": "Background"}
        await self.client.delete(JOBS, metadata["namespace"], metadata["name"], options)


def _reference(job: Object) -> Object:
    metadata = job["metadata"]
    return {
        "kind": job["kind"],
        "apiVersion": job["apiVersion"],
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }


def _last_before(schedule: Schedule, now: datetime) -> datetime | None:
    """Of very many missed times the last, found by looking back further and further."""
    for minutes in (60, 24 * 60, 366 * 24 * 60):
        since = now - timedelta(minutes=minutes)
        found = None
        while (following := schedule.next_after(found or since)) is not None and following <= now:
            found = following
        if found is not None:
            return found
    return None
