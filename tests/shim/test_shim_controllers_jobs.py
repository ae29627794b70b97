"""Jobs: counted once, ended right; and cron's schedules. Pure functions, then a real store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.conditions import condition, is_true
from apiserver_shim.components.controllers.jobs.cron import MISSED_MAX, last_due
from apiserver_shim.components.controllers.jobs.progress import (
    TRACKING,
    Tally,
    backoff_s,
    index_ranges,
    is_enough,
    missing_indexes,
    read_ranges,
    tally,
    verdict,
    wanted_active,
)
from apiserver_shim.components.controllers.jobs.schedules import parse
from apiserver_shim.components.kinds import CRON_JOBS, EVENTS, JOBS
from apiserver_shim.components.ownership import reference_to
from tests.shim.control_plane import ControlPlane
from tests.shim.pod_examples import pod


def ended(name: str, phase: str) -> Object:
    found = pod(name, phase=phase)
    found["metadata"]["finalizers"] = [TRACKING]
    return found


@given(st.data())
def test_every_pod_is_counted_once(data: st.DataObject) -> None:
    """Whatever is lost between the three steps (write down, release, count), and however often a
    round is repeated: in the end the numbers are those of the pods."""
    phases = data.draw(st.lists(st.sampled_from(["Succeeded", "Failed"]), max_size=6))
    pods = {f"p{i}": ended(f"p{i}", phase) for i, phase in enumerate(phases)}
    status: Object = {}
    for _ in range(30):
        counted = tally(status, list(pods.values()))
        if data.draw(st.booleans(), label="the status is written"):
            status = {
                "succeeded": counted.succeeded,
                "failed": counted.failed,
                "uncountedTerminatedPods": {
                    "succeeded": counted.pending_succeeded,
                    "failed": counted.pending_failed,
                },
            }
            for uid in [*counted.pending_succeeded, *counted.pending_failed]:
                if data.draw(st.booleans(), label="released"):
                    found = pods[uid.removeprefix("uid-")]
                    found["metadata"]["finalizers"] = []
                    if data.draw(st.booleans(), label="and removed"):
                        del pods[uid.removeprefix("uid-")]
        assert counted.all_succeeded == phases.count("Succeeded")
        assert counted.all_failed == phases.count("Failed")


@pytest.mark.parametrize(
    ("spec", "succeeded", "active", "expected"),
    [
        ({}, 0, 0, 1),
        ({"parallelism": 3}, 0, 0, 3),
        ({"parallelism": 3}, 1, 2, 2),
        ({"parallelism": 3, "completions": 2}, 0, 0, 2),
        ({"parallelism": 2, "completions": 5}, 4, 1, 1),
        ({"parallelism": 2, "completions": 5}, 5, 0, 0),
        ({"parallelism": 2, "completions": 5, "suspend": True}, 0, 2, 0),
        ({"parallelism": 0, "completions": 5}, 0, 0, 0),
    ],
)
def test_how_many_pods_a_job_wants(
    spec: Object, succeeded: int, active: int, expected: int
) -> None:
    """No more than parallelism, nor than what is missing; a Job without completions starts none
    once one has succeeded."""
    assert wanted_active(spec, Tally(succeeded=succeeded), active) == expected


def test_verdicts() -> None:
    """Failures beyond the limit, a deadline, enough successes; otherwise none."""
    job = {"spec": {"backoffLimit": 1, "completions": 2, "activeDeadlineSeconds": 60}}
    assert verdict(job, Tally(failed=1, succeeded=1), 59).kind == ""
    assert verdict(job, Tally(failed=1, pending_failed=["u"]), 0).reason == "BackoffLimitExceeded"
    assert verdict(job, Tally(), 60).reason == "DeadlineExceeded"
    assert verdict(job, Tally(succeeded=1, pending_succeeded=["u"]), 0).kind == "Complete"
    assert not is_enough({}, Tally(succeeded=1), active=1), "the others of a work queue run on"
    assert [backoff_s(n) for n in (0, 1, 2, 3, 20)] == [0, 10, 20, 40, 600]


@given(st.sets(st.integers(0, 40)))
def test_index_ranges_are_read_as_written(indexes: set[int]) -> None:
    """And the missing ones are what is neither done nor under way."""
    assert read_ranges(index_ranges(indexes)) == indexes
    spec = {"completions": 41}
    assert set(missing_indexes(spec, indexes, set(), 41)) == set(range(41)) - indexes


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("*/5 * * * *", "2024-05-01T12:03:10", "2024-05-01T12:05:00"),
        ("*/5 * * * *", "2024-05-01T12:05:00", "2024-05-01T12:10:00"),
        ("0 9-17/4 * * mon-fri", "2024-05-03T17:30:00", "2024-05-06T09:00:00"),
        ("30 3 1,15 * *", "2024-05-01T12:00:00", "2024-05-15T03:30:00"),
        ("0 0 13 * 5", "2024-05-01T12:00:00", "2024-05-03T00:00:00"),
        ("@monthly", "2024-12-15T00:00:00", "2025-01-01T00:00:00"),
        ("0 0 29 2 *", "2024-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 * jan 7", "2024-05-01T00:00:00", "2025-01-05T00:00:00"),
    ],
)
def test_schedules(schedule: str, after: str, expected: str) -> None:
    """Steps, ranges, names, nicknames; both day fields restricted mean either."""
    found = parse(schedule).next_after(datetime.fromisoformat(after))
    assert found == datetime.fromisoformat(expected)


def test_what_never_comes_and_what_is_none() -> None:
    """The 30th of February never comes; nonsense is refused with its part named."""
    assert parse("0 0 30 2 *").next_after(datetime(2024, 1, 1)) is None
    for text, why in (("* * * *", "5 fields"), ("60 * * * *", "'60'"), ("a * * * *", "'a'")):
        with pytest.raises(ValueError, match=why):
            parse(text)


def test_missed_times_are_counted() -> None:
    """The last one is due; too many are only counted so far."""
    begin = datetime(2024, 5, 1, tzinfo=UTC)
    every = parse("* * * * *")
    assert last_due(every, begin, begin + timedelta(minutes=3)) == (
        begin + timedelta(minutes=3),
        3,
    )
    assert last_due(every, begin, begin + timedelta(seconds=59)) == (None, 0)
    assert last_due(every, begin, begin + timedelta(days=1))[1] == MISSED_MAX + 1


# --- on a real store ------------------------------------------------------------------------------


def job(name: str, **spec: object) -> Object:
    template = {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {"name": name},
        "spec": {"template": template, **spec},
    }


async def finished(plane: ControlPlane, namespace: str, name: str, kind: str) -> Object:
    async def done() -> Object | None:
        found = await plane.client.get(JOBS, namespace, name)
        pending = (found or {}).get("status", {}).get("uncountedTerminatedPods")
        return found if found is not None and is_true(found, kind) and not pending else None

    found = await plane.until(done, f"{name} is {kind}")
    assert found is not None
    return found


@pytest.mark.e2e
async def test_a_job_completes(running: ControlPlane) -> None:
    """Five completions, two at a time: five pods, each with its index, all counted and let go."""
    running.kubelet.outcome = lambda pod: "Succeeded"
    namespace = await running.namespace()
    made = job("five", completions=5, parallelism=2, completionMode="Indexed")
    await running.client.create(JOBS, namespace, made)
    found = await finished(running, namespace, "five", "Complete")
    assert (found["status"]["succeeded"], found["status"]["completedIndexes"]) == (5, "0-4")
    assert (condition(found, "Complete") or {})["reason"] == "CompletionsReached"
    pods = await running.pods(namespace, "job-name=five")
    assert sorted(
        p["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for p in pods
    ) == ["0", "1", "2", "3", "4"]
    assert not any(p["metadata"].get("finalizers") for p in pods)


@pytest.mark.e2e
async def test_a_job_fails(running: ControlPlane) -> None:
    """With no retries allowed the first failed pod is the end."""
    running.kubelet.outcome = lambda pod: "Failed"
    namespace = await running.namespace()
    await running.client.create(JOBS, namespace, job("bad", backoffLimit=0))
    found = await finished(running, namespace, "bad", "Failed")
    assert found["status"]["failed"] == 1
    assert (condition(found, "Failed") or {})["reason"] == "BackoffLimitExceeded"


@pytest.mark.e2e
async def test_a_finished_job_goes_in_time(running: ControlPlane) -> None:
    """ttlSecondsAfterFinished 0: the Job and its pods are removed as soon as it is done."""
    running.kubelet.outcome = lambda pod: "Succeeded"
    namespace = await running.namespace()
    await running.client.create(JOBS, namespace, job("brief", ttlSecondsAfterFinished=0))

    async def gone() -> bool:
        jobs = (await running.client.list(JOBS, namespace))["items"]
        return not jobs and not await running.pods(namespace)

    await running.until(gone, "the Job is gone with its pods")


@pytest.mark.e2e
async def test_a_cron_job_that_is_late_starts_once(running: ControlPlane) -> None:
    """Many times were missed: one Job is made for the last of them, owned and listed."""
    running.kubelet.outcome = lambda pod: "ready"
    namespace = await running.namespace()
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": job("x")["spec"]}}
    made = {
        "kind": "CronJob",
        "apiVersion": "batch/v1",
        "metadata": {"name": "tick"},
        "spec": {**spec, "suspend": True, "concurrencyPolicy": "Forbid"},
    }
    created = await running.client.create(CRON_JOBS, namespace, made)
    late = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    created = await running.client.merge(
        CRON_JOBS, namespace, "tick", {"status": {"lastScheduleTime": late}}, "status"
    )
    await running.change(CRON_JOBS, namespace, "tick", spec={"suspend": False})

    async def listed() -> list[Object] | None:
        found = await running.client.get(CRON_JOBS, namespace, "tick") or {}
        active: list[Object] = found.get("status", {}).get("active") or []
        return active

    active = await running.until(listed, "a Job is listed as active") or []
    jobs = (await running.client.list(JOBS, namespace))["items"]
    assert [each["metadata"]["name"] for each in jobs] == [each["name"] for each in active]
    assert jobs[0]["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]


@pytest.mark.e2e
async def test_a_cron_job_keeps_its_deadline_its_clock_and_its_history(
    running: ControlPlane,
) -> None:
    """Half past midnight in a zone far from ours has passed; it is too late for it by the deadline;
    of two ended Jobs one is kept."""
    running.kubelet.outcome = lambda pod: "Succeeded"
    namespace = await running.namespace()
    now = datetime.now(UTC)
    there = now.astimezone(ZoneInfo("Pacific/Kiritimati")) - timedelta(minutes=30)
    created = await running.client.create(
        CRON_JOBS,
        namespace,
        {
            "kind": "CronJob",
            "apiVersion": "batch/v1",
            "metadata": {"name": "tick"},
            "spec": {
                "schedule": f"{there.minute} {there.hour} * * *",
                "timeZone": "Pacific/Kiritimati",
                "startingDeadlineSeconds": 600,
                "successfulJobsHistoryLimit": 1,
                "suspend": True,
                "jobTemplate": {"spec": job("x")["spec"]},
            },
        },
    )
    for name in ("old", "new"):
        made = job(name)
        made["metadata"]["ownerReferences"] = [reference_to(created)]
        await running.client.create(JOBS, namespace, made)

    async def cut() -> bool:
        jobs = (await running.client.list(JOBS, namespace))["items"]
        return len(jobs) == 1 and is_true(jobs[0], "Complete")

    await running.until(cut, "one ended Job is kept")
    before = (now - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"lastScheduleTime": before}
    await running.client.merge(CRON_JOBS, namespace, "tick", {"status": status}, "status")
    await running.change(CRON_JOBS, namespace, "tick", spec={"suspend": False})

    async def missed() -> bool:
        events = (await running.client.list(EVENTS, namespace))["items"]
        return any(each["reason"] == "MissSchedule" for each in events)

    await running.until(missed, "an event tells of the time that was missed")
    assert await cut(), "no Job is made so late"
    await running.change(CRON_JOBS, namespace, "tick", spec={"startingDeadlineSeconds": 7200})
    minute = int(there.replace(second=0, microsecond=0).timestamp()) // 60

    async def started() -> bool:
        return await running.client.get(JOBS, namespace, f"tick-{minute}") is not None

    await running.until(started, "with more time it is started, for its own time")


@pytest.mark.e2e
async def test_a_cron_job_whose_last_job_runs_still(running: ControlPlane) -> None:
    """Forbid lets it run and says so; Replace puts another in its place."""
    running.kubelet.outcome = lambda pod: "ready"
    namespace = await running.namespace()
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": job("x")["spec"]}}
    made = {
        "kind": "CronJob",
        "apiVersion": "batch/v1",
        "metadata": {"name": "tick"},
        "spec": {**spec, "suspend": True, "concurrencyPolicy": "Forbid"},
    }
    created = await running.client.create(CRON_JOBS, namespace, made)
    first = job("first")
    first["metadata"]["ownerReferences"] = [reference_to(created)]
    await running.client.create(JOBS, namespace, first)

    async def listed() -> bool:
        found = await running.client.get(CRON_JOBS, namespace, "tick") or {}
        return bool(found.get("status", {}).get("active"))

    await running.until(listed, "the first is listed as active")
    late = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"lastScheduleTime": late}
    await running.client.merge(CRON_JOBS, namespace, "tick", {"status": status}, "status")
    await running.change(CRON_JOBS, namespace, "tick", spec={"suspend": False})

    async def told() -> bool:
        events = (await running.client.list(EVENTS, namespace))["items"]
        return any(each["reason"] == "JobAlreadyActive" for each in events)

    await running.until(told, "an event says that the first runs still")
    jobs = (await running.client.list(JOBS, namespace))["items"]
    assert [each["metadata"]["name"] for each in jobs] == ["first"]
    await running.change(CRON_JOBS, namespace, "tick", spec={"concurrencyPolicy": "Replace"})

    async def replaced() -> bool:
        names = [
            each["metadata"]["name"]
            for each in (await running.client.list(JOBS, namespace))["items"]
        ]
        return len(names) == 1 and names[0].startswith("tick-")

    await running.until(replaced, "another runs in its place")
