"""What controllers share: who goes first, selectors, conditions, budgets, backends of Services."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.conditions import with_condition
from apiserver_shim.components.controllers.disruption import desired_healthy
from apiserver_shim.components.controllers.endpoint_slices import contents_of
from apiserver_shim.components.controllers.endpoints import subsets_of
from apiserver_shim.components.controllers.failure_pauses import AGAIN_S_MAX, FailurePauses
from apiserver_shim.components.controllers.nodes import seconds_tolerated, wanted_taints
from apiserver_shim.components.controllers.pod_garbage import TERMINATED_MAX, too_many
from apiserver_shim.components.controllers.service_backends import backends_of
from apiserver_shim.components.label_selector import selects
from apiserver_shim.components.pod_states import (
    DELETION_COST,
    deletion_rank,
    is_available,
    seconds_until_available,
)
from tests.shim.pod_examples import NOW, node, pod
from tests.shim.virtual_clock import VirtualClock

RUNNING: dict[str, Any] = {"node": "n", "phase": "Running", "ready": True, "ready_s": 1000}


@pytest.mark.parametrize(
    ("goes", "stays"),
    [
        (pod("a"), pod("b", node="n")),
        (pod("a", node="n"), pod("b", node="n", phase="Running")),
        (pod("a", node="n", phase="Running"), pod("b", **RUNNING)),
        (pod("a", **RUNNING, annotations={DELETION_COST: "-1"}), pod("b", **RUNNING)),
        (pod("a", **{**RUNNING, "node": "crowded"}), pod("b", **RUNNING)),
        (pod("a", **{**RUNNING, "ready_s": 10}), pod("b", **RUNNING)),
        (pod("a", **RUNNING, restarts=3), pod("b", **RUNNING)),
        (pod("a", **RUNNING, age_s=2000), pod("b", **RUNNING, age_s=20000)),
    ],
    ids=["no node", "pending", "not ready", "cheap", "crowded", "ready later", "restarts", "young"],
)
def test_who_goes_first(goes: Object, stays: Object) -> None:
    """Each criterion decides when those before it are equal, whatever the order of the pods."""
    per_node = {"crowded": 3, "n": 1}
    for order in ([goes, stays], [stays, goes]):
        ranked = sorted(order, key=lambda each: deletion_rank(each, per_node, NOW))
        assert ranked[0]["metadata"]["name"] == goes["metadata"]["name"]


def test_available_is_ready_for_long_enough() -> None:
    """minReadySeconds count from the last change to ready."""
    young = pod(**{**RUNNING, "ready_s": 4})
    assert is_available(young, 0, NOW)
    assert not is_available(young, 10, NOW)
    assert seconds_until_available(young, 10, NOW) == 6
    assert seconds_until_available(pod(), 10, NOW) is None


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "1", "b": "2"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, True),
        ({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_selectors(selector: Object | None, expected: bool) -> None:
    """Against the label a=1; no selector at all selects nothing."""
    assert selects(selector, {"a": "1"}) is expected


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    """Another reason is told, with the time of the last change of the status."""
    first = with_condition((), "Ready", "False", "t1", "Starting")
    second = with_condition(first, "Ready", "False", "t2", "StillStarting")
    assert second == [
        {"type": "Ready", "status": "False", "lastTransitionTime": "t1", "reason": "StillStarting"}
    ]
    third = with_condition(second, "Ready", "True", "t3")
    assert third[0]["lastTransitionTime"] == "t3"
    assert with_condition(third, "Ready", "True", "t4") == third


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 2}, 2),
        ({"minAvailable": "50%"}, 4),
        ({"maxUnavailable": 1}, 6),
        ({"maxUnavailable": "30%"}, 4),
        ({"maxUnavailable": 9}, 0),
        ({}, 1),
    ],
)
def test_what_a_budget_wants_of_seven(spec: Object, expected: int) -> None:
    """Percentages are rounded up, on either side."""
    assert desired_healthy(spec, 7) == expected


def backend(name: str, ip: str, *, ready: bool = True, port: int = 8080, **more: Any) -> Object:
    made = pod(name, node="n", phase="Running", ready=ready, labels={"app": "web"}, **more)
    made["status"]["podIP"] = ip
    ports = [{"name": "http", "containerPort": port}]
    made["spec"]["containers"][0]["ports"] = ports
    return made


SERVICE: Object = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
}


def test_backends_of_a_service() -> None:
    """Ready and not ready apart; a port by name may differ from pod to pod; pods that have ended,
    have no address or another label are none; one that goes is told by slices only."""
    going = backend("e", "10.0.0.5")
    going["metadata"]["deletionTimestamp"] = "now"
    pods = [
        backend("a", "10.0.0.1"),
        backend("b", "10.0.0.2", ready=False),
        backend("c", "10.0.0.3", port=9090),
        {**backend("d", "10.0.0.4"), "status": {"phase": "Succeeded", "podIP": "10.0.0.4"}},
        going,
        pod("f", labels={"app": "web"}),
    ]
    subsets = subsets_of(backends_of(SERVICE, pods))
    shown = [
        (
            [a["ip"] for a in each.get("addresses", ())],
            [a["ip"] for a in each.get("notReadyAddresses", ())],
            each["ports"][0]["port"],
        )
        for each in subsets
    ]
    assert shown == [(["10.0.0.1"], ["10.0.0.2"], 8080), (["10.0.0.3"], [], 9090)]
    slices = contents_of(backends_of(SERVICE, pods, terminating=True))
    conditions = {
        each["addresses"][0]: tuple(each["conditions"].values())
        for _, _, endpoints in slices
        for each in endpoints
    }
    assert conditions == {
        "10.0.0.1": (True, True, False),
        "10.0.0.2": (False, False, False),
        "10.0.0.3": (True, True, False),
        "10.0.0.5": (False, True, True),
    }


def test_who_is_published_before_it_is_ready() -> None:
    """publishNotReadyAddresses: every pod that has an address takes part."""
    early = {**SERVICE, "spec": {**SERVICE["spec"], "publishNotReadyAddresses": True}}
    (subset,) = subsets_of(backends_of(early, [backend("a", "10.0.0.1", ready=False)]))
    assert [each["ip"] for each in subset["addresses"]] == ["10.0.0.1"]
    assert "notReadyAddresses" not in subset


def test_endpoints_hold_a_thousand() -> None:
    """The rest is in the slices only."""
    pods = [backend(f"p{i:04d}", f"10.0.{i // 250}.{i % 250}") for i in range(1003)]
    (subset,) = subsets_of(backends_of(SERVICE, pods))
    assert len(subset["addresses"]) == 1000
    assert sum(len(e) for _, _, e in contents_of(backends_of(SERVICE, pods))) == 1003


def test_only_very_many_finished_pods_are_too_many() -> None:
    """The oldest go; those that still run are not counted."""
    ended = [pod(f"p{n:05d}", phase="Failed", age_s=20_000 - n) for n in range(TERMINATED_MAX + 2)]
    running = [pod(f"r{n}", phase="Running", age_s=90_000) for n in range(9)]
    assert [each["metadata"]["name"] for each in too_many([*ended[::-1], *running])] == [
        "p00000",
        "p00001",
    ]


def test_slices_hold_a_hundred() -> None:
    """250 pods of one kind make three slices."""
    pods = [backend(f"p{i:03d}", f"10.0.{i // 250}.{i % 250}") for i in range(250)]
    assert [len(e) for _, _, e in contents_of(backends_of(SERVICE, pods))] == [100, 100, 50]


def with_ready(status: str, **more: Any) -> Object:
    made = node("n", **more)
    made["status"]["conditions"] = [{"type": "Ready", "status": status}]
    return made


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        (node("n"), [("not-ready", "X")]),
        (with_ready("True"), []),
        (with_ready("False"), [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
        (with_ready("Unknown"), [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]),
        (with_ready("True", unschedulable=True), [("unschedulable", "NoSchedule")]),
    ],
)
def test_taints_follow_conditions(what: Object, keys: list[tuple[str, str]]) -> None:
    """And a taint of somebody else's stays."""
    theirs = {"key": "mine", "effect": "NoSchedule"}
    what["spec"]["taints"] = [theirs, {"key": "node.kubernetes.io/not-ready", "effect": "X"}]
    found = wanted_taints(what, "now")
    assert found[0] == theirs
    expected = [(f"node.kubernetes.io/{key}", effect) for key, effect in keys]
    assert [(each["key"], each["effect"]) for each in found[1:]] == expected


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        ([], 300),
        ([{"operator": "Exists"}], None),
        ([{"operator": "Exists", "tolerationSeconds": 7}], 7),
        ([{"key": "other", "operator": "Exists"}], 300),
    ],
)
def test_how_long_a_pod_stays_on_a_silent_node(
    tolerations: list[Object], expected: float | None
) -> None:
    """As it says; five minutes if it says nothing."""
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    assert seconds_tolerated(pod(tolerations=tolerations), taint) == expected
    assert seconds_tolerated(pod(), {"key": "mine", "effect": "NoExecute"}) == 0


def test_what_fails_again_waits_longer() -> None:
    """It is replaced at once, then after 1, 2, 4 s; after a long time without failure at once."""
    time = VirtualClock()
    pauses = FailurePauses(time.clock)
    waits = []
    for _ in range(5):
        begun = time.seconds
        while pauses.seconds_left("a") > 0:
            time.advance(0.5)
        waits.append(time.seconds - begun)
    assert waits == [0, 1, 2, 4, 8]
    assert pauses.seconds_left("b") == 0, "another place has not failed"
    time.advance(3 * AGAIN_S_MAX)
    assert pauses.seconds_left("a") == 0
    assert pauses.seconds_left("a") == 1, "counted from the beginning"
