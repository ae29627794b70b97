"""`raftkv-control-plane up` and the web example, with kubectl, until the last process is gone."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import reserve_ports
from tests.e2e.program import ROOT
from tests.e2e.waiting import wait_until
from tests.shim.running_kubelet import children_in, is_alive, pid_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PROGRAM = (sys.executable, "-m", "apiserver_shim.cli.control_plane.main")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
POD_RANGE, SERVICE_RANGE = (f"127.{first + os.getpid() % 60}" for first in (1, 65))
"""Each test process has its own, so that two on one machine do not take each other's addresses."""
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


class Up:
    """`up` as a process, its log, and kubectl on it."""

    def __init__(self, directory: Path) -> None:
        base = reserve_ports(40)[0]
        self.store_port, self.dns_port, self.kubelet_port = base + 10, base + 3, base + 1
        self.log = directory / "up.log"
        self.data = directory / "data"
        flags = {
            "data-dir": str(self.data),
            "port": str(base),
            "store-port": str(self.store_port),
            "kubelet-port": str(self.kubelet_port),
            "dns-port": str(self.dns_port),
            "pod-range": f"{POD_RANGE}.0.0/16",
            "service-cluster-ip-range": f"{SERVICE_RANGE}.0.0/16",
        }
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*PROGRAM, "up", *(f"--{name}={value}" for name, value in flags.items())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=ENVIRONMENT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    @property
    def kubeconfig(self) -> str:
        return str(self.data / "pki" / "admin.conf")

    @property
    def endpoints(self) -> list[str]:
        return [f"127.0.0.1:{self.store_port + 10 * n}" for n in range(3)]

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.text
            return "ready: the API is" in self.text

        wait_until(ready, "all parts are ready", seconds=90)

    def pid(self, part: str) -> int:
        """Of its last start."""
        return int(re.findall(rf"^{part}: \w+ \(pid (\d+)\)", self.text, re.MULTILINE)[-1])

    def pids(self) -> list[int]:
        return [int(each) for each in re.findall(r"\(pid (\d+)\)", self.text)]

    def kubectl(self, *words: str, given: str = "") -> str:
        ended = subprocess.run(
            ["kubectl", "--kubeconfig", self.kubeconfig, *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=ENVIRONMENT,
        )
        assert ended.returncode == 0, f"kubectl {words}: {ended.stderr}"
        return ended.stdout

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        return found

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted((self.data / "logs").glob("*.log"))
        )


@contextmanager
def up(directory: Path) -> Iterator[Up]:
    started = Up(directory)
    try:
        yield started
    except BaseException as error:
        error.add_note(f"--- up\n{started.text}\n{started.logs()}")
        raise
    finally:
        if started.process.poll() is None:
            started.process.kill()  # its reaper ends the parts, and theirs the pods
        started.process.wait()
        wait_until(lambda: not any(map(is_alive, started.pids())), "no process is left behind")


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
    assert f"serving on http://{POD_RANGE}.0." in plane.kubectl("logs", victim)
    assert "serving on" in plane.kubectl("logs", victim, "--previous")
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
