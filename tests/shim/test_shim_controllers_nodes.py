"""What follows from nodes: daemons on each, silence, eviction, and pods of nodes that are gone; on
a real store, with a clock that the test moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.conditions import condition
from apiserver_shim.components.controllers.nodes import GRACE_S, PERIOD_S, TOLERATED_S
from apiserver_shim.components.kinds import (
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    LEASES,
    NODES,
    PODS,
    REPLICA_SETS,
)
from apiserver_shim.components.ownership import controller_of, is_being_deleted, is_controlled_by
from apiserver_shim.components.pod_states import is_ready, node_of
from tests.shim.control_plane import ControlPlane
from tests.shim.virtual_clock import VirtualClock

pytestmark = pytest.mark.e2e


def template(app: str, image: str = "i", **spec: object) -> Object:
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "image": image}], **spec},
    }


def daemon_set(image: str = "i", **spec: object) -> Object:
    return {
        "kind": "DaemonSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": template("agent", image),
            **spec,
        },
    }


async def test_a_daemon_on_every_node(running: ControlPlane) -> None:
    """Also on one that comes later and on a cordoned one; none where a taint forbids it; an update
    replaces them one after another and keeps a record of both templates; with OnDelete it takes
    those alone that somebody deletes."""
    namespace = await running.namespace()
    tainted = await running.kubelet.register("far")
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    await running.change(NODES, "", "far", spec={"taints": [taint]})
    assert tainted["metadata"]["name"] == "far"
    await running.change(NODES, "", "n2", spec={"unschedulable": True})
    await running.client.create(DAEMON_SETS, namespace, daemon_set())

    async def ready_on(*nodes: str) -> bool:
        pods = await running.pods(namespace)
        return Counter(map(node_of, pods)) == Counter(nodes) and all(map(is_ready, pods))

    await running.until(lambda: ready_on("n1", "n2"), "one on each node that it may run on")
    await running.kubelet.register("n3")
    await running.until(lambda: ready_on("n1", "n2", "n3"), "one on the new node")
    new = template("agent", "i2")
    await running.change(DAEMON_SETS, namespace, "agent", spec={"template": new})

    async def updated() -> bool:
        found = await running.client.get(DAEMON_SETS, namespace, "agent") or {}
        status = found.get("status", {})
        numbers = ("updatedNumberScheduled", "numberAvailable", "desiredNumberScheduled")
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return seen and [status.get(name) for name in numbers] == [3, 3, 3]

    await running.until(updated, "all three are updated")
    revisions = (await running.client.list(CONTROLLER_REVISIONS, namespace))["items"]
    assert sorted(each["revision"] for each in revisions) == [1, 2]
    manual = {"updateStrategy": {"type": "OnDelete"}, "template": template("agent", "i3")}
    await running.change(DAEMON_SETS, namespace, "agent", spec=manual)
    deleted = (await running.pods(namespace))[0]["metadata"]["name"]
    await running.client.delete(PODS, namespace, deleted)

    async def images() -> bool:
        pods = await running.pods(namespace)
        found = Counter(each["spec"]["containers"][0]["image"] for each in pods)
        return found == {"i2": 2, "i3": 1}

    await running.until(images, "the one that was deleted is of the new template")


async def test_an_orphaned_daemon_set_is_taken_up_again(running: ControlPlane) -> None:
    """Deleted with Orphan and made anew: the same pods and the same record of its template."""
    namespace = await running.namespace()
    await running.client.create(DAEMON_SETS, namespace, daemon_set())

    async def uids() -> set[str]:
        pods = await running.pods(namespace)
        owned = [each for each in pods if is_ready(each) and controller_of(each)]
        return {each["metadata"]["uid"] for each in owned} if len(owned) == 2 else set()

    before = await running.until(uids, "both daemons run")
    await running.client.delete(DAEMON_SETS, namespace, "agent", {"propagationPolicy": "Orphan"})

    async def orphaned() -> bool:
        if await running.client.get(DAEMON_SETS, namespace, "agent") is not None:
            return False
        records = (await running.client.list(CONTROLLER_REVISIONS, namespace))["items"]
        return not any(map(controller_of, [*records, *await running.pods(namespace)]))

    await running.until(orphaned, "they are on their own")
    again = await running.client.create(DAEMON_SETS, namespace, daemon_set())

    async def adopted() -> bool:
        records = (await running.client.list(CONTROLLER_REVISIONS, namespace))["items"]
        return await uids() == before and [is_controlled_by(r, again) for r in records] == [True]

    await running.until(adopted, "they are the new one's")


class SilentNode:
    """A node of which nothing more is heard, with one pod of a ReplicaSet on it, and a second one
    that lives. The controllers' clock is the test's."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.time = VirtualClock()
        self.namespace = ""

    async def start(self, **spec: object) -> None:
        plane = self.plane
        for task in plane.kubelet.tasks():
            plane.start(task)
        await plane.kubelet.register("silent")
        plane.start_scheduler()
        plane.start_controllers(self.time.clock)
        self.namespace = await plane.namespace()
        labels = {"matchLabels": {"app": "web"}}
        made = {
            "kind": "ReplicaSet",
            "apiVersion": "apps/v1",
            "metadata": {"name": "web"},
            "spec": {"replicas": 1, "selector": labels, "template": template("web", **spec)},
        }
        await plane.client.create(REPLICA_SETS, self.namespace, made)

        async def runs() -> bool:
            pods = await plane.pods(self.namespace)
            return len(pods) == 1 and is_ready(pods[0])

        await plane.until(runs, "its pod runs")
        await plane.kubelet.register("live")

    async def beat(self) -> None:
        """The other node's heartbeat, as kubelets send it."""
        now = self.time.clock.micro_stamp()
        lease = {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"name": "live", "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": "live", "renewTime": now},
        }
        await self.plane.client.update(LEASES, lease)

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Time goes on, in the controller's steps, until it is so."""

        async def step() -> bool:
            if await condition():
                return True
            await self.beat()
            self.time.advance(PERIOD_S)
            return False

        await self.plane.until(step, what)


async def test_a_silent_node_is_unknown_and_its_pods_move(plane: ControlPlane) -> None:
    """After 40 s: condition Unknown, taints, its pod not ready; after five minutes more the pod is
    deleted and another one runs on the node that lives."""
    silent = SilentNode(plane)
    await silent.start()

    async def unknown() -> bool:
        node = await plane.client.get(NODES, "", "silent") or {}
        keys = {(t["key"], t["effect"]) for t in node["spec"].get("taints") or ()}
        unreachable = "node.kubernetes.io/unreachable"
        return (condition(node, "Ready") or {})["status"] == "Unknown" and keys == {
            (unreachable, "NoSchedule"),
            (unreachable, "NoExecute"),
        }

    begun = silent.time.seconds
    await silent.until(unknown, "the node is unknown and tainted")
    assert silent.time.seconds - begun >= GRACE_S
    live = await plane.client.get(NODES, "", "live") or {}
    assert (condition(live, "Ready") or {})["status"] == "True"
    assert not live["spec"].get("taints")

    tainted_at = silent.time.seconds

    async def moved() -> bool:
        pods = await plane.pods(silent.namespace)
        return [node_of(each) for each in pods if is_ready(each)] == ["live"]

    await silent.until(moved, "its pod has been replaced on the other node")
    assert silent.time.seconds - tainted_at >= TOLERATED_S - 2 * PERIOD_S


async def test_a_node_that_speaks_again_is_well(plane: ControlPlane) -> None:
    """Its taints go with the condition; a pod that tolerates anything was never touched."""
    silent = SilentNode(plane)
    await silent.start(tolerations=[{"operator": "Exists"}])
    before = (await plane.pods(silent.namespace))[0]["metadata"]["uid"]

    async def tainted() -> bool:
        node = await plane.client.get(NODES, "", "silent") or {}
        return len(node["spec"].get("taints") or ()) == 2

    await silent.until(tainted, "the node is tainted")
    node = await plane.client.get(NODES, "", "silent") or {}
    ready = {
        "type": "Ready",
        "status": "True",
        "lastHeartbeatTime": "2030-01-01T00:00:00Z",
        "lastTransitionTime": "2030-01-01T00:00:00Z",
    }
    node["status"]["conditions"] = [ready]
    await plane.client.update(NODES, node, "status")

    async def well() -> bool:
        found = await plane.client.get(NODES, "", "silent") or {}
        return not found["spec"].get("taints")

    await plane.until(well, "the taints are gone without any time passing")
    pods = await plane.pods(silent.namespace)
    assert [each["metadata"]["uid"] for each in pods] == [before]


async def test_pods_of_a_node_that_is_gone_are_removed(plane: ControlPlane) -> None:
    """Nobody else can end them: after 40 s without the node they go, and are replaced."""
    silent = SilentNode(plane)
    await silent.start()
    before = (await plane.pods(silent.namespace))[0]["metadata"]["uid"]
    plane.kubelet.outcome = lambda pod: "ready"
    await plane.client.delete(NODES, "", "silent")

    async def replaced() -> bool:
        pods = await plane.pods(silent.namespace)
        there = [each for each in pods if not is_being_deleted(each)]
        gone = before not in {each["metadata"]["uid"] for each in pods}
        return gone and [node_of(each) for each in there] == ["live"]

    begun = silent.time.seconds
    await silent.until(replaced, "its pod runs elsewhere")
    assert silent.time.seconds - begun >= GRACE_S
