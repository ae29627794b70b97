"""Simulated clusters whose members change under faults: nothing breaks, and changes do happen."""

from __future__ import annotations

import pytest

from jepsen_like.simulated.plan import Bias, FaultKind, draw
from jepsen_like.simulated.run import run
from jepsen_like.simulated.verdict import workload_of

CHANGES = (FaultKind.MEMBER_ADD, FaultKind.MEMBER_REMOVE, FaultKind.REPLACE)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "kinds", [(*CHANGES, FaultKind.KILL, FaultKind.ISOLATE), (FaultKind.WIPE, FaultKind.MEMBER_ADD)]
)
def test_members_change_and_every_invariant_holds(seed: int, kinds: tuple[FaultKind, ...]) -> None:
    """A few seeds of each mixture, with the phases in which all must come to agree."""
    plan = draw(seed, "mix", Bias(kinds=kinds, size=3, pace=0.3, faults_until_s=8.0))
    outcome = run(plan, workload_of(plan))
    assert outcome.violation is None, outcome.violation
    happened = {fault.name for fault in outcome.history.faults}
    assert happened & {kind.value for kind in kinds}, happened
    assert outcome.checks > 100


def test_members_change_in_some_seeds_and_never_beside_rot() -> None:
    """About every fourth plan changes members; a rotten log and a member that goes could together
    cost the quorum."""
    drawn = [{fault.kind for fault in draw(seed).faults} for seed in range(200)]
    changing = [kinds for kinds in drawn if kinds & {*CHANGES, FaultKind.WIPE}]
    assert 20 < len(changing) < 80, len(changing)
    assert set().union(*changing) >= {*CHANGES, FaultKind.WIPE}
    assert not any(FaultKind.ROT in kinds for kinds in changing)
