"""The kinds of core/v1, as rows.

Owns: what is particular to each. Must never do: list what the server does not serve.
"""

from __future__ import annotations

from apiserver_shim.resources.resource import Resource

_ALL = ("all",)
CONNECTED = ("exec", "attach", "portforward")
"""Of pods: they would turn the connection into a stream, and are refused with 501."""
_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)


def _row(plural: str, kind: str, **rest: object) -> Resource:
    return Resource("", "v1", plural, kind, **rest)  # type: ignore[arg-type]


CORE = (
    _row("configmaps", "ConfigMap", short_names=("cm",)),
    _row("endpoints", "Endpoints", short_names=("ep",), store_path="services/endpoints"),
    _row("events", "Event", short_names=("ev",), field_selectors=EVENT_FIELDS),
    _row("limitranges", "LimitRange", short_names=("limits",)),
    _row(
        "namespaces",
        "Namespace",
        namespaced=False,
        short_names=("ns",),
        subresources=("status", "finalize"),
        field_selectors=("status.phase",),
        verbs=("get", "list", "watch", "create", "update", "patch", "delete"),
    ),
    _row(
        "nodes",
        "Node",
        namespaced=False,
        short_names=("no",),
        store_path="minions",
        subresources=("status",),
        field_selectors=("spec.unschedulable",),
    ),
    _row(
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        short_names=("pvc",),
        subresources=("status",),
    ),
    _row(
        "persistentvolumes",
        "PersistentVolume",
        namespaced=False,
        short_names=("pv",),
        subresources=("status",),
    ),
    _row(
        "pods",
        "Pod",
        short_names=("po",),
        categories=_ALL,
        subresources=("status", "binding", "eviction", "log", "ephemeralcontainers", *CONNECTED),
        field_selectors=_POD_FIELDS,
    ),
    _row("podtemplates", "PodTemplate"),
    _row(
        "replicationcontrollers",
        "ReplicationController",
        short_names=("rc",),
        categories=_ALL,
        store_path="controllers",
        subresources=("status", "scale"),
        spec_generation=True,
        field_selectors=("status.replicas",),
    ),
    _row("resourcequotas", "ResourceQuota", short_names=("quota",), subresources=("status",)),
    _row("secrets", "Secret", field_selectors=("type",)),
    _row("serviceaccounts", "ServiceAccount", short_names=("sa",), subresources=("token",)),
    _row(
        "services",
        "Service",
        short_names=("svc",),
        categories=_ALL,
        store_path="services/specs",
        subresources=("status",),
        field_selectors=("spec.clusterIP", "spec.type"),
    ),
)
