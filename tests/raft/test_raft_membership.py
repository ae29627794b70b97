"""The Raft paper, 6: changes of who is a member.

One test per statement, named by its section.
"""

from __future__ import annotations

import pytest

from raftkv.raft.errors import ProposalDropped
from raftkv.raft.message import (
    ConfChange,
    ConfChangeType,
    Message,
    Role,
)
from tests.raft.raft_cluster import RaftCluster
from tests.raft.stepped_node import (
    APP_RESP,
    HEARTBEAT,
    VOTE,
    VOTE_RESP,
    answers,
    leader,
    node,
    out,
)


def change(cluster: RaftCluster, *steps: tuple[ConfChangeType, int]) -> None:
    leads = cluster.leader()
    assert leads is not None
    cluster.nodes[leads].raw.propose_conf_change(ConfChange(steps))
    cluster.pump(leads)
    cluster.drain()


def test_6_joint_consensus_needs_both_majorities() -> None:
    """6: agreement in the joint state takes separate majorities of the old and the new set."""
    cluster = RaftCluster((1, 2, 3))
    cluster.settle(30)
    leads = cluster.leader()
    assert leads is not None
    for extra in (4, 5):
        cluster.add(extra)
    cluster.cut = {(a, b) for a in (1, 2, 3) for b in (4, 5)}
    keep = leads
    steps = [(ConfChangeType.ADD_VOTER, 4), (ConfChangeType.ADD_VOTER, 5)]
    steps += [(ConfChangeType.REMOVE, n) for n in (1, 2, 3) if n != keep]
    change(cluster, *steps)
    before = max(cluster.committed)
    cluster.propose(keep)
    cluster.drain()
    assert max(cluster.committed) == before, "committed without the new set's majority"
    cluster.settle(40)
    assert cluster.nodes[keep].disk.conf_state.voters == tuple(sorted((keep, 4, 5)))
    assert max(cluster.committed) > before


def test_6_new_servers_learn_before_they_vote() -> None:
    """6: new servers join as non-voting members first, and do not count for majorities."""
    cluster = RaftCluster((1, 2, 3))
    cluster.settle(30)
    cluster.add(4)
    change(cluster, (ConfChangeType.ADD_LEARNER, 4))
    cluster.settle(10)
    conf = cluster.nodes[4].disk.conf_state
    assert (conf.voters, conf.learners) == ((1, 2, 3), (4,))
    for _ in range(60):
        cluster.tick(4)
    assert cluster.nodes[4].raw.status().role is Role.FOLLOWER


def test_6_one_change_at_a_time() -> None:
    """6: while a change is under way another is refused."""
    raw = leader()
    out(raw)
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=2))
    out(raw)
    raw.propose_conf_change(ConfChange(((ConfChangeType.ADD_LEARNER, 4),)))
    with pytest.raises(ProposalDropped, match="may be pending"):
        raw.propose_conf_change(ConfChange(((ConfChangeType.ADD_LEARNER, 5),)))


def test_6_no_change_before_the_term_committed_something() -> None:
    """6 (the 2015 erratum): a new leader's first change waits for an entry of its own term."""
    raw = leader()
    out(raw)
    with pytest.raises(ProposalDropped):
        raw.propose_conf_change(ConfChange(((ConfChangeType.ADD_LEARNER, 4),)))


def test_6_a_removed_leader_steps_down() -> None:
    """6: a leader that is not in the new configuration steps down once it is in force."""
    cluster = RaftCluster((1, 2, 3))
    cluster.settle(30)
    leads = cluster.leader()
    assert leads is not None
    change(cluster, (ConfChangeType.REMOVE, leads))
    cluster.settle(30)
    assert cluster.leader() != leads
    assert leads not in cluster.nodes[cluster.leader() or 0].disk.conf_state.voters


def test_6_a_removed_server_does_not_disturb() -> None:
    """6: servers disregard vote requests while they believe that a leader exists."""
    raw = node(check_quorum=True)
    raw.step(Message(HEARTBEAT, 1, 2, term=1))
    raw.step(Message(VOTE, 1, 3, term=50, index=9, log_term=9))
    assert raw.term == 1
    assert not answers(raw, VOTE_RESP)
