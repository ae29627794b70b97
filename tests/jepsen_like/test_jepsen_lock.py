"""The fencing and election checkers: stale tokens, lost updates, two leaders."""

from __future__ import annotations

from functools import partial

from jepsen_like.checkers import election, fencing
from jepsen_like.checkers.verdict import Validity
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Compare, Get, Put, Relation, Target, Txn
from jepsen_like.history.result import Decided, Written
from jepsen_like.workloads.lock import GUARDED, LOCK, lock, unfenced_lock
from tests.jepsen_like.hand_made import LOST, call, found, history, kv, reason
from tests.jepsen_like.tiny_etcd import TinyEtcd
from tests.jepsen_like.virtual_clients import run

_fencing = partial(fencing.check, lock=LOCK, guarded=GUARDED, minimum=1)
_election = partial(election.check, prefix="election/", minimum=1)


def _guarded(key: str, created: int, value: str, revision: int, process: int = 0) -> Operation:
    txn = Txn((Compare(key, Target.CREATE, Relation.EQUAL, created),), (Put(key, value),))
    return call(revision, txn, Decided(revision, True, (Written(revision),)), process=process)


def _update(name: str, token: int, before: str, revision: int) -> Operation:
    put = Put(GUARDED, fencing.link(name, token, before))
    return call(revision, put, Written(revision))


def test_updates_of_successive_holders_are_valid() -> None:
    """Each replaces the one before, under its own token."""
    made = history(
        _guarded(LOCK, 0, "p0", 2),
        _update("a", 2, "", 3),
        _guarded(LOCK, 0, "p1", 5),
        _update("b", 5, "a@2", 6),
    )
    verdict = _fencing(made)
    assert verdict.validity is Validity.VALID, str(verdict)
    assert verdict.checked == 2


def test_an_update_by_a_stale_token_is_found() -> None:
    """The lock went to another process before; nothing is lost yet."""
    made = history(
        _guarded(LOCK, 0, "p0", 2), _guarded(LOCK, 0, "p1", 5, 1), _update("a", 2, "", 6)
    )
    assert reason(_fencing(made)) == (
        "stale token: a@2 took effect at revision 6, after process 1 had the lock as of 5"
    )


def test_a_lost_update_is_found() -> None:
    """Two updates replaced the same one."""
    made = history(_guarded(LOCK, 0, "p0", 2), _update("a", 2, "", 3), _update("b", 2, "", 4))
    assert reason(_fencing(made)).startswith("lost update: a@2 and b@2 both replaced nothing")


def test_an_unanswered_update_counts_once_it_was_seen() -> None:
    """Nobody saw it: it may not have happened. Somebody did: its token is judged."""
    value = fencing.link("a", 2, "")
    lost = call(4, Put(GUARDED, value), LOST)
    locks = (_guarded(LOCK, 0, "p0", 2), _guarded(LOCK, 0, "p1", 5, 1))
    assert _fencing(history(*locks, lost)).validity is Validity.UNKNOWN
    read = call(9, Get(GUARDED), found(kv(GUARDED, value, 7), revision=7))
    assert reason(_fencing(history(*locks, lost, read))).startswith("stale token: a@2")


def test_the_unfenced_lock_loses_updates() -> None:
    """The positive control, on a right store: a holder that stalls overwrites its successor."""
    verdict = unfenced_lock().check(run(unfenced_lock(), 1, steps=3000))[0]
    assert verdict.validity is Validity.INVALID
    reasons = [finding.reason.partition(":")[0] for finding in verdict.findings]
    assert set(reasons) == {"stale token", "lost update"}


def test_a_store_without_compares_breaks_the_lock() -> None:
    """End to end: two holders at a time, and tokens that fence nothing."""
    made = run(lock(), 1, steps=1500, etcd=TinyEtcd(ignores_compares=True))
    assert _fencing(made).validity is Validity.INVALID


def test_a_leader_that_speaks_after_its_successor_is_found() -> None:
    """Terms 2, 5, 2 by revision."""
    made = history(
        _guarded("election/a", 0, "candidate", 2),
        _guarded("election/b", 0, "candidate", 5, 1),
        _guarded("election/a", 2, "one", 6),
        _guarded("election/b", 5, "two", 7, 1),
        _guarded("election/a", 2, "three", 8),
    )
    assert reason(_election(made)) == (
        "two leaders: term 2 proclaimed at revision 8, after term 5 proclaimed at revision 7"
    )


def test_a_leader_that_speaks_too_soon_is_found() -> None:
    """It proclaimed while the older candidate was still there, as a later read shows."""
    made = history(
        _guarded("election/b", 5, "mine", 6),
        call(8, Get("election/", "election0"), found(kv("election/a", mod=2), revision=7)),
    )
    assert reason(_election(made)).startswith("two leaders: term 2 was seen to lead at revision 7")


def test_a_term_of_two_processes_is_found() -> None:
    """Two keys of one create_revision."""
    made = history(_guarded("election/a", 2, "one", 6), _guarded("election/b", 2, "two", 7, 1))
    assert reason(_election(made)) == "term 2 belongs to processes 0 and 1"


def test_leaders_in_turn_are_valid() -> None:
    """A read of the moment of a proclamation may show its leader; then the next follows."""
    candidates = Get("election/", "election0")
    made = history(
        _guarded("election/a", 2, "one", 6),
        call(6, candidates, found(kv("election/a", mod=6, created=2), revision=6)),
        call(7, candidates, found(kv("election/b", mod=5, created=5), revision=7)),
        _guarded("election/b", 5, "two", 8, 1),
    )
    verdict = _election(made)
    assert verdict.validity is Validity.VALID, str(verdict)
    assert verdict.checked == 2
