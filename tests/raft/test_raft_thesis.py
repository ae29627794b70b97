"""Ongaro's thesis where we follow it: pre-vote, check-quorum, transfer, reads.

One test per statement, named by its section.
"""

from __future__ import annotations

from raftkv.raft.message import (
    Message,
    MessageType,
    Role,
)
from tests.raft.raft_cluster import RaftCluster
from tests.raft.stepped_node import (
    APP_RESP,
    VOTE_RESP,
    leader,
    node,
    out,
)


def test_thesis_9_6_a_pre_vote_changes_no_term() -> None:
    """Thesis 9.6: a cut-off server asks before it campaigns, and so never raises its term."""
    raw = node(pre_vote=True)
    for _ in range(200):
        raw.tick()
    assert (raw.term, raw.status().role) == (1, Role.PRE_CANDIDATE)


def test_thesis_6_2_a_leader_without_a_quorum_steps_down() -> None:
    """Thesis 6.2: a leader that no majority answers within an election timeout gives up."""
    raw = node(check_quorum=True)
    raw.campaign()
    out(raw)
    raw.step(Message(VOTE_RESP, 1, 2, raw.term))
    assert raw.is_leader
    for _ in range(10):
        raw.tick()
    assert raw.status().role is Role.FOLLOWER


def test_thesis_3_10_leadership_moves_on_request() -> None:
    """Thesis 3.10: the leader brings the target up to date and has it campaign at once."""
    cluster = RaftCluster((1, 2, 3))
    cluster.settle(30)
    leads = cluster.leader()
    assert leads is not None
    target = leads % 3 + 1
    cluster.nodes[leads].raw.transfer_leader(target)
    cluster.pump(leads)
    cluster.drain()
    assert cluster.leader() == target


def test_thesis_6_4_no_read_before_the_term_committed() -> None:
    """Thesis 6.4: a new leader answers reads once it has committed an entry of its own term."""
    raw = leader()
    out(raw)
    raw.read_index(b"r")
    raw.step(Message(MessageType.HEARTBEAT_RESP, 1, 2, raw.term, context=b"r"))
    assert not raw.ready().read_states if raw.has_ready() else True
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=2))
    out(raw)
    raw.step(Message(MessageType.HEARTBEAT_RESP, 1, 2, raw.term, context=b"r"))
    assert [state.context for state in raw.ready().read_states] == [b"r"]


def test_thesis_6_4_an_old_answer_confirms_no_new_read() -> None:
    """Thesis 6.4, etcd issue 20418: only an answer to the read's own round releases it."""
    raw = leader()
    out(raw)
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=2))
    out(raw)
    raw.read_index(b"new")
    raw.step(Message(MessageType.HEARTBEAT_RESP, 1, 2, raw.term, context=b"old"))
    assert not raw.ready().read_states
    raw.step(Message(MessageType.HEARTBEAT_RESP, 1, 3, raw.term, context=b"new"))
    assert [s.context for s in raw.ready().read_states] == [b"new"]
