"""The kubelet with real processes, on a real shim and store: what a pod goes through."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from apiserver_shim.components.api_client import ApiFailure, Kind, Object
from apiserver_shim.components.conditions import is_true
from apiserver_shim.components.kinds import EVENTS, LEASES, NODES, PODS
from apiserver_shim.components.kubelet.environment import CONFIG_MAPS, SECRETS
from apiserver_shim.components.kubelet.kubelet import PodSources
from tests.shim.control_plane import ControlPlane
from tests.shim.running_kubelet import (
    NODE,
    RunningKubelet,
    children_in,
    is_alive,
    pid_of,
    pod,
    shell,
)

pytestmark = pytest.mark.slow


@pytest.fixture
async def kubelet(plane: ControlPlane, tmp_path: Path) -> AsyncIterator[RunningKubelet]:
    """Restarts back off by 50 ms at first; it takes manifests from a directory and by HTTP."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    sources = PodSources(manifests, look_s=0.1)
    made = RunningKubelet(
        plane,
        tmp_path / "kubelet",
        sources=sources,
        back_off_base_s=0.05,
        takes_pods=True,
    )
    async with made.running() as kubelet:
        yield kubelet


class Pods:
    """Pods of one namespace, awaited by what they come to."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._plane = plane
        self.namespace = namespace

    async def create(self, obj: Object, kind: Kind = PODS) -> Object:
        return await self._plane.client.create(kind, self.namespace, obj)

    async def get(self, name: str) -> Object | None:
        return await self._plane.client.get(PODS, self.namespace, name)

    async def until(self, name: str, what: str, holds: Any) -> Object:
        async def look() -> Object | None:
            found = await self.get(name)
            return found if found is not None and holds(found) else None

        found = await self._plane.until(look, f"{name} {what}")
        assert found is not None
        return found

    async def until_phase(self, name: str, phase: str) -> Object:
        return await self.until(name, phase, lambda it: it.get("status", {}).get("phase") == phase)

    async def until_gone(self, name: str) -> None:
        async def look() -> bool:
            return await self.get(name) is None

        await self._plane.until(look, f"{name} is gone")

    async def log(self, name: str, container: str = "c", query: str = "") -> str:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/log?container={container}{query}"
        return b"".join([line async for line in self._plane.client.lines(path)]).decode()


@pytest.fixture
async def pods(plane: ControlPlane) -> Pods:
    return Pods(plane, await plane.namespace())


def first_status(found: Object) -> Object:
    status: Object = found["status"]["containerStatuses"][0]
    return status


async def test_node_is_registered_and_alive(plane: ControlPlane, kubelet: RunningKubelet) -> None:
    """A Node that is Ready with room and a port, and a Lease that names it."""

    async def look() -> Object | None:
        found = await plane.client.get(NODES, "", NODE)
        return found if found is not None and is_true(found, "Ready") else None

    node = await plane.until(look, "the node is ready")
    assert node is not None
    assert int(node["status"]["allocatable"]["pods"]) > 0
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == NODE
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    assert kubelet.url.endswith(f":{port}")
    lease = await plane.until(
        lambda: plane.client.get(LEASES, "kube-node-lease", NODE), "the node's lease"
    )
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == NODE


async def test_pod_runs_with_its_configuration(kubelet: RunningKubelet, pods: Pods) -> None:
    """Variables, volumes and init containers in order are what the spec says; so is the log."""
    await pods.create(
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "m"}, "data": {"k": "v1"}},
        CONFIG_MAPS,
    )
    await pods.create(
        {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"p": "djI="}},
        SECRETS,
    )
    env = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}},
        {"name": "BOTH", "value": "$(K)$(P)"},
    ]
    script = "echo $NAME $BOTH $POD_IP $(cat $VOLUME_CONF/k) $(cat $VOLUME_WORK/x); exec sleep 600"
    made = pod(
        "p",
        shell(script, env=env),
        initContainers=[
            shell("echo 1 > $VOLUME_WORK/x", "first"),
            shell("echo 2 >> $VOLUME_WORK/x", "second"),
        ],
        volumes=[{"name": "work", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "m"}}],
    )
    await pods.create(made)
    found = await pods.until("p", "is ready", lambda it: is_true(it, "Ready"))
    status = found["status"]
    assert status["phase"] == "Running"
    assert status["podIP"].startswith("127.65.0.")
    assert status["qosClass"] == "BestEffort"
    assert [each["state"]["terminated"]["reason"] for each in status["initContainerStatuses"]] == [
        "Completed",
        "Completed",
    ]
    for kind in ("Initialized", "ContainersReady", "PodScheduled"):
        assert is_true(found, kind), kind
    expected = f"p v1v2 {status['podIP']} v1 1 2\n"

    async def logged() -> bool:
        return await pods.log("p") == expected

    await pods._plane.until(logged, "the log")
    assert (await pods.log("p", query="&timestamps=true")).endswith(f"Z {expected}")


async def test_deletion_is_graceful(kubelet: RunningKubelet, pods: Pods, tmp_path: Path) -> None:
    """preStop, SIGTERM, then the pod goes from the API; SIGKILL for who does not listen; the whole
    group."""
    said = tmp_path / "said"
    polite = shell("trap 'exit 3' TERM; while :; do sleep 0.05; done")
    polite["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", f"echo bye > {said}"]}}}
    await pods.create(pod("polite", polite))
    deaf = pod("deaf", shell("trap '' TERM; sleep 600 & while :; do sleep 0.05; done"))
    deaf["spec"]["terminationGracePeriodSeconds"] = 1
    await pods.create(deaf)
    groups = []
    for name in ("polite", "deaf"):
        found = await pods.until_phase(name, "Running")
        groups.append(pid_of(found))
        await pods._plane.client.delete(PODS, pods.namespace, name)
    for name, group in zip(("polite", "deaf"), groups, strict=True):
        await pods.until_gone(name)
        assert not children_in(group), name
    assert said.read_text() == "bye\n"


async def test_a_container_that_keeps_ending_backs_off(kubelet: RunningKubelet, pods: Pods) -> None:
    """Restarted at once, then CrashLoopBackOff between; the last run's log stays readable."""
    await pods.create(pod("crash", shell("echo run; exit 7")))
    found = await pods.until(
        "crash",
        "backs off",
        lambda it: (
            first_status(it)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
            and first_status(it)["restartCount"] >= 2
            if it.get("status", {}).get("containerStatuses")
            else False
        ),
    )
    status = first_status(found)
    assert status["lastState"]["terminated"]["exitCode"] == 7
    assert status["lastState"]["terminated"]["reason"] == "Error"
    assert "restarting failed container=c pod=crash_" in status["state"]["waiting"]["message"]
    assert found["status"]["phase"] == "Running"
    assert not is_true(found, "Ready")
    assert await pods.log("crash", query="&previous=true") == "run\n"


@pytest.mark.parametrize(
    ("policy", "script", "phase", "restarts"),
    [
        ("Never", "exit 0", "Succeeded", 0),
        ("Never", "exit 1", "Failed", 0),
        ("OnFailure", "test -e $VOLUME_W/x || { touch $VOLUME_W/x; exit 1; }", "Succeeded", 1),
    ],
)
async def test_restart_policies(
    kubelet: RunningKubelet, pods: Pods, policy: str, script: str, phase: str, restarts: int
) -> None:
    """Never and OnFailure come to an end, and stay there."""
    volumes = [{"name": "w", "emptyDir": {}}]
    await pods.create(pod("job", shell(script), restartPolicy=policy, volumes=volumes))
    found = await pods.until_phase("job", phase)
    assert first_status(found)["restartCount"] == restarts


async def test_probes_decide(kubelet: RunningKubelet, pods: Pods) -> None:
    """Readiness by exec goes to and fro; liveness that fails restarts the container."""
    every = {"periodSeconds": 1, "failureThreshold": 1}
    ready = {**every, "exec": {"command": ["sh", "-c", "test -e $VOLUME_W/ready"]}}
    alive = {**every, "exec": {"command": ["sh", "-c", "! test -e $VOLUME_W/dead"]}}
    script = 'rm -f "$VOLUME_W/dead"; echo "$VOLUME_W"; exec sleep 600'
    made = pod(
        "probed",
        shell(script, readinessProbe=ready, livenessProbe=alive),
        volumes=[{"name": "w", "emptyDir": {}}],
    )
    await pods.create(made)
    found = await pods.until_phase("probed", "Running")
    assert not is_true(found, "Ready")

    async def directory() -> str:
        return (await pods.log("probed")).strip()

    volume = Path(await pods._plane.until(directory, "the volume's path"))
    (volume / "ready").touch()
    await pods.until("probed", "is ready", lambda it: is_true(it, "Ready"))
    (volume / "dead").touch()
    found = await pods.until(
        "probed", "is restarted", lambda it: first_status(it)["restartCount"] == 1
    )
    assert first_status(found)["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGTERM

    async def told() -> bool:
        events = (await pods._plane.client.list(EVENTS, pods.namespace))["items"]
        return {"Started", "Unhealthy", "Killing"} <= {each["reason"] for each in events}

    await pods._plane.until(told, "events tell of it")


@pytest.mark.parametrize(
    ("container", "reason", "words"),
    [
        ({"name": "c", "image": "nginx"}, "ErrImageNeverPull", "--image nginx=COMMAND"),
        (
            shell("true", envFrom=[{"configMapRef": {"name": "no"}}]),
            "CreateContainerConfigError",
            'configmap "no" not found',
        ),
        ({"name": "c", "image": "x", "command": ["/no/such"]}, "RunContainerError", "/no/such"),
    ],
)
async def test_what_cannot_start_says_why(
    kubelet: RunningKubelet, pods: Pods, container: Object, reason: str, words: str
) -> None:
    """The container waits, with a reason and a message, and the log says that it waits."""
    await pods.create(pod("bad", container))
    found = await pods.until(
        "bad",
        reason,
        lambda it: (
            it.get("status", {}).get("containerStatuses")
            and first_status(it)["state"].get("waiting", {}).get("reason") == reason
        ),
    )
    assert words in first_status(found)["state"]["waiting"]["message"]
    assert found["status"]["phase"] == "Pending"
    with pytest.raises(ApiFailure, match="is waiting to start"):
        await pods.log("bad")


async def test_static_pods_have_mirrors(
    kubelet: RunningKubelet, plane: ControlPlane, tmp_path: Path
) -> None:
    """From a file and by HTTP; a deleted mirror comes back; the file's end is the pod's."""
    manifest = tmp_path / "manifests" / "s.yaml"
    manifest.write_text(
        "kind: Pod\nmetadata: {name: s}\nspec: {terminationGracePeriodSeconds: 1, containers: "
        "[{name: c, image: demo, command: [sleep, '600']}]}\n"
    )
    static = Pods(plane, "default")
    found = await static.until_phase(f"s-{NODE}", "Running")
    pid, uid = pid_of(found), found["metadata"]["uid"]
    await plane.client.delete(PODS, "default", f"s-{NODE}")
    found = await static.until(
        f"s-{NODE}",
        "is shown again",
        lambda it: it["metadata"]["uid"] != uid and it["status"].get("phase") == "Running",
    )
    assert pid_of(found) == pid
    manifest.unlink()
    await static.until_gone(f"s-{NODE}")
    assert not is_alive(pid)

    pushed = {
        "kind": "Pod",
        "metadata": {"name": "h"},
        "spec": pod("h", shell("sleep 600"))["spec"],
    }
    session = kubelet.http._open
    async with session.post(f"{kubelet.url}/manifests", json=pushed) as reply:
        assert reply.status == 201
    await static.until_phase(f"h-{NODE}", "Running")
    async with session.delete(f"{kubelet.url}/manifests/default/h-{NODE}") as reply:
        assert reply.status == 200
    await static.until_gone(f"h-{NODE}")


async def test_processes_end_with_the_kubelet(
    plane: ControlPlane, pods: Pods, tmp_path: Path
) -> None:
    """Its end ends them; the next one starts them again, and that counts as a restart."""
    made = RunningKubelet(plane, tmp_path / "k", back_off_base_s=0.05)
    await pods.create(pod("p", shell("exec sleep 600")))
    async with made.running():
        group = pid_of(await pods.until_phase("p", "Running"))
    assert not children_in(group)
    async with RunningKubelet(plane, tmp_path / "k").running():
        found = await pods.until("p", "runs anew", lambda it: pid_of(it) != group)
        assert first_status(found)["restartCount"] == 1
        os.kill(pid_of(found), signal.SIGKILL)
        again = await pods.until(
            "p", "is restarted", lambda it: first_status(it)["restartCount"] == 2
        )
        assert pid_of(again) != pid_of(found)
    assert not children_in(pid_of(again))


async def test_what_ran_once_is_not_run_again_by_the_next_kubelet(
    plane: ControlPlane, pods: Pods, tmp_path: Path
) -> None:
    """restartPolicy Never: a container that died with its kubelet has failed; leftovers go."""
    await pods.create(pod("once", shell("exec sleep 600"), restartPolicy="Never"))
    async with RunningKubelet(plane, tmp_path / "k").running():
        await pods.until_phase("once", "Running")
    leftover = tmp_path / "k" / "pods" / "of-a-pod-that-is-gone"
    leftover.mkdir()
    async with RunningKubelet(plane, tmp_path / "k").running():
        found = await pods.until_phase("once", "Failed")
        assert not leftover.exists()
    ended = first_status(found)["state"]["terminated"]
    assert ended["reason"] == "ContainerStatusUnknown"
    assert first_status(found)["restartCount"] == 0


async def test_finished_pods_give_their_addresses_back(
    plane: ControlPlane, pods: Pods, tmp_path: Path
) -> None:
    """A range of two addresses is enough for any number of pods that have ended."""
    made = RunningKubelet(plane, tmp_path / "k", pod_cidr="127.66.0.0/30")
    async with made.running():
        for number in range(4):
            await pods.create(pod(f"p{number}", shell("true"), restartPolicy="Never"))
        for number in range(4):
            await pods.until_phase(f"p{number}", "Succeeded")


async def test_hollow_nodes_say_that_pods_run(plane: ControlPlane, tmp_path: Path) -> None:
    """Twenty nodes in one kubelet: each takes its pod, none starts a process, deletion works."""
    hollow = Pods(plane, await plane.namespace())
    async with RunningKubelet(plane, tmp_path / "k", hollow=20).running():

        async def registered() -> bool:
            nodes = (await plane.client.list(NODES))["items"]
            return sum(is_true(each, "Ready") for each in nodes) == 20

        await plane.until(registered, "all nodes are ready")
        for number in range(20):
            made = pod(f"p{number}", shell("exit 1"))
            made["spec"]["nodeName"] = f"{NODE}-{number}"
            await hollow.create(made)
        addresses = set()
        for number in range(20):
            found = await hollow.until_phase(f"p{number}", "Running")
            addresses.add(found["status"]["podIP"])
            assert is_true(found, "Ready")
        assert len(addresses) == 20
        assert not (tmp_path / "k" / "pods").exists()
        await plane.client.delete(PODS, hollow.namespace, "p0")
        await hollow.until_gone("p0")
