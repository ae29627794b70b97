"""scale, binding and eviction as clients meet them: answers, refusals and their words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver_shim.api.status import ApiError
from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.kinds import BUDGETS, DEPLOYMENTS, PODS
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.resources.resource import Resource
from apiserver_shim.verbs.subresources.eviction import selector_of, spent
from apiserver_shim.verbs.subresources.scale import scale_of, selector_text
from tests.shim.control_plane import ControlPlane
from tests.shim.pod_examples import pod
from tests.shim.workloads import deployment


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        ({"b": "2", "a": "1"}, "a=1,b=2"),
        (
            {"matchExpressions": [{"key": "k", "operator": "In", "values": ["y", "x"]}]},
            "k in (x,y)",
        ),
        ({"matchExpressions": [{"key": "k", "operator": "DoesNotExist"}]}, "!k"),
        ("a in (b)", "a in (b)"),
        (None, ""),
    ],
)
def test_selectors_as_text(selector: Any, text: str) -> None:
    """As the Scale's status tells them, of a ReplicationController too."""
    assert selector_text(selector) == text


def test_the_scale_of_a_custom_kind() -> None:
    """The numbers are where its definition says."""
    paths = (".spec.size.wanted", ".status.size", ".status.selector")
    resource = Resource("example.com", "v1", "rings", "Ring", is_custom=True, scale_paths=paths)
    ring = {"metadata": {"name": "r"}, "spec": {"size": {"wanted": 3}}, "status": {"size": 2}}
    found = scale_of(ring, resource)
    assert (found["spec"], found["status"]) == ({"replicas": 3}, {"replicas": 2})
    assert scale_of({"metadata": {"name": "r"}}, resource)["spec"] == {"replicas": 0}


def budget(**status: Any) -> Object:
    return {
        "metadata": {"name": "b", "generation": 1},
        "spec": {},
        "status": {"observedGeneration": 1, "currentHealthy": 3, "desiredHealthy": 2, **status},
    }


def test_a_budget_is_spent() -> None:
    """One disruption fewer, and the pod is noted; with none left, or not yet looked at, no."""
    resource = Catalogue().find("policy", "v1", "poddisruptionbudgets")
    assert resource is not None
    ready = pod("p", phase="Running", ready=True)
    after = spent(budget(disruptionsAllowed=2), ready, "now", resource)
    assert after["status"]["disruptionsAllowed"] == 1
    assert after["status"]["disruptedPods"] == {"p": "now"}
    for status, why in (
        ({"disruptionsAllowed": 0}, "needs 2 healthy pods and has 3 currently"),
        ({"disruptionsAllowed": 5, "observedGeneration": 0}, "still being processed"),
    ):
        with pytest.raises(ApiError) as refused:
            spent(budget(**status), ready, "now", resource)
        assert (refused.value.code, refused.value.causes[0].reason) == (429, "DisruptionBudget")
        assert why in refused.value.causes[0].message
    unready = pod("p", phase="Running")
    free = budget(disruptionsAllowed=0)
    assert spent(free, unready, "now", resource) == free, "healthy enough without it"
    short = budget(disruptionsAllowed=0, currentHealthy=1)
    with pytest.raises(ApiError, match="disruption budget"):
        spent(short, unready, "now", resource)
    short["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow"
    assert spent(short, unready, "now", resource) == short


def test_a_budgets_selector() -> None:
    """An empty one is for all pods, none at all for none."""
    assert selector_of({}).matches({"a": "1"})
    assert not selector_of(None).matches({"a": "1"})
    terms = {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}
    assert not selector_of(terms).matches({"a": "1"})


@pytest.mark.e2e
async def test_scale(plane: ControlPlane) -> None:
    """Read, replaced with and without a version, patched; what is no number of replicas is 422;
    nothing but spec.replicas changes, and an unchanged Scale writes nothing."""
    namespace = await plane.namespace()
    made = await plane.client.create(DEPLOYMENTS, namespace, deployment("web", 2))
    path = DEPLOYMENTS.path(namespace, "web", "scale")
    scale = await plane.client.read(path)
    assert scale["kind"] == "Scale"
    assert (scale["spec"], scale["status"]) == (
        {"replicas": 2},
        {"replicas": 0, "selector": "app=web"},
    )
    assert scale["metadata"]["uid"] == made["metadata"]["uid"]
    scale["spec"]["replicas"] = 5
    scaled = await plane.client.update(DEPLOYMENTS, scale, "scale")
    assert scaled["spec"]["replicas"] == 5
    with pytest.raises(ApiFailure, match="the object has been modified"):
        await plane.client.update(DEPLOYMENTS, {**scale, "spec": {"replicas": 6}}, "scale")
    again = await plane.client.update(DEPLOYMENTS, scaled, "scale")
    assert again["metadata"]["resourceVersion"] == scaled["metadata"]["resourceVersion"]
    for wrong in (-1, "three", True, 1.5):
        patch = {"spec": {"replicas": wrong}}
        with pytest.raises(ApiFailure, match=r"spec\.replicas: Invalid value") as refused:
            await plane.client.merge(DEPLOYMENTS, namespace, "web", patch, "scale")
        assert refused.value.code == 422
    found = await plane.client.get(DEPLOYMENTS, namespace, "web") or {}
    assert found["spec"] == {**made["spec"], "replicas": 5}
    assert found["metadata"]["generation"] == 2
    with pytest.raises(ApiFailure, match=r'deployments\.apps "none" not found'):
        await plane.client.merge(DEPLOYMENTS, namespace, "none", {}, "scale")


@pytest.mark.e2e
async def test_many_who_evict_at_once_get_no_more_than_the_budget_gives(
    plane: ControlPlane,
) -> None:
    """Twenty pods, seven disruptions: of twenty evictions at the same time seven succeed."""
    namespace = await plane.namespace()
    for number in range(20):
        made = pod(f"p{number}", node="n", labels={"app": "web"})
        made["metadata"] = {"name": f"p{number}", "labels": {"app": "web"}}
        made.pop("status")
        conditions = pod(ready=True)["status"]["conditions"]
        status = {"phase": "Running", "conditions": conditions}
        await plane.client.create(PODS, namespace, made)
        await plane.client.merge(PODS, namespace, f"p{number}", {"status": status}, "status")
    spec = {"minAvailable": 13, "selector": {"matchLabels": {"app": "web"}}}
    made = {
        "kind": "PodDisruptionBudget",
        "apiVersion": "policy/v1",
        "metadata": {"name": "web"},
        "spec": spec,
    }
    created = await plane.client.create(BUDGETS, namespace, made)
    status = {
        "observedGeneration": created["metadata"]["generation"],
        "disruptionsAllowed": 7,
        "currentHealthy": 20,
        "desiredHealthy": 13,
        "expectedPods": 20,
    }
    await plane.client.update(BUDGETS, {**created, "status": status}, "status")

    async def evict(name: str) -> str:
        eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name}}
        try:
            await plane.client.create(PODS, namespace, eviction, name, "eviction")
        except ApiFailure as e:
            return e.reason
        return "evicted"

    results = await asyncio.gather(*(evict(f"p{number}") for number in range(20)))
    assert sorted(results) == ["TooManyRequests"] * 13 + ["evicted"] * 7
    found = await plane.client.get(BUDGETS, namespace, "web") or {}
    assert found["status"]["disruptionsAllowed"] == 0
    assert len(found["status"]["disruptedPods"]) == 7


@pytest.mark.e2e
async def test_an_eviction_is_a_delete_with_its_options(plane: ControlPlane) -> None:
    """Preconditions and dryRun hold; of two budgets for one pod none is asked."""
    namespace = await plane.namespace()
    selector = {"matchLabels": {"app": "web"}}
    for name in ("one", "two"):
        made: Object = {"metadata": {"name": name}, "spec": {"selector": selector}}
        await plane.client.create(BUDGETS, namespace, made)
    for name, phase in (("busy", "Running"), ("idle", "Pending")):
        made = pod(name, node="n")
        made["metadata"] = {"name": name, "labels": {"app": "web"}}
        made.pop("status")
        await plane.client.create(PODS, namespace, made)
        await plane.client.merge(PODS, namespace, name, {"status": {"phase": phase}}, "status")

    async def evict(name: str, **options: Any) -> None:
        eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "deleteOptions": options}
        await plane.client.create(PODS, namespace, eviction, name, "eviction")

    with pytest.raises(ApiFailure, match="more than one PodDisruptionBudget") as refused:
        await evict("busy")
    assert refused.value.code == 500
    with pytest.raises(ApiFailure, match="UID in precondition") as refused:
        await evict("idle", preconditions={"uid": "another"})
    assert refused.value.code == 409
    await evict("idle", dryRun=["All"])
    kept = await plane.client.get(PODS, namespace, "idle") or {}
    assert "deletionTimestamp" not in kept["metadata"]
    await evict("idle", gracePeriodSeconds=0)
    assert await plane.client.get(PODS, namespace, "idle") is None
