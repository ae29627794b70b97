"""A failing plan made small: fewer faults, a shorter run, the same thing found.

Owns: the search (delta debugging, Zeller 1999). Must never do: settle for another failure than the
one it was given: a smaller plan that breaks something else is another bug.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from jepsen_like.simulated.plan import Plan, PlannedFault
from jepsen_like.simulated.verdict import Judged

RUNS_MAX = 150


class Shrinker:
    """``judge`` carries a plan out; ``tried`` counts how often it was asked."""

    def __init__(self, judge: Callable[[Plan], Judged], tell: Callable[[Plan, int], None]) -> None:
        self._judge = judge
        self._tell = tell
        self.tried = 0

    def shrink(self, plan: Plan, broken_by: str) -> Plan:
        """The smallest plan found that ``broken_by`` still notices."""
        plan = self._shorten(plan, broken_by)
        faults = self._reduce(plan, broken_by)
        return self._shorten(replace(plan, faults=faults), broken_by)

    def _fails(self, plan: Plan, broken_by: str) -> Judged | None:
        if self.tried >= RUNS_MAX:
            return None
        self.tried += 1
        judged = self._judge(plan)
        if judged.broken_by != broken_by:
            return None
        self._tell(plan, self.tried)
        return judged

    def _shorten(self, plan: Plan, broken_by: str) -> Plan:
        """End the safety phase early: half as long while that works."""
        shorter = plan
        while shorter.faults_until_s > 1.0:
            until = shorter.faults_until_s / 2
            kept = tuple(fault for fault in shorter.faults if fault.begin_s < until)
            candidate = replace(shorter, faults_until_s=until, faults=kept)
            if self._fails(candidate, broken_by) is None:
                return shorter
            shorter = candidate
        return shorter

    def _reduce(self, plan: Plan, broken_by: str) -> tuple[PlannedFault, ...]:
        """Leave out ever smaller parts, for as long as the rest still fails."""
        faults = plan.faults
        parts = 2
        while len(faults) > 1 and self.tried < RUNS_MAX:
            size = -(-len(faults) // parts)
            for start in range(0, len(faults), size):
                rest = faults[:start] + faults[start + size :]
                if self._fails(replace(plan, faults=rest), broken_by) is not None:
                    faults, parts = rest, max(parts - 1, 2)
                    break
            else:
                if size == 1:
                    return faults
                parts = min(2 * parts, len(faults))
        return faults
