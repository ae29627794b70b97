"""Leases of whole members under virtual time: production code from the service to the reply."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

from raftkv.api import rpc_pb2 as api
from raftkv.apply.batch import RequestKind
from raftkv.errors import LeaderChanged, RaftKVError
from raftkv.lease.decision import encode_expiry
from raftkv.server.config import Limits
from raftkv.server.leasing import TimeLeft
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine

T = TypeVar("T")
LEASE = 77
KEY = b"held"


@pytest.fixture
def cluster(tmp_path: Path) -> SimulatedCluster:
    cluster = SimulatedCluster(tmp_path, seed=3)
    cluster.start_all()
    cluster.wait_for_leader()
    return cluster


class Desk:
    """What a client does at one machine, each call until it is answered."""

    def __init__(self, cluster: SimulatedCluster, machine: Machine) -> None:
        self._cluster = cluster
        self._member = machine.running.member

    def propose(self, kind: RequestKind, payload: bytes) -> bytes | RaftKVError:
        answers: list[bytes | RaftKVError] = []
        self._member.propose(kind, payload, answers.append)
        return self._wait(answers)

    def grant(self, ttl_s: int, lease_id: int = LEASE) -> None:
        request = api.LeaseGrantRequest(ID=lease_id, TTL=ttl_s)
        done = self.propose(RequestKind.LEASE_GRANT, request.SerializeToString())
        assert isinstance(done, bytes), done

    def hold(self, ttl_s: int) -> None:
        """A lease with a key on it."""
        self.grant(ttl_s)
        request = api.PutRequest(key=KEY, value=b"v", lease=LEASE)
        assert isinstance(self.propose(RequestKind.PUT, request.SerializeToString()), bytes)

    def renew(self) -> int | RaftKVError:
        answers: list[int | RaftKVError] = []
        self._member.leases.renew(LEASE, answers.append)
        return self._wait(answers)

    def time_left(self) -> TimeLeft:
        answers: list[TimeLeft | RaftKVError] = []
        self._member.leases.time_left(LEASE, answers.append)
        left = self._wait(answers)
        assert isinstance(left, TimeLeft), left
        return left

    def _wait(self, answers: list[T]) -> T:
        assert self._cluster.scheduler.run_until(lambda: bool(answers), within_s=20.0)
        return answers[0]


def leader_of(cluster: SimulatedCluster) -> Machine:
    return cluster.wait_for_leader()


def follower_of(cluster: SimulatedCluster) -> Machine:
    leader = leader_of(cluster)
    return next(m for m in cluster.machines if m is not leader and m.process is not None)


def gone_at(cluster: SimulatedCluster, within_s: float) -> float:
    """When the key has gone from every running member."""

    def gone() -> bool:
        return all(p.member.store.get(KEY) is None for p in cluster.running)

    assert cluster.scheduler.run_until(gone, within_s=within_s), "the key lives on"
    return cluster.scheduler.now()


def test_expiry_is_neither_early_nor_late(cluster: SimulatedCluster) -> None:
    """The key goes on all members after the TTL and within a tick of it, and the lease with it."""
    Desk(cluster, leader_of(cluster)).hold(5)
    granted = cluster.scheduler.now()
    ended = gone_at(cluster, 20) - granted
    assert 4.9 <= ended <= 5.8, ended
    for process in cluster.running:
        assert not process.member.leases.book.exists(LEASE)
        assert process.member.leases.book.keys(LEASE) == []


def test_a_follower_renews_at_the_leader(cluster: SimulatedCluster) -> None:
    """Its answer is the whole TTL, the leader's clock has moved, and both tell the same time."""
    Desk(cluster, leader_of(cluster)).hold(5)
    desk = Desk(cluster, follower_of(cluster))
    cluster.scheduler.run_for(4.0)
    assert desk.time_left() == TimeLeft(0, 5)
    assert desk.renew() == 5
    renewed = cluster.scheduler.now()
    assert desk.time_left() == TimeLeft(4, 5)
    assert Desk(cluster, leader_of(cluster)).time_left() == TimeLeft(4, 5)
    assert 4.9 <= gone_at(cluster, 20) - renewed <= 5.8
    assert desk.renew() == 0
    assert desk.time_left() == TimeLeft(-1, 0)


def test_a_renewal_waits_for_a_leader(cluster: SimulatedCluster) -> None:
    """Asked of a follower whose leader has just died: the next leader answers."""
    Desk(cluster, leader_of(cluster)).hold(30)
    follower = follower_of(cluster)
    leader_of(cluster).kill()
    assert Desk(cluster, follower).renew() == 30


def test_lost_questions_are_asked_again(cluster: SimulatedCluster) -> None:
    """On a network that loses half of everything."""
    Desk(cluster, leader_of(cluster)).hold(60)
    cluster.network.weather.loss = 0.5
    assert Desk(cluster, follower_of(cluster)).renew() == 60


def test_a_deposed_leader_renews_nothing(cluster: SimulatedCluster) -> None:
    """Cut off, it says nothing to a keep-alive until the client has given up."""
    Desk(cluster, leader_of(cluster)).hold(60)
    old = leader_of(cluster)
    cluster.network.isolate(old.member_id)
    assert isinstance(Desk(cluster, old).renew(), RaftKVError)


def test_a_new_leader_gives_the_whole_time(cluster: SimulatedCluster) -> None:
    """The leader dies just before the end: the lease runs a TTL more, and then ends."""
    Desk(cluster, leader_of(cluster)).hold(5)
    cluster.scheduler.run_for(4.5)
    leader_of(cluster).kill()
    died = cluster.scheduler.now()
    cluster.scheduler.run_for(5.0)
    assert all(p.member.store.get(KEY) is not None for p in cluster.running)
    assert gone_at(cluster, 20) - died <= 11.0


def test_an_expiry_of_another_term_is_void(cluster: SimulatedCluster) -> None:
    """What an old leader decided, and a follower forwarded, ends no lease."""
    Desk(cluster, leader_of(cluster)).hold(60)
    old = leader_of(cluster).running.member.raft_term - 1
    desk = Desk(cluster, follower_of(cluster))
    outcome = desk.propose(RequestKind.LEASE_EXPIRY, encode_expiry(old, [LEASE]))
    assert isinstance(outcome, LeaderChanged)
    cluster.settle()
    for process in cluster.running:
        assert process.member.leases.book.exists(LEASE)
        assert process.member.store.get(KEY) is not None


def test_leases_survive_a_restart_of_all(cluster: SimulatedCluster) -> None:
    """Killed and started again: the same leases and keys, and they end."""
    Desk(cluster, leader_of(cluster)).hold(5)
    cluster.settle()
    cluster.stop_all()
    cluster.start_all()
    leader = leader_of(cluster)
    assert Desk(cluster, leader).renew() == 5
    assert leader.running.member.leases.book.keys(LEASE) == [KEY]
    gone_at(cluster, 20)


def test_leases_travel_in_a_snapshot(tmp_path: Path) -> None:
    """A member that was away while the log was cut knows the lease, its keys and its end."""
    limits = Limits(catchup_entries=5, backend_commit_interval_s=0.2)
    cluster = SimulatedCluster(tmp_path, seed=4, snapshot_count=10, limits=limits)
    cluster.start_all()
    away = follower_of(cluster)
    away.kill()
    desk = Desk(cluster, leader_of(cluster))
    desk.hold(60)
    for number in range(60):
        request = api.PutRequest(key=b"other%d" % number, value=b"v")
        desk.propose(RequestKind.PUT, request.SerializeToString())
        cluster.scheduler.run_for(0.05)
    assert leader_of(cluster).running.member.node.first_index > 20
    assert away.start()
    cluster.settle()
    book = away.running.member.leases.book
    assert book.keys(LEASE) == [KEY]
    request = api.LeaseRevokeRequest(ID=LEASE)
    assert isinstance(desk.propose(RequestKind.LEASE_REVOKE, request.SerializeToString()), bytes)
    cluster.settle()
    assert not book.exists(LEASE)
    assert away.running.member.store.get(KEY) is None


def test_a_checkpointed_lease_ends_under_ever_new_leaders(tmp_path: Path) -> None:
    """The leader dies every ten seconds. A lease of thirty ends, for the log has what is left."""
    limits = Limits(lease_checkpoint_interval_s=2.0)
    cluster = SimulatedCluster(tmp_path, seed=5, limits=limits)
    cluster.start_all()
    Desk(cluster, leader_of(cluster)).hold(30)
    for _ in range(6):
        cluster.scheduler.run_for(10.0)
        dead = leader_of(cluster)
        dead.kill()
        leader_of(cluster)
        dead.start()
    gone_at(cluster, 5)
