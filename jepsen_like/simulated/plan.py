"""All that one simulated run is made of, drawn from its seed before it starts.

Owns: Plan and PlannedFault, and the draw: a swarm, in which every seed has its own few kinds of
faults, its own cluster size and its own small limits, so that rare paths are common somewhere.
Must never do: draw while the run goes on. A plan with faults taken out is still a plan: that is how
a failing one is made small.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random

from raftkv.server.config import Limits

KiB = 1024
LEADER = -1
"""As a fault's target: whoever leads when it begins."""


class FaultKind(Enum):
    KILL = "kill"
    POWER_CUT = "power cut"
    KILL_ALL = "kill all"
    POWER_CUT_ALL = "power cut of all"
    ISOLATE = "isolate"
    SPLIT = "split in halves"
    ONE_WAY = "one-way cut"
    RING = "majorities ring"
    FLAP = "flapping link"
    PAUSE = "pause"
    STORM = "lossy, duplicating, slow network"
    DRIFT = "clock drift"
    JUMP = "clock jump"
    SLOW_DISK = "slow disk"
    SYNC_ERROR = "sync error"
    DISK_FULL = "disk full"
    ROT = "bit rot in the log of a stopped member"
    FLIP = "bit flip in the database of a stopped member"
    MEMBER_ADD = "member added"
    MEMBER_REMOVE = "member removed"
    REPLACE = "member replaced in one change"
    WIPE = "member wiped and started under its old identity"


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """``target`` is a machine's number or LEADER; ``amount`` is the kind's own: a clock's rate,
    seconds to jump, a seed for a partition's shape."""

    kind: FaultKind
    begin_s: float
    lasts_s: float
    target: int
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``faults_until_s``: then comes the phase in which the cluster has to get well."""

    seed: int
    workload: str = "mix"
    size: int = 3
    clients: int = 5
    faults_until_s: float = 20.0
    think_s: float = 0.05
    heartbeat_ms: int = 100
    election_ms: int = 1000
    pre_vote: bool = True
    snapshot_count: int = 50
    limits: Limits = field(default_factory=Limits)
    quotas: tuple[int, ...] = ()
    """Each member's flag, in bytes; without any there is the default."""
    faults: tuple[PlannedFault, ...] = ()


MEMBER_KINDS = frozenset(
    (FaultKind.MEMBER_ADD, FaultKind.MEMBER_REMOVE, FaultKind.REPLACE, FaultKind.WIPE)
)
"""Drawn apart from the others and added to them, in every fourth seed that has no ROT: a member
that is replaced while another's log rots leaves no quorum with the data."""
MEMBER_FAULTS_MAX = 5
FLIPS_MAX = 4

_WEIGHTS = {
    FaultKind.KILL: 4,
    FaultKind.POWER_CUT: 4,
    FaultKind.KILL_ALL: 1,
    FaultKind.POWER_CUT_ALL: 2,
    FaultKind.ISOLATE: 4,
    FaultKind.SPLIT: 2,
    FaultKind.ONE_WAY: 3,
    FaultKind.RING: 1,
    FaultKind.FLAP: 2,
    FaultKind.PAUSE: 4,
    FaultKind.STORM: 4,
    FaultKind.DRIFT: 1,
    FaultKind.JUMP: 1,
    FaultKind.SLOW_DISK: 2,
    FaultKind.SYNC_ERROR: 1,
    FaultKind.DISK_FULL: 1,
    FaultKind.ROT: 1,
}
KINDS_MAX = 6
CLOCKS = (FaultKind.DRIFT, FaultKind.JUMP)
TIMED = ("lease",)
"""Workloads whose checks measure seconds."""


@dataclass(frozen=True, slots=True)
class Bias:
    """What is not left to the seed. A 0 or an empty value is."""

    kinds: tuple[FaultKind, ...] = ()
    size: int = 0
    heartbeat_ms: int = 0
    think_s: float = 0.0
    pace: float = 0.0
    without_pre_vote: bool = False
    entry_by_entry: bool = False
    faults_until_s: float = 20.0


UNBIASED = Bias()


def draw(seed: int, workload: str = "mix", bias: Bias = UNBIASED) -> Plan:
    """The plan of ``seed``."""
    random = Random(f"{seed}/plan")
    heartbeat_ms = random.choice((10, 30, 100))
    heartbeat_ms = bias.heartbeat_ms or heartbeat_ms
    size = random.choices((1, 2, 3, 4, 5, 7), (2, 1, 8, 1, 4, 1))[0]
    size = bias.size or size
    think_s = random.choice((0.01, 0.03, 0.1))
    pace = random.choice((1.0, 1.0, 0.3, 0.1))
    pre_vote = random.random() < 0.8
    clients = random.randint(2, 6)
    election_ms = heartbeat_ms * random.choice((5, 10))
    snapshot_count = random.choice((8, 20, 50, 200))
    limits = replace(_limits(random, bias), lease_checkpoint_interval_s=_interval_s(seed))
    faults = _faults(random, size, bias, bias.pace or pace)
    if not bias.kinds:
        faults = _with_members(Random(f"{seed}/members"), size, bias, faults)
        faults = _with_flips(Random(f"{seed}/flips"), size, bias, faults)
    return Plan(
        seed=seed,
        workload=workload,
        size=size,
        clients=clients,
        faults_until_s=bias.faults_until_s,
        think_s=bias.think_s or think_s,
        heartbeat_ms=heartbeat_ms,
        election_ms=election_ms,
        snapshot_count=snapshot_count,
        limits=limits,
        quotas=_quotas(Random(f"{seed}/quotas"), size),
        pre_vote=pre_vote and not bias.without_pre_vote,
        faults=_without_clocks(faults) if workload in TIMED else faults,
    )


def _limits(random: Random, bias: Bias) -> Limits:
    """Small ones: what takes a day of traffic in production, happens in seconds."""
    inflight = random.choice((1, 4, 256))
    message_bytes = random.choice((1, 512, 16 * KiB, 1024 * KiB))
    return Limits(
        batch_bytes_max=random.choice((256, 4 * KiB, 1024 * KiB)),
        inflight_messages_max=1 if bias.entry_by_entry else inflight,
        message_bytes_max=1 if bias.entry_by_entry else message_bytes,
        committed_bytes_max=random.choice((512, 4096 * KiB)),
        catchup_entries=random.choice((2, 10, 50)),
        wal_segment_bytes=random.choice((4 * KiB, 16 * KiB, 64 * KiB)),
        backend_commit_interval_s=random.choice((0.05, 0.5, 2.0, 5.0)),
        compaction_records_per_step=random.choice((1, 10, 500)),
        catch_up_revisions_per_step=random.choice((1, 10, 1000)),
        quarantine_backlog_bytes_max=2 * KiB,
        watch_backlog_bytes_max=random.choice((256, 4 * KiB, 4096 * KiB)),
    )


def _quotas(random: Random, size: int) -> tuple[int, ...]:
    """In every eighth seed the store is full now and then, and no two flags are alike."""
    if random.random() >= 0.125:
        return ()
    return tuple(random.randrange(20_000, 200_000) for _ in range(size))


def _interval_s(seed: int) -> float:
    """Of lease checkpoints. Not from the plan's own chance: older seeds stay what they were."""
    return Random(f"{seed}/leases").choice((0.5, 2.0, 300.0))


def _with_members(
    random: Random, size: int, bias: Bias, faults: tuple[PlannedFault, ...]
) -> tuple[PlannedFault, ...]:
    """``faults``, and changes of the members among them or not."""
    if random.random() >= 0.25 or any(fault.kind is FaultKind.ROT for fault in faults):
        return faults
    kinds = random.sample(sorted(MEMBER_KINDS, key=lambda kind: kind.value), random.randint(1, 3))
    changes = [
        PlannedFault(
            random.choice(kinds),
            random.uniform(0.5, bias.faults_until_s),
            random.uniform(0.1, 3.0),
            LEADER if random.random() < 0.3 else random.randrange(size),
            random.random(),
        )
        for _ in range(random.randint(1, MEMBER_FAULTS_MAX))
    ]
    return tuple(sorted((*faults, *changes), key=lambda fault: fault.begin_s))


def _with_flips(
    random: Random, size: int, bias: Bias, faults: tuple[PlannedFault, ...]
) -> tuple[PlannedFault, ...]:
    """``faults``, and in every fourth seed flipped bits among them: not beside those that may cost
    a second member its data."""
    costly = {*MEMBER_KINDS, FaultKind.ROT}
    if random.random() >= 0.25 or any(fault.kind in costly for fault in faults):
        return faults
    flips = [
        PlannedFault(
            FaultKind.FLIP,
            random.uniform(2.0, bias.faults_until_s),
            random.uniform(0.1, 2.0),
            LEADER if random.random() < 0.3 else random.randrange(size),
            random.random(),
        )
        for _ in range(random.randint(1, FLIPS_MAX))
    ]
    return tuple(sorted((*faults, *flips), key=lambda fault: fault.begin_s))


def _without_clocks(faults: tuple[PlannedFault, ...]) -> tuple[PlannedFault, ...]:
    """A lease's promise is in seconds: a leader whose clock runs fast breaks it, as etcd's does."""
    return tuple(fault for fault in faults if fault.kind not in CLOCKS)


def _draw_kinds(random: Random) -> tuple[FaultKind, ...]:
    count = random.randint(1, KINDS_MAX)
    kinds = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=count)
    return tuple(dict.fromkeys(kinds))


def _faults(random: Random, size: int, bias: Bias, pace: float) -> tuple[PlannedFault, ...]:
    """One after another with gaps that may be shorter than the fault: they overlap. ``pace`` 0.1
    is ten times as fast as 1."""
    kinds = bias.kinds or _draw_kinds(random)
    faults: list[PlannedFault] = []
    pause_s = random.choice((0.3, 1.0, 3.0))
    at = random.uniform(0.5, 3.0)
    while at < bias.faults_until_s:
        kind = random.choice(kinds)
        lasts = pace * random.choice((0.05, 0.5, 2.0, 6.0)) * random.uniform(0.5, 1.5)
        target = LEADER if random.random() < 0.4 else random.randrange(size)
        faults.append(PlannedFault(kind, at, lasts, target, _amount(random, kind)))
        at += random.expovariate(1 / (pace * pause_s + lasts * random.choice((0.2, 1.0))))
    return tuple(faults)


def _amount(random: Random, kind: FaultKind) -> float:
    if kind is FaultKind.DRIFT:
        return random.uniform(0.8, 1.25)
    if kind is FaultKind.JUMP:
        return random.choice((0.5, 5.0, 600.0))
    return random.random()
