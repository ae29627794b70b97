"""The Raft paper, 5.3: how the log is replicated, and made alike.

One test per statement, named by its section.
"""

from __future__ import annotations

import pytest

from raftkv.raft.message import (
    Entry,
    Message,
)
from tests.raft.stepped_node import (
    APP,
    APP_RESP,
    answers,
    leader,
    log,
    node,
    out,
)


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
