"""Bits that flip in databases, under all else that happens: no wrong answer, nobody is called."""

from __future__ import annotations

import pytest

from jepsen_like.simulated.plan import Bias, FaultKind, draw
from jepsen_like.simulated.verdict import judge_seed

SEEDS = range(740_000, 740_006)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flipped_bit_is_repaired_under_faults(seed: int) -> None:
    """Members whose databases are hit while they are down, among kills, cuts and elections: all
    checkers and invariants hold, and every member serves in the end."""
    kinds = (FaultKind.FLIP, FaultKind.KILL, FaultKind.ISOLATE)
    plan = draw(seed, "mix", Bias(kinds=kinds, size=3, pace=0.3, faults_until_s=10.0))
    judged = judge_seed(plan)
    assert judged.broken_by == "", judged.reason
    assert any(fault.name == FaultKind.FLIP.value for fault in judged.run.history.faults)
