"""Hunting many mutants, each in a process of its own.

Owns: the processes. Must never do: take a process that failed for a mutant that was caught: what
a hunt prints on stderr is raised.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from jepsen_like.mutants.images import IMAGE_MUTANTS, hunt_images
from jepsen_like.mutants.result import Result

WALL_FACTOR = 6
"""A hunt may take so many times its CPU budget, on a machine that others use too."""


class HuntFailed(Exception):
    """The test itself broke."""


def hunt_one(name: str, *, first_seed: int, seeds_max: int, seconds_max: float) -> Result:
    if name in IMAGE_MUTANTS:
        return hunt_images(name, seconds_max=WALL_FACTOR * seconds_max)
    arguments = (name, str(first_seed), str(seeds_max), str(seconds_max))
    done = subprocess.run(
        (sys.executable, "-m", "jepsen_like.mutants.hunting", *arguments),
        capture_output=True,
        text=True,
        timeout=WALL_FACTOR * seconds_max + 60,
        check=False,
    )
    if done.returncode != 0:
        raise HuntFailed(f"{name}: {done.stderr[-2000:]}")
    return Result(**json.loads(done.stdout))


def hunt_all(
    names: Sequence[str],
    *,
    first_seed: int,
    seeds_max: int,
    seconds_max: float,
    jobs: int,
    look: Callable[[Result], None],
) -> list[Result]:
    """In the order of ``names``; ``look`` is called as each ends."""

    def one(name: str) -> Result:
        result = hunt_one(name, first_seed=first_seed, seeds_max=seeds_max, seconds_max=seconds_max)
        look(result)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, names))
