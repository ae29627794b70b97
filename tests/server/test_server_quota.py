"""The quota in the log: a full cluster takes writes again by itself, everywhere at one entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RequestOp,
    TxnRequest,
)
from raftkv.apply.alarm_book import CLUSTER, Alarm, AlarmKind
from raftkv.apply.batch import RequestKind
from raftkv.apply.level import LEVEL_0_2
from raftkv.errors import NoSpace, RaftKVError
from raftkv.mvcc.ledger import RELIEF_PERCENT, charge
from raftkv.mvcc.store import Store
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import MemberProcess

QUOTA = 400_000
VALUE = b"v" * 1_000
ALL = DeleteRangeRequest(key=b"\0", range_end=b"\0")

Outcome = bytes | RaftKVError


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    """Its members' flags differ: the quota is the leader's, everywhere."""
    cluster = SimulatedCluster(
        seed=720_001,
        quota_backend_bytes=QUOTA,
        limits=Limits(compaction_records_per_step=3, measured_records_per_step=20),
    )
    yield cluster
    cluster.stop_all()


def is_clean(store: Store) -> bool:
    return not store.compacting


def start(cluster: SimulatedCluster) -> None:
    cluster.start_all()
    cluster.wait_for_leader()
    wait_until_counted(cluster)


def wait_until_counted(cluster: SimulatedCluster) -> None:
    def counted() -> bool:
        ledgers = [process.member.store.ledger for process in cluster.running]
        return all(ledger.is_complete for ledger in ledgers)

    assert cluster.scheduler.run_until(counted, within_s=30)


def ask(
    cluster: SimulatedCluster,
    kind: RequestKind,
    request: PutRequest | DeleteRangeRequest | TxnRequest | CompactionRequest,
    process: MemberProcess | None = None,
) -> Outcome:
    outcomes: list[Outcome] = []
    member = (process or cluster.running[0]).member
    member.propose(kind, request.SerializeToString(), outcomes.append)
    assert cluster.scheduler.run_until(lambda: bool(outcomes), within_s=20)
    return outcomes[0]


def put(cluster: SimulatedCluster, number: int) -> Outcome:
    return ask(cluster, RequestKind.PUT, PutRequest(key=b"k%06d" % number, value=VALUE))


def fill(cluster: SimulatedCluster) -> int:
    """Put until there is no room; returns how many keys there are."""
    for number in range(1_000):
        outcome = put(cluster, number)
        if isinstance(outcome, RaftKVError):
            assert isinstance(outcome, NoSpace), outcome
            return number
    raise AssertionError("the quota was never noticed")


def compact(cluster: SimulatedCluster) -> None:
    revision = cluster.running[0].member.store.current_revision
    outcome = ask(cluster, RequestKind.COMPACT, CompactionRequest(revision=revision))
    assert isinstance(outcome, bytes), outcome


def alarms(cluster: SimulatedCluster) -> list[Alarm]:
    """The same on all members, at the same entry."""
    cluster.settle()
    told = [process.member.maintenance.alarms() for process in cluster.running]
    live = [process.member.store.ledger.live for process in cluster.running]
    assert told == [told[0]] * len(told)
    assert live == [live[0]] * len(live)
    return told[0]


def test_a_full_cluster_takes_writes_again_once_there_is_room(cluster: SimulatedCluster) -> None:
    """Filled to its quota, half deleted and compacted: no operator says anything. The alarm is the
    cluster's and no member's; what frees room is never refused."""
    start(cluster)
    keys = fill(cluster)
    assert alarms(cluster) == [Alarm(CLUSTER, AlarmKind.NOSPACE)]
    assert keys * 2 * charge(1_030) == pytest.approx(QUOTA, rel=0.05)
    txn = TxnRequest(success=[RequestOp(request_put=PutRequest(key=b"t", value=VALUE))])
    assert isinstance(ask(cluster, RequestKind.TXN, txn), NoSpace)
    half = DeleteRangeRequest(key=b"\0", range_end=b"k%06d" % (keys // 2))
    assert isinstance(ask(cluster, RequestKind.DELETE_RANGE, half), bytes)
    compact(cluster)
    assert alarms(cluster) == []
    assert isinstance(put(cluster, 0), bytes)
    assert cluster.running[0].member.status().errors == ()


def test_the_alarm_does_not_flap_at_the_edge(cluster: SimulatedCluster) -> None:
    """One key less is no relief: there is room again below 90 % of the quota."""
    start(cluster)
    keys = fill(cluster)
    for number in range(3):
        gone = DeleteRangeRequest(key=b"k%06d" % number)
        assert isinstance(ask(cluster, RequestKind.DELETE_RANGE, gone), bytes)
    compact(cluster)
    ledger = cluster.running[0].member.store.ledger
    assert QUOTA * RELIEF_PERCENT < 100 * ledger.live < 100 * QUOTA
    assert alarms(cluster)
    assert isinstance(put(cluster, keys), NoSpace)
    ask(cluster, RequestKind.DELETE_RANGE, ALL)
    compact(cluster)
    assert alarms(cluster) == []
    assert ledger.live == 0


def test_members_with_other_flags_and_lives_agree(cluster: SimulatedCluster) -> None:
    """One has a smaller flag, one is restarted while the cluster is full, one gets a snapshot: the
    decision at each entry is the same, and the quota that of whoever leads."""
    for machine, quota in zip(cluster.machines, (QUOTA, QUOTA // 2, 2 * QUOTA), strict=True):
        machine.config = replace(machine.config, quota_backend_bytes=quota, snapshot_count=20)
    start(cluster)
    leader = cluster.wait_for_leader()
    late = next(machine for machine in cluster.machines if machine is not leader)
    late.kill()
    fill(cluster)
    assert cluster.running[0].member.store.ledger.quota == leader.config.quota_backend_bytes
    late.start()
    assert alarms(cluster)
    leader.kill()
    successor = cluster.wait_for_leader()
    wanted = successor.config.quota_backend_bytes
    leader.start()

    def agreed() -> bool:
        return all(p.member.store.ledger.quota == wanted for p in cluster.running)

    assert cluster.scheduler.run_until(agreed, within_s=30)
    ask(cluster, RequestKind.DELETE_RANGE, ALL)
    compact(cluster)
    assert alarms(cluster) == []
    assert all(process.member.status().db_size_quota == wanted for process in cluster.running)


def test_what_was_there_before_counting_is_counted(cluster: SimulatedCluster) -> None:
    """Lowered for a downgrade, nothing is counted and nothing stored, as 0.1.0 has it; raised
    again, the leader measures what there is while others write and compact."""
    start(cluster)
    upgrade = cluster.wait_for_leader().running.member.maintenance.upgrade
    lowered: list[RaftKVError | None] = []
    upgrade.lower(lowered.append)
    assert cluster.scheduler.run_until(lambda: bool(lowered), within_s=60)
    for number in range(60):
        put(cluster, number % 40)
    assert not any(process.member.store.ledger.is_on for process in cluster.running)
    raised: list[RaftKVError | None] = []
    upgrade.cancel(raised.append)
    for number in range(60):
        put(cluster, number % 50)
        if number == 30:
            compact(cluster)
    wait_until_counted(cluster)
    assert cluster.running[0].member.maintenance.upgrade.level.current == LEVEL_0_2
    alarms(cluster)
    compact(cluster)
    wait_until_counted(cluster)
    for process in cluster.running:
        store = process.member.store
        assert cluster.scheduler.run_until(partial(is_clean, store), within_s=20)
        measurement = store.begin_measurement(store.current_revision)
        while not measurement.step(7):
            pass
        assert store.ledger.live == measurement.live
