"""raftkv-apiserver without TLS, as a process that a test may kill.

Owns: the process. Must never do: know objects.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.e2e.member_process import reserve_ports
from tests.e2e.program import ROOT
from tests.e2e.waiting import wait_until


class PlainApiserver:
    """One without TLS, as a process that can be killed."""

    def __init__(self, directory: Path, endpoints: list[str]) -> None:
        self.server = f"http://127.0.0.1:{reserve_ports(1)[0]}"
        port = self.server.rpartition(":")[2]
        command = [sys.executable, "-m", "apiserver_shim.cli.apiserver", f"--insecure-port={port}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (directory / f"apiserver-{port}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--etcd-servers={','.join(endpoints)}"],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=directory,
            )
        wait_until(self._is_ready, f"{self.server} is ready", seconds=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "it ended"
        try:
            with urllib.request.urlopen(f"{self.server}/readyz") as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False
