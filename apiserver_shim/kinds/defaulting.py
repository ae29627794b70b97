"""Which kind has which defaults.

Owns: the table. Must never do: refuse; ``rules`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apiserver_shim.kinds.core import (
    default_claim,
    default_limit_range,
    default_namespace,
    default_secret,
    default_volume,
)
from apiserver_shim.kinds.definitions import default_definition
from apiserver_shim.kinds.places import fill
from apiserver_shim.kinds.pods import default_pod, default_pod_spec
from apiserver_shim.kinds.policies import (
    RBAC,
    default_autoscaler,
    default_binding,
    default_network_policy,
)
from apiserver_shim.kinds.services import default_service
from apiserver_shim.kinds.workloads import default_workload
from apiserver_shim.resources.resource import Resource

Object = dict[str, Any]
Default = Callable[[Object, Object | None], None]


def _table(values: Mapping[str, Any]) -> Default:
    return lambda obj, old: fill(obj, values)


def _pod_template(obj: Object, old: Object | None) -> None:
    spec = obj.get("template", {}).get("spec")
    if isinstance(spec, dict):
        default_pod_spec(spec)


_DEFAULTS: dict[tuple[str, str], Default] = {
    ("", "Endpoints"): _table({"subsets[].ports[].protocol": "TCP"}),
    ("", "LimitRange"): default_limit_range,
    ("", "Namespace"): default_namespace,
    ("", "PersistentVolume"): default_volume,
    ("", "PersistentVolumeClaim"): default_claim,
    ("", "Pod"): default_pod,
    ("", "PodTemplate"): _pod_template,
    ("", "ReplicationController"): default_workload,
    ("", "Secret"): default_secret,
    ("", "Service"): default_service,
    ("autoscaling", "HorizontalPodAutoscaler"): default_autoscaler,
    ("batch", "CronJob"): default_workload,
    ("batch", "Job"): default_workload,
    ("discovery.k8s.io", "EndpointSlice"): _table({"ports[].name": "", "ports[].protocol": "TCP"}),
    ("networking.k8s.io", "NetworkPolicy"): default_network_policy,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): default_definition,
    (RBAC, "ClusterRoleBinding"): default_binding,
    (RBAC, "RoleBinding"): default_binding,
    ("scheduling.k8s.io", "PriorityClass"): _table({"preemptionPolicy": "PreemptLowerPriority"}),
    ("storage.k8s.io", "StorageClass"): _table(
        {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}
    ),
    ("storage.k8s.io", "CSIDriver"): _table(
        {
            "spec.attachRequired": True,
            "spec.podInfoOnMount": False,
            "spec.storageCapacity": False,
            "spec.fsGroupPolicy": "ReadWriteOnceWithFSType",
            "spec.volumeLifecycleModes": ["Persistent"],
            "spec.requiresRepublish": False,
        }
    ),
} | {
    ("apps", kind): default_workload
    for kind in ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")
}


def fill_in(resource: Resource, obj: Object, old: Object | None) -> None:
    """Complete ``obj`` as its kind does. ``old`` is None for what is about to be created."""
    default = _DEFAULTS.get((resource.group, resource.kind))
    if default is not None:
        default(obj, old)
