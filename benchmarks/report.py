"""A contest's result as a table for people and as JSON with the date, the machine and every round.

Owns: both forms. Must never do: compute a figure that the contest does not have.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.contest import Contest, Row

RESULTS = Path(__file__).parent / "results"


def table(contest: Contest, rounds: int) -> Table:
    """Medians of all rounds; a ratio above 1 says that the left one is ahead."""
    plural = "s" if rounds > 1 else ""
    result = Table(title=f"medians of {rounds} alternating round{plural}", title_justify="left")
    result.add_column("work", no_wrap=True)
    result.add_column("figure", no_wrap=True)
    for title in (contest.raftkv.title, contest.etcd.title):
        result.add_column(title, justify="right", no_wrap=True)
    result.add_column("ratio", justify="right", no_wrap=True)
    result.add_column("of rounds", justify="right", no_wrap=True)
    result.add_column("target", justify="right", no_wrap=True)
    previous = ""
    for row in contest.rows():
        if previous and row.work != previous:
            result.add_section()
        result.add_row(row.work if row.work != previous else "", *_cells(row))
        previous = row.work
    return result


def _cells(row: Row) -> Sequence[str]:
    target = row.metric.target
    ratio = f"{row.ratio:.2f}x"
    if target is not None:
        ratio = f"[{'green' if row.ratio >= target else 'red'}]{ratio}[/]"
    return (
        f"{row.metric.name}, {row.metric.unit}",
        _number(median(row.raftkv)),
        _number(median(row.etcd)),
        ratio,
        f"{min(row.ratios):.2f}-{max(row.ratios):.2f}",
        "" if target is None else f">= {target:g}x",
    )


def _number(value: float) -> str:
    """Three significant digits, thousands grouped."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def save(contest: Contest, rounds: int, now: datetime) -> Path:
    """Write benchmarks/results/DATE.json and give its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%dT%H%M%S}.json"
    document = {
        "date": now.isoformat(timespec="seconds"),
        "commit": _output("git", "describe", "--always", "--dirty"),
        "machine": machine(contest.directory),
        "programs": {
            one.title: " ".join(Path(part).name for part in one.program.command)
            for one in (contest.raftkv, contest.etcd)
        },
        "etcd": _output("etcd", "--version").splitlines()[:1],
        "rounds": rounds,
        "rows": [_row(row) for row in contest.rows()],
        "facts": {
            title: {name: [one.facts for one in runs] for name, runs in works.items()}
            for title, works in contest.measurements.items()
        },
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def _row(row: Row) -> dict[str, Any]:
    return {
        "work": row.work,
        "figure": row.metric.name,
        "unit": row.metric.unit,
        "better": row.metric.better.value,
        "target": row.metric.target,
        "raftkv": median(row.raftkv),
        "etcd": median(row.etcd),
        "ratio": round(row.ratio, 3),
        "ratio_rounds": [round(ratio, 3) for ratio in row.ratios],
        "raftkv_rounds": list(row.raftkv),
        "etcd_rounds": list(row.etcd),
    }


def machine(directory: Path) -> dict[str, Any]:
    """What the figures depend on, without naming the machine."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[1],
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
