"""Ten times more than the cluster can do: it sheds with etcd's own error, and keeps its leader."""

from __future__ import annotations

from collections import Counter

import pytest

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.errors import RaftKVError, TooManyRequests
from raftkv.rpc.errors import status_of
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import DISK_LATENCY_S, Machine
from raftkv.simulation.network import Weather
from raftkv.wire.service import Status

PENDING_MAX = 20
TURN_S = 0.01
"""A put takes this long at most, so that a member can answer PENDING_MAX of them in it at least."""
OFFERED_PER_TURN = 10 * PENDING_MAX
SECONDS = 5.0
"""Five election timeouts."""
TO_OTHERS_S_MAX = 2 * Weather().latency_max_s
TO_LEADER_S_MAX = TO_OTHERS_S_MAX
A_PUT_S_MAX = TO_LEADER_S_MAX + 2 * (TO_OTHERS_S_MAX + 3 * DISK_LATENCY_S[1])
"""By way of the leader to a follower and back, behind the batch before it."""


class Clients:
    """They ask again and again, whatever the answer is."""

    def __init__(self, cluster: SimulatedCluster, machine: Machine) -> None:
        self._cluster = cluster
        self._machine = machine
        self.asked = 0
        self.outcomes: list[tuple[float, bytes | RaftKVError]] = []

    def ask(self, count: int) -> None:
        for _ in range(count):
            self._ask()

    def _ask(self) -> None:
        begun = self._cluster.scheduler.now()
        self.asked += 1

        def done(outcome: bytes | RaftKVError) -> None:
            self.outcomes.append((self._cluster.scheduler.now() - begun, outcome))

        request = PutRequest(key=b"k%d" % self.asked, value=b"v" * 256)
        self._machine.running.member.propose(RequestKind.PUT, request.SerializeToString(), done)

    @property
    def shed(self) -> list[RaftKVError]:
        return [outcome for _, outcome in self.outcomes if isinstance(outcome, RaftKVError)]

    @property
    def done_s(self) -> list[float]:
        """How long each put took that was done."""
        return [seconds for seconds, outcome in self.outcomes if isinstance(outcome, bytes)]


@pytest.mark.parametrize("at_leader", [True, False], ids=["leader", "follower"])
def test_at_ten_times_its_load_a_cluster_sheds_and_keeps_its_leader(at_leader: bool) -> None:
    """What is taken is done and as quickly as ever, the rest is refused at once: no queue grows, no
    put times out, nobody stands for election, and afterwards all is as it was."""
    cluster = SimulatedCluster(size=3, seed=1, limits=Limits(pending_requests_max=PENDING_MAX))
    cluster.start_all()
    cluster.wait_for_leader()
    cluster.settle()
    leader = cluster.leader()
    assert leader is not None
    term = leader.running.member.raft_term
    machine = leader if at_leader else next(m for m in cluster.machines if m is not leader)
    clients = Clients(cluster, machine)
    for _ in range(int(SECONDS / TURN_S)):
        clients.ask(OFFERED_PER_TURN)
        cluster.scheduler.run_for(TURN_S)
        assert (cluster.leader(), leader.running.member.raft_term) == (leader, term)
    cluster.settle()
    assert len(clients.outcomes) == clients.asked
    assert Counter(map(type, clients.shed)) == {TooManyRequests: len(clients.shed)}
    assert status_of(clients.shed[0]) == Status(8, "etcdserver: too many requests")
    assert len(clients.done_s) >= clients.asked // 10
    assert max(clients.done_s) <= A_PUT_S_MAX
    before = len(clients.done_s)
    clients.ask(PENDING_MAX)
    cluster.scheduler.run_for(TURN_S)
    assert len(clients.done_s) == before + PENDING_MAX
    cluster.stop_all()
