"""What no member says: refused before Raft sees it, or by Raft before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from raftkv.peer.codec import PeerProtocolError
from raftkv.peer.plausibility import NUMBER_MAX, check_message
from raftkv.raft.config import Config
from raftkv.raft.errors import ImpossibleMessage
from raftkv.raft.impossible import TERM_LEAP_MAX
from raftkv.raft.message import (
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMeta,
)
from raftkv.raft.raw_node import RawNode

ME, PEER = 1, 2
APP = Message(MessageType.APP, ME, PEER, 5, 9, 4, 9, entries=(Entry(4, 10), Entry(5, 11)))
SNAP = Message(
    MessageType.SNAP, ME, PEER, 5, snapshot=Snapshot(SnapshotMeta(9, 4, ConfState((ME, PEER))))
)
PROP = Message(MessageType.PROP, ME, PEER, entries=(Entry(0, 0, b"x"),))


@pytest.mark.parametrize(
    "message",
    [
        APP,
        SNAP,
        PROP,
        Message(MessageType.HEARTBEAT, ME, PEER, 5),
        Message(MessageType.TRANSFER_LEADER, ME, PEER, index=2**64 - 1),
        Message(MessageType.ASK, ME, PEER, index=2**64 - 1, context=b"question"),
    ],
)
def test_right_messages_pass(message: Message) -> None:
    """What members send is not refused."""
    check_message(message, sender=PEER, target=ME)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Message(MessageType.HUP, ME, PEER), id="a word to oneself"),
        pytest.param(replace(APP, sender=3), id="of another sender"),
        pytest.param(replace(APP, to=3), id="for another member"),
        pytest.param(replace(APP, term=2**64 - 1), id="the largest term"),
        pytest.param(replace(APP, commit=NUMBER_MAX + 1), id="a commit out of range"),
        pytest.param(replace(APP, term=0), id="no term"),
        pytest.param(replace(PROP, term=5), id="a request with a term"),
        pytest.param(replace(APP, entries=(Entry(4, 12),)), id="a gap"),
        pytest.param(replace(APP, entries=(Entry(5, 10), Entry(4, 11))), id="terms that fall"),
        pytest.param(replace(APP, entries=(Entry(6, 10),)), id="an entry of a later term"),
        pytest.param(replace(APP, entries=(Entry(3, 10),)), id="an entry older than the last"),
        pytest.param(replace(APP, type=MessageType.HEARTBEAT), id="a heartbeat with entries"),
        pytest.param(replace(PROP, entries=(Entry(1, 1),)), id="a proposal with a place"),
        pytest.param(replace(SNAP, snapshot=None), id="no snapshot in it"),
        pytest.param(replace(SNAP, type=MessageType.APP), id="a snapshot in another"),
        pytest.param(replace(SNAP, snapshot=Snapshot(SnapshotMeta(9, 4))), id="no voters"),
        pytest.param(replace(SNAP, term=3), id="a snapshot of a later term"),
    ],
)
def test_wrong_messages_are_refused(message: Message) -> None:
    """What no member sends ends its connection."""
    with pytest.raises(PeerProtocolError):
        check_message(message, sender=PEER, target=ME)


def node(voters: tuple[int, ...]) -> RawNode:
    """Three entries of term 1, all committed; term 2."""
    return RawNode(
        Config(id=ME),
        hard_state=HardState(2, 0, 3),
        snapshot=SnapshotMeta(0, 0, ConfState(voters)),
        entries=[Entry(1, 1), Entry(1, 2), Entry(1, 3)],
        applied=3,
        random=Random(1),
        snapshot_source=lambda: None,
        conf_state=ConfState(voters),
    )


def test_a_leap_of_the_term_is_refused() -> None:
    """Terms grow election by election: the largest one would leave none for the next."""
    raw = node((ME, PEER, 3))
    with pytest.raises(ImpossibleMessage, match=f"term {3 + TERM_LEAP_MAX}"):
        raw.step(replace(APP, term=3 + TERM_LEAP_MAX, entries=()))
    assert raw.term == 2


@pytest.mark.parametrize("index", [0, 1])
def test_committed_entries_stay(index: int) -> None:
    """A leader's entries below the commit index are not looked at, whatever they say."""
    raw = node((ME, PEER, 3))
    raw.step(replace(APP, index=index, log_term=index, entries=(Entry(3, index + 1),)))
    assert [raw.entry(index) for index in (1, 2, 3)] == [Entry(1, 1), Entry(1, 2), Entry(1, 3)]
    assert raw.commit_index == 3


@pytest.mark.parametrize("message", [replace(APP, index=3, log_term=1, entries=()), SNAP])
def test_the_only_voter_has_no_other_leader(message: Message) -> None:
    """Nobody is elected without it, so what leads it is a stranger; old words are answered."""
    raw = node((ME,))
    with pytest.raises(ImpossibleMessage, match="is the only voter"):
        raw.step(message)
    raw.step(replace(APP, term=1, index=3, log_term=1, entries=()))
    assert raw.commit_index == 3


def test_a_stranger_proposes_nothing_to_a_leader() -> None:
    """Requests to a leader come from members."""
    raw = node((ME,))
    raw.campaign()
    while raw.has_ready():
        if raw.ready().must_sync:
            raw.advance()
    assert raw.is_leader
    last = raw.last_index
    raw.step(PROP)
    raw.step(Message(MessageType.APP_RESP, ME, PEER, raw.term, index=last))
    assert raw.last_index == last
