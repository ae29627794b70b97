"""One seed judged: carried out, and its history put before the checkers.

Owns: what counts as broken, and by whom it was noticed first. Must never do: call a seed good that
could not be judged: a checker that says unknown is named too.
"""

from __future__ import annotations

from dataclasses import dataclass

from jepsen_like.checkers import hashes, linearizable, watch, wgl
from jepsen_like.checkers.verdict import Validity, Verdict
from jepsen_like.simulated.plan import Plan
from jepsen_like.simulated.run import Run, run
from jepsen_like.workloads.registry import workload
from jepsen_like.workloads.session import Workload

GENERAL = (linearizable.check, watch.check, hashes.check)


@dataclass(frozen=True, slots=True)
class Judged:
    """``broken_by`` is the invariant or the checker that noticed, empty for a good seed."""

    run: Run
    verdicts: tuple[Verdict, ...]
    broken_by: str
    reason: str


def workload_of(plan: Plan) -> Workload:
    return workload(plan.workload, GENERAL)


def judge_seed(plan: Plan) -> Judged:
    chosen = workload_of(plan)
    outcome = run(plan, chosen)
    if outcome.violation is not None:
        return Judged(outcome, (), outcome.violation.name, outcome.violation.text)
    verdicts = tuple(chosen.check(outcome.history))
    if len(outcome.history.answered) <= wgl.OPERATIONS_MAX:
        verdicts += (wgl.check(outcome.history),)  # a second opinion, where it can have one
    for verdict in verdicts:
        if verdict.validity is Validity.INVALID:
            return Judged(outcome, verdicts, verdict.checker, verdict.findings[0].reason)
    return Judged(outcome, verdicts, "", "")
