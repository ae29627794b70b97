"""Carrying out a plan's faults on a simulated cluster, and making all well again.

Owns: what each kind of fault does when it begins and ends. Must never do: choose; the plan has.
A machine whose log was damaged may refuse to start, for ever; no other may. One whose database
was damaged has to get well by itself.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from random import Random

from jepsen_like.history.operation import Fault
from jepsen_like.simulated.operator import Operator
from jepsen_like.simulated.plan import LEADER, FaultKind, PlannedFault
from raftkv.apply.member_change import MemberAction
from raftkv.backend.schema import DATA_TABLES, Meta, Table
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.disk import SimulatedDisk
from raftkv.simulation.invariants import InvariantViolated
from raftkv.simulation.machine import DISK_LATENCY_S, Machine
from raftkv.simulation.network import Weather

FLAPS = 6
SLOW_DISK_LATENCY_S = (0.05, 1.5)
ROT_MIN_BYTES = 2048


def disk_of(machine: Machine) -> SimulatedDisk:
    assert isinstance(machine.storage.disk, SimulatedDisk), machine.name
    return machine.storage.disk


class Chaos:
    """``happened`` has every fault that took place, for the history. ``damaged`` are the machines
    whose log rots: they may refuse to start, ``flipped`` those whose database was damaged.
    ``out`` are those that the operator keeps off."""

    def __init__(self, cluster: SimulatedCluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self.happened: list[Fault] = []
        self.damaged: set[str] = set()
        self.out: set[str] = set()
        self.flipped: set[str] = set()
        self._operator = Operator(cluster, self.out, self._revive)
        self._begin: dict[FaultKind, Callable[[Machine, PlannedFault], None]] = {
            FaultKind.KILL: lambda machine, fault: self._kill(machine, power=False),
            FaultKind.POWER_CUT: lambda machine, fault: self._kill(machine, power=True),
            FaultKind.KILL_ALL: lambda machine, fault: self._kill_all(power=False),
            FaultKind.POWER_CUT_ALL: lambda machine, fault: self._kill_all(power=True),
            FaultKind.ISOLATE: lambda machine, fault: self._isolate(machine),
            FaultKind.SPLIT: self._split,
            FaultKind.ONE_WAY: self._one_way,
            FaultKind.RING: lambda machine, fault: self._ring(),
            FaultKind.FLAP: self._flap,
            FaultKind.PAUSE: lambda machine, fault: self._pause(machine),
            FaultKind.STORM: lambda machine, fault: self._storm(fault),
            FaultKind.DRIFT: lambda machine, fault: machine.drift(fault.amount),
            FaultKind.JUMP: self._jump,
            FaultKind.SLOW_DISK: lambda machine, fault: self._slow_disk(machine),
            FaultKind.SYNC_ERROR: lambda machine, fault: self._fail(machine, sync=errno.EIO),
            FaultKind.DISK_FULL: lambda machine, fault: self._fail(machine, write=errno.ENOSPC),
            FaultKind.ROT: self._rot,
            FaultKind.FLIP: self._flip,
            FaultKind.MEMBER_ADD: self._add_member,
            FaultKind.MEMBER_REMOVE: lambda machine, fault: self._operator.remove(machine),
            FaultKind.REPLACE: lambda machine, fault: self._operator.replace(
                machine, when_caught_up=fault.amount < 0.5
            ),
            FaultKind.WIPE: lambda machine, fault: self._operator.wipe(machine),
        }

    def schedule(self, faults: tuple[PlannedFault, ...]) -> None:
        for fault in faults:
            self._cluster.scheduler.call_later(fault.begin_s, partial(self._start, fault))

    def _start(self, fault: PlannedFault) -> None:
        machine = self._target(fault.target)
        now = self._cluster.scheduler.now()
        what = f"{fault.kind.value} at {machine.name}"
        self.happened.append(Fault(fault.kind.value, now, now + fault.lasts_s, what))
        self._begin[fault.kind](machine, fault)
        self._cluster.scheduler.call_later(fault.lasts_s, partial(self._end, fault, machine))

    def _target(self, target: int) -> Machine:
        machines = self._cluster.machines
        if target == LEADER:
            return self._cluster.leader() or machines[0]
        return machines[target % len(machines)]

    def _end(self, fault: PlannedFault, machine: Machine) -> None:
        """What another fault of the same kind broke is mended with it: they overlap by chance."""
        match fault.kind:
            case FaultKind.ISOLATE | FaultKind.SPLIT | FaultKind.ONE_WAY | FaultKind.RING:
                self._cluster.network.cut.clear()
            case FaultKind.FLAP:
                self._cluster.network.cut.clear()
            case FaultKind.STORM:
                self._cluster.network.weather = Weather()
            case FaultKind.KILL_ALL | FaultKind.POWER_CUT_ALL:
                for each in self._cluster.machines:
                    self._revive(each)
            case FaultKind.DRIFT:
                machine.drift(1.0)
            case FaultKind.SLOW_DISK:
                machine.disk_latency_s = DISK_LATENCY_S
            case FaultKind.PAUSE if machine.process is not None:
                machine.resume()
            case FaultKind.SYNC_ERROR | FaultKind.DISK_FULL:
                self._mend(machine)
                self._revive(machine)
            case _:
                self._revive(machine)

    def is_sound(self, machine: Machine) -> bool:
        """Whether it has to run, and to take part, once all is healed."""
        return machine.name not in self.damaged and machine.name not in self.out

    # --- getting well -------------------------------------------------------------------------

    def check_hurt(self, machine: Machine, reason: str) -> None:
        """``machine`` found its data wrong: only those may whose data was damaged. Whoever else
        does has come to differ by a bug, which a repair must not hide from the checkers."""
        if machine.name not in self.flipped:
            raise InvariantViolated("hashes", f"{machine.name} was not damaged, yet {reason}")

    def restore(self, machine: Machine) -> None:
        """The machine runs, at its own pace, with a disk that works."""
        self._mend(machine)
        machine.disk_latency_s = DISK_LATENCY_S
        machine.drift(1.0)
        if machine.process is not None:
            machine.resume()
        self._revive(machine)

    def retire(self) -> None:
        """Turn off the machines that are members no more."""
        self._operator.retire()

    def _mend(self, machine: Machine) -> None:
        disk = disk_of(machine)
        disk.fail_sync = disk.fail_write = 0

    def _revive(self, machine: Machine) -> None:
        if machine.process is not None or disk_of(machine).fails:
            return
        if not self._operator.may_start(machine):
            return
        if not machine.start() and machine.name not in self.damaged:
            raise InvariantViolated(
                "a crash leaves what can be started", f"{machine.name}: {machine.failure}"
            )

    # --- faults -------------------------------------------------------------------------------

    def _kill(self, machine: Machine, *, power: bool) -> None:
        if machine.process is not None:
            machine.kill(power=power)

    def _kill_all(self, *, power: bool) -> None:
        for machine in self._cluster.machines:
            self._kill(machine, power=power)

    def _isolate(self, machine: Machine) -> None:
        self._cluster.network.isolate(machine.member_id)

    def _split(self, machine: Machine, fault: PlannedFault) -> None:
        ids = [each.member_id for each in self._cluster.machines]
        Random(fault.amount).shuffle(ids)
        half = len(ids) // 2
        self._cut(ids[:half], ids[half:])

    def _cut(self, some: list[int], others: list[int]) -> None:
        cut = self._cluster.network.cut
        cut |= {(a, b) for a in some for b in others} | {(b, a) for a in some for b in others}

    def _one_way(self, machine: Machine, fault: PlannedFault) -> None:
        """It hears everybody and nobody hears it, or the other way round."""
        me = machine.member_id
        others = [m.member_id for m in self._cluster.machines if m is not machine]
        deaf = fault.amount < 0.5
        self._cluster.network.cut |= {(o, me) if deaf else (me, o) for o in others}

    def _ring(self) -> None:
        """Everybody sees a majority, and no two the same one."""
        ids = [m.member_id for m in self._cluster.machines]
        reach = len(ids) // 4 + 1
        for i, a in enumerate(ids):
            for j, b in enumerate(ids):
                distance = min((i - j) % len(ids), (j - i) % len(ids))
                if distance > reach:
                    self._cut([a], [b])

    def _flap(self, machine: Machine, fault: PlannedFault) -> None:
        step = fault.lasts_s / FLAPS
        for number in range(FLAPS):
            change = self._isolate if number % 2 == 0 else self._reconnect
            self._cluster.scheduler.call_later(number * step, partial(change, machine))

    def _reconnect(self, machine: Machine) -> None:
        cut = self._cluster.network.cut
        cut -= {link for link in cut if machine.member_id in link}

    def _pause(self, machine: Machine) -> None:
        if machine.process is not None:
            machine.pause()

    def _storm(self, fault: PlannedFault) -> None:
        random = Random(fault.amount)
        self._cluster.network.weather = Weather(
            latency_min_s=0.0002,
            latency_max_s=random.choice((0.01, 0.1, 0.5)),
            loss=random.choice((0.0, 0.05, 0.3)),
            duplication=random.choice((0.0, 0.1, 0.5)),
        )

    def _jump(self, machine: Machine, fault: PlannedFault) -> None:
        if machine.process is not None:
            machine.process.clock.jump(fault.amount)

    def _slow_disk(self, machine: Machine) -> None:
        machine.disk_latency_s = SLOW_DISK_LATENCY_S

    def _fail(self, machine: Machine, *, sync: int = 0, write: int = 0) -> None:
        disk = disk_of(machine)
        disk.fail_sync, disk.fail_write = sync, write

    def _add_member(self, machine: Machine, fault: PlannedFault) -> None:
        """A third each: a learner that the operator promotes, one that joins, a voter at once."""
        actions = (MemberAction.ADD_LEARNER, MemberAction.JOIN, MemberAction.ADD)
        self._operator.add(machine, actions[min(2, int(fault.amount * 3))])

    def _rot(self, machine: Machine, fault: PlannedFault) -> None:
        """One bit of a member that is down, in the older half of its log. Few enough members are
        damaged that the others hold everything."""
        others = len(self._cluster.machines) - len(self.damaged) - 1
        if others <= len(self._cluster.machines) // 2:
            return
        self._kill(machine, power=False)
        disk = disk_of(machine)
        directory = f"{machine.config.data_dir}/member/wal"
        names = [name for name in disk.list_dir(directory) if name.endswith(".wal")]
        path = f"{directory}/{names[-1]}" if names else ""
        used = len(disk.read(path).rstrip(b"\0")) if path else 0
        if used >= ROT_MIN_BYTES:
            self.damaged.add(machine.name)
            disk.flip(path, Random(fault.amount).randrange(8 * used // 2))

    def _flip(self, machine: Machine, fault: PlannedFault) -> None:
        """One bit of a row of a member that is down. No more than a minority is ever hit, and
        only where all rows have their checks."""
        path = f"{machine.config.data_dir}/member/db"
        minority = (len(self._cluster.machines) - 1) // 2
        if len(self.flipped | {machine.name}) > minority:
            return
        self._kill(machine, power=False)
        tables = disk_of(machine).databases.get(path)
        if tables is None or not tables[Table.META].get(Meta.CHECKED, b"").startswith(b"complete"):
            return
        random = Random(fault.amount)
        table = random.choice([table for table in DATA_TABLES if tables[table]])
        key = random.choice(sorted(tables[table]))
        row = bytearray(tables[table][key])
        if row and key != Meta.FORMAT:
            self.flipped.add(machine.name)
            row[random.randrange(len(row))] ^= 1 << random.randrange(8)
            tables[table][key] = bytes(row)
