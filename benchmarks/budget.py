"""Where the time of a call goes: microseconds of CPU by stage, on the leader and on a follower.

    python -m benchmarks.budget            # puts
    python -m benchmarks.budget --get

Owns: the stages, as what each module of raftkv is for. Must never do: time anything itself: the
kernel says how much CPU a member used, py-spy, from outside, in which share of it which module ran.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from benchmarks import h2load
from benchmarks.flame import flame
from benchmarks.unary_client import PUT, RANGE
from benchmarks.unary_work import KEY, VALUE_BYTES
from raftkv.api import rpc_pb2 as pb
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess
from tests.e2e.program import RAFTKV, ROOT

SAMPLES_PER_SECOND = 200
WARM_UP_SECONDS = 1.0
REST = "event loop, and Python around it"
STAGES = (
    ("LMDB", r"raftkv/backend/"),
    ("log: encode, write, sync", r"raftkv/wal/|raftkv/server/(persister|asyncio_runtime)"),
    ("apply: keys, revisions, events", r"raftkv/(mvcc|apply|lease|auth)/"),
    ("reply: frames, socket", r"(flush|take|reply|_frame|_write_answers) \(raftkv/(wire|cli)/"),
    ("requests: frames, headers", r"raftkv/wire/"),
    ("requests: decode, check", r"raftkv/(rpc|api)/"),
    ("peers: encode, socket", r"(send|encode\w*) \(raftkv/peer/"),
    ("peers: read, decode", r"raftkv/peer/"),
    ("Raft", r"raftkv/raft/"),
    ("the turn, batches, reads", r"raftkv/server/"),
)
"""The innermost frame that one of these knows decides."""
WAITS = re.compile(
    r"sync \(raftkv/wal/disk|_work \(raftkv/server/asyncio_runtime|wait \(threading|_worker \("
)
"""Innermost, it is a wait for the disk or for work: no CPU, which py-spy cannot tell. Left out."""
BEFORE_THE_LOOP = re.compile(r"^.*;(?=[^;]*Runner\.run )")
"""The same for every stack of the loop's thread."""
_STAGES = tuple((name, re.compile(pattern)) for name, pattern in STAGES)


def stage_of(stack: str) -> str:
    """``stack`` as py-spy writes it: frames from the outside in, by semicolons."""
    for frame in reversed(stack.split(";")):
        for name, pattern in _STAGES:
            if pattern.search(frame):
                return name
    return REST


@dataclass(frozen=True, slots=True)
class Budget:
    """Of one member: microseconds of CPU a call, all its threads together."""

    title: str
    stages: dict[str, float]
    profile: str = ""

    @property
    def total(self) -> float:
        return sum(self.stages.values())


def stacks_of(profile: str) -> Iterator[tuple[str, int]]:
    """Of py-spy's raw format, a stack and its number of samples a line, what costs CPU."""
    for line in profile.splitlines():
        stack, _, number = line.rpartition(" ")
        if not WAITS.search(stack.rpartition(";")[2]):
            yield BEFORE_THE_LOOP.sub("", stack), int(number)


def budget_of(title: str, profile: str, cpu_seconds: float, calls: int) -> Budget:
    """``profile``: as of ``stacks_of``."""
    samples: Counter[str] = Counter()
    for stack, number in stacks_of(profile):
        samples[stage_of(stack)] += number
    total = sum(samples.values())
    if not total:
        raise ValueError(f"{title}: py-spy saw no stack")
    stages = {name: cpu_seconds * 1e6 / calls * n / total for name, n in samples.items()}
    return Budget(title, stages, profile)


class Profiler:
    """py-spy beside one member for ``seconds``, and the CPU that the member used meanwhile."""

    def __init__(self, member: MemberProcess, title: str, seconds: float, directory: Path) -> None:
        self._pid, self._title = member.pid, title
        self._out = directory / f"{title}.folded"
        self._seconds = round(seconds)

    def run(self) -> tuple[str, float]:
        """The profile's text, and seconds of CPU."""
        program = shutil.which("py-spy", path=str(Path(sys.executable).parent))
        if program is None:
            raise click.ClickException("py-spy is not there: install it with pip")
        before = cpu_seconds(self._pid)
        options = {
            "pid": self._pid,
            "duration": self._seconds,
            "rate": SAMPLES_PER_SECOND,
            "format": "raw",
            "output": self._out,
        }
        command = [program, "record", *(f"--{name}={value}" for name, value in options.items())]
        subprocess.run(command, check=True, capture_output=True, timeout=self._seconds + 60)
        return self._out.read_text(), cpu_seconds(self._pid) - before


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(*, get: bool, clients: int, seconds: float, directory: Path) -> list[Budget]:
    """A fresh cluster under load, one member profiled at a time."""
    path = RANGE if get else PUT
    request: Message = pb.RangeRequest(key=KEY)
    if not get:
        request = pb.PutRequest(key=KEY, value=b"v" * VALUE_BYTES)
    with Cluster(RAFTKV, directory) as cluster:
        leader = cluster.leader()
        cluster.api(leader).put(KEY, b"v" * VALUE_BYTES)
        follower = next(one for one in cluster.members if one is not leader)
        warm = h2load.calibrated(
            leader.endpoint, path, request, clients=clients, seconds=WARM_UP_SECONDS
        )
        budgets = []
        for title, member in (("leader", leader), ("follower", follower)):
            profiler = Profiler(member, title, seconds, directory)
            found: list[tuple[str, float]] = []
            thread = threading.Thread(target=lambda p=profiler, f=found: f.append(p.run()))
            thread.start()
            calls, spent = 0, 0.0
            while thread.is_alive():  # the load outlasts the profile: the rate is the load's own
                load = h2load.run(
                    leader.endpoint,
                    path,
                    request,
                    clients=clients,
                    requests=max(int(warm.per_second), clients),
                )
                calls, spent = calls + load.requests, spent + load.seconds
            thread.join()
            profile, cpu = found[0]
            budgets.append(budget_of(title, profile, cpu, round(calls / spent * seconds)))
        return budgets


def table_of(title: str, budgets: list[Budget]) -> Table:
    table = Table("stage", *(f"{each.title}, us" for each in budgets), title=title)
    for name in [*(name for name, _ in STAGES), REST]:
        figures = [each.stages.get(name, 0.0) for each in budgets]
        if any(figure >= 0.05 for figure in figures):
            table.add_row(name, *(f"{figure:.1f}" for figure in figures))
    table.add_row("all", *(f"{each.total:.1f}" for each in budgets))
    return table


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--get", is_flag=True, help="Linearizable gets, not puts.")
@click.option("--clients", default=100, show_default=True, type=click.IntRange(1, 1000))
@click.option("--seconds", default=8, show_default=True, type=click.IntRange(1, 300))
@click.option("--flame", "picture", default="", help="Draw flame graphs: NAME-leader.svg, ...")
def main(*, get: bool, clients: int, seconds: int, picture: str) -> None:
    """Print microseconds of CPU a call, by stage, on the leader and on a follower."""
    console = Console() if Console().is_terminal else Console(width=120)
    what = "linearizable get" if get else f"put of {VALUE_BYTES} B"
    (ROOT / "data").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "data") as directory:
        with console.status(f"{clients} clients, {2 * seconds} s"):
            budgets = measure(get=get, clients=clients, seconds=seconds, directory=Path(directory))
        console.print(table_of(f"One {what}, {clients} clients", budgets))
    for each in budgets if picture else ():
        title = f"{each.title}: {what}, {clients} clients"
        path = Path(f"{picture}-{each.title}.svg")
        path.write_text(flame(title, stacks_of(each.profile)))
        console.print(f"drawn in {path}")


if __name__ == "__main__":
    main()
