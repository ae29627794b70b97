"""The cluster roles and bindings that every cluster has, as data.

Owns: those of users, of discovery, and the ones that admin, edit and view are summed of. Must never
do: write them; ``reconciling`` does. Names, labels and rules are Kubernetes' own.
"""

from __future__ import annotations

from typing import Any

GROUP = "rbac.authorization.k8s.io"
API_VERSION = f"{GROUP}/v1"
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
ANNOTATIONS = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
ALL = (*READ, *WRITE)

Object = dict[str, Any]
_SUMMED = "rbac.authorization.k8s.io/aggregate-to-"


def rule(groups: str, resources: str, *verbs: str, names: tuple[str, ...] = ()) -> Object:
    """``groups`` and ``resources`` are words with spaces between; "core" is the group ""."""
    made: Object = {
        "verbs": list(verbs),
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
    }
    return made | ({"resourceNames": list(names)} if names else {})


def paths(*urls: str) -> Object:
    return {"verbs": ["get"], "nonResourceURLs": list(urls)}


def cluster_role(name: str, *rules: Object, labels: dict[str, str] | None = None) -> Object:
    return {
        "kind": "ClusterRole",
        "apiVersion": API_VERSION,
        "metadata": {
            "name": name,
            "labels": LABELS | (labels or {}),
            "annotations": dict(ANNOTATIONS),
        },
        "rules": list(rules),
    }


def cluster_binding(name: str, role: str, *subjects: Object) -> Object:
    return {
        "kind": "ClusterRoleBinding",
        "apiVersion": API_VERSION,
        "metadata": {"name": name, "labels": dict(LABELS), "annotations": dict(ANNOTATIONS)},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": list(subjects),
    }


def user(name: str) -> Object:
    return {"kind": "User", "apiGroup": GROUP, "name": name}


def group(name: str) -> Object:
    return {"kind": "Group", "apiGroup": GROUP, "name": name}


def account(namespace: str, name: str) -> Object:
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


_APPS = "daemonsets deployments replicasets statefulsets"
_SCALES = "deployments/scale replicasets/scale statefulsets/scale"
_RULES: dict[str, tuple[Object, ...]] = {
    "admin": (
        rule("authorization.k8s.io", "localsubjectaccessreviews", "create"),
        rule(GROUP, "roles rolebindings", *ALL),
    ),
    "edit": (
        rule("core", "pods/attach pods/exec pods/portforward pods/proxy services/proxy", *READ),
        rule("core", "secrets", *READ),
        rule("core", "serviceaccounts", "impersonate"),
        rule("core", "pods pods/attach pods/exec pods/portforward pods/proxy", *WRITE),
        rule("core", "pods/eviction serviceaccounts/token", "create"),
        rule(
            "core",
            "configmaps events persistentvolumeclaims replicationcontrollers "
            "replicationcontrollers/scale secrets serviceaccounts services services/proxy",
            *WRITE,
        ),
        rule("apps", f"{_APPS} deployments/rollback {_SCALES}", *WRITE),
        rule("autoscaling", "horizontalpodautoscalers", *WRITE),
        rule("batch", "cronjobs jobs", *WRITE),
        rule("policy", "poddisruptionbudgets", *WRITE),
        rule("networking.k8s.io", "ingresses networkpolicies", *WRITE),
        rule("coordination.k8s.io", "leases", *ALL),
    ),
    "view": (
        rule(
            "core",
            "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
            "replicationcontrollers replicationcontrollers/scale serviceaccounts services "
            "services/status",
            *READ,
        ),
        rule(
            "core",
            "bindings events limitranges namespaces/status pods/log pods/status "
            "replicationcontrollers/status resourcequotas resourcequotas/status",
            *READ,
        ),
        rule("core", "namespaces", *READ),
        rule("discovery.k8s.io", "endpointslices", *READ),
        rule(
            "apps",
            f"controllerrevisions {_APPS} {_SCALES} daemonsets/status deployments/status "
            "replicasets/status statefulsets/status",
            *READ,
        ),
        rule("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", *READ),
        rule("batch", "cronjobs cronjobs/status jobs jobs/status", *READ),
        rule("policy", "poddisruptionbudgets poddisruptionbudgets/status", *READ),
        rule("networking.k8s.io", "ingresses ingresses/status networkpolicies", *READ),
    ),
}


def _sum(name: str, *parts: str, more: tuple[str, ...] = ()) -> Object:
    """A role that is whatever the roles labelled for it are; its own rules, those of ``parts``, are
    there to be read only. ``more``: labels of its own."""
    rules = [each for part in parts for each in _RULES[part]]
    role = cluster_role(name, *rules, labels={_SUMMED + each: "true" for each in more})
    selector = {"matchLabels": {_SUMMED + name: "true"}}
    return {**role, "aggregationRule": {"clusterRoleSelectors": [selector]}}


def _part(name: str) -> Object:
    labels = {_SUMMED + name: "true"}
    return cluster_role(f"system:aggregate-to-{name}", *_RULES[name], labels=labels)


_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_PUBLIC)

USERS = (
    cluster_role(
        "cluster-admin",
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ),
    cluster_role("system:discovery", paths(*_DISCOVERY)),
    cluster_role(
        "system:public-info-viewer", paths(*_PUBLIC, "/livez/*", "/readyz/*", "/healthz/*")
    ),
    cluster_role(
        "system:monitoring",
        paths("/metrics", "/livez", "/livez/*", "/readyz", "/readyz/*", "/healthz", "/healthz/*"),
    ),
    cluster_role(
        "system:basic-user",
        rule(
            "authorization.k8s.io",
            "selfsubjectaccessreviews selfsubjectrulesreviews",
            "create",
        ),
        rule("authentication.k8s.io", "selfsubjectreviews", "create"),
    ),
    cluster_role(
        "system:auth-delegator",
        rule("authentication.k8s.io", "tokenreviews", "create"),
        rule("authorization.k8s.io", "subjectaccessreviews", "create"),
    ),
    _sum("admin", "admin", "edit", "view"),
    _sum("edit", "edit", "view", more=("admin",)),
    _sum("view", "view", more=("edit",)),
    _part("admin"),
    _part("edit"),
    _part("view"),
)
USER_BINDINGS = (
    cluster_binding("cluster-admin", "cluster-admin", group("system:masters")),
    cluster_binding("system:discovery", "system:discovery", group("system:authenticated")),
    cluster_binding("system:basic-user", "system:basic-user", group("system:authenticated")),
    cluster_binding(
        "system:public-info-viewer",
        "system:public-info-viewer",
        group("system:authenticated"),
        group("system:unauthenticated"),
    ),
    cluster_binding("system:monitoring", "system:monitoring", group("system:monitoring")),
)
