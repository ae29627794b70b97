"""What governs the others: RBAC, priorities, budgets, autoscalers, ingresses, network policies.

Owns: their defaults and their rules. Must never do: look at other objects.
"""

from __future__ import annotations

from collections.abc import Iterator
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

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
USER_PRIORITY_MAX = 1_000_000_000
_CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}


def default_binding(obj: Object, old: Object | None) -> None:
    """A RoleBinding or ClusterRoleBinding."""
    if isinstance(obj.get("roleRef"), dict):
        fill(obj["roleRef"], {"apiGroup": RBAC})
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            fill(subject, {"apiGroup": RBAC})


def default_autoscaler(obj: Object, old: Object | None) -> None:
    if isinstance(obj.get("spec"), dict):
        fill(obj, {"spec.minReplicas": 1, "spec.metrics": [_CPU]})


def default_network_policy(obj: Object, old: Object | None) -> None:
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    fill(spec, {"policyTypes": types})
    for way in ("ingress", "egress"):
        fill(spec, {f"{way}[].ports[].protocol": "TCP"})


def binding_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    role = new.get("roleRef") or {}
    kinds = ("ClusterRole",) if new.get("kind") == "ClusterRoleBinding" else ("Role", "ClusterRole")
    if role.get("apiGroup") != RBAC:
        yield unsupported("roleRef.apiGroup", role.get("apiGroup", ""), (RBAC,))
    if role.get("kind") not in kinds:
        yield unsupported("roleRef.kind", role.get("kind", ""), kinds)
    if not role.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(new.get("subjects") or ()):
        where = f"subjects[{index}]"
        if not subject.get("name"):
            yield required(f"{where}.name")
        kind = subject.get("kind")
        if kind not in ("ServiceAccount", "User", "Group"):
            yield unsupported(f"{where}.kind", kind or "", ("ServiceAccount", "User", "Group"))
        elif (
            kind == "ServiceAccount"
            and not subject.get("namespace")
            and new.get("kind") == "ClusterRoleBinding"
        ):
            yield required(f"{where}.namespace")
    if old is not None and role != old.get("roleRef"):
        yield wrong("roleRef", role, "cannot change roleRef")


def role_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    for index, rule in enumerate(new.get("rules") or ()):
        where = f"rules[{index}]"
        if not rule.get("verbs"):
            yield required(f"{where}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if new.get("kind") == "Role":
                words = "namespaced rules cannot apply to non-resource URLs"
                yield wrong(f"{where}.nonResourceURLs", rule["nonResourceURLs"], words)
            continue
        if not rule.get("apiGroups"):
            words = "resource rules must supply at least one api group"
            yield required(f"{where}.apiGroups", words)
        if not rule.get("resources"):
            words = "resource rules must supply at least one resource"
            yield required(f"{where}.resources", words)


def priority_class_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    value, name = new.get("value", 0), new["metadata"]["name"]
    if name.startswith("system-"):
        if name not in ("system-cluster-critical", "system-node-critical"):
            words = "priority class names with 'system-' prefix are reserved for system use only"
            yield forbidden("metadata.name", words)
    elif value > USER_PRIORITY_MAX:
        words = f"maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}"
        yield forbidden("value", words)
    if old is not None:
        if value != old.get("value", 0):
            yield forbidden("Value", "may not be changed in an update.")
        yield from immutable("preemptionPolicy", new, old)


def budget_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        words = "minAvailable and maxUnavailable cannot be both set"
        yield wrong("spec", {k: spec[k] for k in ("minAvailable", "maxUnavailable")}, words)


def autoscaler_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if least < 1:
        yield wrong("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield wrong("spec.maxReplicas", most, "must be greater than 0")
    elif most < least:
        yield wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    for name in ("kind", "name"):
        if not at(spec, f"scaleTargetRef.{name}"):
            yield required(f"spec.scaleTargetRef.{name}")


def ingress_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        words = "either `defaultBackend` or `rules` must be specified"
        yield wrong("spec", {}, words)
    kinds = ("Exact", "ImplementationSpecific", "Prefix")
    for number, rule in enumerate(spec.get("rules") or ()):
        for index, path in enumerate(at(rule, "http.paths", ())):
            where = f"spec.rules[{number}].http.paths[{index}]"
            kind, value = path.get("pathType"), path.get("path", "")
            if kind is None:
                yield required(f"{where}.pathType", "pathType must be specified")
            elif kind not in kinds:
                yield unsupported(f"{where}.pathType", kind, kinds)
            elif kind != "ImplementationSpecific" and not value.startswith("/"):
                yield wrong(f"{where}.path", value, "must be an absolute path")
