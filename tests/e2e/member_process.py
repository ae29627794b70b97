"""One member as an operating system process: its flags, its log file, its signals.

Owns: MemberProcess. Must never do: know the other members beyond --initial-cluster.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.e2e.program import Program
from tests.e2e.waiting import TimedOut, wait_until

LOG_TAIL_LINES = 15


@dataclass(frozen=True)
class Addresses:
    """Where a member listens on loopback."""

    name: str
    client_port: int
    peer_port: int
    client_scheme: str = "http"
    peer_scheme: str = "http"

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.client_port}"

    @property
    def client_url(self) -> str:
        return f"{self.client_scheme}://127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"{self.peer_scheme}://127.0.0.1:{self.peer_port}"


class MemberProcess:
    """Starts, stops and restarts one member; its data and its log stay in ``directory``."""

    def __init__(
        self,
        program: Program,
        addresses: Addresses,
        directory: Path,
        initial_cluster: str,
        flags: Sequence[str] = (),
        *,
        by_environment: bool = False,
        state: str = "new",
        last: Sequence[str] = (),
    ) -> None:
        """``last`` are flags that replace those of the same name."""
        self.addresses = addresses
        self.data_dir = directory / f"{addresses.name}.etcd"
        self.log_path = directory / f"{addresses.name}.log"
        settings = {
            "name": addresses.name,
            "data-dir": str(self.data_dir),
            "listen-client-urls": addresses.client_url,
            "advertise-client-urls": addresses.client_url,
            "listen-peer-urls": addresses.peer_url,
            "initial-advertise-peer-urls": addresses.peer_url,
            "initial-cluster": initial_cluster,
            "initial-cluster-token": "e2e",
            "initial-cluster-state": state,
        }
        self._flags, self._variables = [*flags], {}
        if by_environment:
            self._variables = {variable(name): value for name, value in settings.items()}
        else:
            self._flags += [f"--{name}={value}" for name, value in settings.items()]
        self._flags += last
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def name(self) -> str:
        return self.addresses.name

    @property
    def endpoint(self) -> str:
        return self.addresses.endpoint

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def become(self, program: Program) -> None:
        """Run another version from the next start on."""
        assert not self.is_running, f"{self.name} runs: stop it first"
        self._program = program

    def start(self) -> None:
        assert not self.is_running, f"{self.name} runs already"
        self._close_log()
        self._log = self.log_path.open("ab")
        self._process = subprocess.Popen(
            [*self._program.command, *self._flags],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self._program.environment() | self._variables,
        )

    def kill(self) -> None:
        """kill -9: no code of the member runs any more."""
        self._end(signal.SIGKILL, seconds=10)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 20) -> int:
        """Ask it to end, and give its exit status as the shell would show it."""
        code = self._end(number, seconds=seconds)
        return 128 - code if code < 0 else code

    def wait_ended(self, *, seconds: float = 60) -> int:
        """Until it ends by itself; its exit status."""
        assert self._process is not None, f"{self.name} was never started"
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"{self.name} still runs\n{self.log_tail()}") from None

    def wait_healthy(self, *, seconds: float = 60) -> None:
        """Until /health says so: the member serves linearizable reads."""
        try:
            wait_until(self._is_healthy, f"{self.name} is healthy", seconds=seconds)
        except TimedOut as error:
            raise TimedOut(f"{error}\n{self.log_tail()}") from None

    def health(self) -> dict[str, str] | None:
        """What /health answers, or None when nothing does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.addresses.client_port, timeout=5)
        try:
            connection.request("GET", "/health")
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return None
        finally:
            connection.close()
        return {str(key): str(value) for key, value in answer.items()}

    def metric(self, name: str) -> float:
        """The value of a series without labels on its /metrics page."""
        with urllib.request.urlopen(f"{self.addresses.client_url}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self) -> str:
        lines = self.log_text().splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"--- the end of {self.log_path.name}", *lines])

    def _is_healthy(self) -> bool:
        if not self.is_running:
            code = self._process.returncode if self._process else None
            raise TimedOut(f"{self.name} ended with status {code} instead of serving")
        answer = self.health()
        return answer is not None and answer.get("health") == "true"

    def _end(self, number: signal.Signals, *, seconds: float) -> int:
        assert self._process is not None, f"{self.name} was never started"
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise TimedOut(
                f"{self.name} did not end in {seconds:g} s after {number.name}\n{self.log_tail()}"
            ) from None
        finally:
            self._close_log()

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


def variable(flag: str) -> str:
    """The environment variable of a flag, by etcd's rule."""
    return "ETCD_" + flag.upper().replace("-", "_")


# Below the range from which the kernel picks ports for outgoing connections, so that nobody can
# take a member's port while it is down.
# Each test process begins elsewhere, those that run side by side far from each other.
_PORTS = iter(range(12_000 + os.getpid() * 977 % 16_000, 32_000))


def reserve_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on; each is given out once per process."""
    found: list[int] = []
    for port in _PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports below 32000")
