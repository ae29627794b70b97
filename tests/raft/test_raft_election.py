"""The Raft paper, 5.1 and 5.2: terms, and how a leader is elected.

One test per statement, named by its section.
"""

from __future__ import annotations

from random import Random

import pytest

from raftkv.raft.config import Config
from raftkv.raft.message import (
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    Role,
    SnapshotMeta,
)
from raftkv.raft.raw_node import RawNode
from tests.raft.stepped_node import (
    APP,
    HEARTBEAT,
    VOTE,
    VOTE_RESP,
    answers,
    candidate,
    leader,
    log,
    node,
    out,
)


@pytest.mark.parametrize("make", [node, candidate, leader])
def test_5_1_a_higher_term_makes_a_follower(make: object) -> None:
    """5.1: whoever sees a larger term adopts it, and reverts to follower at once."""
    raw = make()  # type: ignore[operator]
    raw.step(Message(APP, 1, 2, term=9, index=1, log_term=1))
    assert (raw.term, raw.status().role) == (9, Role.FOLLOWER)


def test_5_1_a_stale_term_is_rejected() -> None:
    """5.1: a request with a stale term is not obeyed."""
    raw = node(term=5)
    raw.step(Message(APP, 1, 2, term=4, index=1, log_term=1, entries=log(4)))
    assert raw.status().last_index == 1
    assert raw.term == 5


def test_5_1_the_term_is_durable_before_it_is_spoken_of() -> None:
    """5.1, figure 2: persistent state is on stable storage before an answer leaves."""
    raw = node()
    raw.step(Message(VOTE, 1, 2, term=7, index=1, log_term=1))
    ready = raw.ready()
    assert ready.hard_state == HardState(7, 2, 1)
    assert ready.must_sync
    assert not ready.messages
    assert [m.type for m in ready.messages_after_persist] == [VOTE_RESP]


def test_5_1_a_heartbeat_is_answered_while_the_disk_works() -> None:
    """It promises nothing that a crash could undo, and a slow disk is no silent member; what says
    that entries are there waits for the disk, as ever."""
    raw = node()
    raw.step(Message(HEARTBEAT, 1, 2, term=2, context=b"r"))
    raw.step(Message(APP, 1, 2, term=2, index=1, log_term=1, entries=(Entry(2, 2, b"x"),)))
    ready = raw.ready()
    assert ready.must_sync
    assert [m.type for m in ready.messages] == [MessageType.HEARTBEAT_RESP]
    assert [m.type for m in ready.messages_after_persist] == [MessageType.APP_RESP]
    raw.step(Message(HEARTBEAT, 1, 2, term=2))
    assert [m.type for m in raw.ready().messages] == [MessageType.HEARTBEAT_RESP]


def test_5_2_nodes_start_as_followers() -> None:
    """5.2: when servers start up, they begin as followers."""
    assert node().status().role is Role.FOLLOWER


def test_5_2_a_leader_heartbeats_all() -> None:
    """5.2: a leader sends periodic heartbeats to all followers."""
    raw = leader()
    out(raw)
    raw.tick()
    assert {m.to for m in answers(raw, HEARTBEAT)} == {2, 3}


def test_5_2_heartbeats_keep_a_follower() -> None:
    """5.2: a server remains a follower as long as it receives valid messages from a leader."""
    raw = node()
    for _ in range(100):
        raw.step(Message(HEARTBEAT, 1, 2, term=1))
        raw.tick()
    assert raw.status().role is Role.FOLLOWER


def test_5_2_silence_starts_an_election() -> None:
    """5.2: a follower that hears nothing increments its term, votes for itself, and asks all."""
    raw = node()
    for _ in range(20):
        raw.tick()
    status = raw.status()
    assert (status.role, status.term, status.vote) == (Role.CANDIDATE, 2, 1)
    assert {m.to for m in answers(raw, VOTE)} == {2, 3}


@pytest.mark.parametrize(
    ("voters", "granted", "wins"),
    [((1, 2, 3), (2,), True), ((1, 2, 3, 4, 5), (2,), False), ((1, 2, 3, 4, 5), (2, 3), True)],
)
def test_5_2_a_majority_elects(
    voters: tuple[int, ...], granted: tuple[int, ...], wins: bool
) -> None:
    """5.2: a candidate wins with votes from a majority of the full cluster in its term."""
    raw = node(voters=voters)
    raw.campaign()
    out(raw)
    for voter in granted:
        raw.step(Message(VOTE_RESP, 1, voter, raw.term))
    assert raw.is_leader is wins


def test_5_2_a_vote_counts_once() -> None:
    """5.2: one server's vote, repeated by the network, is one vote."""
    raw = node(voters=(1, 2, 3, 4, 5))
    raw.campaign()
    for _ in range(3):
        raw.step(Message(VOTE_RESP, 1, 2, raw.term))
    assert not raw.is_leader


def test_5_2_one_vote_per_term() -> None:
    """5.2: each server votes for at most one candidate in a term, first come, first served."""
    raw = node()
    raw.step(Message(VOTE, 1, 2, term=2, index=1, log_term=1))
    raw.step(Message(VOTE, 1, 3, term=2, index=1, log_term=1))
    raw.step(Message(VOTE, 1, 2, term=2, index=1, log_term=1))
    assert [(m.to, m.reject) for m in answers(raw, VOTE_RESP)] == [
        (2, False),
        (3, True),
        (2, False),
    ]


def test_5_2_a_vote_survives_a_crash() -> None:
    """5.2, figure 2: votedFor is persistent: restarted, it does not vote for another."""
    raw = node(term=2, vote=2)
    raw.step(Message(VOTE, 1, 3, term=2, index=1, log_term=1))
    assert [m.reject for m in answers(raw, VOTE_RESP)] == [True]


def test_5_2_a_candidate_yields_to_a_leader_of_its_term() -> None:
    """5.2: a candidate that hears a leader with a term at least its own returns to follower."""
    raw = candidate()
    raw.step(Message(APP, 1, 2, term=raw.term, index=1, log_term=1))
    assert (raw.status().role, raw.status().leader_id) == (Role.FOLLOWER, 2)


def test_5_2_votes_of_an_older_term_do_not_count() -> None:
    """5.2: answers to an earlier candidacy elect nobody."""
    raw = candidate()
    old = raw.term
    for _ in range(40):
        raw.tick()
    assert raw.term > old
    raw.step(Message(VOTE_RESP, 1, 2, old))
    assert not raw.is_leader


def test_5_2_election_timeouts_are_spread() -> None:
    """5.2: timeouts are chosen at random from a fixed interval, and cover it."""
    random, seen = Random(1), set()
    for _ in range(200):
        raw = RawNode(
            Config(1, pre_vote=False),
            hard_state=HardState(1, 0, 1),
            snapshot=SnapshotMeta(1, 1, ConfState(voters=(1, 2, 3))),
            entries=(),
            applied=1,
            random=random,
            snapshot_source=lambda: None,
        )
        ticks = 0
        while raw.status().role is Role.FOLLOWER:
            raw.tick()
            ticks += 1
        seen.add(ticks)
    assert seen == set(range(10, 20))
