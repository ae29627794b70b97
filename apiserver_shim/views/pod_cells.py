"""A pod in one line: how many containers are ready, what it is doing, how often it was restarted.

Owns: the status word, which is more than the phase. Must never do: ask for another object. The
rules are those of Kubernetes' own printer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from apiserver_shim.views.durations import parse_time, since

Object = dict[str, Any]


def pod_cells(pod: Object, now: datetime) -> list[Any]:
    """Name, Ready, Status, Restarts, Age, IP, Node, Nominated Node, Readiness Gates."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    reason, restarts, last, ready = _summary(pod)
    told = str(restarts)
    if restarts and last is not None:
        told = f"{restarts} ({since(last, now)} ago)"
    return [
        pod["metadata"]["name"],
        f"{ready}/{len(spec.get('containers', ()))}",
        reason,
        told,
        since(pod["metadata"].get("creationTimestamp"), now),
        (status.get("podIPs") or [{"ip": status.get("podIP")}])[0].get("ip") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _gates(spec, status),
    ]


def _summary(pod: Object) -> tuple[str, int, str | None, int]:
    """The status word, restarts, when the last one was, and how many containers are ready."""
    status = pod.get("status", {})
    reason = status.get("reason") or status.get("phase") or "Unknown"
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    starting, init_reason = _init_reason(pod)
    containers = status.get("containerStatuses", ())
    restarts = sum(each.get("restartCount", 0) for each in containers)
    last = _last_end(containers)
    ready = 0
    if init_reason and starting:
        init = status.get("initContainerStatuses", ())
        return (
            _deleted(pod, init_reason),
            sum(each.get("restartCount", 0) for each in init),
            _last_end(init),
            0,
        )
    has_running = False
    for each in reversed(containers):
        state = each.get("state", {})
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting and waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _terminated(terminated)
        elif each.get("ready") and "running" in state:
            has_running = True
            ready += 1
    if reason == "Completed" and has_running:
        reason = "Running" if _is_ready(status) else "NotReady"
    return _deleted(pod, reason), restarts, last, ready


def _terminated(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _init_reason(pod: Object) -> tuple[bool, str]:
    """Whether it is still at its init containers, and the word for that."""
    wanted = pod.get("spec", {}).get("initContainers", ())
    for index, each in enumerate(pod.get("status", {}).get("initContainerStatuses", ())):
        state = each.get("state", {})
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if terminated is not None:
            return True, f"Init:{_terminated(terminated)}"
        if waiting and waiting.get("reason") not in (None, "", "PodInitializing"):
            return True, f"Init:{waiting['reason']}"
        return True, f"Init:{index}/{len(wanted)}"
    return False, ""


def _deleted(pod: Object, reason: str) -> str:
    if "deletionTimestamp" not in pod["metadata"]:
        return reason
    if pod.get("status", {}).get("reason") == "NodeLost":
        return "Unknown"
    return reason if reason in ("Succeeded", "Failed", "Completed") else "Terminating"


def _last_end(containers: Iterable[Object]) -> str | None:
    ends = [
        each.get("lastState", {}).get("terminated", {}).get("finishedAt") for each in containers
    ]
    known = [end for end in ends if parse_time(end) is not None]
    return max(known, default=None)


def _is_ready(status: Object) -> bool:
    return any(
        each.get("type") == "Ready" and each.get("status") == "True"
        for each in status.get("conditions", ())
    )


def _gates(spec: Object, status: Object) -> str:
    gates = spec.get("readinessGates", ())
    if not gates:
        return "<none>"
    good = {c["type"] for c in status.get("conditions", ()) if c.get("status") == "True"}
    return f"{sum(gate.get('conditionType') in good for gate in gates)}/{len(gates)}"
