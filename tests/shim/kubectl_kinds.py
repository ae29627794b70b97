"""One object of every kind that is stored, as kubectl is given them in a file.

Owns: the smallest good object of each kind. Must never do: take a name that another namespace's
objects may have: what is the whole cluster's is named after the namespace.
"""

from __future__ import annotations

import json
from typing import Any

Object = dict[str, Any]

SPEC: Object = {"containers": [{"name": "c", "image": "i"}]}
PODS: Object = {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}
LASTING: Object = {"selector": {"matchLabels": {"a": "b"}}, "template": PODS}
ENDING: Object = {"template": {"spec": {**SPEC, "restartPolicy": "Never"}}}
VOLUME: Object = {"accessModes": ["ReadWriteOnce"]}
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
RBAC = "rbac.authorization.k8s.io"
USERS = [{"apiGroup": RBAC, "kind": "User", "name": "u"}]
REGARDED = {"kind": "Pod", "name": "x", "namespace": "{ns}"}
SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}
SCHEMA = {"openAPIV3Schema": {"type": "object"}}

NAMESPACED: dict[str, Object] = {
    "v1 ConfigMap": {"data": {"a": "b"}},
    "v1 Endpoints": {"subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80}]}]},
    "v1 Event": {
        "involvedObject": REGARDED,
        "reason": "Told",
        "message": "it was",
        "type": "Normal",
    },
    "v1 LimitRange": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "100m"}}]}},
    "v1 PersistentVolumeClaim": {"spec": {**VOLUME, "resources": {"requests": {"storage": "1Gi"}}}},
    "v1 Pod": {"spec": SPEC},
    "v1 PodTemplate": {"template": PODS},
    "v1 ReplicationController": {"spec": {"selector": {"a": "b"}, "template": PODS}},
    "v1 ResourceQuota": {"spec": {"hard": {"configmaps": "99"}}},
    "v1 Secret": {"stringData": {"a": "b"}},
    "v1 ServiceAccount": {},
    "v1 Service": {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}},
    "apps/v1 ControllerRevision": {"revision": 1, "data": {"a": "b"}},
    "apps/v1 DaemonSet": {"spec": LASTING},
    "apps/v1 Deployment": {"spec": LASTING},
    "apps/v1 ReplicaSet": {"spec": LASTING},
    "apps/v1 StatefulSet": {"spec": {**LASTING, "serviceName": "x"}},
    "autoscaling/v2 HorizontalPodAutoscaler": {
        "spec": {"maxReplicas": 3, "scaleTargetRef": SCALED}
    },
    "batch/v1 CronJob": {"spec": {"schedule": "5 4 * * *", "jobTemplate": {"spec": ENDING}}},
    "batch/v1 Job": {"spec": ENDING},
    "coordination.k8s.io/v1 Lease": {"spec": {"holderIdentity": "me"}},
    "discovery.k8s.io/v1 EndpointSlice": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.2.3"]}],
        "ports": [{"port": 80}],
    },
    "networking.k8s.io/v1 Ingress": {
        "spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}}
    },
    "networking.k8s.io/v1 NetworkPolicy": {"spec": {"podSelector": {}}},
    "policy/v1 PodDisruptionBudget": {
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    },
    f"{RBAC}/v1 Role": {"rules": RULES},
    f"{RBAC}/v1 RoleBinding": {
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "x"},
        "subjects": USERS,
    },
    "storage.k8s.io/v1 CSIStorageCapacity": {"storageClassName": "s", "capacity": "1Gi"},
}
OF_THE_CLUSTER: dict[str, Object] = {
    "v1 Namespace": {},
    "v1 Node": {},
    "v1 PersistentVolume": {
        "spec": {**VOLUME, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/tmp"}}
    },
    "apiextensions.k8s.io/v1 CustomResourceDefinition": {
        "spec": {
            "group": "{ns}-x.example.com",
            "scope": "Cluster",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": SCHEMA}],
        }
    },
    "networking.k8s.io/v1 IngressClass": {"spec": {"controller": "example.com/c"}},
    "node.k8s.io/v1 RuntimeClass": {"handler": "h"},
    f"{RBAC}/v1 ClusterRole": {"rules": RULES},
    f"{RBAC}/v1 ClusterRoleBinding": {
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "{ns}-x"},
        "subjects": USERS,
    },
    "scheduling.k8s.io/v1 PriorityClass": {"value": 7},
    "storage.k8s.io/v1 CSIDriver": {"spec": {"attachRequired": False}},
    "storage.k8s.io/v1 CSINode": {"spec": {"drivers": []}},
    "storage.k8s.io/v1 StorageClass": {"provisioner": "example.com/p"},
    "storage.k8s.io/v1 VolumeAttachment": {
        "spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "{ns}-x"}}
    },
}
KINDS = {kind.partition(" ")[2] for kind in NAMESPACED | OF_THE_CLUSTER}
KINDS_COUNT = len(NAMESPACED | OF_THE_CLUSTER)


def _named(kind: str, name: str, fields: Object) -> Object:
    version, _, kind = kind.partition(" ")
    if kind == "CustomResourceDefinition":
        name = f"things.{name}.example.com"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


EVERY_KIND = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "List",
        "items": [_named(kind, "x", fields) for kind, fields in NAMESPACED.items()]
        + [_named(kind, "{ns}-x", fields) for kind, fields in OF_THE_CLUSTER.items()],
    }
)
"""A List in JSON, with `{ns}` where the namespace is meant."""
