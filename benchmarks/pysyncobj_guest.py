"""PySyncObj as a third contestant: three nodes, each a process, with journals on disk.

Owns: starting and asking the nodes, and what proves their work. Must never do: call it a peer in
durability: its journal is a memory-mapped file that is never synced (see docs/benchmarks.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import Load
from benchmarks.measurement import Measurement, NotProven
from benchmarks.unary_work import VALUE_BYTES, GetWork, PutWork
from tests.e2e.member_process import reserve_ports
from tests.e2e.program import RAFTKV
from tests.e2e.waiting import wait_until

NODES = 3
CLIENTS = (1, 100)
END_SECONDS = 10.0


class _Node:
    """One process; ``ask`` waits for its line of answer."""

    def __init__(self, own: str, others: Sequence[str], directory: Path) -> None:
        directory.mkdir()
        options = [f"--own={own}", f"--directory={directory}", *[f"--other={o}" for o in others]]
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.pysyncobj_node", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=RAFTKV.environment(),
        )

    def __enter__(self) -> _Node:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=END_SECONDS)
        self._log.close()

    def ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise NotProven(f"a PySyncObj node ended, status {self._process.wait(END_SECONDS)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def status(self) -> dict[str, Any]:
        return self.ask(work="status")


@dataclass(frozen=True, slots=True)
class PySyncObjGuest:
    """Puts and gets at 1 and 100 clients; gets go through the log, as linearizable ones must."""

    load_seconds: float
    rounds: int
    title: str = "PySyncObj"

    @property
    def works(self) -> Sequence[str]:
        return [name for name, _, _ in self._works()]

    @property
    def seconds(self) -> float:
        return len(CLIENTS) * 2 * self.load_seconds + 4.0

    def measure(self, directory: Path) -> Mapping[str, Measurement]:
        addresses = [f"127.0.0.1:{port}" for port in reserve_ports(NODES)]
        with ExitStack() as stack:
            nodes = [
                stack.enter_context(
                    _Node(own, [one for one in addresses if one != own], directory / str(number))
                )
                for number, own in enumerate(addresses)
            ]
            leader = wait_until(lambda: _leader(nodes), "a PySyncObj node leads", seconds=60)
            return self._measured(nodes, leader)

    def _measured(self, nodes: Sequence[_Node], leader: _Node) -> dict[str, Measurement]:
        measured, puts = {}, 0
        for name, work, clients in self._works():
            told = leader.ask(
                work=work, clients=clients, seconds=self.load_seconds, value_bytes=VALUE_BYTES
            )
            if told["wrong"]:
                raise NotProven(f"PySyncObj, {name}: {told['wrong']}")
            puts += told["requests"] if work == "put" else 0
            self._prove(nodes, puts)
            load = Load(told["requests"], told["seconds"], told["latencies_ms"])
            facts: dict[str, float | str] = {"requests": load.requests, "puts": puts}
            measured[name] = Measurement(load.figures(), facts)
        return measured

    def _prove(self, nodes: Sequence[_Node], puts: int) -> None:
        """Every node has applied every put."""

        def applied() -> bool:
            return all(node.status()["puts"] == puts for node in nodes)

        wait_until(applied, f"all PySyncObj nodes have {puts} puts")

    def _works(self) -> list[tuple[str, str, int]]:
        """Name, what the node is asked for, clients; puts first, so that gets find something."""
        seconds = self.load_seconds
        return [
            *[(PutWork(clients, seconds).name, "put", clients) for clients in CLIENTS],
            *[
                (GetWork(clients, seconds, serializable=False).name, "get", clients)
                for clients in CLIENTS
            ],
        ]


def _leader(nodes: Sequence[_Node]) -> _Node | None:
    """The leader, once every node is in step with it."""
    told = [node.status() for node in nodes]
    if not all(status["ready"] for status in told):
        return None
    leaders = [node for node, status in zip(nodes, told, strict=True) if status["leads"]]
    return leaders[0] if len(leaders) == 1 else None
