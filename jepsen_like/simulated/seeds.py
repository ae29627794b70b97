"""Many seeds, on all cores, and what they add up to.

Owns: SeedResult, Totals and the campaign. Must never do: hide a seed that could not be judged:
whatever a worker raises ends the campaign.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from time import process_time

from jepsen_like.checkers.verdict import Validity
from jepsen_like.simulated.plan import UNBIASED, Bias, Plan, draw
from jepsen_like.simulated.verdict import Judged, judge_seed

WAITING_PER_JOB = 4
"""Seeds handed to the pool ahead of time, so that a stop need not wait for thousands."""


@dataclass(frozen=True, slots=True)
class SeedResult:
    """``broken_by`` is the invariant or the checker that noticed; ``unknown`` are the checkers that
    found too little to judge. ``seconds`` are of one core."""

    seed: int
    workload: str
    digest: str
    broken_by: str
    reason: str
    unknown: tuple[str, ...]
    events: int
    faults_until_s: float
    virtual_s: float
    operations: int
    watched: int
    checks: int
    faults: tuple[tuple[str, int], ...]
    seconds: float


def run_seed(plan: Plan) -> SeedResult:
    began = process_time()
    judged = judge_seed(plan)
    run = judged.run
    return SeedResult(
        seed=plan.seed,
        workload=plan.workload,
        digest=run.digest,
        broken_by=judged.broken_by,
        reason=judged.reason,
        unknown=_unknown(judged),
        events=run.events,
        faults_until_s=plan.faults_until_s,
        virtual_s=run.virtual_s,
        operations=len(run.history.operations),
        watched=sum(len(r.events) for w in run.history.watches for r in w.responses),
        checks=run.checks,
        faults=tuple(Counter(fault.name for fault in run.history.faults).items()),
        seconds=process_time() - began,
    )


def _unknown(judged: Judged) -> tuple[str, ...]:
    return tuple(v.checker for v in judged.verdicts if v.validity is Validity.UNKNOWN)


@dataclass(slots=True)
class Totals:
    seeds: int = 0
    events: int = 0
    virtual_s: float = 0.0
    operations: int = 0
    watched: int = 0
    checks: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    broken: list[SeedResult] = field(default_factory=list)

    def add(self, result: SeedResult) -> None:
        self.seeds += 1
        self.events += result.events
        self.virtual_s += result.virtual_s
        self.operations += result.operations
        self.watched += result.watched
        self.checks += result.checks
        self.seconds += result.seconds
        self.faults.update(dict(result.faults))
        self.unknown += bool(result.unknown)
        if result.broken_by:
            self.broken.append(result)

    @property
    def events_per_second(self) -> float:
        """Of one core."""
        return self.events / self.seconds if self.seconds else 0.0


def plans(
    seeds: Iterable[int], workloads: tuple[str, ...], bias: Bias = UNBIASED
) -> Iterable[Plan]:
    """Each seed with one of the workloads, in turn."""
    for seed in seeds:
        yield draw(seed, workloads[seed % len(workloads)], bias)


def campaign(
    all_plans: Iterable[Plan], *, jobs: int, look: Callable[[Totals], None] = lambda totals: None
) -> Totals:
    """Run every plan in ``jobs`` processes; ``look`` is called after each."""
    totals = Totals()
    remaining = iter(all_plans)
    pending: set[Future[SeedResult]] = set()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        while True:
            for plan in islice(remaining, jobs * WAITING_PER_JOB - len(pending)):
                pending.add(pool.submit(run_seed, plan))
            if not pending:
                return totals
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                totals.add(future.result())
            look(totals)


def _quiet() -> None:
    """Members that are killed a thousand times have much to say."""
    logging.disable(logging.CRITICAL)
