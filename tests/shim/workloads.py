"""Deployments as tests want them, and waiting for their rollout.

Owns: those two. Must never do: start anything.
"""

from __future__ import annotations

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.kinds import DEPLOYMENTS
from tests.shim.control_plane import ControlPlane


def deployment(name: str, replicas: int, image: str = "web:1", **spec: object) -> Object:
    labels = {"app": name}
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": image}]},
            },
            **spec,
        },
    }


async def rolled_out(plane: ControlPlane, namespace: str, name: str) -> Object:
    """As `kubectl rollout status` decides it."""

    async def done() -> Object | None:
        found = await plane.client.get(DEPLOYMENTS, namespace, name)
        assert found is not None
        wanted, status = found["spec"]["replicas"], found.get("status", {})
        complete = (
            status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
            and status.get("availableReplicas", 0) == wanted
        )
        return found if complete else None

    found = await plane.until(done, f"{name} is rolled out")
    assert found is not None
    return found
