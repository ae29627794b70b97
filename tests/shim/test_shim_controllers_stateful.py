"""StatefulSets: names that stay and steps in order. The choice of the next step as a pure function,
then a real store."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.controllers.stateful_sets import Step, next_step, ordinal_of
from apiserver_shim.components.kinds import CLAIMS, PODS, STATEFUL_SETS
from apiserver_shim.components.pod_states import is_ready
from tests.shim.control_plane import ControlPlane
from tests.shim.pod_examples import pod


def stateful_set(replicas: int, **spec: Any) -> Object:
    return {
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {"replicas": replicas, **spec},
    }


def member(ordinal: int, hashed: str = "new", **more: Any) -> Object:
    labels = {"controller-revision-hash": hashed}
    return pod(f"db-{ordinal}", node="n", phase="Running", ready=True, labels=labels, **more)


def step(spec: Object, pods: dict[int, Object], *broken: int) -> tuple[tuple[int, ...], list[str]]:
    healthy = {ordinal: ordinal not in broken for ordinal in pods}
    found = next_step(spec, pods, "new", healthy)
    return found.create, [each["metadata"]["name"] for each in found.delete]


def test_one_after_another() -> None:
    """The next pod is made when those before it are well; with Parallel all at once."""
    three = stateful_set(3)
    assert step(three, {}) == ((0,), [])
    assert step(three, {0: member(0)}) == ((1,), [])
    assert step(three, {0: member(0)}, 0) == ((), [])
    assert step(three, {0: member(0), 2: member(2)}) == ((1,), [])
    assert step(stateful_set(3, podManagementPolicy="Parallel"), {}) == ((0, 1, 2), [])


def test_down_from_the_top() -> None:
    """The highest goes first, the next when it is gone."""
    pods = {i: member(i) for i in range(4)}
    assert step(stateful_set(2), pods) == ((), ["db-3"])
    pods[3]["metadata"]["deletionTimestamp"] = "now"
    assert step(stateful_set(2), pods) == ((), [])


def test_updates_from_the_top_to_the_partition() -> None:
    """One at a time, each well before the next; OnDelete waits for somebody to delete."""
    pods = {i: member(i, "old") for i in range(3)}
    assert step(stateful_set(3), pods) == ((), ["db-2"])
    pods[2] = member(2)
    assert step(stateful_set(3), pods) == ((), ["db-1"])
    assert step(stateful_set(3), pods, 2) == ((), [])
    half = {"rollingUpdate": {"partition": 2}}
    assert step(stateful_set(3, updateStrategy=half), pods) == ((), [])
    assert step(stateful_set(3, updateStrategy={"type": "OnDelete"}), pods) == ((), [])


def test_what_has_ended_is_made_anew() -> None:
    """A failed pod is deleted first: its name is needed."""
    ended = {0: pod("db-0", phase="Failed"), 1: member(1)}
    assert step(stateful_set(2), ended) == ((), ["db-0"])


def test_ordinals() -> None:
    """Of the set's own names only."""
    assert ordinal_of(pod("db-12"), "db") == 12
    assert ordinal_of(pod("db-x-1"), "db") is None


@given(st.data())
def test_ordered_steps_come_to_the_end_one_pod_at_a_time(data: st.DataObject) -> None:
    """From any pods at all, with each step carried out: all replicas, all new, nothing else; and
    never more than one pod is missing, being made or unwell because of the controller."""
    replicas = data.draw(st.integers(0, 4))
    there = data.draw(st.dictionaries(st.integers(0, 6), st.sampled_from(["old", "new"])))
    pods = {ordinal: member(ordinal, hashed) for ordinal, hashed in there.items()}
    spec = stateful_set(replicas)
    for _ in range(40):
        found = next_step(spec, pods, "new", dict.fromkeys(pods, True))
        assert len(found.create) + len(found.delete) <= 1
        for ordinal in found.create:
            pods[ordinal] = member(ordinal)
        for each in found.delete:
            ordinal = ordinal_of(each, "db")
            assert ordinal is not None
            del pods[ordinal]
        if found == Step():
            break
    hashes = {i: p["metadata"]["labels"]["controller-revision-hash"] for i, p in pods.items()}
    assert hashes == dict.fromkeys(range(replicas), "new")


def database(image: str = "i1") -> Object:
    template = {
        "metadata": {"labels": {"app": "db"}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "db"},
        "spec": {
            "replicas": 3,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": template,
            "volumeClaimTemplates": [claim],
        },
    }


@pytest.mark.e2e
async def test_a_stateful_set_comes_and_is_updated(running: ControlPlane) -> None:
    """web-0 is ready before web-1 is made; each has its claim; an update goes from the top; scaled
    down the claims stay."""
    namespace = await running.namespace()
    made = database()
    revision = (await running.client.list(PODS, namespace))["metadata"]["resourceVersion"]
    await running.client.create(STATEFUL_SETS, namespace, made)

    async def ready(image: str, count: int) -> bool:
        pods = await running.pods(namespace)
        images = {each["spec"]["containers"][0]["image"] for each in pods}
        found = await running.client.get(STATEFUL_SETS, namespace, "db") or {}
        told = found["status"]
        return (
            len(pods) == count == told.get("readyReplicas", 0) == told.get("updatedReplicas", 0)
            and all(map(is_ready, pods))
            and images == {image}
            and told["currentRevision"] == told["updateRevision"]
        )

    await running.until(lambda: ready("i1", 3), "three ready replicas")
    order: list[str] = []
    well: set[str] = set()
    async for event, each in running.client.watch(PODS, namespace, revision, timeoutSeconds="5"):
        name = each["metadata"]["name"]
        if event == "ADDED":
            assert well == set(order), "the next one is made when those before it are ready"
            order.append(name)
        elif is_ready(each):
            well.add(name)
        if len(well) == 3:
            break
    assert order == ["db-0", "db-1", "db-2"]
    template = database("i2")["spec"]["template"]
    await running.change(STATEFUL_SETS, namespace, "db", spec={"template": template})
    await running.until(lambda: ready("i2", 3), "three updated replicas")
    await running.client.merge(STATEFUL_SETS, namespace, "db", {"spec": {"replicas": 1}}, "scale")

    async def one() -> bool:
        return [p["metadata"]["name"] for p in await running.pods(namespace)] == ["db-0"]

    await running.until(one, "only the first is left")
    claims = (await running.client.list(CLAIMS, namespace))["items"]
    assert sorted(c["metadata"]["name"] for c in claims) == [f"data-db-{i}" for i in range(3)]
