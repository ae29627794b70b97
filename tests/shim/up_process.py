"""`raftkv-control-plane up` as a process, its log and its parts.

Owns: its ports and ranges, its start and end, one kubectl on it. Must never do: know objects but
pods.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.member_process import reserve_ports
from tests.e2e.program import ROOT
from tests.e2e.waiting import wait_until
from tests.shim.kubectl import Kubectl
from tests.shim.running_kubelet import is_alive

PROGRAM = (sys.executable, "-m", "apiserver_shim.cli.control_plane.main")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
POD_RANGE, SERVICE_RANGE = (f"127.{first + os.getpid() % 60}" for first in (1, 65))
"""Each test process has its own, so that two on one machine do not take each other's addresses."""


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

    def kubectl_of(self, program: Path, directory: Path) -> Kubectl:
        """With a kubeconfig of its own, a copy of the administrator's."""
        directory.mkdir(exist_ok=True)
        config = directory / "kubeconfig"
        config.write_bytes(Path(self.kubeconfig).read_bytes())
        return Kubectl(program, config)

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
