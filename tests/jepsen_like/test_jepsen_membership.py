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


def test_old_seeds_draw_what_they_drew() -> None:
    """The kinds that change members are drawn only when a bias asks for them."""
    drawn = {fault.kind for seed in range(50) for fault in draw(seed).faults}
    assert drawn
    assert not drawn & {*CHANGES, FaultKind.WIPE}
