"""Looking for one mutant: seeds are run until a checker notices.

Owns: the hunt in a process of its own, for a planted bug cannot be taken out again. Must never do:
count a mutant as killed by a crash of the test itself.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from dataclasses import asdict
from time import process_time

from jepsen_like.mutants.catalogue import mutant_named
from jepsen_like.mutants.mutant import Mutant
from jepsen_like.mutants.planting import plant
from jepsen_like.mutants.result import Result

SCHEDULE = "schedule"


def follow(mutant: Mutant) -> Result:
    """Plant ``mutant`` in this process and run the one test that must fail then. The tests
    themselves run it unplanted, where it passes."""
    plant(mutant)
    import pytest

    began = process_time()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = pytest.main(["-q", "-p", "no:cacheprovider", mutant.schedule])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"{mutant.schedule} did not run: {said.getvalue()[-1000:]}")
    caught_by = SCHEDULE if status == pytest.ExitCode.TESTS_FAILED else ""
    return Result(mutant.name, caught_by, mutant.schedule, 0, 1, process_time() - began)


def hunt(mutant: Mutant, *, first_seed: int, seeds_max: int, seconds_max: float) -> Result:
    """Plant ``mutant`` in this process and run seeds until it shows."""
    plant(mutant)
    from jepsen_like.simulated.plan import Bias, FaultKind, draw
    from jepsen_like.simulated.verdict import judge_seed

    began = process_time()
    bias = Bias(
        kinds=tuple(FaultKind(kind) for kind in mutant.hunt.kinds),
        size=mutant.hunt.size,
        heartbeat_ms=mutant.hunt.heartbeat_ms,
        think_s=mutant.hunt.think_s,
        pace=mutant.hunt.pace,
        without_pre_vote=mutant.hunt.without_pre_vote,
        entry_by_entry=mutant.hunt.entry_by_entry,
        faults_until_s=mutant.hunt.faults_until_s,
    )
    tried = 0
    for seed in range(first_seed, first_seed + seeds_max):
        if process_time() - began > seconds_max:
            break
        tried += 1
        judged = judge_seed(draw(seed, mutant.hunt.workload, bias))
        if judged.broken_by:
            seconds = process_time() - began
            return Result(mutant.name, judged.broken_by, judged.reason, seed, tried, seconds)
    return Result(mutant.name, "", "", 0, tried, process_time() - began)


def main(arguments: list[str]) -> None:
    """NAME FIRST_SEED SEEDS_MAX SECONDS_MAX; prints one line of JSON."""
    logging.disable(logging.CRITICAL)  # what a broken member says about itself is no evidence
    name, first_seed, seeds_max, seconds_max = arguments
    mutant = mutant_named(name)
    if mutant.schedule:
        result = follow(mutant)
    else:
        result = hunt(
            mutant,
            first_seed=int(first_seed),
            seeds_max=int(seeds_max),
            seconds_max=float(seconds_max),
        )
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main(sys.argv[1:])
