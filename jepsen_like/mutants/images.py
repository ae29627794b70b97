"""Mutants of what a member writes to real files, found by opening crash images.

Owns: the names of those, and the command that looks for one. They are planted by
``jepsen_like.images`` in the process that is recorded.
"""

from __future__ import annotations

import subprocess
import sys
from resource import RUSAGE_CHILDREN, getrusage

from jepsen_like.mutants.result import Result

IMAGE_MUTANTS = {
    "no-file-sync": "log and snapshot files are never synced",
    "no-directory-sync": "directories are never synced",
    "lmdb-no-sync": "the database is opened with sync=False",
    "lmdb-no-meta-sync": "the database is opened with metasync=False",
}
IMAGES = 2000
"""Enough for each of them many times over; the search ends at the first few broken ones."""


def hunt_images(name: str, *, seconds_max: float) -> Result:
    command = (sys.executable, "-m", "jepsen_like.images", "--mutant", name)
    before = _cpu_s()
    try:
        done = subprocess.run(
            (*command, "--images", str(IMAGES)),
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Result(name, "", "", 0, IMAGES, _cpu_s() - before)
    broken = [line for line in done.stdout.splitlines() if line.startswith("broken")]
    caught_by = "crash images" if done.returncode == 1 and broken else ""
    reason = broken[0].removeprefix("broken ") if broken else done.stderr[-500:]
    return Result(name, caught_by, reason, 1, 1, _cpu_s() - before)


def _cpu_s() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
