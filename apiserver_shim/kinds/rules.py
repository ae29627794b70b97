"""Which kind has which rules beyond its schema.

Owns: the table. Must never do: fill in; ``defaulting`` has been there before.
"""

from __future__ import annotations

from typing import Any

from apiserver_shim.api.status import Cause
from apiserver_shim.kinds.core import (
    claim_violations,
    config_map_violations,
    quota_violations,
    secret_violations,
    volume_violations,
)
from apiserver_shim.kinds.definitions import definition_violations
from apiserver_shim.kinds.metadata_rules import metadata_violations
from apiserver_shim.kinds.pods import pod_violations
from apiserver_shim.kinds.policies import (
    RBAC,
    autoscaler_violations,
    binding_violations,
    budget_violations,
    ingress_violations,
    priority_class_violations,
    role_violations,
)
from apiserver_shim.kinds.services import service_violations
from apiserver_shim.kinds.workloads import (
    Rule,
    cron_job_violations,
    job_violations,
    workload_violations,
)
from apiserver_shim.resources.resource import Resource

Object = dict[str, Any]
_RULES: dict[tuple[str, str], Rule] = {
    ("", "ConfigMap"): config_map_violations,
    ("", "PersistentVolume"): volume_violations,
    ("", "PersistentVolumeClaim"): claim_violations,
    ("", "Pod"): pod_violations,
    ("", "ReplicationController"): workload_violations,
    ("", "ResourceQuota"): quota_violations,
    ("", "Secret"): secret_violations,
    ("", "Service"): service_violations,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaler_violations,
    ("batch", "CronJob"): cron_job_violations,
    ("batch", "Job"): job_violations,
    ("networking.k8s.io", "Ingress"): ingress_violations,
    ("policy", "PodDisruptionBudget"): budget_violations,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definition_violations,
    (RBAC, "ClusterRole"): role_violations,
    (RBAC, "ClusterRoleBinding"): binding_violations,
    (RBAC, "Role"): role_violations,
    (RBAC, "RoleBinding"): binding_violations,
    ("scheduling.k8s.io", "PriorityClass"): priority_class_violations,
    ("apps", "DaemonSet"): workload_violations,
    ("apps", "Deployment"): workload_violations,
    ("apps", "ReplicaSet"): workload_violations,
    ("apps", "StatefulSet"): workload_violations,
}


def violations_of(resource: Resource, new: Object, old: Object | None) -> list[Cause]:
    """Of one object, or of its change from ``old``, in the order of its fields."""
    found = list(metadata_violations(new, old))
    rule = _RULES.get((resource.group, resource.kind))
    if rule is not None:
        found.extend(rule(new, old))
    return found
