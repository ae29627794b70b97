"""What a pod asks of a node: cpu, memory, pods, ports.

Owns: a pod's sums and a node's room. Must never do: compare quantities of different resources.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.quantities import quantity

Amounts = dict[str, Decimal]
PODS_PER_NODE = Decimal(110)
NONZERO = {"cpu": quantity("100m"), "memory": quantity("200Mi")}
"""What a container without requests counts for when nodes are compared."""


@dataclass(frozen=True, slots=True)
class HostPort:
    ip: str
    protocol: str
    port: int

    def conflicts(self, other: HostPort) -> bool:
        same = self.port == other.port and self.protocol == other.protocol
        return same and (self.ip == other.ip or "0.0.0.0" in (self.ip, other.ip))


def requests_of(pod: Object, least: Amounts | None = None) -> Amounts:
    """Containers together, or the largest init container where that is more; sidecars (init
    containers that go on) count with the containers. Plus the overhead."""
    spec = pod.get("spec", {})
    total: Amounts = {}
    for each in spec.get("containers") or ():
        _add(total, _of_container(each, least))
    sidecars: Amounts = {}
    largest: Amounts = {}
    for each in spec.get("initContainers") or ():
        asked = _of_container(each, least)
        if each.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            asked = dict(sidecars)
        else:
            _add(asked, sidecars)
        _most(largest, asked)
    _add(total, sidecars)
    _most(total, largest)
    _add(total, amounts(spec.get("overhead")))
    return total


def amounts(named: Object | None) -> Amounts:
    return {name: quantity(text) for name, text in (named or {}).items()}


def allocatable(node: Object) -> Amounts:
    """A resource that a node does not name it does not have, but for room for pods."""
    status = node.get("status", {})
    found = amounts(status.get("allocatable") or status.get("capacity"))
    found.setdefault("pods", PODS_PER_NODE)
    return found


def host_ports(pod: Object) -> list[HostPort]:
    spec = pod.get("spec", {})
    found: list[HostPort] = []
    for container in spec.get("containers") or ():
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (
                port.get("containerPort") if spec.get("hostNetwork") else 0
            )
            if number:
                ip = port.get("hostIP") or "0.0.0.0"
                found.append(HostPort(ip, port.get("protocol", "TCP"), int(number)))
    return found


def together(asked: Iterable[Amounts]) -> Amounts:
    """Of pods: their sum, and their number."""
    total: Amounts = {"pods": Decimal(0)}
    for each in asked:
        _add(total, each)
        total["pods"] += 1
    return total


def _of_container(container: Object, least: Amounts | None) -> Amounts:
    """Its requests; what has a limit only asks for that."""
    resources = container.get("resources") or {}
    found = amounts(resources.get("limits")) | amounts(resources.get("requests"))
    return {**(least or {}), **found}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Decimal(0)) + amount


def _most(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        total[name] = max(total.get(name, Decimal(0)), amount)
