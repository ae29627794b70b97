"""Majorities and their joint form, against counting by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raftkv.raft.confchange import decode_conf_change, encode_conf_change
from raftkv.raft.message import ConfChange, ConfChangeType
from raftkv.raft.quorum import UNLIMITED, JointConfig, VoteResult

ids = st.frozensets(st.integers(1, 7), max_size=5)
acks = st.dictionaries(st.integers(1, 7), st.integers(0, 9))
votes = st.dictionaries(st.integers(1, 7), st.booleans())


@given(ids, ids, acks)
def test_committed_index(
    incoming: frozenset[int], outgoing: frozenset[int], acked: dict[int, int]
) -> None:
    """The highest index that a majority of each half has."""

    def holds(voters: frozenset[int], index: int) -> bool:
        return sum(acked.get(v, 0) >= index for v in voters) * 2 > len(voters) or not voters

    got = JointConfig(incoming, outgoing).committed_index(lambda v: acked.get(v, 0))
    if not incoming | outgoing:
        assert got == UNLIMITED
        return
    best = max(i for i in range(10) if holds(incoming, i) and holds(outgoing, i))
    assert got == best


@given(ids, ids, votes)
def test_vote_result(
    incoming: frozenset[int], outgoing: frozenset[int], cast: dict[int, bool]
) -> None:
    """Won with a majority of each half, lost when one half can no longer give it."""
    halves = [half for half in (incoming, outgoing) if half]
    won = all(sum(cast.get(v) is True for v in half) * 2 > len(half) for half in halves)
    lost = any(sum(cast.get(v) is not False for v in half) * 2 <= len(half) for half in halves)
    wanted = VoteResult.WON if won else VoteResult.LOST if lost else VoteResult.PENDING
    assert JointConfig(incoming, outgoing).vote_result(cast) is wanted


@given(
    st.lists(st.tuples(st.sampled_from(ConfChangeType), st.integers(0, 2**64 - 1)), max_size=4),
    st.binary(max_size=20),
    st.booleans(),
)
def test_conf_change_bytes(
    steps: list[tuple[ConfChangeType, int]], context: bytes, explicit: bool
) -> None:
    """A membership change comes back from its entry as it was."""
    change = ConfChange(tuple(steps), context, explicit_joint=explicit)
    assert decode_conf_change(encode_conf_change(change)) == change
