"""Three and five nodes under all that network and disk can do: always safe, live at the end."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from raftkv.raft.errors import ProposalDropped
from raftkv.raft.message import ConfChange, ConfChangeType
from tests.raft.raft_cluster import RaftCluster

STEPS = 2_500


def storm(cluster: RaftCluster, steps: int, *, change_members: bool) -> None:
    """Random steps: loss, duplication, reordering, cuts, crashes, compaction, late disks."""
    random = cluster.random
    for _ in range(steps):
        node = random.choice(sorted(cluster.nodes))
        dice = random.random()
        if dice < 0.14:
            cluster.tick(node)
        elif dice < 0.20:
            cluster.propose(node)
        elif dice < 0.24:
            cluster.read(node)
        elif dice < 0.44:
            cluster.persist(node)
        elif dice < 0.445:
            cluster.restart(node)
        elif dice < 0.45:
            pairs = [(a, b) for a in cluster.nodes for b in cluster.nodes if a != b]
            cluster.cut = set(random.sample(pairs, random.randrange(len(pairs))))
        elif dice < 0.475:
            cluster.cut = set()
        elif dice < 0.485:
            cluster.compact(node)
        elif dice < 0.49 and change_members:
            propose_change(cluster, node)
        elif dice < 0.495:
            cluster.nodes[node].raw.transfer_leader(random.choice(sorted(cluster.nodes)))
            cluster.pump(node)
        elif cluster.messages:
            disturb(cluster)


def disturb(cluster: RaftCluster) -> None:
    random = cluster.random
    position = random.randrange(min(len(cluster.messages), 8))
    if random.random() < 0.03:
        cluster.lose(position)
        return
    if random.random() < 0.05:
        cluster.messages.append(cluster.messages[position])
    cluster.deliver(position)


def propose_change(cluster: RaftCluster, node: int) -> None:
    random = cluster.random
    members = sorted(cluster.nodes)
    kinds = [ConfChangeType.ADD_VOTER, ConfChangeType.ADD_LEARNER]
    if random.random() < 0.3:
        kinds.append(ConfChangeType.REMOVE)
    steps = tuple(
        (random.choice(kinds), random.choice(members)) for _ in range(random.choice((0, 1, 1, 2)))
    )
    try:
        cluster.nodes[node].raw.propose_conf_change(ConfChange(steps))
    except ProposalDropped:
        return
    cluster.pump(node)


def check_alive(cluster: RaftCluster) -> None:
    """Once the network heals, a leader emerges and what it is given is committed by all voters."""
    cluster.settle(rounds=60)
    leader = cluster.leader()
    assert leader is not None, [n.raw.status() for n in cluster.nodes.values()]
    before = max(cluster.committed)
    assert cluster.propose(leader)
    cluster.settle(rounds=10)
    voters = cluster.nodes[leader].disk.conf_state.voters
    assert all(cluster.nodes[v].disk.applied_index > before for v in voters)


@pytest.mark.parametrize("seed", range(24))
def test_fixed_members(seed: int) -> None:
    """Every safety property after every step, and progress once the faults end."""
    cluster = RaftCluster(tuple(range(1, 6 if seed % 2 else 4)), seed)
    storm(cluster, STEPS * len(cluster.nodes) // 3, change_members=False)
    check_alive(cluster)
    assert len(cluster.committed) > 4, "too little was committed: the run proves nothing"


@pytest.mark.parametrize("seed", range(100, 112))
def test_changing_members(seed: int) -> None:
    """The same while members become learners and voters, one by one and several at once."""
    cluster = RaftCluster((1, 2, 3), seed)
    cluster.settle(rounds=30)
    for extra in (4, 5):
        cluster.add(extra)
    storm(cluster, STEPS, change_members=True)
    check_alive(cluster)


class RaftMachine(RuleBasedStateMachine):
    """The same steps, chosen and shrunk by hypothesis."""

    @initialize(size=st.sampled_from((3, 5)), seed=st.integers(0, 1000))
    def begin(self, size: int, seed: int) -> None:
        self.cluster = RaftCluster(tuple(range(1, size + 1)), seed)

    def node(self, number: int) -> int:
        return sorted(self.cluster.nodes)[number % len(self.cluster.nodes)]

    @rule(number=st.integers(0, 4), times=st.integers(1, 25))
    def tick(self, number: int, times: int) -> None:
        for _ in range(times):
            self.cluster.tick(self.node(number))

    @rule(number=st.integers(0, 4))
    def propose(self, number: int) -> None:
        self.cluster.propose(self.node(number))

    @rule(number=st.integers(0, 4))
    def read(self, number: int) -> None:
        self.cluster.read(self.node(number))

    @rule(number=st.integers(0, 4))
    def persist(self, number: int) -> None:
        self.cluster.persist(self.node(number))

    @rule(number=st.integers(0, 4))
    def crash(self, number: int) -> None:
        self.cluster.restart(self.node(number))

    @rule(number=st.integers(0, 4))
    def compact(self, number: int) -> None:
        self.cluster.compact(self.node(number))

    @rule(position=st.integers(0, 9), again=st.booleans())
    def deliver(self, position: int, again: bool) -> None:
        if self.cluster.messages:
            position %= len(self.cluster.messages)
            if again:
                self.cluster.messages.append(self.cluster.messages[position])
            self.cluster.deliver(position)

    @rule(position=st.integers(0, 9))
    def lose(self, position: int) -> None:
        if self.cluster.messages:
            self.cluster.lose(position % len(self.cluster.messages))

    @rule()
    def calm(self) -> None:
        self.cluster.drain()

    @rule(pairs=st.sets(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=8))
    def partition(self, pairs: set[tuple[int, int]]) -> None:
        self.cluster.cut = pairs


TestRaft = RaftMachine.TestCase
TestRaft.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
