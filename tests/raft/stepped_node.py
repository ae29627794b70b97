"""Node 1 of a cluster, stepped by hand: what a test hands it, and what it says."""

from __future__ import annotations

from random import Random

from raftkv.raft.config import Config
from raftkv.raft.message import (
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    SnapshotMeta,
)
from raftkv.raft.raw_node import RawNode

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
