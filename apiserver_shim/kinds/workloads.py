"""Deployments and what else keeps pods running; jobs and cron jobs.

Owns: their defaults and their rules. Must never do: look at other objects. Values and words:
apps/v1's and batch/v1's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from apiserver_shim.api.status import Cause
from apiserver_shim.kinds.causes import (
    at,
    forbidden,
    immutable,
    required,
    unsupported,
    wrong,
)
from apiserver_shim.kinds.places import fill
from apiserver_shim.kinds.pods import (
    default_pod_spec,
    labels_match,
    mismatch,
    template_violations,
)

Object = dict[str, Any]
Rule = Callable[[Object, Object | None], Iterator[Cause]]
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
_OLD_NAMES = {CONTROLLER_UID: "controller-uid", JOB_NAME: "job-name"}
_SPEC: dict[str, dict[str, Any]] = {
    "Deployment": {
        "spec.replicas": 1,
        "spec.strategy": {},
        "spec.strategy.type": "RollingUpdate",
        "spec.revisionHistoryLimit": 10,
        "spec.progressDeadlineSeconds": 600,
    },
    "ReplicaSet": {"spec.replicas": 1},
    "ReplicationController": {"spec.replicas": 1},
    "DaemonSet": {
        "spec.updateStrategy": {},
        "spec.updateStrategy.type": "RollingUpdate",
        "spec.revisionHistoryLimit": 10,
    },
    "StatefulSet": {
        "spec.replicas": 1,
        "spec.podManagementPolicy": "OrderedReady",
        "spec.updateStrategy": {},
        "spec.updateStrategy.type": "RollingUpdate",
        "spec.revisionHistoryLimit": 10,
        "spec.persistentVolumeClaimRetentionPolicy": {},
        "spec.persistentVolumeClaimRetentionPolicy.whenDeleted": "Retain",
        "spec.persistentVolumeClaimRetentionPolicy.whenScaled": "Retain",
        "spec.volumeClaimTemplates[].kind": "PersistentVolumeClaim",
        "spec.volumeClaimTemplates[].apiVersion": "v1",
        "spec.volumeClaimTemplates[].spec.volumeMode": "Filesystem",
        "spec.volumeClaimTemplates[].status": {"phase": "Pending"},
    },
    "CronJob": {
        "spec.concurrencyPolicy": "Allow",
        "spec.suspend": False,
        "spec.successfulJobsHistoryLimit": 3,
        "spec.failedJobsHistoryLimit": 1,
    },
    "Job": {
        "spec.parallelism": 1,
        "spec.backoffLimit": 6,
        "spec.completionMode": "NonIndexed",
        "spec.suspend": False,
    },
}
_ROLLING: dict[str, tuple[str, Object]] = {
    "Deployment": ("strategy", {"maxUnavailable": "25%", "maxSurge": "25%"}),
    "DaemonSet": ("updateStrategy", {"maxUnavailable": 1, "maxSurge": 0}),
    "StatefulSet": ("updateStrategy", {"partition": 0}),
}


def default_workload(obj: Object, old: Object | None) -> None:
    kind, spec = obj.get("kind", ""), obj.get("spec")
    if not isinstance(spec, dict):
        return
    if kind == "Job" and spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill(obj, _SPEC[kind])
    if kind in _ROLLING:
        name, values = _ROLLING[kind]
        if spec[name].get("type") == "RollingUpdate":
            rolling = spec[name].setdefault("rollingUpdate", {})
            fill(rolling, values)
    template = spec.get("template") or at(spec, "jobTemplate.spec.template")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        default_pod_spec(template["spec"])
    if kind == "ReplicationController":
        labels = at(spec, "template.metadata.labels", {})
        spec.setdefault("selector", dict(labels))
        if labels and not at(obj, "metadata.labels"):
            obj["metadata"]["labels"] = dict(labels)
    if kind == "Job":
        failed = "podFailurePolicy" in spec
        spec.setdefault("podReplacementPolicy", "Failed" if failed else "TerminatingOrFailed")
        if old is None:
            _select_own_pods(obj, spec)


def _select_own_pods(obj: Object, spec: Object) -> None:
    """A job's pods carry its uid; a selector of the user's own only if he says so."""
    if spec.get("manualSelector"):
        return
    own = {CONTROLLER_UID: obj["metadata"]["uid"], JOB_NAME: obj["metadata"]["name"]}
    metadata = spec.setdefault("template", {}).setdefault("metadata", {})
    labels = metadata.setdefault("labels", {})
    for name, value in own.items():
        labels.setdefault(name, value)
        labels.setdefault(_OLD_NAMES[name], value)
    if not spec.get("selector"):
        spec["selector"] = {"matchLabels": {CONTROLLER_UID: own[CONTROLLER_UID]}}


# --- rules --------------------------------------------------------------------------------------


def workload_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    kind, spec = new.get("kind", ""), new.get("spec") or {}
    template = spec.get("template") or {}
    labels = at(template, "metadata.labels", {})
    yield from _not_negative(spec, ("replicas", "minReadySeconds", "revisionHistoryLimit"))
    selector = spec.get("selector")
    if kind == "ReplicationController":
        selector = {"matchLabels": selector or {}}
        if not selector["matchLabels"]:
            yield required("spec.selector")
        elif not labels_match(selector, labels):
            yield mismatch(labels, "spec.template")
    elif not selector or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        if selector is None:
            yield required("spec.selector")
        else:
            words = f"empty selector is invalid for {kind.lower()}"
            yield wrong("spec.selector", selector, words)
    elif not labels_match(selector, labels):
        yield mismatch(labels, "spec.template")
    claims = frozenset(str(at(each, "metadata.name", "")) for each in _claims_of(spec))
    yield from template_violations(template, "spec.template", claims=claims)
    yield from _strategy_violations(kind, spec)
    if old is None:
        return
    if kind != "ReplicationController":
        yield from immutable("spec.selector", new, old)
    if kind == "StatefulSet":
        yield from _stateful_set_update(spec, old.get("spec") or {})


def _not_negative(spec: Object, names: tuple[str, ...]) -> Iterator[Cause]:
    for name in names:
        value = spec.get(name)
        if isinstance(value, int) and value < 0:
            yield wrong(f"spec.{name}", value, "must be greater than or equal to 0")


def _claims_of(spec: Object) -> list[Object]:
    """A StatefulSet's: each of its pods gets a volume of the claim's name."""
    return [each for each in spec.get("volumeClaimTemplates") or () if isinstance(each, dict)]


def _strategy_violations(kind: str, spec: Object) -> Iterator[Cause]:
    name = _ROLLING[kind][0] if kind in _ROLLING else ""
    if not name:
        return
    strategy = spec.get(name) or {}
    kinds = {
        "Deployment": ("Recreate", "RollingUpdate"),
        "DaemonSet": ("RollingUpdate", "OnDelete"),
        "StatefulSet": ("RollingUpdate", "OnDelete"),
    }[kind]
    if strategy.get("type") not in kinds:
        yield unsupported(f"spec.{name}.type", strategy.get("type", ""), kinds)
    rolling = strategy.get("rollingUpdate")
    where = f"spec.{name}.rollingUpdate"
    if strategy.get("type") != "RollingUpdate":
        if rolling and kind == "Deployment":
            words = f"may not be specified when strategy `type` is '{strategy.get('type')}'"
            yield forbidden(where, words)
        if rolling and kind == "StatefulSet":
            yield wrong(where, rolling, "only allowed for updateStrategy 'RollingUpdate'")
        return  # a DaemonSet may keep its numbers
    for each in ("maxUnavailable", "maxSurge"):
        value = (rolling or {}).get(each)
        if isinstance(value, str) and not re.match(r"^[0-9]+%$", value):
            words = (
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. "
                "'1%',  or '93%', regex used for validation is '[0-9]+%')"
            )
            yield wrong(f"{where}.{each}", value, words)
    if (
        kind == "Deployment"
        and rolling
        and all(str(rolling.get(each)) in ("0", "0%") for each in ("maxUnavailable", "maxSurge"))
    ):
        words = "may not be 0 when `maxSurge` is 0"
        yield wrong(f"{where}.maxUnavailable", rolling["maxUnavailable"], words)


def _stateful_set_update(new: Object, old: Object) -> Iterator[Cause]:
    free = (
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
        "selector",
    )
    if {k: v for k, v in new.items() if k not in free} != {
        k: v for k, v in old.items() if k not in free
    }:
        yield forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
            "'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        )


_JOB_RESTART = ("OnFailure", "Never")


def job_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    yield from _not_negative(
        spec, ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds")
    )
    if spec.get("completionMode") not in ("NonIndexed", "Indexed"):
        modes = ("NonIndexed", "Indexed")
        yield unsupported("spec.completionMode", spec.get("completionMode"), modes)
    template = spec.get("template") or {}
    yield from template_violations(template, "spec.template", _JOB_RESTART)
    labels = at(template, "metadata.labels", {})
    if spec.get("selector") and not labels_match(spec["selector"], labels):
        yield mismatch(labels, "spec.template")
    if old is None:
        return
    names = ["selector", "completionMode"]
    if not (old.get("spec") or {}).get("suspend"):
        names.append("template")
    if spec.get("completionMode") != "Indexed":
        names.append("completions")
    for name in names:
        yield from immutable(f"spec.{name}", new, old)


def cron_job_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    schedule = spec.get("schedule", "")
    if not schedule:
        yield required("spec.schedule")
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        words = f"expected exactly 5 fields, found {len(schedule.split())}: {schedule.split()}"
        yield wrong("spec.schedule", schedule, words)
    policies = ("Allow", "Forbid", "Replace")
    if spec.get("concurrencyPolicy") not in policies:
        yield unsupported("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), policies)
    template = at(spec, "jobTemplate.spec.template", {})
    yield from template_violations(template, "spec.jobTemplate.spec.template", _JOB_RESTART)
