"""Taints and tolerations.

Owns: which taint keeps which pod away. Must never do: know why a node is tainted.
"""

from __future__ import annotations

from collections.abc import Iterable

from apiserver_shim.components.api_client import Object

UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE_NODE = "node.kubernetes.io/unreachable"
NO_SCHEDULE, NO_EXECUTE, PREFER_NOT = "NoSchedule", "NoExecute", "PreferNoSchedule"


def taints_of(node: Object) -> list[Object]:
    return list(node.get("spec", {}).get("taints") or ())


def tolerations_of(pod: Object) -> list[Object]:
    return list(pod.get("spec", {}).get("tolerations") or ())


def tolerates(toleration: Object, taint: Object) -> bool:
    """An empty key with Exists tolerates all; an empty effect, every effect."""
    effect = toleration.get("effect")
    if effect and effect != taint["effect"]:
        return False
    key = toleration.get("key")
    if key and key != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(key) and toleration.get("value", "") == taint.get("value", "")


def untolerated(
    taints: Iterable[Object], tolerations: Iterable[Object], effects: tuple[str, ...]
) -> Object | None:
    """The first taint of these effects that none of ``tolerations`` allows."""
    allowed = list(tolerations)
    for taint in taints:
        if taint["effect"] in effects and not any(tolerates(each, taint) for each in allowed):
            return taint
    return None
