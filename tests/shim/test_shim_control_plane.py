"""`raftkv-control-plane up` and the web example, with kubectl, until the last process is gone."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest

from apiserver_shim.cli.control_plane.plan import HOLLOW_TAINT, plan
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import reserve_ports
from tests.e2e.program import ROOT
from tests.e2e.waiting import wait_until
from tests.shim.kubectl import NAMES, Kubectl, programs
from tests.shim.kubectl_script_up import POD, UP_SCENES
from tests.shim.kubectl_step import play_by_each
from tests.shim.running_kubelet import children_in, is_alive, pid_of
from tests.shim.up_process import ENVIRONMENT, POD_RANGE, PROGRAM, SERVICE_RANGE, Up, up

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ADDRESS = f"{SERVICE_RANGE}.77.7"
"""Of the Service: said here, so that the test need not ask for it."""


SLEEPER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleeper}
spec:
  selector: {matchLabels: {app: sleeper}}
  template:
    metadata: {labels: {app: sleeper}}
    spec:
      terminationGracePeriodSeconds: 2
      containers: [{name: c, image: x, command: [sleep, "600"]}]
"""


WALK = (
    r"kubectl +──create──▶ apiserver  deployments\.apps default/web",
    r"kube-controller-manager ──create──▶ apiserver  replicasets\.apps default/web-",
    r"store ADDED +/registry/pods/default/web-\S+ +@\d+ .*on no node yet.*kube-scheduler",
    r"kube-scheduler +──create──▶ apiserver  pods/binding default/web-",
    r"store MODIFIED /registry/pods/default/web-\S+ +@\d+  on node-1, Pending.*kubelet",
    r"kubelet +──update──▶ apiserver  pods/status default/web-",
    r"on node-1, Running",
)
"""The steps that every introduction draws, in their order."""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for the module: three members, the shim, all components, one node."""
    with up(tmp_path_factory.mktemp("up")) as started:
        started.wait_ready()
        yield started
        pids = started.pids()
        started.process.send_signal(signal.SIGINT)
        assert started.process.wait(timeout=60) == 0
        assert not [pid for pid in pids if is_alive(pid)]
        assert "Traceback" not in started.text + started.logs()


def example() -> str:
    text = (ROOT / "examples" / "web.yaml").read_text()
    head, service = text.split("kind: Service")
    addressed = service.replace("spec:", f"spec:\n  clusterIP: {ADDRESS}", 1)
    return f"{head}kind: Service{addressed}"


def answer() -> str | None:
    """The pod that answers through the Service."""
    try:
        with urllib.request.urlopen(f"http://{ADDRESS}:8080/", timeout=5) as reply:
            text: str = reply.read().decode()
    except (urllib.error.URLError, OSError):
        return None
    return text.split()[2]


def named(port: int, name: str) -> set[str]:
    """By UDP and by TCP."""
    query = dns.message.make_query(name, "A")
    replies = [
        ask(query, "127.0.0.1", port=port, timeout=10) for ask in (dns.query.udp, dns.query.tcp)
    ]
    return {str(each) for reply in replies for each in reply.answer[0]}


def start_trace(plane: Up) -> subprocess.Popen[str]:
    """Until a pod of the example runs."""
    trace = subprocess.Popen(
        [
            *(*PROGRAM, "trace", "--once", "web", "--kubeconfig", plane.kubeconfig),
            *("--etcd-servers", ",".join(f"http://{each}" for each in plane.endpoints)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert trace.stdout is not None
    assert "waiting for writes" in trace.stdout.readline()
    return trace


def leader_of(plane: Up) -> str:
    """The name of the member that leads."""

    def look() -> str | None:
        for number, endpoint in enumerate(plane.endpoints, start=1):
            line = Etcdctl(endpoint).run("endpoint", "status", "-w", "json")
            if line.status:
                continue
            status = json.loads(line.output)[0]["Status"]
            if status.get("leader") == status["header"]["member_id"]:
                return f"m{number}"
        return None

    return wait_until(look, "a member leads")


def test_web_example_end_to_end(plane: Up) -> None:
    """apply, answers through the Service, a killed process, a killed leader, logs, delete."""
    trace = start_trace(plane)
    assert "deployment.apps/web created" in plane.kubectl("apply", "-f", "-", given=example())
    plane.kubectl("rollout", "status", "deployment/web", "--timeout=50s")
    pods = {each["metadata"]["name"]: each for each in plane.pods()}
    assert len(pods) == 3
    assert len({each["status"]["podIP"] for each in pods.values()}) == 3
    seen: set[str] = set()
    wait_until(lambda: seen.add(answer() or "") or seen >= pods.keys(), "all three answer")

    assert named(plane.dns_port, "web.default.svc.cluster.local") == {ADDRESS}

    leader = leader_of(plane)
    os.kill(plane.pid(leader), signal.SIGKILL)
    victim = sorted(pods)[0]
    group = pid_of(pods[victim])
    os.kill(group, signal.SIGKILL)
    others = set(pods) - {victim}
    wait_until(lambda: answer() in others, "the others answer")

    def restarted() -> bool:
        found = {each["metadata"]["name"]: each for each in plane.pods()}[victim]
        status = found["status"]["containerStatuses"][0]
        return status["restartCount"] == 1 and status["ready"]

    wait_until(restarted, "another process runs in its place", seconds=60)
    wait_until(lambda: answer() == victim, "it answers again")
    untouched = {each["metadata"]["name"]: each for each in plane.pods()}
    assert all(
        untouched[name]["status"]["containerStatuses"][0]["restartCount"] == 0 for name in others
    )
    wait_until(lambda: f"{leader} ended with SIGKILL" in plane.text, "up tells of the member")
    assert leader_of(plane)

    context = ssl.create_default_context(cafile=plane.data / "pki" / "ca.crt")
    url = f"https://127.0.0.1:{plane.kubelet_port}/pods"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=5, context=context)
    for more in ((), ("--previous",)):
        log = plane.kubectl("logs", victim, *more)
        assert f"serving on http://{POD_RANGE}.0." in log
        assert "Traceback" not in log
    groups = [pid_of(each) for each in plane.pods()]
    plane.kubectl("delete", "deployment,service", "web", "--wait=true")
    wait_until(lambda: not plane.pods(), "all pods are gone", seconds=60)
    assert not [pid for each in groups for pid in children_in(each)]
    wait_until(lambda: answer() is None, "nobody listens on the Service's address")

    walk, _ = trace.communicate(timeout=60)
    assert trace.returncode == 0
    at = 0
    for step in WALK:
        found = re.compile(step).search(walk, at)
        assert found, f"{step} is not in the rest of the walk:\n{walk}"
        at = found.start()


@pytest.fixture(params=NAMES)
def admin(request: pytest.FixtureRequest, plane: Up, tmp_path: Path) -> Kubectl:
    """As whoever has the kubeconfig that `up` names, with a copy of it."""
    return plane.kubectl_of(programs()[request.param], tmp_path)


@pytest.mark.parametrize("scene", UP_SCENES)
def test_both_kubectls_do_what_they_are_told(plane: Up, tmp_path: Path, scene: str) -> None:
    """Every step of the scene, in order, by its exit status and its words."""
    kubectls = [plane.kubectl_of(each, tmp_path / each.name) for each in programs().values()]
    play_by_each({f"{scene}-{each.age}": each for each in kubectls}, UP_SCENES[scene])


LATE = """
apiVersion: batch/v1
kind: Job
metadata: {name: late}
spec:
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 2
      containers:
      - name: c
        image: x
        command: [sh, -c, "echo first; until test -e %s; do sleep 0.05; done; echo second"]
"""


def test_kubectl_follows_what_comes(admin: Kubectl, tmp_path: Path) -> None:
    """`get -w` shows a pod come up and go, `logs -f` each line when it is written."""
    go_on = tmp_path / "go-on"
    with admin.running("get pods -w") as watched:
        made = admin.run("create -f -", stdin=LATE % go_on)
        assert made.code == 0, made
        states = r"(?s)late-\S+ +0/1 +Pending .*late-\S+ +1/1 +Running "
        wait_until(lambda: re.search(states, watched()), "the pod comes up", seconds=60)
        with admin.running("logs -f job/late") as written:
            wait_until(lambda: "first" in written(), "the first line is shown")
            assert written() == "first\n"
            go_on.touch()
            wait_until(lambda: written() == "first\nsecond\n", "the second line is shown")
        wait_until(lambda: "Completed" in watched(), "its end is shown")
    assert admin.run("delete job late").code == 0


def test_a_pod_deleted_by_force_leaves_no_process(admin: Kubectl, plane: Up) -> None:
    """It is gone from the API at once, and its processes soon."""
    assert admin.run("create -f -", stdin=POD).code == 0
    ready = admin.run("wait pod/one --for=condition=Ready --timeout=50s")
    assert ready.code == 0, ready
    group = pid_of(json.loads(admin.run("get pod one -o json").out))
    assert children_in(group)
    gone = admin.run("delete pod one --grace-period=0 --force")
    assert "force deleted" in gone.out, gone
    assert "NotFound" in admin.run("get pod one").err
    wait_until(lambda: not children_in(group), "its processes have ended")


def test_parts_that_die_are_started_again(plane: Up) -> None:
    """kill -9 of the kubelet ends its pods with it; both come back, and `up` says so."""
    plane.kubectl("apply", "-f", "-", given=SLEEPER)
    plane.kubectl("rollout", "status", "deployment/sleeper", "--timeout=50s")
    (before,) = plane.pods()
    kubelet, group = plane.pid("kubelet-1"), pid_of(before)
    os.kill(kubelet, signal.SIGKILL)
    wait_until(lambda: not children_in(group), "its pod's processes end with it")
    wait_until(lambda: "kubelet-1 ended with SIGKILL: again in" in plane.text, "up says so")

    def back() -> bool:
        (found,) = plane.pods()
        status = found["status"]["containerStatuses"][0]
        return status["restartCount"] == 1 and status["ready"] and pid_of(found) != group

    wait_until(back, "the pod runs again", seconds=60)
    plane.kubectl("delete", "deployment", "sleeper", "--cascade=foreground")
    wait_until(lambda: not plane.pods(), "its pods are gone", seconds=60)


def test_requests_are_shown_to_administrators_only(plane: Up) -> None:
    """/debug/requests tells who asked for what, and not to everybody."""
    lines = plane.kubectl("get", "--raw", "/debug/requests").splitlines()
    asked = [json.loads(line) for line in lines]
    assert {"kubelet", "kube-scheduler"} <= {each["agent"].split("/")[0] for each in asked}
    assert all(each["code"] and each["verb"] and each["resource"] for each in asked)
    other = str(plane.data / "pki" / "kube-proxy.conf")
    with pytest.raises(AssertionError, match="Forbidden"):
        plane.kubectl("get", "--raw", "/debug/requests", "--kubeconfig", other)


@pytest.mark.parametrize(("nodes", "tainted"), [(0, False), (1, True)])
def test_hollow_nodes_take_no_pods_from_real_ones(
    nodes: int, tainted: bool, tmp_path: Path
) -> None:
    """They are tainted where there is a real one, and only there."""
    first = reserve_ports(20)[0]
    made = plan(
        members=1,
        nodes=nodes,
        hollow_nodes=3,
        data_dir=tmp_path,
        port=first,
        store_port=first + 5,
        kubelet_port=first + 1,
        dns_port=first + 2,
    )
    (hollow,) = (each for each in made.parts if each.name == "hollow-kubelets")
    assert (HOLLOW_TAINT in hollow.command) == tainted
    assert HOLLOW_TAINT.startswith("raftkv.dev/hollow")


@pytest.mark.parametrize("option", ["pod-range", "service-cluster-ip-range"])
def test_up_refuses_ranges_beyond_loopback(option: str, tmp_path: Path) -> None:
    """Pods and services are this machine's: another range is told with its option."""
    ended = subprocess.run(
        [*PROGRAM, "up", "--data-dir", str(tmp_path / "d"), f"--{option}", "10.0.0.0/16"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=ENVIRONMENT,
    )
    assert ended.returncode == 2
    assert f"--{option} 10.0.0.0/16" in ended.stderr
    assert not (tmp_path / "d").exists()


def test_up_refuses_ports_in_use(plane: Up, tmp_path: Path) -> None:
    """One line that names the port and the options, and status 2; nothing is started."""
    ended = subprocess.run(
        [*PROGRAM, "up", "--data-dir", str(tmp_path / "d"), "--store-port", str(plane.store_port)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=ENVIRONMENT,
    )
    assert ended.returncode == 2
    assert str(plane.store_port) in ended.stderr
    assert "--store-port" in ended.stderr
    assert not (tmp_path / "d").exists()
