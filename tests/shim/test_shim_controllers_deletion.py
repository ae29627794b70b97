"""Deleting: what goes with what. The garbage collector and the namespace controller on a real
store, with each propagation policy; evictions under a budget."""

from __future__ import annotations

import pytest

from apiserver_shim.components.api_client import ApiFailure, Kind, Object
from apiserver_shim.components.kinds import (
    BUDGETS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
)
from apiserver_shim.components.ownership import reference_to
from apiserver_shim.components.pod_states import is_ready
from tests.shim.control_plane import ControlPlane
from tests.shim.workloads import deployment, rolled_out

pytestmark = pytest.mark.e2e
CONFIG_MAPS = Kind("", "v1", "configmaps")


async def left_of(plane: ControlPlane, namespace: str) -> tuple[int, int, int]:
    """Deployments, ReplicaSets, pods."""
    counts = [
        len((await plane.client.list(kind, namespace))["items"])
        for kind in (DEPLOYMENTS, REPLICA_SETS, PODS)
    ]
    return counts[0], counts[1], counts[2]


async def web(plane: ControlPlane) -> str:
    """A namespace with a Deployment of two pods that run."""
    namespace = await plane.namespace()
    await plane.client.create(DEPLOYMENTS, namespace, deployment("web", 2))
    await rolled_out(plane, namespace, "web")
    return namespace


async def test_in_the_background_the_owner_goes_first(running: ControlPlane) -> None:
    """The Deployment is gone with the answer; ReplicaSets and pods follow."""
    namespace = await web(running)
    await running.client.delete(DEPLOYMENTS, namespace, "web", {"propagationPolicy": "Background"})
    assert await running.client.get(DEPLOYMENTS, namespace, "web") is None

    async def none() -> bool:
        return await left_of(running, namespace) == (0, 0, 0)

    await running.until(none, "nothing is left")


async def test_in_the_foreground_the_owner_goes_last(running: ControlPlane) -> None:
    """It stays, being deleted, until what it blocks on is gone; never is it gone before its
    ReplicaSet, nor that before its pods."""
    namespace = await web(running)
    revision = (await running.client.list(PODS, namespace))["metadata"]["resourceVersion"]
    answer = await running.client.delete(
        DEPLOYMENTS, namespace, "web", {"propagationPolicy": "Foreground"}
    )
    assert answer is not None
    found = await running.client.get(DEPLOYMENTS, namespace, "web")
    if found is not None:
        assert found["metadata"]["finalizers"] == ["foregroundDeletion"]

    async def none() -> bool:
        return await left_of(running, namespace) == (0, 0, 0)

    await running.until(none, "nothing is left")
    gone: list[tuple[int, int]] = []
    for order, (kind, count) in enumerate(((PODS, 2), (REPLICA_SETS, 1), (DEPLOYMENTS, 1))):
        events = running.client.watch(kind, namespace, revision, timeoutSeconds="5")
        seen = 0
        async for event, each in events:
            if event == "DELETED":
                gone.append((int(each["metadata"]["resourceVersion"]), order))
                seen += 1
            if seen == count:
                break
    assert [order for _, order in sorted(gone)] == [0, 0, 1, 2]


async def test_orphans_stay_and_are_adopted_again(running: ControlPlane) -> None:
    """With Orphan the ReplicaSet stays without an owner, and its pods with it; the same Deployment
    made anew takes it back, and no pod is made or lost."""
    namespace = await web(running)
    pods = {each["metadata"]["uid"] for each in await running.pods(namespace)}
    await running.client.delete(DEPLOYMENTS, namespace, "web", {"propagationPolicy": "Orphan"})

    async def orphaned() -> bool:
        sets = (await running.client.list(REPLICA_SETS, namespace))["items"]
        gone = await running.client.get(DEPLOYMENTS, namespace, "web") is None
        return gone and not sets[0]["metadata"].get("ownerReferences")

    await running.until(orphaned, "the ReplicaSet is on its own")
    assert await left_of(running, namespace) == (0, 1, 2)
    again = await running.client.create(DEPLOYMENTS, namespace, deployment("web", 2))

    async def adopted() -> bool:
        sets = (await running.client.list(REPLICA_SETS, namespace))["items"]
        return [each["metadata"].get("ownerReferences") for each in sets] == [[reference_to(again)]]

    await running.until(adopted, "the ReplicaSet is the new Deployment's")
    await rolled_out(running, namespace, "web")
    assert {each["metadata"]["uid"] for each in await running.pods(namespace)} == pods


def owned(name: str, *owners: Object) -> Object:
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "ownerReferences": [reference_to(each, controller=False) for each in owners],
        },
    }


async def test_an_object_goes_with_its_last_owner(running: ControlPlane) -> None:
    """Of two owners one goes: the reference to it is dropped. With the other the object goes. One
    whose owner never was goes at once."""
    namespace, client = await running.namespace(), running.client
    first = await client.create(CONFIG_MAPS, namespace, owned("first"))
    second = await client.create(CONFIG_MAPS, namespace, owned("second"))
    await client.create(CONFIG_MAPS, namespace, owned("both", first, second))
    never = {**first, "metadata": {**first["metadata"], "uid": "never-was"}}
    await client.create(CONFIG_MAPS, namespace, owned("lost", never))

    async def names() -> set[str]:
        found = (await client.list(CONFIG_MAPS, namespace))["items"]
        return {each["metadata"]["name"] for each in found}

    async def lost_gone() -> bool:
        return await names() == {"first", "second", "both"}

    await running.until(lost_gone, "the one without an owner is gone")
    await client.delete(CONFIG_MAPS, namespace, "first")

    async def one_owner() -> bool:
        both = await client.get(CONFIG_MAPS, namespace, "both") or {"metadata": {}}
        refs = both["metadata"].get("ownerReferences") or []
        return [each["name"] for each in refs] == ["second"]

    await running.until(one_owner, "the reference to what is gone is dropped")
    await client.delete(CONFIG_MAPS, namespace, "second")

    async def all_gone() -> bool:
        return await names() == set()

    await running.until(all_gone, "it went with its last owner")


async def test_a_namespace_goes_with_everything_in_it(running: ControlPlane) -> None:
    """Pods end through their kubelet; what holds a finalizer holds the namespace, which says so."""
    namespace = await web(running)
    held = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "held", "finalizers": ["example.com/held"]},
    }
    await running.client.create(CONFIG_MAPS, namespace, held)

    async def has_account() -> bool:
        return await running.client.get(SERVICE_ACCOUNTS, namespace, "default") is not None

    await running.until(has_account, "the default service account is there")
    await running.client.delete(NAMESPACES, "", namespace)

    async def told() -> bool:
        found = await running.client.get(NAMESPACES, "", namespace) or {}
        conditions = {c["type"]: c for c in found.get("status", {}).get("conditions", ())}
        message = conditions.get("NamespaceFinalizersRemaining", {}).get("message", "")
        return "example.com/held in 1 resource instances" in message

    await running.until(told, "the namespace says what it waits for")

    async def only_held() -> bool:
        return await left_of(running, namespace) == (0, 0, 0)

    await running.until(only_held, "all else is gone")
    await running.change(CONFIG_MAPS, namespace, "held", metadata={"finalizers": None})

    async def gone() -> bool:
        return await running.client.get(NAMESPACES, "", namespace) is None

    await running.until(gone, "the namespace is gone")


async def test_evictions_respect_the_budget(running: ControlPlane) -> None:
    """Of two pods of which one must stay healthy one may go; the next is refused with 429 until
    another is ready in its place."""
    namespace = await web(running)
    budget = {
        "kind": "PodDisruptionBudget",
        "apiVersion": "policy/v1",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    await running.client.create(BUDGETS, namespace, budget)

    async def allows_one() -> bool:
        found = await running.client.get(BUDGETS, namespace, "web") or {}
        return found.get("status", {}).get("disruptionsAllowed") == 1

    await running.until(allows_one, "one disruption is allowed")
    replaced = running.kubelet.outcome
    old = {each["metadata"]["uid"] for each in await running.pods(namespace)}
    running.kubelet.outcome = lambda pod: "ready" if pod["metadata"]["uid"] in old else "unready"
    first, second = [each["metadata"]["name"] for each in await running.pods(namespace)]

    async def evict(name: str) -> Object:
        eviction = {
            "kind": "Eviction",
            "apiVersion": "policy/v1",
            "metadata": {"name": name},
        }
        return await running.client.create(PODS, namespace, eviction, name, "eviction")

    assert (await evict(first))["status"] == "Success"
    with pytest.raises(ApiFailure, match="violate the pod's disruption budget") as refused:
        await evict(second)
    assert (refused.value.code, refused.value.reason) == (429, "TooManyRequests")
    running.kubelet.outcome = replaced
    running.kubelet.look_again()

    async def evicted() -> bool:
        pods = await running.pods(namespace)
        if sum(map(is_ready, pods)) < 2:
            return False
        return bool((await evict(second))["status"] == "Success")

    await running.until(evicted, "the second may go once the first is replaced")
