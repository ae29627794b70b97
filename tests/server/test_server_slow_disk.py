"""Slow disks: a follower's holds nobody up, and a leader's does not stay the leader's."""

from __future__ import annotations

import pytest

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.errors import RaftKVError
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import DISK_LATENCY_S, Machine
from raftkv.simulation.network import Weather

STALLED_S = (5.0, 5.0)
"""Five election timeouts for one write."""
SLOW_S = (1.2, 1.5)
"""Each write takes longer than an election timeout."""
TICK_S = 0.1
"""Of the default heartbeat interval; ten are an election timeout."""
A_PUT_S_MAX = 2 * Weather().latency_max_s + 3 * DISK_LATENCY_S[1]
"""To a follower and back, and its write behind at most two others on the same worker."""


def cluster_of(size: int = 3, *, seed: int = 1, limits: Limits | None = None) -> SimulatedCluster:
    cluster = SimulatedCluster(size=size, seed=seed, limits=limits)
    cluster.start_all()
    cluster.wait_for_leader()
    cluster.settle()
    return cluster


def leader_of(cluster: SimulatedCluster) -> Machine:
    leader = cluster.leader()
    assert leader is not None
    return leader


def has_moved(cluster: SimulatedCluster, old: Machine, *, within_s: float) -> bool:
    """Until another one leads."""
    return cluster.scheduler.run_until(
        lambda: cluster.leader() not in (None, old), within_s=within_s
    )


def others(cluster: SimulatedCluster, machine: Machine) -> list[Machine]:
    return [each for each in cluster.machines if each is not machine]


def term_of(cluster: SimulatedCluster) -> int:
    return leader_of(cluster).running.member.raft_term


class Puts:
    """Puts at one machine, one after another; ``seconds`` are those of each that was answered."""

    def __init__(self, cluster: SimulatedCluster, machine: Machine) -> None:
        self._cluster = cluster
        self._machine = machine
        self.outcomes: list[bytes | RaftKVError] = []
        self.seconds: list[float] = []

    def begin(self) -> None:
        begun = self._cluster.scheduler.now()

        def done(outcome: bytes | RaftKVError) -> None:
            self.outcomes.append(outcome)
            self.seconds.append(self._cluster.scheduler.now() - begun)

        request = PutRequest(key=b"k%d" % len(self.outcomes), value=b"v" * 1000)
        self._machine.running.member.propose(RequestKind.PUT, request.SerializeToString(), done)

    def once(self) -> float:
        answered = len(self.outcomes)
        self.begin()
        found = self._cluster.scheduler.run_until(
            lambda: len(self.outcomes) > answered, within_s=20
        )
        assert found, "no answer"
        return self.seconds[-1]

    @property
    def failed(self) -> list[bytes | RaftKVError]:
        return [outcome for outcome in self.outcomes if isinstance(outcome, RaftKVError)]


@pytest.mark.parametrize(
    "limits",
    [Limits(), Limits(inflight_messages_max=4, catchup_entries=10)],
    ids=["wide", "narrow"],
)
def test_a_slow_disk_of_one_follower_does_not_slow_the_leader(limits: Limits) -> None:
    """No put takes longer than the other follower's answer, whether or not the slow one's window
    is full; nobody stands for election; and the follower catches up."""
    cluster = cluster_of(limits=limits)
    leader = leader_of(cluster)
    puts, term = Puts(cluster, leader), term_of(cluster)
    slow = others(cluster, leader)[0]
    slow.disk_latency_s = SLOW_S
    for _ in range(2_000):
        puts.once()
    assert max(puts.seconds) <= A_PUT_S_MAX
    assert not puts.failed
    cluster.scheduler.run_for(10)
    assert (cluster.leader(), term_of(cluster)) == (leader, term)
    slow.disk_latency_s = DISK_LATENCY_S
    cluster.settle(within_s=60)
    cluster.stop_all()


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_leader_whose_disk_stalls_hands_over(size: int, seed: int) -> None:
    """Within two election timeouts another one leads and serves; what the old one had under way
    is not lost; and leadership does not come back by itself when the disk does."""
    cluster = cluster_of(size, seed=seed)
    old, term = leader_of(cluster), term_of(cluster)
    old.disk_latency_s = STALLED_S
    under_way = Puts(cluster, old)
    under_way.begin()
    assert has_moved(cluster, old, within_s=2.0), "the stalled leader still leads"
    new = leader_of(cluster)
    assert Puts(cluster, new).once() < 0.5
    assert new.running.member.raft_term == term + 1, "one election, not a row of them"
    old.disk_latency_s = DISK_LATENCY_S
    cluster.scheduler.run_for(10)
    assert cluster.leader() is new
    cluster.settle()
    assert [type(outcome) for outcome in under_way.outcomes] == [bytes]
    assert {p.member.store.hash_kv(0) for p in cluster.running} == {
        new.running.member.store.hash_kv(0)
    }
    cluster.stop_all()


@pytest.mark.parametrize("ticks", [tick / 2 for tick in range(20)])
def test_the_moment_of_the_stall_does_not_matter(ticks: float) -> None:
    """Raft begins once an election timeout to count anew who answers. A try that meets it just then
    finds nobody, and goes on with the next tick: the place moves after one patience, at most a
    tick and the answers late."""
    cluster = cluster_of()
    cluster.scheduler.run_for(ticks * TICK_S)
    old = leader_of(cluster)
    old.disk_latency_s = STALLED_S
    Puts(cluster, old).begin()
    assert has_moved(cluster, old, within_s=10 * TICK_S + 4 * TICK_S)
    cluster.stop_all()


def test_linearizable_reads_find_the_new_leader() -> None:
    """A follower's read, which the stalled leader could have confirmed, is answered as ever."""
    cluster = cluster_of()
    old = leader_of(cluster)
    reader = others(cluster, old)[1].running.member
    old.disk_latency_s = STALLED_S
    Puts(cluster, old).begin()
    assert has_moved(cluster, old, within_s=2.0)
    answers: list[RaftKVError | None] = []
    reader.linearize(answers.append)
    assert cluster.scheduler.run_until(lambda: bool(answers), within_s=1.0)
    assert answers == [None]
    cluster.stop_all()


def test_a_disk_that_stays_slow_costs_one_change_of_leader() -> None:
    """Its member is a slow follower from then on, and is not handed the place again."""
    cluster = cluster_of()
    old, term = leader_of(cluster), term_of(cluster)
    old.disk_latency_s = SLOW_S
    Puts(cluster, old).begin()
    assert has_moved(cluster, old, within_s=3.0)
    puts = Puts(cluster, leader_of(cluster))
    for _ in range(100):
        puts.once()
        cluster.scheduler.run_for(0.5)
    assert not puts.failed
    assert max(puts.seconds) < 0.5
    assert term_of(cluster) == term + 1
    cluster.stop_all()


def test_a_quorum_of_slow_disks_keeps_its_leader() -> None:
    """The third one would have to wait for a slow disk, too: nothing moves, and puts are done."""
    cluster = cluster_of()
    leader, term = leader_of(cluster), term_of(cluster)
    for machine in (leader, others(cluster, leader)[0]):
        machine.disk_latency_s = SLOW_S
    puts = Puts(cluster, leader)
    for _ in range(20):
        puts.once()
    assert not puts.failed
    assert (cluster.leader(), term_of(cluster)) == (leader, term)
    cluster.stop_all()


def test_nobody_is_handed_the_place_while_all_disks_stall() -> None:
    """As on shared storage: another leader would be no better, so none is made, and nobody
    believes that the others are gone."""
    cluster = cluster_of()
    leader, term = leader_of(cluster), term_of(cluster)
    for machine in cluster.machines:
        machine.disk_latency_s = (3.0, 3.0)
    puts = Puts(cluster, leader)
    assert puts.once() > 2.9
    assert not puts.failed
    assert (cluster.leader(), term_of(cluster)) == (leader, term)
    cluster.stop_all()


def test_a_stalled_leader_that_a_quorum_needs_stays() -> None:
    """With one of three members dead nothing is committed without it, whoever leads."""
    cluster = cluster_of()
    leader, term = leader_of(cluster), term_of(cluster)
    others(cluster, leader)[0].kill()
    leader.disk_latency_s = (3.0, 3.0)
    puts = Puts(cluster, leader)
    assert puts.once() > 2.9
    assert not puts.failed
    assert (cluster.leader(), term_of(cluster)) == (leader, term)
    cluster.stop_all()


def test_a_leader_alone_with_its_stalled_disk_waits() -> None:
    """There is nobody to hand over to."""
    cluster = cluster_of(1)
    leader = leader_of(cluster)
    leader.disk_latency_s = (3.0, 3.0)
    puts = Puts(cluster, leader)
    assert puts.once() > 2.9
    assert cluster.leader() is leader
    cluster.stop_all()


def test_a_slow_disk_that_keeps_the_leader_in_time_is_no_reason() -> None:
    """Writes of less than an election timeout move nothing, however many there are."""
    cluster = cluster_of()
    leader, term = leader_of(cluster), term_of(cluster)
    leader.disk_latency_s = (0.4, 0.45)  # and one may wait for another
    puts = Puts(cluster, leader)
    for _ in range(30):
        puts.once()
    assert not puts.failed
    assert (cluster.leader(), term_of(cluster)) == (leader, term)
    cluster.stop_all()
