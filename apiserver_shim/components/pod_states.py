"""What can be said of a pod from its status: active, ready, available; and who goes first.

Owns: those definitions, as Kubernetes' controllers share them. Must never do: change a pod.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.clocks import moment
from apiserver_shim.components.conditions import condition, is_true
from apiserver_shim.components.ownership import is_being_deleted

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase_of(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase") or "Pending")


def is_terminal(pod: Object) -> bool:
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """It runs or may come to run."""
    return not is_terminal(pod) and not is_being_deleted(pod)


def is_ready(pod: Object) -> bool:
    return is_true(pod, "Ready")


def node_of(pod: Object) -> str:
    return str(pod.get("spec", {}).get("nodeName") or "")


def seconds_until_available(pod: Object, min_ready_s: int, now: datetime) -> float | None:
    """0 when it is available, None when it is not ready at all."""
    if not is_ready(pod):
        return None
    since = (condition(pod, "Ready") or {}).get("lastTransitionTime")
    if not min_ready_s:
        return 0.0
    if not since:
        return float(min_ready_s)
    return max(min_ready_s - (now - moment(since)).total_seconds(), 0.0)


def is_available(pod: Object, min_ready_s: int, now: datetime) -> bool:
    return seconds_until_available(pod, min_ready_s, now) == 0.0


def restarts_of(pod: Object) -> int:
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return max((int(each.get("restartCount", 0)) for each in statuses), default=0)


def deletion_rank(
    pod: Object, per_node: Mapping[str, int], now: datetime
) -> tuple[int, int, int, int, int, float, int, float, str]:
    """Pods with the smallest go first: those without a node, not running, not ready, of low cost,
    on crowded nodes (``per_node``: related active pods), ready for a shorter time, with more
    restarts, younger. Ages count by their order of magnitude, so that which of many pods of about
    the same age goes does not always hit the newest."""
    ready = is_ready(pod)
    since = (condition(pod, "Ready") or {}).get("lastTransitionTime")
    return (
        1 if node_of(pod) else 0,
        _PHASES.get(phase_of(pod), 0),
        1 if ready else 0,
        _cost(pod),
        -per_node.get(node_of(pod), 0),
        _magnitude(since, now) if ready else 0.0,
        -restarts_of(pod),
        _magnitude(pod["metadata"].get("creationTimestamp"), now),
        str(pod["metadata"].get("uid", "")),
    )


def _cost(pod: Object) -> int:
    text = str((pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0"))
    try:
        return int(text)
    except ValueError:
        return 0  # as a real controller reads what is no number


def _magnitude(since: str | None, now: datetime) -> float:
    if not since:
        return 0.0
    seconds = (now - moment(since)).total_seconds()
    return float(math.floor(math.log2(seconds + 1))) if seconds > 0 else 0.0
