"""Changes of the member table: alike on every member, all or nothing, and never twice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from applied_store import MEMBER_ID, TERM, Applied

from raftkv.apply.batch import Batch, RequestKind
from raftkv.apply.member_change import (
    MemberAction,
    MemberChange,
    MemberStep,
    apply_member_change,
    check_member_steps,
)
from raftkv.apply.membership import (
    MemberInfo,
    encode_update,
    read_members,
    read_removed,
    write_member,
)
from raftkv.errors import (
    Corrupt,
    MalformedRequest,
    MemberExists,
    MemberNotFound,
    MemberNotLearner,
    PeerUrlExists,
    RaftKVError,
    TooManyLearners,
)

URL = "http://10.0.0.9:2380"


def row(number: int, *, is_learner: bool = False) -> MemberInfo:
    return MemberInfo(number, f"m{number}", (f"http://m{number}:2380",), (), is_learner)


def add(number: int, action: MemberAction = MemberAction.ADD) -> MemberStep:
    return MemberStep(action, number, (f"http://m{number}:2380",))


def change(*steps: MemberStep) -> MemberChange:
    return MemberChange(origin=1, number=2, steps=steps)


@pytest.fixture
def members(applied: Applied) -> Applied:
    for number in (1, 2, 3):
        write_member(applied.backend, row(number))
    write_member(applied.backend, row(4, is_learner=True))
    return applied


def ids(applied: Applied) -> list[int]:
    return [member.id for member in read_members(applied.backend)]


def test_a_change_survives_its_bytes() -> None:
    """What an entry says is what was asked, ids of 64 bits included."""
    asked = MemberChange(2**64 - 1, 2**40, (add(7), MemberStep(MemberAction.REMOVE, 3)), 2)
    assert MemberChange.decode(asked.encode()) == asked


def test_bytes_that_are_no_change_are_corrupt() -> None:
    """They passed the log's checksum: nothing but a bug or another version wrote them."""
    for data in (b"", b"{}", b'{"origin": 1, "number": 1, "steps": [["jump", 1, []]]}'):
        with pytest.raises(Corrupt, match="change of members"):
            MemberChange.decode(data)


def test_add_promote_and_remove(members: Applied) -> None:
    """Each does what it says to the rows; a removed row is kept apart."""
    apply_member_change(members.backend, change(add(5)))
    apply_member_change(members.backend, change(MemberStep(MemberAction.PROMOTE, 4)))
    apply_member_change(members.backend, change(MemberStep(MemberAction.REMOVE, 2)))
    assert ids(members) == [1, 3, 4, 5]
    assert not any(member.is_learner for member in read_members(members.backend))
    assert read_removed(members.backend) == [row(2)]


def test_a_replacement_is_one_change(members: Applied) -> None:
    """One leaves and one comes in a single step, also at the same peer URL."""
    same_place = MemberStep(MemberAction.ADD, 9, row(2).peer_urls)
    apply_member_change(members.backend, change(MemberStep(MemberAction.REMOVE, 2), same_place))
    assert ids(members) == [1, 3, 4, 9]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (add(3), MemberExists),
        (MemberStep(MemberAction.ADD, 9, row(1).peer_urls), PeerUrlExists),
        (add(9, MemberAction.ADD_LEARNER), TooManyLearners),
        (MemberStep(MemberAction.REMOVE, 9), MemberNotFound),
        (MemberStep(MemberAction.PROMOTE, 9), MemberNotFound),
        (MemberStep(MemberAction.PROMOTE, 1), MemberNotLearner),
    ],
)
def test_a_refused_change_changes_no_row(
    members: Applied, step: MemberStep, error: type[RaftKVError]
) -> None:
    """The refusal is etcd's, and a step before the refused one had no effect either."""
    before = read_members(members.backend)
    with pytest.raises(error):
        apply_member_change(members.backend, change(add(8), step))
    assert read_members(members.backend) == before
    if error is not MemberExists:  # of ids, only an entry that is applied can know
        with pytest.raises(error):
            check_member_steps(before, [add(8), step], 1)


def test_a_change_that_comes_twice_happens_once(members: Applied) -> None:
    """Raft may commit a forwarded change again, even after the member was removed: its id is used
    up, so it does not come back."""
    apply_member_change(members.backend, change(add(5)))
    apply_member_change(members.backend, change(MemberStep(MemberAction.REMOVE, 5)))
    with pytest.raises(MemberExists):
        apply_member_change(members.backend, change(add(5)))
    with pytest.raises(MemberNotFound):
        apply_member_change(members.backend, change(MemberStep(MemberAction.REMOVE, 5)))
    assert ids(members) == [1, 2, 3, 4]


def update(applied: Applied, sequence: int, payload: bytes) -> object:
    batch = Batch(MEMBER_ID, sequence, [(RequestKind.MEMBER_UPDATE, payload)])
    outcomes = applied.applier.apply(sequence, TERM, batch, want_replies=True)
    assert outcomes is not None
    return outcomes[0]


def test_update_replaces_the_peer_urls(members: Applied) -> None:
    """Nothing else of the row changes; its own old URL does not stand in the way."""
    assert update(members, 1, encode_update(2, [URL, row(2).peer_urls[0]])) == b""
    changed = read_members(members.backend)[1]
    assert changed == MemberInfo(2, "m2", (URL, row(2).peer_urls[0]), ())


def test_update_refusals(members: Applied) -> None:
    """An unknown member, another's URL, and bytes that are no update."""
    assert isinstance(update(members, 1, encode_update(99, [URL])), MemberNotFound)
    assert isinstance(update(members, 2, encode_update(2, row(1).peer_urls)), PeerUrlExists)
    assert isinstance(update(members, 3, b"[]"), MalformedRequest)
    assert read_members(members.backend)[1] == row(2)


def test_who_joins_is_a_learner_with_two_marks(members: Applied) -> None:
    """In the log too: version 0.1.0 reads the same entry as the addition of a learner."""
    joins = MemberStep(MemberAction.JOIN, 9, (URL,), replaces=1)
    encoded = change(joins).encode()
    assert json.loads(encoded)["steps"] == [["add learner", 9, [URL]]]
    assert MemberChange.decode(encoded) == change(joins)
    apply_member_change(members.backend, replace(change(joins), learners_max=2))
    joining = MemberInfo(9, "", (URL,), (), is_learner=True, is_joining=True, replaces=1)
    assert joining in read_members(members.backend)
    swap = change(MemberStep(MemberAction.PROMOTE, 9), MemberStep(MemberAction.REMOVE, 1))
    apply_member_change(members.backend, swap)
    rows = {one.id: one for one in read_members(members.backend)}
    assert rows[9] == MemberInfo(9, "", (URL,), ())
    assert 1 not in rows


def test_who_joins_is_no_learner_by_the_limit() -> None:
    """Of learners that stay there is one; as many may be joining beside it."""
    stays = add(7, MemberAction.ADD_LEARNER)
    joining = MemberInfo(8, "", ("http://m8:2380",), (), is_learner=True, is_joining=True)
    check_member_steps([row(1), joining], [stays], 1)
    check_member_steps([row(1), joining, row(6, is_learner=True)], [add(9, MemberAction.JOIN)], 1)
    with pytest.raises(TooManyLearners):
        check_member_steps([row(1), row(6, is_learner=True)], [stays], 1)
