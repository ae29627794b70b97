"""hypothesis drives a simulated cluster: nothing breaks it; a planted bug becomes a few steps."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.jepsen_like.cluster_rules import ClusterRules

ROOT = Path(__file__).parents[2]
STEPS_MAX = 10
STEP = re.compile(r"^state\.(?!begin|teardown)(\w+)\(", re.MULTILINE)


class QuickRules(ClusterRules):
    """What every test run does."""


class LongRules(ClusterRules):
    """What `make test` adds."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Members that are killed a thousand times have much to say."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _drive(rules: type[ClusterRules], *, examples: int, steps: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=(Phase.generate, Phase.shrink),  # explaining traces every line: ten times as slow
        suppress_health_check=(HealthCheck.too_slow,),  # a whole cluster lives in each example
    )
    run_state_machine_as_test(rules, settings=chosen)


def test_no_few_steps_break_the_cluster() -> None:
    """Short sequences of requests and faults: invariants hold throughout, checkers are content."""
    _drive(QuickRules, examples=25, steps=20)
    assert QuickRules.operations > 50
    assert QuickRules.events > 100


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_many_steps_break_the_cluster() -> None:
    """Longer sequences, and more of them."""
    _drive(LongRules, examples=120, steps=50)
    assert LongRules.operations > 400
    assert LongRules.events > 1000


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("mutant", "noticed", "step"),
    [
        pytest.param(
            "version-survives-delete",
            "linearizable: invalid",
            "delete",
            marks=pytest.mark.long,  # each try is judged by the checker: a minute
        ),
        ("two-revisions-for-one-txn", "AssertionError", "txn"),
    ],
)
def test_a_planted_bug_shrinks_to_a_few_steps(mutant: str, noticed: str, step: str) -> None:
    """One that the checkers see at the end, and one that an assertion stops: what is left of the
    example is little more than the requests that it takes."""
    done = subprocess.run(
        (sys.executable, "-m", "tests.jepsen_like.planted_rules", mutant),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=ROOT,
    )
    report = done.stdout + done.stderr
    assert done.returncode == 1, report
    assert noticed in report
    steps = STEP.findall(report)
    assert step in steps, report
    assert len(steps) <= STEPS_MAX, report
