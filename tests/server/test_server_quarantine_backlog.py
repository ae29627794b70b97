"""A quarantine that no leader ends: what is committed meanwhile is bounded in memory, and whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from raftkv.raft.message import NO_NODE
from raftkv.server.apply_queue import ENTRY_BYTES
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine
from tests.server.test_server_healing import (
    KEYS,
    follower,
    found,
    is_quarantined,
    make,
    put,
    repairs,
    value_of,
    wait_for,
)

BOUND = 20 * ENTRY_BYTES
MORE = 200
"""Writes of one entry each: far more than the bound."""


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    cluster = make(3, limits=Limits(quarantine_backlog_bytes_max=BOUND, wal_segment_bytes=4096))
    yield cluster
    cluster.stop_all()


def give(cluster: SimulatedCluster, *, gives: bool) -> None:
    """Whether a leader has a copy for who asks: with a full disk it has none."""
    for process in cluster.running:
        healing = process.member.maintenance.healing
        if gives:
            del healing._give  # type: ignore[misc]
        else:
            healing._give = lambda ask: None  # type: ignore[method-assign]


def set_apart(cluster: SimulatedCluster) -> Machine:
    """A follower in a quarantine that nobody ends."""
    give(cluster, gives=False)
    machine = follower(cluster)
    machine.running.member.maintenance.healing.begin("its digest differs")
    return machine


def write(cluster: SimulatedCluster, first: int, count: int = MORE) -> None:
    for number in range(first, first + count):
        assert isinstance(put(cluster, number), bytes)


def in_memory(machine: Machine) -> int:
    """Entries that are not applied, of which the queue or Raft's log still knows."""
    member = machine.running.member
    node = member.node
    oldest = max(node.first_index, member._engine.queue.applied_index + 1)
    return max(member._engine.queue.backlog, node.last_index + 1 - oldest)


def assert_all_is_there(cluster: SimulatedCluster, last: int) -> None:
    cluster.settle()
    revisions = {machine.running.member.store.current_revision for machine in cluster.machines}
    assert len(revisions) == 1, revisions
    for machine in cluster.machines:
        for number in range(last):
            assert value_of(number) in found(machine, number)


def test_the_memory_is_bounded_and_nothing_is_lost(cluster: SimulatedCluster) -> None:
    """Two hundred entries, of which twenty may wait and what comes within half a second; once a
    leader has a copy to give, all are there, once."""
    machine = set_apart(cluster)
    most = 0
    for number in range(KEYS, KEYS + MORE):
        assert isinstance(put(cluster, number), bytes)
        cluster.scheduler.run_for(0.05)
        most = max(most, in_memory(machine))
    assert machine.running.member.maintenance.healing.backlog.times_shed > 3
    assert most <= 20 + 10 + 5, most
    give(cluster, gives=True)
    wait_for(cluster, lambda: repairs(machine) == 1)
    assert_all_is_there(cluster, KEYS + MORE)


def test_what_was_let_go_behind_the_copy_is_read_back(cluster: SimulatedCluster) -> None:
    """The copy was under way while more was let go: the log's files have what follows it."""
    machine = set_apart(cluster)
    healing = machine.running.member.maintenance.healing
    write(cluster, KEYS, 30)
    give(cluster, gives=True)
    began = healing.scrub.now
    held: list[object] = []
    healing.scrub.now = held.append  # type: ignore[assignment, method-assign]
    wait_for(cluster, lambda: bool(held))
    write(cluster, KEYS + 30, 100)
    cluster.scheduler.run_for(1.0)
    queue = machine.running.member._engine.queue
    assert queue.applied_index < queue.shed_index, "nothing was let go behind the copy"
    healing.scrub.now = began  # type: ignore[method-assign]
    began(held[0])  # type: ignore[arg-type]
    wait_for(cluster, lambda: repairs(machine) == 1)
    assert_all_is_there(cluster, KEYS + 130)


def test_a_restart_has_all_of_it_again(cluster: SimulatedCluster) -> None:
    """The files' marker has not moved; the next process is in quarantine too, and lets go again."""
    machine = set_apart(cluster)
    write(cluster, KEYS)
    cluster.scheduler.run_for(1.0)
    machine.kill()
    assert machine.start(), machine.failure
    assert is_quarantined(machine)
    cluster.scheduler.run_for(5.0)
    give_again = [p.member.maintenance.healing for p in cluster.running]
    for healing in give_again:
        healing.__dict__.pop("_give", None)
    wait_for(cluster, lambda: repairs(machine) == 1)
    assert_all_is_there(cluster, KEYS + MORE)


def test_who_may_have_to_lead_reads_it_back_before(cluster: SimulatedCluster) -> None:
    """The other two have lost their leader, and one of them its newest entries: only the log of the
    member in quarantine has them. It stands, gives them, and hands over."""
    machine = set_apart(cluster)
    leader = cluster.wait_for_leader()
    last = next(m for m in cluster.machines if m not in (machine, leader))
    last.kill()
    write(cluster, KEYS)
    cluster.scheduler.run_for(1.0)
    assert not machine.running.member.maintenance.healing.backlog.is_whole
    leader.kill()
    assert last.start(), last.failure
    wait_for_leader_other_than(cluster, machine)
    last.running.member.maintenance.healing._give = lambda ask: None  # type: ignore[method-assign]
    assert last.running.member.node.last_index >= machine.running.member.node.commit_index
    assert leader.start(), leader.failure
    for process in cluster.running:
        process.member.maintenance.healing.__dict__.pop("_give", None)
    wait_for(cluster, lambda: repairs(machine) == 1)
    assert_all_is_there(cluster, KEYS + MORE)


def wait_for_leader_other_than(cluster: SimulatedCluster, machine: Machine) -> None:
    def is_led() -> bool:
        leader = cluster.leader()
        known = machine.running.member.node.status().leader_id
        return leader not in (None, machine) and known != NO_NODE

    assert cluster.scheduler.run_until(is_led, within_s=120)


def test_who_is_in_quarantine_gives_nobody_a_copy(cluster: SimulatedCluster) -> None:
    """Not as a leader either, to one that is behind: what is wrong would spread."""
    machine = follower(cluster)
    cluster.network.isolate(machine.member_id)
    snapshots = machine.running.member._engine.snapshots
    machine.running.member.maintenance.healing.begin("its digest differs")
    for _ in range(3):
        assert snapshots.source() is None
        cluster.scheduler.run_for(1.0)
