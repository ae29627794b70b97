"""Deployments, ReplicaSets and what they own, from kubectl's first apply to the last deletion: the
controllers, the scheduler and a hollow kubelet on a real store."""

from __future__ import annotations

import pytest

from apiserver_shim.components.api_client import Kind, Object
from apiserver_shim.components.conditions import condition
from apiserver_shim.components.kinds import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICES,
)
from apiserver_shim.components.ownership import controller_of
from apiserver_shim.components.pod_states import is_ready, node_of
from tests.shim.control_plane import ControlPlane
from tests.shim.workloads import deployment, rolled_out

pytestmark = pytest.mark.e2e
QUOTAS = Kind("", "v1", "resourcequotas", "ResourceQuota")
REVISION = "deployment.kubernetes.io/revision"


async def sets_of(plane: ControlPlane, namespace: str) -> dict[str, int]:
    """The image of each ReplicaSet and its size."""
    found = (await plane.client.list(REPLICA_SETS, namespace))["items"]
    return {
        each["spec"]["template"]["spec"]["containers"][0]["image"]: each["spec"]["replicas"]
        for each in found
    }


async def test_a_deployment_comes_to_run(running: ControlPlane) -> None:
    """Deployment -> ReplicaSet -> pods -> bound, spread over the nodes, ready; with the labels,
    owners, annotations and conditions that clients look for."""
    namespace = await running.namespace()
    await running.client.create(DEPLOYMENTS, namespace, deployment("web", 4))
    found = await rolled_out(running, namespace, "web")
    pods = await running.pods(namespace)
    replica_set = (await running.client.list(REPLICA_SETS, namespace))["items"][0]
    hashed = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{hashed}"
    assert [(controller_of(pod) or {})["name"] for pod in pods] == [f"web-{hashed}"] * 4
    assert sorted(map(node_of, pods)) == ["n1", "n1", "n2", "n2"]
    assert all(pod["metadata"]["labels"]["pod-template-hash"] == hashed for pod in pods)

    async def told() -> Object | None:
        now = await running.client.get(DEPLOYMENTS, namespace, "web")
        conditions = {c["type"]: c for c in (now or found)["status"]["conditions"]}
        progress = conditions.get("Progressing", {}).get("reason")
        return conditions if progress == "NewReplicaSetAvailable" else None

    conditions = await running.until(told, "the conditions say that it is done")
    assert conditions is not None
    assert conditions["Available"]["reason"] == "MinimumReplicasAvailable"
    assert found["metadata"]["annotations"][REVISION] == "1"


async def test_an_update_and_its_undo(running: ControlPlane) -> None:
    """A new template gets a new ReplicaSet of revision 2 and the old one shrinks to 0; the old
    template again brings the old ReplicaSet back as revision 3."""
    namespace = await running.namespace()
    first = await running.client.create(DEPLOYMENTS, namespace, deployment("web", 3))
    await rolled_out(running, namespace, "web")
    template = deployment("web", 3, "web:2")["spec"]["template"]
    await running.change(DEPLOYMENTS, namespace, "web", spec={"template": template})
    found = await rolled_out(running, namespace, "web")
    assert found["metadata"]["annotations"][REVISION] == "2"
    assert await sets_of(running, namespace) == {"web:1": 0, "web:2": 3}
    template = first["spec"]["template"]
    await running.change(DEPLOYMENTS, namespace, "web", spec={"template": template})

    async def third() -> bool:
        now = await running.client.get(DEPLOYMENTS, namespace, "web")
        return now is not None and now["metadata"]["annotations"][REVISION] == "3"

    await running.until(third, "the undo is revision 3")
    await rolled_out(running, namespace, "web")
    assert await sets_of(running, namespace) == {"web:1": 3, "web:2": 0}


async def test_a_rollout_that_cannot_go_on_keeps_the_old_pods(running: ControlPlane) -> None:
    """With pods of the new image never ready, maxUnavailable 0 leaves every old pod, and no more
    than maxSurge new ones come."""
    running.kubelet.outcome = lambda pod: (
        "ready" if pod["spec"]["containers"][0]["image"] == "web:1" else "unready"
    )
    namespace = await running.namespace()
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}, "type": "RollingUpdate"}
    await running.client.create(DEPLOYMENTS, namespace, deployment("web", 2, strategy=strategy))
    await rolled_out(running, namespace, "web")
    template = deployment("web", 2, "web:2")["spec"]["template"]
    await running.change(DEPLOYMENTS, namespace, "web", spec={"template": template})

    async def stuck() -> bool:
        pods = await running.pods(namespace)
        return sum(pod.get("status", {}).get("phase") == "Running" for pod in pods) == 3

    await running.until(stuck, "one new pod beside the old ones")
    assert await sets_of(running, namespace) == {"web:1": 2, "web:2": 1}
    running.kubelet.outcome = lambda pod: "ready"
    running.kubelet.look_again()
    await rolled_out(running, namespace, "web")
    assert await sets_of(running, namespace) == {"web:1": 0, "web:2": 2}


async def test_recreate_never_has_both(running: ControlPlane) -> None:
    """The new ReplicaSet gets its pods only when no old pod is left. With a history of none the old
    set goes."""
    namespace = await running.namespace()
    made = deployment("web", 2, strategy={"type": "Recreate"}, revisionHistoryLimit=0)
    await running.client.create(DEPLOYMENTS, namespace, made)
    await rolled_out(running, namespace, "web")
    template = deployment("web", 2, "web:2")["spec"]["template"]
    listed = await running.client.list(PODS, namespace)
    await running.change(DEPLOYMENTS, namespace, "web", spec={"template": template})
    images = {p["metadata"]["name"]: "web:1" for p in listed["items"]}
    revision = listed["metadata"]["resourceVersion"]
    async for event, pod in running.client.watch(PODS, namespace, revision):
        if event == "DELETED":
            images.pop(pod["metadata"]["name"])
        elif event != "BOOKMARK":
            images[pod["metadata"]["name"]] = pod["spec"]["containers"][0]["image"]
        assert len(set(images.values())) <= 1, images
        if list(images.values()) == ["web:2"] * 2:
            break
    await rolled_out(running, namespace, "web")

    async def alone() -> bool:
        return await sets_of(running, namespace) == {"web:2": 2}

    await running.until(alone, "the old set is gone")


async def test_what_hinders_a_deployment_is_told(running: ControlPlane) -> None:
    """A quota that leaves no room: ReplicaFailure on the set and the Deployment, until there is."""
    namespace = await running.namespace()
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}
    await running.client.create(QUOTAS, namespace, quota)
    await running.client.create(DEPLOYMENTS, namespace, deployment("web", 2))

    async def hindered() -> Object | None:
        found = await running.client.get(DEPLOYMENTS, namespace, "web") or {}
        return condition(found, "ReplicaFailure")

    told = await running.until(hindered, "the Deployment tells") or {}
    assert (told["status"], told["reason"]) == ("True", "FailedCreate")
    assert "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1" in told["message"]
    await running.change(QUOTAS, namespace, "q", spec={"hard": {"pods": "2"}})
    assert condition(await rolled_out(running, namespace, "web"), "ReplicaFailure") is None


async def test_scaling_by_the_subresource(running: ControlPlane) -> None:
    """`kubectl scale` patches the Scale; the Deployment follows up and down, to none."""
    namespace = await running.namespace()
    await running.client.create(DEPLOYMENTS, namespace, deployment("web", 1))
    await rolled_out(running, namespace, "web")
    for replicas in (4, 2, 0):
        scale = await running.client.merge(
            DEPLOYMENTS, namespace, "web", {"spec": {"replicas": replicas}}, "scale"
        )
        assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
        assert scale["spec"]["replicas"] == replicas
        assert scale["status"]["selector"] == "app=web"
        await rolled_out(running, namespace, "web")

        async def as_many(count: int = replicas) -> bool:
            return len(await running.pods(namespace)) == count

        await running.until(as_many, f"{replicas} pods")


async def test_a_paused_deployment_is_scaled_but_not_updated(running: ControlPlane) -> None:
    """While paused a new template makes no ReplicaSet; resumed, it does."""
    namespace = await running.namespace()
    await running.client.create(DEPLOYMENTS, namespace, deployment("web", 1))
    await rolled_out(running, namespace, "web")
    template = deployment("web", 1, "web:2")["spec"]["template"]
    await running.change(
        DEPLOYMENTS, namespace, "web", spec={"paused": True, "template": template, "replicas": 2}
    )

    async def two() -> bool:
        return await sets_of(running, namespace) == {"web:1": 2}

    await running.until(two, "the old set is scaled")
    await running.change(DEPLOYMENTS, namespace, "web", spec={"paused": None})

    async def updated() -> bool:
        return await sets_of(running, namespace) == {"web:1": 0, "web:2": 2}

    await running.until(updated, "the new set has taken over")


async def test_a_lost_pod_is_replaced_and_a_stray_one_adopted(running: ControlPlane) -> None:
    """A ReplicaSet makes up for a deleted pod; a pod that its selector matches is adopted and one
    too many goes; a pod whose label is taken off is let go and replaced."""
    namespace = await running.namespace()
    spec = deployment("web", 2)["spec"]
    made = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": {"name": "rs"}, "spec": spec}
    await running.client.create(REPLICA_SETS, namespace, made)

    async def two_ready() -> list[Object] | None:
        pods = await running.pods(namespace, "app=web")
        return pods if len(pods) == 2 and all(map(is_ready, pods)) else None

    pods = await running.until(two_ready, "two pods") or []
    await running.client.delete(PODS, namespace, pods[0]["metadata"]["name"])

    async def replaced() -> bool:
        found = await two_ready() or []
        return bool(found) and pods[0]["metadata"]["name"] not in names(found)

    await running.until(replaced, "another pod in its place")
    stray = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": "stray",
            "labels": {"app": "web"},
            "annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"},
        },
        "spec": spec["template"]["spec"],
    }
    await running.client.create(PODS, namespace, stray)

    async def without_stray() -> list[Object] | None:
        found = await two_ready() or []
        return found if found and "stray" not in names(found) else None

    left = await running.until(without_stray, "the one that is missed least has gone") or []
    name = left[0]["metadata"]["name"]
    await running.change(PODS, namespace, name, metadata={"labels": {"app": "other"}})

    async def let_go() -> bool:
        pod = await running.client.get(PODS, namespace, name)
        return pod is not None and controller_of(pod) is None and bool(await two_ready())

    await running.until(let_go, "the relabelled pod is on its own and replaced")


def names(pods: list[Object]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


async def test_a_replication_controller_works_alike(running: ControlPlane) -> None:
    """With labels for a selector."""
    namespace = await running.namespace()
    spec = {**deployment("web", 2)["spec"], "selector": {"app": "web"}}
    made = {
        "kind": "ReplicationController",
        "apiVersion": "v1",
        "metadata": {"name": "rc"},
        "spec": spec,
    }
    await running.client.create(REPLICATION_CONTROLLERS, namespace, made)

    async def ready() -> bool:
        found = await running.client.get(REPLICATION_CONTROLLERS, namespace, "rc")
        return found is not None and found.get("status", {}).get("readyReplicas") == 2

    await running.until(ready, "two ready replicas")


async def test_a_service_gets_its_endpoints(running: ControlPlane) -> None:
    """Ready pods' addresses with the port that the pod names; nothing for a pod that goes."""
    namespace = await running.namespace()
    made = deployment("web", 2)
    containers = made["spec"]["template"]["spec"]["containers"]
    containers[0]["ports"] = [{"name": "http", "containerPort": 8080}]
    await running.client.create(DEPLOYMENTS, namespace, made)
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }
    await running.client.create(SERVICES, namespace, service)

    async def addresses() -> tuple[list[str], list[str]]:
        pods = await running.pods(namespace)
        endpoints = await running.client.get(ENDPOINTS, namespace, "web")
        subsets = (endpoints or {}).get("subsets") or [{}]
        told = [each["ip"] for each in subsets[0].get("addresses") or ()]
        return sorted(p["status"]["podIP"] for p in pods if is_ready(p)), sorted(told)

    async def both() -> bool:
        ready, told = await addresses()
        return len(ready) == 2 and ready == told

    await running.until(both, "both addresses are told")
    endpoints = await running.client.get(ENDPOINTS, namespace, "web") or {}
    assert endpoints["subsets"][0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    await running.client.merge(DEPLOYMENTS, namespace, "web", {"spec": {"replicas": 0}}, "scale")

    async def none() -> bool:
        slices = (await running.client.list(ENDPOINT_SLICES, namespace))["items"]
        return await addresses() == ([], []) and [s.get("endpoints") for s in slices] == [[]]

    await running.until(none, "nothing is told")
