"""A test per statement of the Raft paper's sections 5 to 7, and of the thesis where we follow it.

Names and docstrings give the section. The nodes are stepped by hand; no chance is involved but the
election timeouts of one test.
"""

from __future__ import annotations

from random import Random

import pytest

from raftkv.raft.config import Config
from raftkv.raft.errors import ProposalDropped
from raftkv.raft.message import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    Ready,
    Role,
    Snapshot,
    SnapshotMeta,
)
from raftkv.raft.raw_node import RawNode
from tests.raft.raft_cluster import RaftCluster

APP, APP_RESP = MessageType.APP, MessageType.APP_RESP
VOTE, VOTE_RESP = MessageType.VOTE, MessageType.VOTE_RESP
HEARTBEAT = MessageType.HEARTBEAT


def node(
    entries: tuple[Entry, ...] = (),
    *,
    term: int = 1,
    vote: int = 0,
    commit: int = 1,
    voters: tuple[int, ...] = (1, 2, 3),
    pre_vote: bool = False,
    check_quorum: bool = False,
) -> RawNode:
    """Node 1 of ``voters``, with its log from index 2 on."""
    return RawNode(
        Config(1, pre_vote=pre_vote, check_quorum=check_quorum),
        hard_state=HardState(term, vote, commit),
        snapshot=SnapshotMeta(1, 1, ConfState(voters=voters)),
        entries=entries,
        applied=1,
        random=Random(0),
        snapshot_source=lambda: None,
    )


def log(*terms: int) -> tuple[Entry, ...]:
    """Entries of these terms, from index 2 on."""
    return tuple(Entry(term, 2 + position) for position, term in enumerate(terms))


def out(raw: RawNode) -> list[Message]:
    """All messages that leave once the disk has done its part; nothing is applied."""
    sent: list[Message] = []
    while raw.has_ready():
        ready = raw.ready()
        sent += [*ready.messages, *ready.messages_after_persist]
        if ready.needs_persist or ready.messages_after_persist:
            raw.advance()
        if ready.committed_entries:
            raw.advance_applied(ready.committed_entries[-1].index)
    return sent


def answers(raw: RawNode, kind: MessageType) -> list[Message]:
    return [message for message in out(raw) if message.type is kind]


def candidate(entries: tuple[Entry, ...] = (), **state: int) -> RawNode:
    raw = node(entries, **state)
    raw.campaign()
    return raw


def leader(entries: tuple[Entry, ...] = (), **state: int) -> RawNode:
    raw = candidate(entries, **state)
    out(raw)
    raw.step(Message(VOTE_RESP, 1, 2, raw.term))
    assert raw.is_leader
    return raw


# --- 5.1 Raft basics ---


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


# --- 5.2 Leader election ---


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


# --- 5.3 Log replication ---


def test_5_3_a_proposal_goes_to_all_in_parallel() -> None:
    """5.3: the leader appends the command and sends it to each follower at once."""
    raw = leader()
    out(raw)
    for follower in (2, 3):
        raw.step(Message(APP_RESP, 1, follower, raw.term, index=2))
    out(raw)
    raw.propose(b"x")
    ready = raw.ready()
    assert {(m.to, m.entries[0].data) for m in ready.messages if m.entries} == {
        (2, b"x"),
        (3, b"x"),
    }
    assert ready.entries[0].data == b"x"


def test_5_3_committed_once_a_majority_has_it() -> None:
    """5.3: an entry is committed once the leader has replicated it on a majority."""
    raw = leader()
    out(raw)
    raw.propose(b"x")
    out(raw)
    assert raw.status().commit == 1
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=3))
    assert raw.status().commit == 3


def test_5_3_the_leader_counts_itself_when_its_disk_has_it() -> None:
    """5.3, figure 2: the leader's own copy counts only once it is durable."""
    raw = node(voters=(1,))
    raw.campaign()
    ready = raw.ready()
    assert raw.is_leader
    assert raw.status().commit == 1
    assert ready.entries
    raw.advance()
    assert raw.status().commit == 2


def test_5_3_a_commit_covers_all_before_it() -> None:
    """5.3: committing an entry commits all preceding ones, of earlier leaders too."""
    raw = leader(log(1, 1, 2), term=2)
    out(raw)
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=5))
    assert raw.status().commit == 5


def test_5_3_followers_learn_the_commit_index() -> None:
    """5.3: a follower that learns that an entry is committed applies it, in log order."""
    raw = node()
    raw.step(Message(APP, 1, 2, term=1, index=1, log_term=1, entries=log(1, 1), commit=3))
    applied: list[int] = []
    while raw.has_ready():
        ready = raw.ready()
        applied += [entry.index for entry in ready.committed_entries]
        if ready.needs_persist:
            assert not ready.committed_entries, "applied before it was durable"
            raw.advance()
    assert applied == [2, 3]


def test_5_3_a_follower_commits_only_what_it_checked() -> None:
    """5.3, figure 2: commitIndex = min(leaderCommit, index of the last new entry)."""
    raw = node(log(1, 1, 1))
    raw.step(Message(APP, 1, 2, term=2, index=2, log_term=1, commit=4))
    assert raw.status().commit == 2


@pytest.mark.parametrize(("index", "term"), [(4, 1), (3, 2), (9, 1)])
def test_5_3_the_consistency_check_refuses(index: int, term: int) -> None:
    """5.3: without an entry of that index and term, the follower refuses the new ones."""
    raw = node(log(1, 1))
    raw.step(Message(APP, 1, 2, term=2, index=index, log_term=term, entries=(Entry(2, index + 1),)))
    assert [m.reject for m in answers(raw, APP_RESP)] == [True]
    assert raw.status().last_index == 3


def test_5_3_conflicting_entries_are_replaced() -> None:
    """5.3: a conflicting entry is deleted with all that follow it, and the leader's are taken."""
    raw = node(log(1, 1, 1, 1))
    raw.step(Message(APP, 1, 2, term=3, index=2, log_term=1, entries=(Entry(3, 3),)))
    assert raw.status().last_index == 3
    assert raw._core.log.term(3) == 3


def test_5_3_a_short_old_message_does_not_shorten_the_log() -> None:
    """5.3, figure 2: entries are deleted on conflict only; a late message takes nothing back."""
    raw = node(log(1, 1, 1, 1))
    raw.step(Message(APP, 1, 2, term=1, index=1, log_term=1, entries=log(1)))
    assert raw.status().last_index == 5


def test_5_3_a_leader_never_changes_its_own_log() -> None:
    """5.3: a leader never overwrites or deletes entries in its log; it only appends."""
    raw = leader(log(1, 1))
    before = raw._core.log.slice(2, 1 << 30)
    raw.step(Message(APP, 1, 2, term=raw.term, index=2, log_term=1, entries=(Entry(9, 3),)))
    assert raw._core.log.slice(2, 1 << 30) == before


def test_5_3_next_index_moves_back_until_logs_agree() -> None:
    """5.3: after a refusal the leader tries earlier, skipping terms that cannot agree."""
    raw = leader(log(1, 1, 2, 2, 2), term=2)
    [probe] = [m for m in answers(raw, APP) if m.to == 2]
    assert probe.index == 6
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=6, reject=True, reject_hint=4, log_term=1))
    [again] = [m for m in answers(raw, APP) if m.to == 2]
    assert again.index == 3


def test_5_3_an_old_refusal_moves_nothing() -> None:
    """5.3: a refusal that the network delivers late does not reset what is known to match."""
    raw = leader(log(1, 1))
    out(raw)
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=4))
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=2, reject=True, reject_hint=1))
    assert raw.status().progress[2].match == 4


def test_5_3_match_index_never_goes_back() -> None:
    """5.3, figure 2: matchIndex increases monotonically, whatever the order of answers."""
    raw = leader(log(1, 1))
    out(raw)
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=4))
    raw.step(Message(APP_RESP, 1, 2, raw.term, index=2))
    assert raw.status().progress[2].match == 4


# --- 5.4 Safety ---


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


# --- 5.5, 5.6 Crashes and timing ---


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


# --- 6 Cluster membership changes ---


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


# --- 7 Log compaction ---


def snapshot_message(index: int, term: int) -> Message:
    meta = SnapshotMeta(index, term, ConfState(voters=(1, 2, 3)))
    return Message(MessageType.SNAP, 1, 2, term=2, snapshot=Snapshot(meta))


def test_7_a_snapshot_replaces_the_log() -> None:
    """7: a snapshot with new information discards the follower's entire log."""
    raw = node(log(1, 1))
    raw.step(snapshot_message(20, 2))
    ready: Ready = raw.ready()
    assert ready.snapshot is not None
    assert not ready.messages
    assert not ready.committed_entries
    raw.advance()
    status = raw.status()
    assert (status.first_index, status.last_index, status.commit, status.applied) == (
        21,
        20,
        20,
        20,
    )


def test_7_a_snapshot_of_a_known_prefix_keeps_the_rest() -> None:
    """7: of a snapshot that describes a prefix of the log, the following entries are retained."""
    raw = node(log(1, 1, 1, 1))
    raw.step(snapshot_message(3, 1))
    ready = raw.ready()
    assert ready.snapshot is None
    assert raw.status().last_index == 5
    assert raw.status().commit == 3


def test_7_an_old_snapshot_is_ignored() -> None:
    """7: what is committed already is not installed again."""
    raw = node(log(1, 1), commit=3)
    raw.step(snapshot_message(2, 1))
    assert raw.ready().snapshot is None


def test_7_the_leader_sends_a_snapshot_for_what_it_discarded() -> None:
    """7: the leader sends a snapshot when it has discarded the next entry that is needed."""
    cluster = RaftCluster((1, 2, 3))
    cluster.settle(30)
    leads = cluster.leader()
    assert leads is not None
    behind = leads % 3 + 1
    others = {1, 2, 3} - {behind}
    cluster.cut = {(a, behind) for a in others} | {(behind, a) for a in others}
    for _ in range(5):
        cluster.propose(leads)
        cluster.drain()
    cluster.compact(leads)
    cluster.settle(40)
    assert cluster.nodes[behind].disk.snapshot.index > 1
    assert cluster.nodes[behind].disk.applied_index == max(cluster.committed)


def test_7_the_term_of_the_last_discarded_entry_is_kept() -> None:
    """7: the last included index and term remain, for the consistency check of the next entry."""
    raw = node(log(1, 1, 1), commit=4)
    out(raw)
    raw.compact(3)
    raw.step(Message(APP, 1, 2, term=2, index=3, log_term=1, entries=(Entry(2, 4), Entry(2, 5))))
    assert raw.status().commit == 4


# --- the thesis, where we follow it ---


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


def test_5_3_what_was_appended_during_a_sync_is_not_durable_with_it() -> None:
    """5.3: a finished sync counts for what it was given, not for what came meanwhile."""
    raw = node(voters=(1,))
    raw.campaign()
    out(raw)
    raw.propose(b"a")
    raw.ready()
    raw.propose(b"b")
    raw.advance()
    assert raw.status().commit == 3
    assert raw.status().last_index == 4
