"""The simulation as a judge: it repeats, it breaks much, it finds nothing wrong, it shrinks."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jepsen_like.cli import main
from jepsen_like.history.journal import load
from jepsen_like.simulated.commands import HISTORY, WORKLOADS
from jepsen_like.simulated.plan import (
    LEADER,
    Bias,
    FaultKind,
    Plan,
    PlannedFault,
    draw,
)
from jepsen_like.simulated.run import Run, run
from jepsen_like.simulated.seeds import campaign, plans
from jepsen_like.simulated.shrink import Shrinker
from jepsen_like.simulated.verdict import Judged, workload_of
from jepsen_like.simulated.view import replay_command

SEEDS = 120
"""`make simulate` takes as many as there is time for."""
SHORT = Bias(faults_until_s=2.0)
DIGESTS = """
import logging, sys
from jepsen_like.simulated.plan import Bias, draw
from jepsen_like.simulated.run import run
from jepsen_like.simulated.verdict import workload_of

logging.disable(logging.CRITICAL)
for argument in sys.argv[1:]:
    seed, workload = argument.split(":")
    plan = draw(int(seed), workload, Bias(faults_until_s=2.0))
    print(run(plan, workload_of(plan)).digest)
"""
REPEATED = ((0, "mix"), (1, "watch"), (2, "kubernetes"), (3, "append"))


@pytest.fixture(autouse=True)
def _loud_again() -> Iterator[None]:
    """The commands silence the members, for the whole process."""
    yield
    logging.disable(logging.NOTSET)


def _run(seed: int, workload: str) -> Run:
    plan = draw(seed, workload, SHORT)
    return run(plan, workload_of(plan))


def _digests_elsewhere(hash_seed: str) -> list[str]:
    arguments = [f"{seed}:{workload}" for seed, workload in REPEATED]
    done = subprocess.run(
        (sys.executable, "-c", DIGESTS, *arguments),
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    return done.stdout.split()


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# --- the same seed is the same run --------------------------------------------------------------


def test_a_seed_draws_one_plan() -> None:
    """The same seed and workload, the same plan; another seed, another one."""
    drawn = [draw(seed, "mix") for seed in range(50)]
    assert drawn == [draw(seed, "mix") for seed in range(50)]
    assert len({plan.faults for plan in drawn}) == 50


def test_a_run_repeats_to_the_last_event() -> None:
    """Twice in one process: equal traces, and equal histories with all their times."""
    first, second = _run(4, "mix"), _run(4, "mix")
    assert first.events > 1000
    assert first.digest == second.digest
    assert first.history == second.history


@pytest.mark.slow
def test_a_run_repeats_in_other_processes() -> None:
    """The order of sets of text differs between hash seeds, and the trace does not."""
    here = [_run(seed, workload).digest for seed, workload in REPEATED]
    assert len(set(here)) == len(REPEATED)
    assert _digests_elsewhere("1") == here
    assert _digests_elsewhere("4242") == here


# --- many seeds ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_seeds_break_nothing() -> None:
    """A slice of what `make simulate` runs: all kinds of faults, nothing found, much judged."""
    totals = campaign(plans(range(SEEDS), WORKLOADS, Bias(faults_until_s=6.0)), jobs=2)
    assert not totals.broken, [(r.seed, r.workload, r.broken_by) for r in totals.broken]
    assert totals.seeds == SEEDS
    assert set(totals.faults) == {kind.value for kind in FaultKind}
    assert sum(totals.faults.values()) > 5 * SEEDS
    assert totals.operations > 100 * SEEDS
    assert totals.watched > 100 * SEEDS
    assert totals.checks > 300 * SEEDS
    assert totals.unknown < SEEDS // 2, "too many seeds had a check with too little to judge"


# --- making a failing plan small ----------------------------------------------------------------


def _fault(kind: FaultKind, begin_s: float) -> PlannedFault:
    return PlannedFault(kind, begin_s, 0.5, LEADER)


def _plan(*kinds: FaultKind) -> Plan:
    faults = tuple(_fault(kind, 0.3 + number) for number, kind in enumerate(kinds))
    return Plan(seed=1, faults=faults, faults_until_s=40.0)


def _judge(broken_by: Callable[[Plan], str]) -> Callable[[Plan], Judged]:
    return lambda plan: Judged(Run(plan), (), broken_by(plan), "")


def _kinds(plan: Plan) -> set[FaultKind]:
    return {fault.kind for fault in plan.faults}


@pytest.mark.parametrize(
    "needed",
    [
        {FaultKind.KILL},
        {FaultKind.KILL, FaultKind.RING},
        {FaultKind.SPLIT, FaultKind.ROT, FaultKind.JUMP},
    ],
)
def test_a_failing_plan_shrinks_to_what_it_needs(needed: set[FaultKind]) -> None:
    """Every fault that the failure does not need is left out, and the run ends early."""
    shrinker = Shrinker(
        _judge(lambda plan: "watch" if needed <= _kinds(plan) else ""), lambda plan, tried: None
    )
    small = shrinker.shrink(_plan(*FaultKind), "watch")
    assert _kinds(small) == needed
    assert len(small.faults) == len(needed)
    last = max(fault.begin_s for fault in small.faults)
    assert last < small.faults_until_s <= max(2 * last, 2.0)


def test_another_failure_is_not_settled_for() -> None:
    """A smaller plan that breaks something else is another bug: it is not taken."""
    shrinker = Shrinker(
        _judge(lambda plan: "watch" if len(plan.faults) == 17 else "hashes"),
        lambda plan, tried: None,
    )
    plan = _plan(*FaultKind)
    assert shrinker.shrink(plan, "watch").faults == plan.faults


def test_shrinking_tells_only_of_what_still_fails() -> None:
    """Each plan that is told is smaller than the one before, and fails."""
    told: list[Plan] = []
    shrinker = Shrinker(
        _judge(lambda plan: "watch" if FaultKind.RING in _kinds(plan) else ""),
        lambda plan, tried: told.append(plan),
    )
    shrinker.shrink(_plan(*FaultKind), "watch")
    sizes = [(plan.faults_until_s, len(plan.faults)) for plan in told]
    assert len(told) > 3
    assert sizes == sorted(sizes, reverse=True)
    assert all(FaultKind.RING in _kinds(plan) for plan in told)


# --- the command line ---------------------------------------------------------------------------


@pytest.mark.slow
def test_replay_runs_a_seed_and_keeps_its_history(tmp_path: Path) -> None:
    """The plan, the verdicts and the trace; the history is the one that the seed gives."""
    result = invoke("replay", "3", "--workload", "register", "--until", "3", "--dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert "linearizable: valid" in result.output
    plan = replace(draw(3, "register"), faults_until_s=3.0)
    plan = replace(plan, faults=tuple(f for f in plan.faults if f.begin_s < 3.0))
    again = run(plan, workload_of(plan))
    assert f"trace {again.digest}" in result.output
    assert load(tmp_path / HISTORY) == again.history


def test_replay_leaves_faults_out() -> None:
    """--faults none and --until give the small plan that the shrinker prints."""
    result = invoke("replay", "3", "--until", "1", "--faults", "none")
    assert result.exit_code == 0, result.output
    assert " at\n" in result.output
    assert "m0\n" not in result.output


def test_the_printed_command_draws_the_small_plan() -> None:
    """What is to be pasted names the seed, the workload, the end and the faults that are left."""
    original = draw(7, "watch")
    small = replace(original, faults=original.faults[1:3], faults_until_s=5.0)
    command = "python -m jepsen_like replay 7 --workload watch --until 5 --faults 1,2"
    assert replay_command(small, original) == command
    none = replace(original, faults=())
    assert replay_command(none, original).endswith("--workload watch --faults none")


@pytest.mark.slow
def test_simulate_adds_seeds_up() -> None:
    """Four seeds, none broken, and the totals that docs/testing.md is made of."""
    result = invoke("simulate", "--seeds", "4", "--until", "2", "--jobs", "2")
    assert result.exit_code == 0, result.output
    for words in ("seeds", "operations judged", "faults by kind", "invariant checks"):
        assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("replay",), "Missing argument 'SEED'"),
        (("replay", "-1"), "SEED"),
        (("replay", "x"), "'x' is not a valid integer"),
        (("replay", "1", "--workload", "poem"), "--workload"),
        (("replay", "1", "--workload", "lock-unfenced"), "--workload"),
        (("replay", "1", "--until", "0"), "--until"),
        (("replay", "1", "--faults", "999"), "the plan has faults 0 to"),
        (("replay", "1", "--faults", "a,b"), "the plan has faults 0 to"),
        (("replay", "1", "--faults", "0,-1"), "the plan has faults 0 to"),
        (("replay", "1", "--log", "loud"), "--log"),
        (("simulate", "--seeds", "0"), "--seeds"),
        (("simulate", "--jobs", "0"), "--jobs"),
        (("simulate", "--first", "-3"), "--first"),
        (("simulate", "4"), "unexpected extra argument"),
    ],
)
def test_usage_errors_say_what_is_wrong(arguments: tuple[str, ...], complaint: str) -> None:
    """Exit code 2 and the word that was wrong."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert complaint in result.output
