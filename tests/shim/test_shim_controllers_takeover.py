"""Controllers that die in the middle of their work and others that go on: what users are promised
of a rolling update holds all the same."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.controllers import roster
from apiserver_shim.components.kinds import DEPLOYMENTS, LEASES, PODS
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.pod_states import is_ready
from apiserver_shim.components.scheduler import scheduler
from tests.shim.control_plane import ControlPlane
from tests.shim.workloads import deployment, rolled_out

pytestmark = pytest.mark.e2e
REPLICAS, SURGE = 6, 2
ROUNDS = 4


def image_of(pod: Object) -> str:
    image: str = pod["spec"]["containers"][0]["image"]
    return image


async def begin(plane: ControlPlane) -> None:
    for task in plane.kubelet.tasks():
        plane.start(task)
    await plane.kubelet.register("n1")


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def history(plane: ControlPlane, namespace: str, revision: str) -> list[Object]:
    """The pods' changes since ``revision``; a deleted one is shown as being deleted."""
    last = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "last"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "schedulerName": "none"},
    }
    await plane.client.create(PODS, namespace, last)
    seen: list[Object] = []
    async for event, pod in plane.client.watch(PODS, namespace, revision):
        if event == "BOOKMARK":
            continue
        if pod["metadata"]["name"] == "last":
            break
        if event == "DELETED":
            pod["metadata"]["deletionTimestamp"] = "now"
        seen.append(pod)
    return seen


async def test_an_update_survives_its_controllers(plane: ControlPlane) -> None:
    """In four updates the controllers are cut off at a random point and begun anew. At no time were
    there fewer ready pods than replicas, or more pods than replicas + maxSurge."""
    await begin(plane)
    plane.start_scheduler()
    random = Random(7)
    namespace = await plane.namespace()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": SURGE, "maxUnavailable": 0}}
    controllers = plane.start(lambda: roster.control(plane.client, Clock()))
    made = deployment("web", REPLICAS, "web:0", strategy=strategy)
    await plane.client.create(DEPLOYMENTS, namespace, made)
    await rolled_out(plane, namespace, "web")
    listed = await plane.client.list(PODS, namespace)
    for number in range(1, ROUNDS + 1):
        template = deployment("web", REPLICAS, f"web:{number}")["spec"]["template"]
        await plane.change(DEPLOYMENTS, namespace, "web", spec={"template": template})
        enough = random.randint(1, REPLICAS - 1)

        async def some_new(image: str = f"web:{number}", count: int = enough) -> bool:
            pods = await plane.pods(namespace)
            return sum(image_of(each) == image for each in pods) >= count

        await plane.until(some_new, f"{enough} pods are new")
        await stop(controllers)
        controllers = plane.start(lambda: roster.control(plane.client, Clock()))
        if number % 2 == 0:
            await rolled_out(plane, namespace, "web")
    await rolled_out(plane, namespace, "web")
    pods = {each["metadata"]["uid"]: each for each in listed["items"]}
    changes = await history(plane, namespace, listed["metadata"]["resourceVersion"])
    for pod in changes:
        pods[pod["metadata"]["uid"]] = pod
        there = [each for each in pods.values() if not is_being_deleted(each)]
        assert len(there) <= REPLICAS + SURGE, [each["metadata"]["name"] for each in there]
        assert sum(map(is_ready, there)) >= REPLICAS
    assert {image_of(each) for each in there} == {f"web:{ROUNDS}"}
    assert len(there) == REPLICAS


async def test_of_two_processes_one_works(plane: ControlPlane) -> None:
    """Schedulers and controller managers in pairs: pods are made once; when the leaders end, the
    others take their leases over and go on."""
    await begin(plane)
    namespace = await plane.namespace()
    first = [
        plane.start(lambda: roster.run(plane.client, "one")),
        plane.start(lambda: scheduler.run(plane.client, "one")),
    ]

    async def leads(identity: str) -> bool:
        found = [
            await plane.client.get(LEASES, "kube-system", name)
            for name in (roster.LEASE, scheduler.LEASE)
        ]
        return all(each and each["spec"]["holderIdentity"] == identity for each in found)

    await plane.until(lambda: leads("one"), "the first leads")
    plane.start(lambda: roster.run(plane.client, "two"))
    plane.start(lambda: scheduler.run(plane.client, "two"))
    await plane.client.create(DEPLOYMENTS, namespace, deployment("web", 3))
    await rolled_out(plane, namespace, "web")
    assert len(await plane.pods(namespace)) == 3
    for task in first:
        await stop(task)
    await plane.until(lambda: leads("two"), "the second has both leases")
    await plane.client.merge(DEPLOYMENTS, namespace, "web", {"spec": {"replicas": 5}}, "scale")
    await rolled_out(plane, namespace, "web")
    assert len(await plane.pods(namespace)) == 5
