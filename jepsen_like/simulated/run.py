"""One plan carried out: faults, then recovery, then what is left is read.

Owns: the phases of a run and what it hands over. Must never do: judge a history; checkers do. What
an invariant or an assertion of the production code says is part of the outcome.

    1. safety     clients and faults together, invariants after every event
    2. liveness   a random quorum is healed, the rest stays as it is: the quorum must serve
    3. ending     all are healed: they must agree; a last client reads everything
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import MemberState, Operation
from jepsen_like.history.request import Get, Request
from jepsen_like.history.result import Outcome, Refused, Unknown
from jepsen_like.simulated.chaos import Chaos
from jepsen_like.simulated.client import Client
from jepsen_like.simulated.exchange import Exchange
from jepsen_like.simulated.plan import MEMBER_KINDS, Plan
from jepsen_like.simulated.witness import Witness
from jepsen_like.workloads.session import Workload
from raftkv.simulation.clock import Callback
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.invariants import Invariants, InvariantViolated
from raftkv.simulation.machine import Machine
from raftkv.simulation.trace import Trace

RECOVERY_S = 30.0
"""Within so many virtual seconds a healed quorum serves again: a dozen election timeouts."""
EVENTS_PER_S_MAX = 100_000
"""Of one virtual second. A busy one has ten thousand; beyond this, members answer each other for
ever."""
PROBE = Get("probe")
ASK_AGAIN_S = 0.1
CHANGES_END_S = 10.0
"""By then every change of members that was asked for has happened, or is given up."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What broke while the run went on; ``name`` is the invariant's."""

    name: str
    text: str
    at_s: float


@dataclass(slots=True)
class Run:
    """One plan's outcome. ``digest`` is equal whenever the plan is run."""

    plan: Plan
    history: History = field(default_factory=History)
    violation: Violation | None = None
    digest: str = ""
    events: int = 0
    virtual_s: float = 0.0
    messages: int = 0
    checks: int = 0


def run(plan: Plan, workload: Workload) -> Run:
    """Carry ``plan`` out. Never raises for what the cluster does."""
    return _Director(plan, workload).run()


class _Director:
    def __init__(self, plan: Plan, workload: Workload) -> None:
        self._plan = plan
        self._workload = workload
        self._cluster = SimulatedCluster(
            size=plan.size,
            seed=plan.seed,
            snapshot_count=plan.snapshot_count,
            limits=plan.limits,
            heartbeat_interval_ms=plan.heartbeat_ms,
            election_timeout_ms=plan.election_ms,
            pre_vote=plan.pre_vote,
        )
        for machine, quota in zip(self._cluster.machines, plan.quotas, strict=False):
            machine.config = replace(machine.config, quota_backend_bytes=quota)
        self._world = self._cluster.scheduler
        self._random = Random(f"{plan.seed}/director")
        self._chaos = Chaos(self._cluster, Random(f"{plan.seed}/chaos"))
        self._history = History(settings=_settings(plan), faults=self._chaos.happened)
        self._witness = Witness(
            self._cluster, plan.clients, Random(f"{plan.seed}/witness"), self._history
        )
        self._invariants = Invariants()
        self._trace = Trace()
        self._second, self._events_before = 0.0, 0
        self._cluster.entered = self._entered
        self._cluster.network.seen = self._invariants.observe_message

    def run(self) -> Run:
        outcome = Run(self._plan, self._history)
        try:
            self._safety()
            self._liveness()
            self._ending()
        except InvariantViolated as e:
            outcome.violation = Violation(e.name, str(e), self._world.now())
        except Exception as e:  # noqa: BLE001 - in a real member it would end a turn of the loop
            where = traceback.extract_tb(e.__traceback__)[-1]
            text = f"{e!r} ({where.filename.rpartition('/')[2]}, {where.name})"
            name = "assertion" if isinstance(e, AssertionError) else "no error but ours"
            outcome.violation = Violation(name, text, self._world.now())
        outcome.digest = self._trace.digest
        outcome.events = self._world.events
        outcome.virtual_s = self._world.now()
        outcome.messages = self._cluster.network.carried
        outcome.checks = self._invariants.checks
        return outcome

    def _entered(self, machine: Machine, callback: Callback) -> None:
        self._bound_events()
        self._trace.note(self._world.now(), machine, callback)
        process = machine.process
        if process is not None and process.member.quarantine.is_on:
            self._chaos.check_hurt(machine, process.member.quarantine.reason)
        self._invariants.observe(machine)

    def _bound_events(self) -> None:
        if self._world.now() >= self._second + 1:
            self._second, self._events_before = self._world.now(), self._world.events
        elif self._world.events - self._events_before > EVENTS_PER_S_MAX:
            raise InvariantViolated(
                "no storm of messages", f"more than {EVENTS_PER_S_MAX} events in one second"
            )

    # --- phases -------------------------------------------------------------------------------

    def _safety(self) -> None:
        self._cluster.start_all()
        clients = [self._client(process) for process in range(self._plan.clients)]
        for client in clients:
            client.start()
        self._witness.start()
        self._chaos.schedule(self._plan.faults)
        self._world.run_for(self._plan.faults_until_s)

    def _client(self, process: int) -> Client:
        random = Random(f"{self._plan.seed}/client/{process}")
        return Client(
            self._cluster,
            process,
            self._workload.session(process, random),
            random,
            self._history,
            think_s=self._plan.think_s,
            until_s=self._plan.faults_until_s,
        )

    def _liveness(self) -> None:
        """Uniform faults always heal, and so hide livelocks: here only a quorum does."""
        healthy = [m for m in self._cluster.machines if self._chaos.is_sound(m)]
        if self._changes_members:
            self._heal_all_members(healthy)
            return
        quorum = self._plan.size // 2 + 1
        core = self._random.sample(healthy, self._random.randint(quorum, len(healthy)))
        self._cluster.network.heal()
        for machine in core:  # first: only who runs can be cut off from the rest
            self._chaos.restore(machine)
        for machine in self._cluster.machines:
            if machine in core:
                continue
            if self._random.random() < 0.5:
                self._cluster.network.isolate(machine.member_id)
            elif machine.process is not None:
                machine.kill()
        for machine in core:
            self._ask(PROBE, [machine], "a healed quorum serves")

    @property
    def _changes_members(self) -> bool:
        return any(fault.kind in MEMBER_KINDS for fault in self._plan.faults)

    def _heal_all_members(self, healthy: Sequence[Machine]) -> None:
        """Who is a quorum may be changing at this moment, so all are healed."""
        self._cluster.network.heal()
        for machine in healthy:
            self._chaos.restore(machine)
        self._ask(PROBE, healthy, "a healed quorum serves")

    def _ending(self) -> None:
        self._cluster.network.heal()
        for machine in self._cluster.machines:
            if machine.name not in self._chaos.out or machine.process is not None:
                self._chaos.restore(machine)
        if self._changes_members:
            self._world.run_for(CHANGES_END_S)
            self._chaos.retire()
        for request in self._workload.final():
            self._ask(request, self._cluster.machines, "a healed cluster serves")
        self._must(self._cluster.settled, "healed members come to agree")
        self._must(self._all_repaired, "damaged members are repaired")
        self._must(self._witnessed, "a watch comes to the end")
        self._witness.stop()
        self._world.run_for(5.0)  # compactions end, watches close
        self._read_hashes()

    def _all_repaired(self) -> bool:
        return not any(process.member.quarantine.is_on for process in self._cluster.running)

    def _witnessed(self) -> bool:
        stores = [process.member.store for process in self._cluster.running]
        return all(self._witness.seen_revision >= store.current_revision for store in stores)

    def _must(self, condition: Callable[[], bool], name: str) -> None:
        if not self._world.run_until(condition, within_s=RECOVERY_S):
            states = "; ".join(
                f"{m.name}: {'down' if m.process is None else m.process.member.status()}"
                for m in self._cluster.machines
            )
            raise InvariantViolated(name, f"not within {RECOVERY_S} s: {states}")

    def _ask(self, request: Request, machines: Sequence[Machine], name: str) -> None:
        """One client's request, asked again until it is answered; each try is on record."""
        answered: list[Outcome] = []
        process = self._plan.clients + 1

        def attempt() -> None:
            machine = self._random.choice(machines)
            called = self._world.now()

            def done(outcome: Outcome) -> None:
                self._history.operations.append(
                    Operation(process, machine.name, called, self._world.now(), request, outcome)
                )
                if isinstance(outcome, Refused | Unknown):
                    self._world.call_later(ASK_AGAIN_S, attempt)
                else:
                    answered.append(outcome)

            Exchange(self._world, machine, request, self._random).start(done)

        attempt()
        self._must(lambda: bool(answered), name)

    def _read_hashes(self) -> None:
        for machine in self._cluster.machines:
            if machine.process is not None:
                found = machine.process.member.store.hash_kv(0)
                self._history.finals.append(
                    MemberState(
                        machine.name, found.hash_revision, found.compact_revision, found.hash
                    )
                )


def _settings(plan: Plan) -> dict[str, str | int | float | bool]:
    return {
        "tier": "simulation",
        "seed": plan.seed,
        "workload": plan.workload,
        "members": plan.size,
        "clients": plan.clients,
        "faults": ", ".join(dict.fromkeys(fault.kind.value for fault in plan.faults)),
    }
