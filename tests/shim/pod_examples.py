"""Pods and nodes as tests want them.

Owns: the shortest way to an object with a given trait. Must never do: more than build dicts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.clocks import stamp

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    return stamp(NOW - timedelta(seconds=seconds))


def pod(
    name: str = "p",
    *,
    node: str = "",
    phase: str = "Pending",
    ready: bool = False,
    ready_s: float = 0,
    age_s: float = 100,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    requests: dict[str, str] | None = None,
    restarts: int = 0,
    **spec: Any,
) -> Object:
    container: Object = {"name": "c", "image": "i"}
    if requests:
        container["resources"] = {"requests": requests}
    conditions = []
    if ready:
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ago(ready_s)}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "creationTimestamp": ago(age_s),
            "labels": labels or {},
            "annotations": annotations or {},
        },
        "spec": {
            "containers": [container],
            **({"nodeName": node} if node else {}),
            **spec,
        },
        "status": {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [{"name": "c", "restartCount": restarts}],
        },
    }


def node(
    name: str,
    *,
    cpu: str = "4",
    memory: str = "8Gi",
    pods: str = "110",
    labels: dict[str, str] | None = None,
    taints: list[Object] | None = None,
    **spec: Any,
) -> Object:
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {"kubernetes.io/hostname": name, **(labels or {})},
        },
        "spec": {**({"taints": taints} if taints else {}), **spec},
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    }
