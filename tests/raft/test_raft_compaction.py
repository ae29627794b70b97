"""The Raft paper, 7: snapshots in the place of the log.

One test per statement, named by its section.
"""

from __future__ import annotations

from raftkv.raft.message import (
    ConfState,
    Entry,
    Message,
    MessageType,
    Ready,
    Snapshot,
    SnapshotMeta,
)
from tests.raft.raft_cluster import RaftCluster
from tests.raft.stepped_node import (
    APP,
    log,
    node,
    out,
)


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


def test_what_was_shed_is_not_in_memory_and_can_be_taken_back() -> None:
    """A follower that may not stand lets go of entries that were handed out and are durable, takes
    new ones, and has all of them again when it is given them."""
    entries = log(1, 1, 1, 1)
    raw = node(entries, commit=4)
    raw.set_electable(False)
    assert [entry.index for entry in raw.ready().committed_entries] == [2, 3, 4]
    raw.memory.shed(4)
    assert (raw.first_index, raw.last_index, raw.entry(4)) == (5, 5, None)
    raw.step(Message(APP, 1, 2, term=1, index=5, log_term=1, entries=(Entry(1, 6),), commit=6))
    out(raw)
    assert (raw.commit_index, raw.last_index) == (6, 6)
    raw.memory.take_back(SnapshotMeta(1, 1), entries[:3])
    assert [raw.entry(index) for index in range(2, 6)] == [*entries]
    assert raw.first_index == 2
