"""A pod's status, from what its containers are doing.

Owns: phase, conditions, containerStatuses, qosClass: pure functions. Must never do: change a
condition's time when nothing changed, or touch conditions that are others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.conditions import with_condition
from apiserver_shim.components.kubelet.addresses import HOST_IP
from apiserver_shim.components.kubelet.container import Container


@dataclass(frozen=True, slots=True)
class PodView:
    """What the kubelet knows of a pod beyond its spec. ``stopped``: all that ran has ended and
    nothing is started any more."""

    init: Sequence[Container]
    main: Sequence[Container]
    initialized: bool
    stopped: bool
    pod_ip: str
    started_at: str


def status_of(pod: Object, view: PodView, now: str) -> Object:
    """``pod`` as the API has it: its other conditions are kept."""
    init = [container_status(each) for each in view.init]
    main = [container_status(each) for each in view.main]
    phase = phase_of(pod, view)
    conditions = list(pod.get("status", {}).get("conditions") or ())
    finished = phase in ("Succeeded", "Failed")
    unready = [each["name"] for each in main if not each["ready"]]
    waiting = [each.name for each in view.init if each.exit_code != 0]
    completed = ("PodCompleted", "") if phase == "Succeeded" else None
    failed = ("PodFailed", "") if phase == "Failed" else None
    told = completed or failed
    for kind, good, why in (
        ("PodReadyToStartContainers", not finished, ("", "")),
        (
            "Initialized",
            view.initialized,
            ("ContainersNotInitialized", f"containers with incomplete status: {_names(waiting)}"),
        ),
        (
            "Ready",
            not unready and view.initialized and not finished,
            told or ("ContainersNotReady", f"containers with unready status: {_names(unready)}"),
        ),
        (
            "ContainersReady",
            not unready and view.initialized and not finished,
            told or ("ContainersNotReady", f"containers with unready status: {_names(unready)}"),
        ),
        ("PodScheduled", True, ("", "")),
    ):
        reason, message = ("", "") if good else why
        if kind == "Initialized" and phase == "Succeeded":
            reason = "PodCompleted"
        truth = "True" if good else "False"
        conditions = with_condition(
            conditions, kind, truth, now, reason, message, lastProbeTime=None
        )
    return {
        "phase": phase,
        "conditions": conditions,
        "hostIP": HOST_IP,
        "hostIPs": [{"ip": HOST_IP}],
        "podIP": view.pod_ip,
        "podIPs": [{"ip": view.pod_ip}],
        "startTime": view.started_at,
        **({"initContainerStatuses": init} if init else {}),
        "containerStatuses": main,
        "qosClass": qos_class(pod),
    }


def phase_of(pod: Object, view: PodView) -> str:
    """Failed and Succeeded are for ever: only when nothing is started again."""
    policy = pod["spec"].get("restartPolicy", "Always")
    failed_init = [each for each in view.init if "terminated" in each.state and each.exit_code]
    if failed_init and (policy == "Never" or view.stopped):
        return "Failed"
    ended = ["terminated" in each.state for each in view.main]
    if view.stopped:
        codes = [each.exit_code for each in view.main]
        return "Succeeded" if all(code == 0 for code in codes) else "Failed"
    if view.initialized and all(ended) and policy != "Always":
        codes = [each.exit_code for each in view.main]
        if all(code == 0 for code in codes):
            return "Succeeded"
        if policy == "Never":
            return "Failed"
    begun = [bool(each.identity) for each in view.main]
    return "Running" if view.initialized and all(begun) else "Pending"


def container_status(container: Container) -> Object:
    return {
        "name": container.name,
        "state": container.state,
        "lastState": container.last_state,
        "ready": container.ready,
        "started": container.started,
        "restartCount": container.restarts,
        "image": container.spec.get("image", ""),
        "imageID": container.spec.get("image", ""),
        "containerID": container.identity,
    }


def qos_class(pod: Object) -> str:
    """Guaranteed: every container's limits are its requests; BestEffort: nobody has any."""
    resources = [each.get("resources") or {} for each in pod["spec"]["containers"]]
    if not any(each.get("limits") or each.get("requests") for each in resources):
        return "BestEffort"
    for each in resources:
        limits = each.get("limits") or {}
        requests = {**limits, **(each.get("requests") or {})}
        if any(name not in limits or limits[name] != requests[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def _names(names: Sequence[str]) -> str:
    return f"[{' '.join(names)}]"
