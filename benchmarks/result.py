"""A contest's result as one document: what is written as JSON, and what tables and charts show.

Owns: the document's shape, the machine's description. Must never do: compute a figure that the
contest does not have, or name the machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contest import Contest, Row
from tests.e2e.program import ROOT

RESULTS = Path(__file__).parent / "results"
Document = dict[str, Any]


def begin(contest: Contest, now: datetime, *, seconds: float) -> Document:
    """What is known before the first round."""
    both = (contest.raftkv, contest.etcd)
    return {
        "date": now.isoformat(timespec="seconds"),
        "commit": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "machine": machine(contest.directory),
        "programs": {
            one.title: " ".join(Path(part).name for part in one.program.command) for one in both
        },
        "etcd": _output(*contest.etcd.program.command, "--version").splitlines()[:1],
        "rounds": contest.plan.rounds,
        "seconds_of_a_load": seconds,
    }


def complete(document: Document, contest: Contest, *, partial: bool, took: float) -> Document:
    """``document`` with all figures that there are so far."""
    return document | {
        "partial": partial,
        "took_seconds": round(took),
        "failures": [
            {"program": one.program, "work": one.work, "round": one.round, "error": one.error}
            for one in contest.failures
        ],
        "rows": [_row(row) for row in contest.rows()],
        "facts": {
            title: {name: [one.facts for one in runs.values()] for name, runs in works.items()}
            for title, works in contest.measurements.items()
        },
    }


def path_of(now: datetime) -> Path:
    return RESULTS / f"{now:%Y-%m-%dT%H%M%S}.json"


def save(document: Document, path: Path) -> None:
    """Whole or not at all: a run may be killed while it writes."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(document, indent=1) + "\n")
    beside.replace(path)


def read(paths: Sequence[Path]) -> Document:
    """One document of several: a later one's rows replace the same rows of an earlier one."""
    documents = [json.loads(path.read_text()) for path in paths]
    rows: dict[tuple[str, str], Any] = {}
    for document in documents:
        rows |= {(row["work"], row["figure"]): row for row in document["rows"]}
    return {**documents[-1], "rows": list(rows.values())}


def _row(row: Row) -> dict[str, Any]:
    return {
        "group": row.group,
        "work": row.work,
        "figure": row.metric.name,
        "unit": row.metric.unit,
        "better": row.metric.better.value,
        "target": row.metric.target,
        "raftkv": median(row.raftkv.values()),
        "etcd": median(row.etcd.values()),
        "ratio": round(row.ratio, 3),
        "ratio_rounds": [round(ratio, 3) for ratio in row.ratios],
        "raftkv_rounds": list(row.raftkv.values()),
        "etcd_rounds": list(row.etcd.values()),
        "others": {
            title: {"median": median(rounds.values()), "rounds": list(rounds.values())}
            for title, rounds in row.guests.items()
        },
    }


def machine(directory: Path) -> dict[str, Any]:
    """What the figures depend on, without naming the machine."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "fdatasync_ms": round(fdatasync_ms(directory), 3),
    }


def fdatasync_ms(directory: Path, *, repeats: int = 100) -> float:
    """The median time of a 512-byte append with fdatasync on the disk that holds the data."""
    path = directory / "fdatasync.probe"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(repeats):
            file.write(b"\0" * 512)
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begin) * 1000)
    path.unlink()
    return median(times)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
