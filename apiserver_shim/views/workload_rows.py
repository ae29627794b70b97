"""What `kubectl get` shows of what runs containers.

Owns: the rows of pods, of apps and of batch. Must never do: ask for another object.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver_shim.views.cells import (
    NONE,
    UNSET,
    Object,
    containers_of,
    labels_of,
    look,
    selector_of,
)
from apiserver_shim.views.durations import human, parse_time, since
from apiserver_shim.views.pod_cells import pod_cells
from apiserver_shim.views.row import Row, columns

_CONTAINERS = ("Containers", "Images", "Selector")


def _name(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return name


def _age(obj: Object, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def _tail(obj: Object) -> list[Any]:
    return [*containers_of(obj), selector_of(look(obj, "spec.selector"))]


def _deployment(obj: Object, now: datetime) -> list[Any]:
    ready, wanted = look(obj, "status.readyReplicas", 0), look(obj, "spec.replicas", 1)
    updated = look(obj, "status.updatedReplicas", 0)
    available = look(obj, "status.availableReplicas", 0)
    return [_name(obj), f"{ready}/{wanted}", updated, available, _age(obj, now), *_tail(obj)]


def _replica_set(obj: Object, now: datetime) -> list[Any]:
    counts = [look(obj, path, 0) for path in ("status.replicas", "status.readyReplicas")]
    return [_name(obj), look(obj, "spec.replicas", 1), *counts, _age(obj, now), *_tail(obj)]


def _daemon_set(obj: Object, now: datetime) -> list[Any]:
    names = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    counts = [look(obj, f"status.{name}", 0) for name in names]
    where = labels_of(look(obj, "spec.template.spec.nodeSelector"))
    return [_name(obj), *counts, where, _age(obj, now), *_tail(obj)]


def _stateful_set(obj: Object, now: datetime) -> list[Any]:
    ready, wanted = look(obj, "status.readyReplicas", 0), look(obj, "spec.replicas", 1)
    return [_name(obj), f"{ready}/{wanted}", _age(obj, now), *containers_of(obj)]


def _job(obj: Object, now: datetime) -> list[Any]:
    done = look(obj, "status.succeeded", 0)
    wanted = look(obj, "spec.completions")
    if wanted is None:
        parallel = look(obj, "spec.parallelism", 0)
        wanted = f"1 of {parallel}" if parallel > 1 else 1
    began = parse_time(look(obj, "status.startTime"))
    ended = parse_time(look(obj, "status.completionTime")) or now
    duration = "" if began is None else human((ended - began).total_seconds())
    return [_name(obj), _job_status(obj), f"{done}/{wanted}", duration, _age(obj, now), *_tail(obj)]


def _job_status(obj: Object) -> str:
    good = {c["type"] for c in look(obj, "status.conditions", ()) if c.get("status") == "True"}
    for condition, word in (
        ("Complete", "Complete"),
        ("Failed", "Failed"),
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ):
        if condition in good:
            return word
    return "Terminating" if "deletionTimestamp" in obj["metadata"] else "Running"


def _cron_job(obj: Object, now: datetime) -> list[Any]:
    last = look(obj, "status.lastScheduleTime")
    names, images = containers_of(obj, "spec.jobTemplate.spec.template.spec")
    return [
        _name(obj),
        look(obj, "spec.schedule", ""),
        look(obj, "spec.timeZone", NONE),
        str(look(obj, "spec.suspend", UNSET)),
        len(look(obj, "status.active", ())),
        since(last, now) if last else NONE,
        _age(obj, now),
        names,
        images,
        selector_of(look(obj, "spec.jobTemplate.spec.selector")),
    ]


def _controller_revision(obj: Object, now: datetime) -> list[Any]:
    owners = [each for each in look(obj, "metadata.ownerReferences", ()) if each.get("controller")]
    owner = NONE
    if owners:
        group = owners[0]["apiVersion"].rpartition("/")[0]
        kind = owners[0]["kind"].lower()
        owner = f"{kind}{'.' + group if group else ''}/{owners[0]['name']}"
    return [_name(obj), owner, look(obj, "revision", 0), _age(obj, now)]


def _pod_template(obj: Object, now: datetime) -> list[Any]:
    labels = labels_of(look(obj, "template.metadata.labels"))
    return [_name(obj), *containers_of(obj, "template.spec"), labels]


def _autoscaler(obj: Object, now: datetime) -> list[Any]:
    scaled = look(obj, "spec.scaleTargetRef", {})
    return [
        _name(obj),
        f"{scaled.get('kind', '')}/{scaled.get('name', '')}",
        "<unknown>" if look(obj, "spec.metrics") else NONE,
        str(look(obj, "spec.minReplicas", UNSET)),
        look(obj, "spec.maxReplicas", 0),
        look(obj, "status.currentReplicas", 0),
        _age(obj, now),
    ]


_REPLICAS = Row(
    columns("Name", "Desired#", "Current#", "Ready#", "Age", wide=_CONTAINERS), _replica_set
)
WORKLOAD_ROWS: dict[tuple[str, str], Row] = {
    ("", "Pod"): Row(
        columns(
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            wide=("IP", "Node", "Nominated Node", "Readiness Gates"),
        ),
        pod_cells,
    ),
    ("", "PodTemplate"): Row(columns("Name", "Containers", "Images", "Pod Labels"), _pod_template),
    ("", "ReplicationController"): _REPLICAS,
    ("apps", "ReplicaSet"): _REPLICAS,
    ("apps", "Deployment"): Row(
        columns("Name", "Ready", "Up-to-date#", "Available#", "Age", wide=_CONTAINERS), _deployment
    ),
    ("apps", "DaemonSet"): Row(
        columns(
            "Name",
            "Desired#",
            "Current#",
            "Ready#",
            "Up-to-date#",
            "Available#",
            "Node Selector",
            "Age",
            wide=_CONTAINERS,
        ),
        _daemon_set,
    ),
    ("apps", "StatefulSet"): Row(
        columns("Name", "Ready", "Age", wide=("Containers", "Images")), _stateful_set
    ),
    ("apps", "ControllerRevision"): Row(
        columns("Name", "Controller", "Revision#", "Age"), _controller_revision
    ),
    ("batch", "Job"): Row(
        columns("Name", "Status", "Completions", "Duration", "Age", wide=_CONTAINERS), _job
    ),
    ("batch", "CronJob"): Row(
        columns(
            "Name",
            "Schedule",
            "Timezone",
            "Suspend",
            "Active#",
            "Last Schedule",
            "Age",
            wide=_CONTAINERS,
        ),
        _cron_job,
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): Row(
        columns("Name", "Reference", "Targets", "MinPods", "MaxPods#", "Replicas#", "Age"),
        _autoscaler,
    ),
}
