"""The pods behind a Service: their addresses, ports and readiness.

Owns: what Endpoints and EndpointSlices have in common. Must never do: write.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.controllers.surroundings import Controller
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.label_selector import selects
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.pod_states import is_ready, is_terminal, node_of

Port = tuple[str, int, str]
"""Name, number, protocol."""


@dataclass(frozen=True)
class Backend:
    """``ready``: traffic may go there. ``serving``: it could, though it may be on its way out."""

    ip: str
    node: str
    hostname: str
    ports: tuple[Port, ...]
    ready: bool
    serving: bool
    terminating: bool
    target: Object


def is_headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def backends_of(
    service: Object, pods: Iterable[Object], *, terminating: bool = False
) -> list[Backend]:
    """By name. Without ``terminating`` only those that stay."""
    spec = service["spec"]
    anyway = bool(spec.get("publishNotReadyAddresses"))
    found: list[Backend] = []
    for pod in sorted(pods, key=lambda each: str(each["metadata"]["name"])):
        ip, going = pod.get("status", {}).get("podIP"), is_being_deleted(pod)
        fits = selects({"matchLabels": spec["selector"]}, pod["metadata"].get("labels"))
        if not fits or not ip or is_terminal(pod) or (going and not (terminating or anyway)):
            continue
        metadata = pod["metadata"]
        subdomain = pod["spec"].get("subdomain") == service["metadata"]["name"]
        found.append(
            Backend(
                ip=ip,
                node=node_of(pod),
                hostname=str(pod["spec"].get("hostname") or "") if subdomain else "",
                ports=ports_of(service, pod),
                ready=anyway or (is_ready(pod) and not going),
                serving=is_ready(pod),
                terminating=going,
                target={
                    "kind": "Pod",
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
            )
        )
    return found


def ports_of(service: Object, pod: Object) -> tuple[Port, ...]:
    """A targetPort by name is looked up in the pod: it may differ from pod to pod."""
    found: list[Port] = []
    for port in service["spec"].get("ports") or ():
        protocol = str(port.get("protocol", "TCP"))
        number = _number(port.get("targetPort") or port["port"], protocol, pod)
        if number is not None:
            found.append((str(port.get("name") or ""), number, protocol))
    return tuple(found)


def _number(target: int | str, protocol: str, pod: Object) -> int | None:
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            same = port.get("name") == target and port.get("protocol", "TCP") == protocol
            if same:
                return int(port["containerPort"])
    return int(target) if target.isdigit() else None


def follow_backends(controller: Controller, services: Informer, pods: Informer) -> None:
    """Look at a Service when a pod that it selects, or did select, changes."""

    def changed(old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _shown(old) == _shown(new):
            return
        for pod in (old, new):
            if pod is None:
                continue
            for service in services.of(pod["metadata"].get("namespace", "")):
                selector = service["spec"].get("selector")
                if selector and selects({"matchLabels": selector}, pod["metadata"].get("labels")):
                    controller.add(service)

    pods.listen(changed)


def _shown(pod: Object) -> tuple[object, ...]:
    return (
        pod.get("status", {}).get("podIP"),
        is_ready(pod),
        is_terminal(pod),
        is_being_deleted(pod),
        node_of(pod),
        pod["metadata"].get("labels"),
        pod["metadata"]["uid"],
    )
