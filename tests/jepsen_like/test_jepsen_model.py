"""The model of etcd: revisions, versions, txns, leases, compaction and the past."""

from __future__ import annotations

import pytest

from jepsen_like.history.operation import Event
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    Grant,
    KeepAlive,
    Put,
    Relation,
    Revoke,
    Target,
    Txn,
)
from jepsen_like.history.result import (
    Compacted,
    Decided,
    Deleted,
    Found,
    Granted,
    KeyValue,
    Renewed,
    Revoked,
    Written,
)
from jepsen_like.model.etcd import EtcdModel
from jepsen_like.model.refusals import (
    COMPACTED,
    DUPLICATE_KEY,
    FUTURE,
    LEASE_EXISTS,
    LEASE_NOT_FOUND,
)


@pytest.fixture
def model() -> EtcdModel:
    return EtcdModel()


def test_each_put_takes_one_revision_and_counts_the_version(model: EtcdModel) -> None:
    """The first revision of an empty store is 1; a put makes the next."""
    assert model.revision == 1
    assert model.step(Put("a", "x")) == Written(2)
    assert model.step(Put("a", "y")) == Written(3)
    assert model.step(Get("a")) == Found(3, (KeyValue("a", "y", 2, 3, 2),), 1)


def test_a_delete_of_nothing_takes_no_revision(model: EtcdModel) -> None:
    """A delete counts what it removed, and is a revision only then."""
    assert model.step(Delete("a")) == Deleted(1, 0)
    model.step(Put("a", "x"))
    model.step(Put("b", "x"))
    assert model.step(Delete("a", "\0")) == Deleted(4, 2)
    assert model.step(Delete("a", "\0")) == Deleted(4, 0)


def test_a_key_that_comes_back_is_new(model: EtcdModel) -> None:
    """After a delete the version starts at 1, with a new create_revision."""
    model.step(Put("a", "x"))
    model.step(Delete("a"))
    model.step(Put("a", "y"))
    assert model.step(Get("a")) == Found(4, (KeyValue("a", "y", 4, 4, 1),), 1)


def test_a_txn_is_one_revision_and_sees_itself(model: EtcdModel) -> None:
    """A read after a write sees it, and its header counts it; one before does not."""
    ops = (Get("a"), Put("a", "x"), Put("b", "y"), Get("a"), Delete("c"))
    assert model.step(Txn((), ops)) == Decided(
        2,
        True,
        (
            Found(1, (), 0),
            Written(2),
            Written(2),
            Found(2, (KeyValue("a", "x", 2, 2, 1),), 1),
            Deleted(2, 0),
        ),
    )
    assert [event.kv.key for event in model.events(2)] == ["a", "b"]


def test_a_txn_without_effect_takes_no_revision(model: EtcdModel) -> None:
    """A txn that only deletes what is not there keeps the revision."""
    assert model.step(Txn((), (Delete("a"),))) == Decided(1, True, (Deleted(1, 0),))


@pytest.mark.parametrize(
    ("target", "relation", "operand", "holds"),
    [
        (Target.VERSION, Relation.EQUAL, 0, True),
        (Target.CREATE, Relation.LESS, 1, True),
        (Target.MOD, Relation.GREATER, 0, False),
        (Target.LEASE, Relation.EQUAL, 0, True),
        (Target.VALUE, Relation.EQUAL, "", False),
        (Target.VALUE, Relation.NOT_EQUAL, "x", False),
    ],
)
def test_a_missing_key_compares_as_zero(
    model: EtcdModel, target: Target, relation: Relation, operand: str | int, holds: bool
) -> None:
    """Numbers of a missing key are 0; every compare of its value fails."""
    answer = model.step(Txn((Compare("a", target, relation, operand),)))
    assert answer == Decided(1, holds, ())


def test_a_branch_writes_a_key_once(model: EtcdModel) -> None:
    """Two puts of one key, or a put inside a deleted range, are refused."""
    assert model.step(Txn((), (Put("a", "1"), Put("a", "2")))) == DUPLICATE_KEY
    assert model.step(Txn((), (), (Delete("a", "c"), Put("b", "2")))) == DUPLICATE_KEY
    assert model.revision == 1


def test_the_past_is_kept(model: EtcdModel) -> None:
    """A get at an old revision gives what was newest then, with today's header."""
    for value in "xyz":
        model.step(Put("a", value))
    model.step(Delete("a"))
    assert model.step(Get("a", revision=3)) == Found(5, (KeyValue("a", "y", 2, 3, 2),), 1)
    assert model.step(Get("a", revision=5)) == Found(5, (), 0)
    assert model.step(Get("a", revision=6)) == FUTURE


def test_compaction_refuses_what_is_older(model: EtcdModel) -> None:
    """The compact revision itself can be read; older ones cannot, and not be compacted again."""
    for value in "xyz":
        model.step(Put("a", value))
    assert model.step(Compact(5)) == FUTURE
    assert model.step(Compact(3)) == Compacted(4)
    assert model.step(Compact(3)) == COMPACTED
    assert model.step(Get("a", revision=2)) == COMPACTED
    assert model.step(Get("a", revision=3)) == Found(4, (KeyValue("a", "y", 2, 3, 2),), 1)
    assert model.step(Txn((), (Put("b", "1"), Get("a", revision=2)))) == COMPACTED
    assert model.revision == 4


def test_a_limit_cuts_but_counts_all(model: EtcdModel) -> None:
    """``more`` tells that the limit cut; the count is of the range."""
    model.step(Txn((), tuple(Put(key, "x") for key in "abc")))
    answer = model.step(Get("a", "\0", limit=2))
    assert isinstance(answer, Found)
    assert ([found.key for found in answer.kvs], answer.count, answer.more) == (["a", "b"], 3, True)


def test_a_revoke_deletes_its_keys_in_one_revision(model: EtcdModel) -> None:
    """Only keys whose last put named the lease; none left is no revision."""
    assert model.step(Put("a", "x", lease=7)) == LEASE_NOT_FOUND
    assert model.step(Grant(7, 60)) == Granted(1, 7, 60)
    assert model.step(Grant(7, 60)) == LEASE_EXISTS
    for key in "abc":
        model.step(Put(key, "x", lease=7))
    model.step(Put("b", "free"))
    assert model.step(KeepAlive(7)) == Renewed(5, 60)
    assert model.step(Revoke(7)) == Revoked(6)
    assert [(e.is_delete, e.kv.key) for e in model.events(6)] == [(True, "a"), (True, "c")]
    assert model.step(Revoke(7)) == LEASE_NOT_FOUND
    assert model.step(KeepAlive(7)) == Renewed(6, 0)


def test_events_have_the_value_before(model: EtcdModel) -> None:
    """Each revision's events carry the key's previous value, None when it was new."""
    model.step(Put("a", "x"))
    model.step(Delete("a"))
    before = KeyValue("a", "x", 2, 2, 1)
    assert model.events(2) == (Event(False, before, None),)
    assert model.events(3) == (Event(True, KeyValue("a", "", 0, 3, 0), before),)


def test_truncate_takes_back_writes_and_leases(model: EtcdModel) -> None:
    """A judge that guessed wrong goes back to exactly the state before."""
    model.step(Grant(7, 60))
    model.step(Put("a", "x", lease=7))
    model.step(Put("a", "free"))
    model.step(Delete("a"))
    model.keys.truncate(2)
    assert model.step(Get("a")) == Found(2, (KeyValue("a", "x", 2, 2, 1, 7),), 1)
    assert model.keys.attached == {7: {"a"}}
