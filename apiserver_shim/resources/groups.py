"""The kinds of the named API groups, as rows.

Owns: what is particular to each. Must never do: list what the server does not serve.
"""

from __future__ import annotations

from apiserver_shim.resources.resource import Resource

_ALL = ("all",)
_STATUS = ("status",)
_SCALED = ("status", "scale")


def _row(group: str, plural: str, kind: str, *, version: str = "v1", **rest: object) -> Resource:
    return Resource(group, version, plural, kind, **rest)  # type: ignore[arg-type]


_APPS = (
    _row("apps", "controllerrevisions", "ControllerRevision"),
    _row(
        "apps",
        "daemonsets",
        "DaemonSet",
        short_names=("ds",),
        categories=_ALL,
        subresources=_STATUS,
        spec_generation=True,
    ),
    _row(
        "apps",
        "deployments",
        "Deployment",
        short_names=("deploy",),
        categories=_ALL,
        subresources=_SCALED,
        spec_generation=True,
    ),
    _row(
        "apps",
        "replicasets",
        "ReplicaSet",
        short_names=("rs",),
        categories=_ALL,
        subresources=_SCALED,
        spec_generation=True,
        field_selectors=("status.replicas",),
    ),
    _row(
        "apps",
        "statefulsets",
        "StatefulSet",
        short_names=("sts",),
        categories=_ALL,
        subresources=_SCALED,
        spec_generation=True,
    ),
)
_BATCH = (
    _row(
        "batch",
        "cronjobs",
        "CronJob",
        short_names=("cj",),
        categories=_ALL,
        subresources=_STATUS,
        spec_generation=True,
    ),
    _row(
        "batch",
        "jobs",
        "Job",
        categories=_ALL,
        subresources=_STATUS,
        spec_generation=True,
        field_selectors=("status.successful",),
    ),
)
_OLDER_BATCH = _row(
    "batch",
    "cronjobs",
    "CronJob",
    version="v1beta1",
    short_names=("cj",),
    categories=_ALL,
    subresources=_STATUS,
    stored_as="batch/v1",
)
_EVENTS = _row(
    "events.k8s.io",
    "events",
    "Event",
    short_names=("ev",),
    field_selectors=(
        "reason",
        "type",
        "reportingController",
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
    ),
    stored_as="v1",
)
_RBAC = "rbac.authorization.k8s.io"
_ACCESS = (
    _row(_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _row(_RBAC, "clusterroles", "ClusterRole", namespaced=False),
    _row(_RBAC, "rolebindings", "RoleBinding"),
    _row(_RBAC, "roles", "Role"),
)
_STORAGE_GROUP = "storage.k8s.io"
_STORAGE = (
    _row(_STORAGE_GROUP, "csidrivers", "CSIDriver", namespaced=False),
    _row(_STORAGE_GROUP, "csinodes", "CSINode", namespaced=False),
    _row(_STORAGE_GROUP, "csistoragecapacities", "CSIStorageCapacity"),
    _row(_STORAGE_GROUP, "storageclasses", "StorageClass", namespaced=False, short_names=("sc",)),
    _row(
        _STORAGE_GROUP,
        "volumeattachments",
        "VolumeAttachment",
        namespaced=False,
        subresources=_STATUS,
    ),
)
_NETWORKING_GROUP = "networking.k8s.io"
_NETWORKING = (
    _row(_NETWORKING_GROUP, "ingressclasses", "IngressClass", namespaced=False),
    _row(
        _NETWORKING_GROUP,
        "ingresses",
        "Ingress",
        short_names=("ing",),
        store_path="ingress",
        subresources=_STATUS,
        spec_generation=True,
    ),
    _row(
        _NETWORKING_GROUP,
        "networkpolicies",
        "NetworkPolicy",
        short_names=("netpol",),
        spec_generation=True,
    ),
)
GROUPED = (
    *_APPS,
    _row(
        "autoscaling",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        version="v2",
        short_names=("hpa",),
        categories=_ALL,
        subresources=_STATUS,
    ),
    _row(
        "autoscaling",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        short_names=("hpa",),
        categories=_ALL,
        subresources=_STATUS,
        stored_as="autoscaling/v2",
    ),
    *_BATCH,
    _OLDER_BATCH,
    _row("coordination.k8s.io", "leases", "Lease", create_on_update=True),
    _row("discovery.k8s.io", "endpointslices", "EndpointSlice"),
    _EVENTS,
    *_NETWORKING,
    _row("node.k8s.io", "runtimeclasses", "RuntimeClass", namespaced=False),
    _row(
        "policy",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        short_names=("pdb",),
        subresources=_STATUS,
        spec_generation=True,
    ),
    _row(
        "policy",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        version="v1beta1",
        short_names=("pdb",),
        subresources=_STATUS,
        stored_as="policy/v1",
    ),
    *_ACCESS,
    _row(
        "scheduling.k8s.io",
        "priorityclasses",
        "PriorityClass",
        namespaced=False,
        short_names=("pc",),
    ),
    *_STORAGE,
    _row(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        store_path="apiextensions.k8s.io/customresourcedefinitions",
        subresources=_STATUS,
        spec_generation=True,
    ),
)
