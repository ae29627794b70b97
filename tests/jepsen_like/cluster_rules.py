"""A simulated cluster as a state machine that hypothesis drives, and makes small when it breaks.

Owns: ClusterRules: what a client may ask, what may break, how time passes, and the judgement at the
end of every example. Must never do: draw anything but through hypothesis: the cluster's own chance
comes from a seed that is drawn too, so a step sequence is the whole cause of what it shows.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from jepsen_like.checkers import hashes, linearizable, watch
from jepsen_like.checkers.verdict import Validity
from jepsen_like.history.history import History
from jepsen_like.history.operation import MemberState, Operation
from jepsen_like.history.ranges import ALL_FROM_KEY, prefix_end
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    Put,
    Relation,
    Request,
    Target,
    Txn,
)
from jepsen_like.history.result import Found, Outcome
from jepsen_like.simulated.chaos import SLOW_DISK_LATENCY_S, Chaos, disk_of
from jepsen_like.simulated.exchange import Exchange
from jepsen_like.simulated.plan import LEADER
from jepsen_like.simulated.watching import WatchClient
from jepsen_like.simulated.witness import STRETCH_S, Witness
from jepsen_like.workloads.session import OpenWatch
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.invariants import Invariants, InvariantViolated
from raftkv.simulation.machine import DISK_LATENCY_S, Machine
from raftkv.simulation.network import Weather

RECOVERY_S = 30.0
WITNESS = 1000
LIMITS = Limits(
    catchup_entries=2,
    wal_segment_bytes=4096,
    backend_commit_interval_s=0.5,
    compaction_records_per_step=1,
    catch_up_revisions_per_step=1,
    watch_backlog_bytes_max=256,
)
"""Small ones: a few steps reach what takes a day of traffic in production."""

MEMBERS = st.integers(LEADER, 4)
KEYS = st.sampled_from(("k0", "k1"))
RANGES = st.sampled_from((("k0", ""), ("k", prefix_end("k")), ("k1", ALL_FROM_KEY)))
PATIENCE = st.sampled_from((0.1, 0.0, 3.0))
"""For how long the world waits for an answer before the next step: 0 makes requests overlap."""


class ClusterRules(RuleBasedStateMachine):
    """``operations`` and ``events`` add up what the examples of a class have judged."""

    operations = 0
    events = 0

    @initialize(size=st.sampled_from((3, 5)), seed=st.integers(0, 3), pre_vote=st.booleans())
    def begin(self, size: int, seed: int, pre_vote: bool) -> None:
        """Three or five members that have elected a leader, and a witness of all events."""
        self.cluster = SimulatedCluster(
            size=size,
            seed=seed,
            snapshot_count=6,
            limits=LIMITS,
            heartbeat_interval_ms=250,  # fewer idle events: examples are many
            pre_vote=pre_vote,
        )
        self.world = self.cluster.scheduler
        self.random = Random(f"{seed}/rules")
        self.history = History()
        self.chaos = Chaos(self.cluster, self.random)
        self.witness = Witness(self.cluster, WITNESS, self.random, self.history)
        self.observer = Invariants()
        self.cluster.entered = lambda machine, callback: self.observer.observe(machine)
        self.cluster.network.seen = self.observer.observe_message
        self.values = count()
        self.busy: set[int] = set()
        self.paused: set[str] = set()
        self.whole = True
        with self.turn():
            self.cluster.start_all()
            self.cluster.wait_for_leader()
            self.witness.start()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """What breaks in it leaves the machine not ``whole``: there is nothing to judge then."""
        self.whole = False
        yield
        self.whole = True

    def machine(self, member: int) -> Machine:
        machines = self.cluster.machines
        if member == LEADER:
            return self.cluster.leader() or machines[0]
        return machines[member % len(machines)]

    # --- what clients do ------------------------------------------------------------------------

    @rule(member=MEMBERS, key=KEYS, patience_s=PATIENCE)
    def put(self, member: int, key: str, patience_s: float) -> None:
        self.ask(member, Put(key, self.value()), patience_s)

    @rule(
        member=MEMBERS,
        keys=RANGES,
        back=st.sampled_from((None, 0, 1, 3)),
        serializable=st.booleans(),
        patience_s=PATIENCE,
    )
    def get(
        self,
        member: int,
        keys: tuple[str, str],
        back: int | None,
        serializable: bool,
        patience_s: float,
    ) -> None:
        revision = 0 if back is None else max(self.revision() - back, 0)
        self.ask(member, Get(*keys, revision=revision, serializable=serializable), patience_s)

    @rule(member=MEMBERS, keys=RANGES, patience_s=PATIENCE)
    def delete(self, member: int, keys: tuple[str, str], patience_s: float) -> None:
        self.ask(member, Delete(*keys), patience_s)

    @rule(
        member=MEMBERS,
        key=KEYS,
        other=KEYS,
        relation=st.sampled_from(Relation),
        patience_s=PATIENCE,
    )
    def txn(self, member: int, key: str, other: str, relation: Relation, patience_s: float) -> None:
        """A write, a read and a delete or another write, under a compare with what is there."""
        compare = Compare(key, Target.MOD, relation, self.revision())
        success = (Put(key, self.value()), Get("k", prefix_end("k")))
        failure = (Delete(other), Put("k3", self.value()), Get(other))
        self.ask(member, Txn((compare,), success, failure), patience_s)

    @precondition(lambda self: self.revision() > 1)
    @rule(member=MEMBERS, back=st.integers(0, 3), physical=st.booleans(), patience_s=PATIENCE)
    def compact(self, member: int, back: int, physical: bool, patience_s: float) -> None:
        self.ask(member, Compact(max(self.revision() - back, 1), physical), patience_s)

    @rule(
        member=MEMBERS,
        keys=RANGES,
        offset=st.sampled_from((None, 0, 1, -1, -5, 3)),
        prev_kv=st.booleans(),
        for_s=st.sampled_from((0.5, 0.05, 4.0)),
    )
    def open_watch(
        self,
        member: int,
        keys: tuple[str, str],
        offset: int | None,
        prev_kv: bool,
        for_s: float,
    ) -> None:
        """From now on, or from some revisions before or after the newest; closed after a while."""
        start = 0 if offset is None else max(self.revision() + offset, 1)
        step = OpenWatch(*keys, start_revision=start, prev_kv=prev_kv, for_s=for_s)
        process = self.idle()
        watching = WatchClient(self.world, self.machine(member), process, step, self.random)

        def closed() -> None:
            self.busy.discard(process)
            self.history.watches.append(watching.watch)

        with self.turn():
            self.busy.add(process)
            watching.start(closed)

    @rule(seconds=st.sampled_from((0.01, 0.2, 1.0, 3.0)))
    def let_pass(self, seconds: float) -> None:
        with self.turn():
            self.world.run_for(seconds)

    # --- what breaks ----------------------------------------------------------------------------

    @rule(member=MEMBERS, power=st.booleans())
    def kill(self, member: int, power: bool) -> None:
        """The process, or the machine's power with it."""
        machine = self.machine(member)
        with self.turn():
            self.paused.discard(machine.name)
            if machine.process is not None:
                machine.kill(power=power)

    @precondition(lambda self: any(m.process is None for m in self.cluster.machines))
    @rule()
    def restart(self) -> None:
        """Everything that does not run, on disks that work again."""
        with self.turn():
            for machine in self.cluster.machines:
                if machine.process is None:
                    self.chaos.restore(machine)

    @rule(member=MEMBERS)
    def isolate(self, member: int) -> None:
        self.cut(member, hears=False, is_heard=False)

    @rule(member=MEMBERS, deaf=st.booleans())
    def cut_one_way(self, member: int, deaf: bool) -> None:
        self.cut(member, hears=not deaf, is_heard=deaf)

    @rule(loss=st.sampled_from((0.0, 0.3)), duplication=st.sampled_from((0.0, 0.5)))
    def storm(self, loss: float, duplication: float) -> None:
        self.cluster.network.weather = Weather(0.0002, 0.3, loss, duplication)

    @precondition(
        lambda self: self.cluster.network.cut or self.cluster.network.weather != Weather()
    )
    @rule()
    def heal(self) -> None:
        self.cluster.network.heal()

    @rule(member=MEMBERS)
    def pause(self, member: int) -> None:
        machine = self.machine(member)
        if machine.process is not None:
            machine.pause()
            self.paused.add(machine.name)

    @precondition(lambda self: self.paused)
    @rule()
    def resume(self) -> None:
        for machine in self.cluster.machines:
            if machine.name in self.paused and machine.process is not None:
                machine.resume()
        self.paused.clear()

    @rule(member=MEMBERS, slow=st.booleans())
    def change_disk_speed(self, member: int, slow: bool) -> None:
        self.machine(member).disk_latency_s = SLOW_DISK_LATENCY_S if slow else DISK_LATENCY_S

    @rule(member=MEMBERS, in_sync=st.booleans())
    def fail_disk(self, member: int, in_sync: bool) -> None:
        """The member has to stop by itself at its next write."""
        disk = disk_of(self.machine(member))
        disk.fail_sync, disk.fail_write = (errno.EIO, 0) if in_sync else (0, errno.ENOSPC)

    @rule(member=MEMBERS, rate=st.sampled_from((1.0, 0.8, 1.25)))
    def drift(self, member: int, rate: float) -> None:
        self.machine(member).drift(rate)

    def cut(self, member: int, *, hears: bool, is_heard: bool) -> None:
        me = self.machine(member).member_id
        others = {machine.member_id for machine in self.cluster.machines} - {me}
        links = self.cluster.network.cut
        links |= set() if hears else {(other, me) for other in others}
        links |= set() if is_heard else {(me, other) for other in others}

    # --- asking ---------------------------------------------------------------------------------

    def value(self) -> str:
        return f"v{next(self.values)}"

    def revision(self) -> int:
        """The newest that a client was told of."""
        return max((o.outcome.revision for o in self.history.answered), default=0)

    def idle(self) -> int:
        """The first client that has nothing under way."""
        return next(process for process in count() if process not in self.busy)

    def ask(self, member: int, request: Request, patience_s: float) -> Outcome | None:
        """None when there is no answer yet."""
        machine, process = self.machine(member), self.idle()
        answered: list[Outcome] = []
        with self.turn():
            self.busy.add(process)
            done = partial(self.answer, process, machine, self.world.now(), request, answered)
            Exchange(self.world, machine, request, self.random).start(done)
            self.world.run_until(lambda: bool(answered), within_s=patience_s)
        return answered[0] if answered else None

    def answer(
        self,
        process: int,
        machine: Machine,
        called_s: float,
        request: Request,
        answered: list[Outcome],
        outcome: Outcome,
    ) -> None:
        now = self.world.now()
        self.busy.discard(process)
        answered.append(outcome)
        self.history.operations.append(
            Operation(process, machine.name, called_s, now, request, outcome)
        )

    # --- the end --------------------------------------------------------------------------------

    def teardown(self) -> None:
        """All is healed; the members must agree, serve, and have told the truth throughout."""
        if not getattr(self, "whole", False):
            return
        self.cluster.network.heal()
        for machine in self.cluster.machines:
            self.chaos.restore(machine)
        with self.turn():
            self.read_everything()
        self.must(self.cluster.settled, "healed members come to agree")
        self.must(self.witnessed, "a watch comes to the end")
        self.witness.stop()
        self.must(lambda: not self.busy, "every call and watch ends")
        self.world.run_for(STRETCH_S)  # the witness closes its last watch, compactions end
        for machine in self.cluster.machines:
            found = machine.running.member.store.hash_kv(0)
            held = (found.hash_revision, found.compact_revision, found.hash)
            self.history.finals.append(MemberState(machine.name, *held))
        self.judge()

    def must(self, condition: Callable[[], bool], name: str) -> None:
        if not self.world.run_until(condition, within_s=RECOVERY_S):
            states = [m.process and m.process.member.status() for m in self.cluster.machines]
            raise InvariantViolated(name, f"not within {RECOVERY_S} s: {states}")

    def read_everything(self) -> None:
        """Asks until it is answered."""
        deadline = self.world.now() + RECOVERY_S
        while not isinstance(self.ask(LEADER, Get("k", prefix_end("k")), 3.0), Found):
            if self.world.now() > deadline:
                raise InvariantViolated("a healed cluster serves", f"not within {RECOVERY_S} s")
            self.world.run_for(0.1)

    def witnessed(self) -> bool:
        stores = [process.member.store for process in self.cluster.running]
        return all(self.witness.seen_revision >= store.current_revision for store in stores)

    def judge(self) -> None:
        checks = (linearizable.check, watch.check, hashes.check)
        verdicts = [check(self.history) for check in checks]
        for verdict in verdicts:
            assert verdict.validity is not Validity.INVALID, str(verdict)
        type(self).operations += verdicts[0].checked
        type(self).events += verdicts[1].checked
