"""Where pods go: each filter and score by itself, then the loop on a real store."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.conditions import condition
from apiserver_shim.components.kinds import EVENTS, PODS
from apiserver_shim.components.pod_states import node_of
from apiserver_shim.components.quantities import quantity
from apiserver_shim.components.scheduler.filters import feasible, refusal
from apiserver_shim.components.scheduler.pending import Pending, backoff_s, name_of
from apiserver_shim.components.scheduler.placement import placement_of
from apiserver_shim.components.scheduler.requests import requests_of
from apiserver_shim.components.scheduler.scores import best
from apiserver_shim.components.scheduler.taints import tolerates
from tests.shim.control_plane import ControlPlane
from tests.shim.pod_examples import node, pod


def where(what: Object, nodes: list[Object], *there: Object) -> tuple[list[str], Counter[str]]:
    """The names of the nodes where it can run, and the reasons against the others."""
    places, refused = feasible(what, placement_of(nodes, there).places())
    return [place.name for place in places], refused.reasons


def required(*expressions: Object) -> dict[str, Any]:
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def anti(key: str = "kubernetes.io/hostname", **labels: str) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": key}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", "0.1"),
        ("2", "2"),
        ("1.5Gi", str(int(1.5 * 2**30))),
        ("1e3", "1000"),
        ("5k", "5000"),
        ("1E", str(10**18)),
        ("1E2", "100"),
        (".5", "0.5"),
        (3, "3"),
    ],
)
def test_quantities(text: str | int, value: str) -> None:
    """Decimal and binary suffixes, exponents, fractions."""
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1Qi", "abc", "1 2", "m"])
def test_what_is_no_quantity(text: str) -> None:
    """Is refused."""
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


def test_requests_of_a_pod() -> None:
    """Containers add up; an init container counts where it is larger; a sidecar counts always; a
    limit is a request where there is none; overhead comes on top."""
    asked = pod(requests={"cpu": "1", "memory": "1Gi"}, overhead={"cpu": "100m"})
    asked["spec"]["containers"].append({"name": "d", "resources": {"limits": {"cpu": "500m"}}})
    asked["spec"]["initContainers"] = [
        {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
        {"name": "i", "resources": {"requests": {"memory": "3Gi", "cpu": "1"}}},
    ]
    assert requests_of(asked) == {"cpu": Decimal("2.6"), "memory": 3 * 2**30}


def test_resources_count_what_is_there() -> None:
    """A node is full when requests add up to what is allocatable, or by the number of pods."""
    nodes = [node("a", cpu="2"), node("b", cpu="1"), node("c", cpu="2", pods="1")]
    there = [pod("x", node="a", requests={"cpu": "1"}), pod("y", node="c")]
    found, reasons = where(pod(requests={"cpu": "1500m"}), nodes, *there)
    assert found == []
    assert reasons == {"Insufficient cpu": 2, "Too many pods": 1}
    assert where(pod(requests={"cpu": "1"}), nodes, *there)[0] == ["a", "b"]
    ended = pod("x", node="a", phase="Succeeded", requests={"cpu": "2"})
    assert where(pod(requests={"cpu": "2"}), nodes, ended)[0] == ["a", "c"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "zone", "operator": "In", "values": ["x"]}, ["a"]),
        ({"key": "zone", "operator": "NotIn", "values": ["x"]}, ["b", "c"]),
        ({"key": "zone", "operator": "Exists"}, ["a", "b"]),
        ({"key": "zone", "operator": "DoesNotExist"}, ["c"]),
        ({"key": "size", "operator": "Gt", "values": ["3"]}, ["b"]),
        ({"key": "size", "operator": "Lt", "values": ["3"]}, ["a"]),
    ],
)
def test_node_affinity(expression: Object, expected: list[str]) -> None:
    """Every operator; a nodeSelector besides."""
    nodes = [
        node("a", labels={"zone": "x", "size": "2"}),
        node("b", labels={"zone": "y", "size": "10"}),
        node("c"),
    ]
    assert where(pod(affinity=required(expression)), nodes)[0] == expected
    found, reasons = where(pod(nodeSelector={"zone": "y"}), nodes)
    assert found == ["b"]
    assert reasons == {"node(s) didn't match Pod's node affinity/selector": 2}


def test_affinity_to_a_name() -> None:
    """matchFields, as a DaemonSet's pods have it."""
    field = {"key": "metadata.name", "operator": "In", "values": ["b"]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    only = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert where(pod(affinity=only), [node("a"), node("b")])[0] == ["b"]


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({}, False),
    ],
)
def test_tolerations(toleration: Object, expected: bool) -> None:
    """Against the taint k=v:NoSchedule."""
    assert tolerates(toleration, {"key": "k", "value": "v", "effect": "NoSchedule"}) is expected


def test_taints_and_cordons_keep_pods_away() -> None:
    """NoSchedule and unschedulable do; PreferNoSchedule does not."""
    nodes = [
        node("a", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]),
        node("b", taints=[{"key": "k", "effect": "PreferNoSchedule"}]),
        node("c", unschedulable=True),
    ]
    assert where(pod(), nodes)[0] == ["b"]
    _, refused = feasible(pod(requests={"cpu": "9"}), placement_of(nodes, []).places())
    assert refusal(3, refused) == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {k: v}, "
        "1 node(s) were unschedulable. preemption: 0/3 nodes are available: "
        "1 No preemption victims found for incoming pod, "
        "2 Preemption is not helpful for scheduling."
    )
    assert refusal(0, refused) == "no nodes available to schedule pods"
    assert where(pod(tolerations=[{"operator": "Exists"}]), nodes)[0] == ["a", "b", "c"]


def test_host_ports() -> None:
    """The same port, protocol and address are taken once per node."""

    def with_port(name: str, port: int, **more: Any) -> Object:
        made = pod(name, **more)
        made["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": port}]
        return made

    nodes = [node("a"), node("b")]
    taken = with_port("x", 8080, node="a")
    assert where(with_port("y", 8080), nodes, taken)[0] == ["b"]
    assert where(with_port("y", 8081), nodes, taken)[0] == ["a", "b"]


def test_anti_affinity_holds_both_ways() -> None:
    """The pod's own rule, and the rules of those that run already."""
    nodes = [node("a", labels={"zone": "x"}), node("b", labels={"zone": "x"}), node("c")]
    web = pod("w", node="a", labels={"app": "web"})
    assert where(pod(affinity=anti(app="web")), nodes, web)[0] == ["b", "c"]
    assert where(pod(affinity=anti("zone", app="web")), nodes, web)[0] == ["c"]
    shy = pod("s", node="b", affinity=anti(app="web"))
    found, reasons = where(pod(labels={"app": "web"}), nodes, shy)
    assert found == ["a", "c"]
    assert reasons == {"node(s) didn't satisfy existing pods anti-affinity rules": 1}


def test_affinity_to_pods() -> None:
    """Beside the pods it names; the first of its own kind goes anywhere."""
    term = {
        "labelSelector": {"matchLabels": {"app": "web"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    nodes = [node("a"), node("b")]
    assert where(pod(affinity=near), nodes, pod("w", node="b", labels={"app": "web"}))[0] == ["b"]
    assert where(pod(affinity=near), nodes)[0] == []
    assert where(pod(affinity=near, labels={"app": "web"}), nodes)[0] == ["a", "b"]
    far = pod("w", node="b", labels={"app": "web"})
    far["metadata"]["namespace"] = "other"
    assert where(pod(affinity=near), nodes, far)[0] == [], "a term is about its own namespace"
    term["namespaceSelector"] = {}
    assert where(pod(affinity=near), nodes, far)[0] == ["b"], "an empty selector is about all"


def best_of(what: Object, nodes: list[Object], *there: Object) -> set[str]:
    places, _ = feasible(what, placement_of(nodes, there).places())
    return {best(what, places, Random(seed)).name for seed in range(8)}


def test_scores() -> None:
    """The emptier node; the node without the pod's kin; the preferred node; of equals any."""
    nodes = [node("a"), node("b")]
    assert best_of(pod(), nodes) == {"a", "b"}
    assert best_of(pod(), nodes, pod("x", node="a", requests={"cpu": "1"})) == {"b"}
    kin = pod("k", node="a", labels={"app": "web"})
    assert best_of(pod(labels={"app": "web"}), nodes, kin) == {"b"}
    term = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    wish = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 9, "preference": term}]}
    wishful = pod(affinity={"nodeAffinity": wish})
    assert best_of(wishful, [node("a"), node("b", labels={"disk": "ssd"})]) == {"b"}


@given(
    sizes=st.lists(st.integers(100, 2000), max_size=25),
    nodes=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_assumed_pods_never_overcommit(sizes: list[int], nodes: int, seed: int) -> None:
    """A burst of pods, each assumed as soon as it is placed: no node is ever asked for more than
    it has, and a pod is refused only where none has room."""
    placement = placement_of([node(f"n{i}", cpu="4") for i in range(nodes)], [])
    free = {f"n{i}": 4000 for i in range(nodes)}
    for number, size in enumerate(sizes):
        what = pod(f"p{number}", requests={"cpu": f"{size}m"})
        places, _ = feasible(what, placement.places())
        assert bool(places) == any(room >= size for room in free.values())
        if places:
            chosen = best(what, places, Random(seed)).name
            placement.assume(what, chosen)
            free[chosen] -= size
    assert all(room >= 0 for room in free.values())


def test_a_refused_binding_frees_the_room() -> None:
    """And what the watch tells takes the place of what was assumed, counted once."""
    placement = placement_of([node("a", cpu="1")], [])
    first, second = pod("x", requests={"cpu": "1"}), pod("y", requests={"cpu": "1"})
    placement.assume(first, "a")
    assert feasible(second, placement.places())[0] == []
    placement.forget(first)
    assert feasible(second, placement.places())[0]
    placement.assume(first, "a")
    placement.pod_changed(first, pod("x", node="a", requests={"cpu": "1"}))
    assert placement.places()[0].taken["cpu"] == 1
    placement.forget(first)
    assert placement.places()[0].taken["cpu"] == 1, "bound is bound"


def test_pending_pods_back_off() -> None:
    """The most important first; a failed one waits 1, 2, 4 ... 10 s; one that fits nowhere waits
    for a change."""
    pending = Pending()
    low, high = pod("low"), pod("high", priority=10)
    pending.add(low)
    pending.add(high)
    assert [pending.next(0), pending.next(0), pending.next(0)] == [
        name_of(high),
        name_of(low),
        None,
    ]
    assert [backoff_s(n) for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, 10]
    pending.failed(name_of(low), 0, until_change=False)
    pending.failed(name_of(high), 0, until_change=True)
    assert (pending.next(0.9), pending.next(1)) == (None, name_of(low))
    pending.something_changed(5)
    assert pending.next(5) == name_of(high)


# --- on a real store ------------------------------------------------------------------------------


async def make_pod(plane: ControlPlane, namespace: str, name: str, cpu: str, **spec: Any) -> Object:
    made = pod(name, requests={"cpu": cpu}, **spec)
    made["metadata"] = {"name": name}
    made.pop("status")
    return await plane.client.create(PODS, namespace, made)


@pytest.mark.e2e
async def test_a_burst_fills_the_nodes_and_no_more(plane: ControlPlane) -> None:
    """Of 12 pods of half a CPU 8 get onto two nodes of 2, 4 on each; the others are told why, and
    come to run as soon as there is room."""
    await plane.kubelet.register("n1", cpu="2")
    await plane.kubelet.register("n2", cpu="2")
    namespace = await plane.namespace()
    plane.start_scheduler()
    await asyncio.gather(*(make_pod(plane, namespace, f"p{i}", "500m") for i in range(12)))

    async def settled() -> Counter[str] | None:
        pods = await plane.pods(namespace)
        told = [condition(each, "PodScheduled") for each in pods]
        return Counter(map(node_of, pods)) if all(told) else None

    assert await plane.until(settled, "all are told") == {"n1": 4, "n2": 4, "": 4}
    waiting = next(each for each in await plane.pods(namespace) if not node_of(each))
    told = condition(waiting, "PodScheduled") or {}
    assert (told["status"], told["reason"]) == ("False", "Unschedulable")
    assert told["message"].startswith("0/2 nodes are available: 2 Insufficient cpu.")

    async def event() -> bool:
        found = (await plane.client.list(EVENTS, namespace))["items"]
        about = waiting["metadata"]["uid"]
        ours = [each for each in found if each["involvedObject"]["uid"] == about]
        return [(e["reason"], e["message"]) for e in ours] == [
            ("FailedScheduling", told["message"])
        ]

    await plane.until(event, "an event says so")
    await plane.kubelet.register("n3")

    async def all_bound() -> bool:
        return Counter(map(node_of, await plane.pods(namespace))) == {"n1": 4, "n2": 4, "n3": 4}

    await plane.until(all_bound, "the new node takes the rest")


@pytest.mark.e2e
async def test_a_deleted_pod_makes_room(plane: ControlPlane) -> None:
    """What waited is tried when another pod goes, not only when nodes change."""
    await plane.kubelet.register("n1", cpu="1")
    namespace = await plane.namespace()
    plane.start_scheduler()
    await make_pod(plane, namespace, "first", "1")

    async def bound(name: str) -> bool:
        found = await plane.client.get(PODS, namespace, name)
        return found is not None and node_of(found) == "n1"

    await plane.until(lambda: bound("first"), "the first is bound")
    await make_pod(plane, namespace, "second", "1")

    async def refused() -> bool:
        found = await plane.client.get(PODS, namespace, "second") or {}
        return condition(found, "PodScheduled") is not None

    await plane.until(refused, "the second is told to wait")
    await plane.client.delete(PODS, namespace, "first", {"gracePeriodSeconds": 0})
    await plane.until(lambda: bound("second"), "the second has its place")


@pytest.mark.e2e
async def test_the_first_binding_wins(plane: ControlPlane) -> None:
    """A second one gets 409 and changes nothing; another scheduler's pod is left alone, and so is
    one that waits for its gates."""
    await plane.kubelet.register("n1", cpu="2")
    namespace = await plane.namespace()
    made = await make_pod(plane, namespace, "p", "1", schedulerName="mine")
    await make_pod(plane, namespace, "gated", "100m", schedulingGates=[{"name": "a.io/wait"}])
    plane.start_scheduler()
    other = await make_pod(plane, namespace, "q", "1")

    async def scheduled(name: str) -> bool:
        return bool(node_of(await plane.client.get(PODS, namespace, name) or {}))

    await plane.until(lambda: scheduled("q"), "the scheduler is at work")
    for name in ("p", "gated"):
        assert not node_of(await plane.client.get(PODS, namespace, name) or {}), name
    await plane.client.merge(PODS, namespace, "gated", {"spec": {"schedulingGates": None}})
    await plane.until(lambda: scheduled("gated"), "it goes on when its gates are open")
    binding = {
        "kind": "Binding",
        "apiVersion": "v1",
        "target": {"kind": "Node", "name": "far"},
        "metadata": {"name": "p", "uid": made["metadata"]["uid"]},
    }
    answer = await plane.client.create(PODS, namespace, binding, "p", "binding")
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    bound = await plane.client.get(PODS, namespace, "p") or {}
    assert (node_of(bound), (condition(bound, "PodScheduled") or {})["status"]) == ("far", "True")
    binding["target"] = {"kind": "Node", "name": "near"}
    with pytest.raises(ApiFailure, match='already assigned to node "far"') as refused:
        await plane.client.create(PODS, namespace, binding, "p", "binding")
    assert refused.value.code == 409
    wrong = {**binding, "metadata": {"name": "p", "uid": other["metadata"]["uid"]}}
    with pytest.raises(ApiFailure, match="UID in precondition"):
        await plane.client.create(PODS, namespace, wrong, "p", "binding")
