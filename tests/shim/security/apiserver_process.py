"""raftkv-apiserver as a process under TLS, and the real kubectl pointed at it.

Owns: ApiserverProcess and Kubectl. Must never do: know objects.
"""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.program import ROOT
from tests.e2e.waiting import TimedOut, wait_until

COMMAND_SECONDS = 60


class ApiserverProcess:
    """One shim; its certificates, its log and its audit log stay in ``directory``."""

    def __init__(self, directory: Path, store: str, port: int, *flags: str) -> None:
        self.directory = directory
        self.certificates = directory / "pki"
        self.server = f"https://127.0.0.1:{port}"
        self.audit_path = directory / "audit.log"
        self._log_path = directory / "apiserver.log"
        self._command = [
            *(sys.executable, "-m", "apiserver_shim.cli.apiserver"),
            f"--etcd-servers=http://{store}",
            f"--secure-port={port}",
            f"--cert-dir={self.certificates}",
            f"--audit-log-path={self.audit_path}",
            *flags,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        wait_until(self._is_ready, f"{self.server} is ready", seconds=60)

    def stop(self) -> int:
        """Its exit status after SIGTERM."""
        assert self._process is not None, "it was never started"
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=30)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return self._log_path.read_text()

    def _is_ready(self) -> bool:
        assert self._process is not None, "it was never started"
        if self._process.poll() is not None:
            raise TimedOut(f"it ended with {self._process.returncode}:\n{self.log()}")
        try:
            context = ssl.create_default_context(cafile=self.certificates / "ca.crt")
            with urllib.request.urlopen(f"{self.server}/readyz", context=context) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    status: int
    output: str
    errors: str


class Kubectl:
    """As whoever the kubeconfig says, or as the holder of ``token``."""

    def __init__(self, apiserver: ApiserverProcess, config: str = "admin", token: str = "") -> None:
        program = shutil.which("kubectl")
        assert program is not None, "kubectl is not installed: run `make tools`"
        self._environment = {**os.environ, "HOME": str(apiserver.directory)}
        self._environment["KUBECONFIG"] = str(apiserver.certificates / f"{config}.conf")
        self._command = [program]
        if token:
            self._environment["KUBECONFIG"] = os.devnull
            authority = apiserver.certificates / "ca.crt"
            self._command += [
                f"--server={apiserver.server}",
                f"--certificate-authority={authority}",
                f"--token={token}",
            ]

    def run(self, *arguments: str, body: str = "") -> Outcome:
        done = subprocess.run(
            [*self._command, *arguments],
            input=body,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            env=self._environment,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One that goes on by itself; the caller waits for its end and closes its output."""
        return subprocess.Popen(
            [*self._command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def must(self, *arguments: str, body: str = "") -> str:
        outcome = self.run(*arguments, body=body)
        assert outcome.status == 0, f"kubectl {' '.join(arguments)}: {outcome.errors}"
        return outcome.output
