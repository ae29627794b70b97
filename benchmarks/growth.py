"""What a larger store costs: the same small loads at stores of more and more keys and members.

    python -m benchmarks.growth --keys 10k --keys 100k --keys 1M --members 3
    python -m benchmarks.growth --draw

Owns: the command, the order of sizes, the document benchmarks/results/growth.json, which is written
after every size, so that a run that was interrupted goes on where it stopped. Must never do:
measure a size twice without being asked.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import growth_chart, growth_point
from benchmarks.filling import check, fill
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.program import ETCD, RAFTKV, ROOT, Program

RESULTS = Path(__file__).parent / "results" / "growth.json"
KEYS_PER_STEP = 50_000
QUOTA = "--quota-backend-bytes=34359738368"
"""10 M keys are more than etcd's default of 2 GiB."""
CALL_SECONDS_MAX = 120.0
WHILE_FILLING, WHILE_MEASURING = 15, 0
SUFFIXES = {"k": 1_000, "M": 1_000_000}


class Quiet:
    """A lock file shared with whoever else uses the machine: filling goes on beside others, and
    with a low priority; what is timed waits until nobody else works. Without a file: nothing."""

    def __init__(self, path: Path | None, pause_seconds: float, *, is_shared: bool) -> None:
        self._path = path
        self.is_shared = is_shared
        self._pause_seconds = pause_seconds
        self._free_since = -pause_seconds

    @contextmanager
    def beside_others(self, cluster: Cluster) -> Iterator[None]:
        with self._held(fcntl.LOCK_SH, WHILE_FILLING, cluster):
            yield

    @contextmanager
    def alone(self, cluster: Cluster) -> Iterator[None]:
        """Not before others have had ``pause_seconds`` since the last time."""
        if self._path is not None and not self.is_shared:
            # A pause is what is promised to the others: there is no condition to wait for.
            time.sleep(max(0.0, self._free_since + self._pause_seconds - time.monotonic()))
        kind = fcntl.LOCK_SH if self.is_shared else fcntl.LOCK_EX
        with self._held(kind, WHILE_MEASURING, cluster):
            yield
        self._free_since = time.monotonic()

    @contextmanager
    def _held(self, kind: int, nice: int, cluster: Cluster) -> Iterator[None]:
        if self._path is None:
            yield
            return
        with self._path.open("rb") as file:
            fcntl.flock(file, kind)
            for pid in (os.getpid(), *(member.pid for member in cluster.running)):
                os.setpriority(os.PRIO_PROCESS, pid, nice)
            yield


class Series:
    """One cluster that is filled further and further, and measured at each of ``sizes``."""

    def __init__(self, document: Document, program: Program, members: int, quiet: Quiet) -> None:
        self._document = document
        self._program = program
        self._members = members
        self._quiet = quiet

    def run(self, sizes: Sequence[int], directory: Path, progress: Progress, task: TaskID) -> None:
        name = f"{self._program.name}, members {self._members}"
        with (
            tempfile.TemporaryDirectory(dir=directory, prefix="growth-") as data,
            Cluster(self._program, Path(data), members=self._members, flags=[QUOTA]) as cluster,
        ):
            filled = 0
            for keys in sizes:
                for start in range(filled, keys, KEYS_PER_STEP):
                    end = min(start + KEYS_PER_STEP, keys)
                    progress.update(task, description=f"{name}: filling, {end:,} of {keys:,}")
                    with self._quiet.beside_others(cluster):
                        self._fill(cluster, start, end)
                    progress.advance(task, end - start)
                filled = keys
                progress.update(task, description=f"{name}: measuring {keys:,} keys")
                self._measure(cluster, keys)

    def _fill(self, cluster: Cluster, start: int, end: int) -> None:
        api = Api(cluster.leader().endpoint, timeout_seconds=CALL_SECONDS_MAX)
        fill(api, start, end)
        api.close()

    def _measure(self, cluster: Cluster, keys: int) -> None:
        figures: dict[str, float] = {}
        with self._quiet.alone(cluster):
            load = os.getloadavg()[0]
            api = Api(cluster.leader().endpoint, timeout_seconds=CALL_SECONDS_MAX)
            check(api, keys)
            api.close()
            figures |= growth_point.loads(cluster, keys)
            figures |= growth_point.crashes(cluster, keys)
        figures["load_average"] = load
        figures["alone"] = not self._quiet.is_shared
        self._document.add(self._program, keys, self._members, figures)


class Document:
    """What was measured, by program, members and keys; kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def points(self) -> list[dict[str, Any]]:
        return json.loads(self._path.read_text()) if self._path.exists() else []

    def missing(self, program: Program, members: int, sizes: Sequence[int]) -> list[int]:
        done = {
            point["keys"]
            for point in self.points
            if (point["program"], point["members"]) == (program.name, members)
        }
        return [keys for keys in sorted(sizes) if keys not in done]

    def add(self, program: Program, keys: int, members: int, figures: dict[str, float]) -> None:
        point = {
            "program": program.name,
            "members": members,
            "keys": keys,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "figures": {name: float(f"{value:.4g}") for name, value in figures.items()},
        }
        points = sorted(
            [*self.points, point], key=lambda one: (one["program"], one["members"], one["keys"])
        )
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps(points, indent=1) + "\n")
        beside.replace(self._path)


def number_of(text: str) -> int:
    """10k, 1M or plain digits."""
    digits, factor = (text[:-1], SUFFIXES[text[-1]]) if text[-1:] in SUFFIXES else (text, 1)
    if not digits.isdigit():
        raise click.BadParameter(f"{text!r} is no number such as 500, 10k or 1M")
    return int(digits) * factor


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--keys", "keys", multiple=True, default=["10k", "100k", "1M"], show_default=True)
@click.option("--members", multiple=True, type=click.IntRange(1), default=[3], show_default=True)
@click.option("--etcd", is_flag=True, help="etcd instead of raftkv.")
@click.option(
    "--data-dir",
    default=ROOT / "data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where clusters keep their data: on the disk that is to be measured.",
)
@click.option(
    "--lock",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file that others on this machine lock, too: what is timed waits for them (flock).",
)
@click.option("--pause", default=60.0, show_default=True, help="Seconds between two timed parts.")
@click.option(
    "--cpu-only",
    is_flag=True,
    help="With --lock: others may work meanwhile, and only CPU times are worth something.",
)
@click.option("--draw", is_flag=True, help="Draw docs/performance-*.svg of what there is; no run.")
def main(
    keys: tuple[str, ...],
    members: tuple[int, ...],
    etcd: bool,
    data_dir: Path,
    lock: Path | None,
    pause: float,
    cpu_only: bool,
    draw: bool,
) -> None:
    """Measure stores of each number of keys with each number of members, those not yet measured.

    Needs a disk with room for 1 KiB per key and member, three times that up to 3M keys, and with
    --lock the right to raise a priority again.
    """
    document = Document(RESULTS)
    console = Console()
    if draw:
        print(growth_chart.draw(document.points))
        return
    signal.signal(signal.SIGTERM, _interrupt)
    program = ETCD if etcd else RAFTKV
    sizes = [number_of(text) for text in keys]
    missing = {count: document.missing(program, count, sizes) for count in members}
    data_dir.mkdir(parents=True, exist_ok=True)
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        total = sum(max(left, default=0) for left in missing.values())
        task = progress.add_task("starting", total=total)
        for count, left in missing.items():
            if left:
                series = Series(document, program, count, Quiet(lock, pause, is_shared=cpu_only))
                series.run(left, data_dir, progress, task)
    console.print(f"written to {RESULTS.relative_to(ROOT)}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: the members are killed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
