"""The Raft paper, 5.4 to 5.6: what is committed stays, whatever crashes.

One test per statement, named by its section.
"""

from __future__ import annotations

import pytest

from raftkv.raft.message import (
    Message,
)
from tests.raft.raft_cluster import RaftCluster
from tests.raft.stepped_node import (
    APP,
    APP_RESP,
    VOTE,
    VOTE_RESP,
    answers,
    leader,
    log,
    node,
    out,
)


@pytest.mark.parametrize(
    ("index", "term", "granted"),
    [(4, 2, True), (5, 2, True), (2, 3, True), (3, 2, False), (9, 1, False)],
)
def test_5_4_1_votes_go_to_logs_at_least_as_good(index: int, term: int, granted: bool) -> None:
    """5.4.1: the later last term is more up-to-date; of equal terms, the longer log is."""
    raw = node(log(1, 2, 2), term=3)
    raw.step(Message(VOTE, 1, 2, term=4, index=index, log_term=term))
    assert [m.reject for m in answers(raw, VOTE_RESP)] == [not granted]


def test_5_4_2_old_entries_are_not_committed_by_counting() -> None:
    """5.4.2, figure 8: only entries of the leader's own term are committed by counting copies."""
    raw = leader(log(1, 2), term=3)
    out(raw)
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=3))
    assert raw.status().commit == 1
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=4))
    assert raw.status().commit == 4


def test_5_4_3_a_new_leader_has_all_committed_entries() -> None:
    """5.4.3: with the longest log cut off, whoever is elected still has what was committed."""
    cluster = RaftCluster((1, 2, 3), pre_vote=False, check_quorum=False)
    cluster.elect(1)
    assert cluster.propose(1)
    cluster.drain()
    committed = max(cluster.committed)
    cluster.cut = {(1, 2), (2, 1), (1, 3), (3, 1)}
    cluster.propose(1)
    cluster.nodes[2].raw.campaign()
    cluster.pump(2)
    cluster.drain()
    assert cluster.nodes[2].raw.is_leader
    assert cluster.nodes[2].raw.status().last_index >= committed


def test_5_5_requests_may_be_repeated() -> None:
    """5.5: AppendEntries and RequestVote are idempotent: a repeated one does no harm."""
    raw = node()
    append = Message(APP, 1, 2, term=2, index=1, log_term=1, entries=log(2, 2), commit=2)
    raw.step(append)
    first = raw.status()
    raw.step(append)
    assert raw.status() == first


def test_5_5_a_crashed_follower_is_caught_up() -> None:
    """5.5: a follower that was down gets what it missed when it is back."""
    cluster = RaftCluster((1, 2, 3))
    cluster.settle(30)
    leads = cluster.leader()
    assert leads is not None
    down = leads % 3 + 1
    others = {1, 2, 3} - {down}
    cluster.cut = {(a, down) for a in others} | {(down, a) for a in others}
    for _ in range(5):
        cluster.propose(leads)
        cluster.drain()
    cluster.restart(down)
    cluster.settle(30)
    assert cluster.nodes[down].disk.applied_index == max(cluster.committed)
