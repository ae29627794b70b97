"""A Deployment's status: counts, and the conditions Available and Progressing.

Owns: what `kubectl rollout status` reads. Must never do: write, or change anything but the status.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.clocks import Clock, moment
from apiserver_shim.components.conditions import condition, with_condition, without_condition
from apiserver_shim.components.controllers.deployments.rolling import Limits

AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
SET_AVAILABLE = "NewReplicaSetAvailable"
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
PROGRESS_DEADLINE_S = 600
NO_DEADLINE_S = 2**31 - 1


def count(sets: Sequence[Object], name: str) -> int:
    return sum(int(each.get("status", {}).get(name, 0)) for each in sets)


def counts(deployment: Object, sets: Sequence[Object], newest: Object | None) -> Object:
    """The status without conditions; zeros are left out, as Kubernetes does."""
    asked = sum(int(each["spec"].get("replicas", 1)) for each in sets)
    available = count(sets, "availableReplicas")
    found = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": count(sets, "replicas"),
        "updatedReplicas": count([newest] if newest else [], "replicas"),
        "readyReplicas": count(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(asked - available, 0),
    }
    status = {name: number for name, number in found.items() if number}
    before = deployment.get("status", {})
    if "collisionCount" in before:
        status["collisionCount"] = before["collisionCount"]
    return status


def conditions(
    deployment: Object,
    sets: Sequence[Object],
    newest: Object | None,
    status: Object,
    most: Limits,
    clock: Clock,
) -> list[Object]:
    wanted = wanted_of(deployment)
    told = list(deployment.get("status", {}).get("conditions") or ())
    if status.get("availableReplicas", 0) >= wanted - most.unavailable:
        told = _set(
            told,
            clock,
            AVAILABLE,
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    else:
        told = _set(
            told,
            clock,
            AVAILABLE,
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    if has_deadline(deployment):
        told = _progress(deployment, newest, status, told, clock)
    else:
        told = without_condition(told, PROGRESSING)
    failed = [f for each in sets if (f := condition(each, FAILURE)) is not None]
    if failed:
        told = _set(told, clock, FAILURE, "True", failed[0]["reason"], failed[0]["message"])
    else:
        told = without_condition(told, FAILURE)
    return told


def _progress(
    deployment: Object, newest: Object | None, status: Object, told: list[Object], clock: Clock
) -> list[Object]:
    current = next((each for each in told if each["type"] == PROGRESSING), None)
    before = deployment.get("status", {})
    done = (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and current is not None
        and current.get("reason") == SET_AVAILABLE
    )
    if done and is_complete(deployment, status):
        return told
    name = f'ReplicaSet "{newest["metadata"]["name"]}"' if newest else "Deployment"
    if newest is None and not is_complete(deployment, status) and current is not None:
        return told
    if is_complete(deployment, status):
        text = f"{name} has successfully progressed."
        return _set(told, clock, PROGRESSING, "True", SET_AVAILABLE, text)
    if _has_moved(before, status):
        text = f"{name} is progressing."
        return _set(told, clock, PROGRESSING, "True", "ReplicaSetUpdated", text, moved=True)
    if seconds_to_deadline(deployment, told, clock) == 0:
        text = f"{name} has timed out progressing."
        return _set(told, clock, PROGRESSING, "False", DEADLINE_EXCEEDED, text)
    return told


def say_progress(deployment: Object, clock: Clock, reason: str, message: str) -> list[Object]:
    """Its conditions after a step that is told by itself: a set made or found, a pause."""
    told = list(deployment.get("status", {}).get("conditions") or ())
    status = "Unknown" if reason in ("DeploymentPaused", "DeploymentResumed") else "True"
    return _set(told, clock, PROGRESSING, status, reason, message)


def is_complete(deployment: Object, status: Object) -> bool:
    wanted = wanted_of(deployment)
    return bool(
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def seconds_to_deadline(deployment: Object, told: Sequence[Object], clock: Clock) -> float | None:
    """0 when it is over; None where there is none to wait for."""
    current = next((each for each in told if each["type"] == PROGRESSING), None)
    if current is None or not has_deadline(deployment) or deployment["spec"].get("paused"):
        return None
    if current.get("reason") == SET_AVAILABLE:
        return None
    if current.get("reason") == DEADLINE_EXCEEDED:
        return 0.0
    since = current.get("lastUpdateTime") or current["lastTransitionTime"]
    passed = (clock.now() - moment(since)).total_seconds()
    return float(max(_deadline_s(deployment) - passed, 0.0))


def wanted_of(deployment: Object) -> int:
    found = deployment["spec"].get("replicas")
    return 1 if found is None else int(found)


def _deadline_s(deployment: Object) -> int:
    return int(deployment["spec"].get("progressDeadlineSeconds") or PROGRESS_DEADLINE_S)


def has_deadline(deployment: Object) -> bool:
    return _deadline_s(deployment) != NO_DEADLINE_S


def _has_moved(before: Object, now: Object) -> bool:
    def old(status: Object) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old(now) < old(before) or any(now.get(n, 0) > before.get(n, 0) for n in grown)


def _set(
    told: list[Object],
    clock: Clock,
    kind: str,
    status: str,
    reason: str,
    message: str,
    *,
    moved: bool = False,
) -> list[Object]:
    """``moved``: lastUpdateTime is now even though nothing else differs."""
    now = clock.stamp()
    if moved:
        told = [dict(each, lastUpdateTime=now) if each["type"] == kind else each for each in told]
    return with_condition(told, kind, status, now, reason, message, lastUpdateTime=now)
