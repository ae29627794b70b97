"""Each rule of linearizability: broken by a tiny history, it is flagged with its reason."""

from __future__ import annotations

from random import Random

from jepsen_like.checkers import linearizable
from jepsen_like.checkers.verdict import Finding, Validity
from jepsen_like.history.operation import Operation, WatchResponse
from jepsen_like.history.request import (
    Compact,
    Delete,
    Get,
    Grant,
    KeepAlive,
    Put,
    Revoke,
    Txn,
)
from jepsen_like.history.result import (
    Compacted,
    Decided,
    Deleted,
    Granted,
    Renewed,
    Revoked,
    Written,
)
from tests.jepsen_like.random_history import Mix, RandomRun
from tests.jepsen_like.scripted_history import (
    COMPACTED,
    FUTURE,
    LOST,
    Script,
    created,
    found,
    kv,
    put_event,
    reason,
)


def _finding(script: Script) -> Finding:
    verdict = linearizable.check(script.history)
    reason(verdict)
    return verdict.findings[0]


def _valid(script: Script) -> None:
    verdict = linearizable.check(script.history)
    assert verdict.validity is Validity.VALID, str(verdict)


def test_nothing_answered_is_unknown() -> None:
    """An empty history proves nothing."""
    assert linearizable.check(Script().history).validity is Validity.UNKNOWN


def test_a_plain_history_is_valid() -> None:
    """Writes, reads, a delete, a compare: all as etcd answers them."""
    script = Script()
    script.put("a", "x", 2)
    script.get("a", 2, kv("a", "x", 2, 2, 1))
    script.cas("a", 2, "y", 3, succeeded=True)
    script.cas("a", 2, "z", 3, succeeded=False)
    script.get("a", 3, kv("a", "x", 2, 2, 1), old=2)
    script.delete("a", 4)
    script.delete("a", 4, count=0)
    _valid(script)


def test_two_writes_of_one_revision() -> None:
    """A split brain gives one revision twice."""
    script = Script()
    both = script.put("a", "x", 2), script.put("b", "y", 2)
    finding = _finding(script)
    assert "two writes with revision 2" in finding.reason
    assert finding.operations == both


def test_a_write_before_the_first_revision() -> None:
    """An empty store is at revision 1, so a write is 2 at least."""
    script = Script()
    script.put("a", "x", 1)
    assert "which no store with a write has" in _finding(script).reason


def test_an_acknowledged_write_that_was_lost() -> None:
    """A later read does not find it: the read and the lost write are shown."""
    script = Script()
    lost = script.put("a", "x", 2)
    script.put("b", "y", 3)
    read = script.get("a", 3)
    finding = _finding(script)
    assert "must have found 'a'='x' of revision 2, not no 'a'" in finding.reason
    assert finding.operations == (read, lost)


def test_every_field_of_a_key_is_compared() -> None:
    """A wrong version, create_revision and lease are told apart."""
    script = Script()
    script.put("a", "x", 2)
    script.get("a", 2, kv("a", "x", 1, 2, 2, lease=5))
    assert _finding(script).reason.endswith(
        "'a' must have create_revision 2, not 1; version 1, not 2; lease 0, not 5"
    )


def test_count_and_more_are_compared() -> None:
    """A limit cuts the keys, not the count."""
    script = Script()
    script.put("a", "x", 2)
    script.put("b", "y", 3)
    script.call(Get("a", "c", limit=1), found(3, kv("a", "x", 2, 2, 1), count=1, more=True))
    assert "must have counted 2 keys, not 1" in _finding(script).reason


def test_a_delete_counts_what_was_there() -> None:
    """A delete that says it removed a key which was not there."""
    script = Script()
    script.put("a", "x", 2)
    script.delete("b", 3)
    assert "must have deleted 0 keys, not 1" in _finding(script).reason


def test_a_delete_that_found_nothing_must_be_right() -> None:
    """A delete that says it removed nothing although the key is there."""
    script = Script()
    script.put("a", "x", 2)
    script.delete("a", 2, count=0)
    assert "must have deleted 1 keys, not 0" in _finding(script).reason


def test_a_compare_that_lied() -> None:
    """A CAS that succeeded on an old mod_revision, with the write it overlooked."""
    script = Script()
    script.put("a", "x", 2)
    overlooked = script.put("a", "y", 3)
    wrong = script.cas("a", 2, "z", 4, succeeded=True)
    finding = _finding(script)
    assert "its compares must have been False, not True" in finding.reason
    assert finding.operations == (wrong, overlooked)


def test_results_inside_a_txn_are_compared() -> None:
    """A read in a txn that misses the write before it in the same txn."""
    script = Script()
    txn = Txn((), (Put("a", "x"), Get("a")))
    script.call(txn, Decided(2, True, (Written(2), found(2))))
    assert "operation 2: must have found 'a'='x' of revision 2" in _finding(script).reason


def test_a_stale_read() -> None:
    """A read that was called after a write returned, with an older header."""
    script = Script()
    script.put("a", "x", 2)
    write = script.put("a", "y", 3)
    read = script.get("a", 2, kv("a", "x", 2, 2, 1))
    finding = _finding(script)
    assert "stands before it in the order of the revisions" in finding.reason
    assert finding.operations == (write, read)


def test_a_concurrent_read_may_be_older() -> None:
    """The same read, called before the write returned."""
    script = Script()
    script.put("a", "x", 2)
    script.call(Put("a", "y"), Written(3), at=(2.0, 4.0))
    script.call(Get("a"), found(2, kv("a", "x", 2, 2, 1)), at=(3.0, 5.0))
    _valid(script)


def test_a_serializable_read_may_be_stale_but_not_wrong() -> None:
    """It is compared at its own header's revision, without the clock."""
    script = Script()
    script.put("a", "x", 2)
    script.put("a", "y", 3)
    script.call(Get("a", serializable=True), found(2, kv("a", "x", 2, 2, 1)))
    _valid(script)
    script.call(Get("a", serializable=True), found(2, kv("a", "y", 2, 3, 2)))
    assert "must have value 'x', not 'y'" in _finding(script).reason


def test_a_serializable_read_from_the_future() -> None:
    """It returned a revision whose write was called only afterwards."""
    script = Script()
    script.call(Get("b", serializable=True), found(2), at=(0.0, 1.0))
    script.call(Put("a", "x"), Written(2), at=(2.0, 3.0))
    assert "stands before it in the order" in _finding(script).reason


def test_a_renewal_may_be_stale() -> None:
    """Its header comes from the member that was asked, whatever that has applied."""
    script = Script()
    script.call(Grant(7, 60), Granted(1, 7, 60))
    script.put("a", "x", 2)
    script.call(KeepAlive(7), Renewed(1, 60))
    _valid(script)


def test_two_writes_in_the_wrong_order() -> None:
    """The write that returned first has the higher revision."""
    script = Script()
    first, second = script.put("a", "x", 3), script.put("b", "y", 2)
    assert _finding(script).operations == (first, second)


# --- unanswered writes ----------------------------------------------------------------------------


def test_a_gap_is_filled_by_the_write_whose_value_was_read() -> None:
    """Of two unanswered puts the one that was read has the revision."""
    script = Script()
    script.lost_put("a", "x")
    happened = script.lost_put("a", "y")
    script.put("b", "z", 3)
    script.get("a", 3, kv("a", "y", 2, 2, 1))
    _valid(script)
    assert linearizable.replay(script.history).writers[2] == happened


def test_a_gap_that_nothing_explains() -> None:
    """A revision between two answers, and nobody who could have written it."""
    script = Script()
    script.put("a", "x", 2)
    script.put("a", "y", 4)
    assert "nothing explains revision 3" in _finding(script).reason


def test_a_write_that_happened_twice() -> None:
    """A retry that was applied again: its value is seen at two revisions, one put was asked."""
    script = Script()
    script.lost_put("a", "x")
    script.get("a", 2, kv("a", "x", 2, 2, 1))
    read = script.get("a", 3, kv("a", "x", 2, 3, 2))
    finding = _finding(script)
    assert "nothing explains revision 3, which shows 'a'='x'" in finding.reason
    assert finding.operations == (read,)


def test_a_gap_is_not_filled_by_a_later_call() -> None:
    """A write called after the next revision was answered cannot be the one before it."""
    script = Script()
    script.put("a", "x", 3)
    script.lost_put("b", "y")
    assert "nothing explains revision 2" in _finding(script).reason


def test_a_wrong_guess_is_taken_back() -> None:
    """The likelier one, called last, is tried first; a version read later shows it was not."""
    script = Script()
    script.put("a", "x", 2)
    happened = script.call(Delete("b", "c"), LOST)
    script.call(Delete("a"), LOST)
    script.call(Put("c", "w"), LOST)
    script.put("b", "p", 3)
    script.put("d", "q", 5)
    script.cas("a", 2, "y", 6, succeeded=True)
    script.get("a", 6, kv("a", "y", 2, 6, 2))
    script.get("c", 6)
    _valid(script)
    assert linearizable.replay(script.history).writers[4] == happened


def test_a_lease_that_ran_out_fills_a_gap() -> None:
    """Its keys vanish in one revision that nobody asked for."""
    script = Script()
    script.call(Grant(7, 1), Granted(1, 7, 1))
    script.put("a", "x", 2, lease=7)
    script.put("b", "y", 3, lease=7)
    script.put("c", "z", 5)
    script.get("a", 5, end="c")
    _valid(script)
    assert linearizable.replay(script.history).writers[4] is None


def test_half_of_a_lease_is_no_explanation() -> None:
    """One of the two keys is still there: no lease ran out."""
    script = Script()
    script.call(Grant(7, 1), Granted(1, 7, 1))
    script.put("a", "x", 2, lease=7)
    script.put("b", "y", 3, lease=7)
    script.put("c", "z", 5)
    script.get("b", 5, kv("b", "y", 3, 3, 1, 7))
    assert "nothing explains revision 4" in _finding(script).reason


def test_a_revoke_is_a_revision_if_it_had_keys() -> None:
    """Its answer does not tell whether it deleted; the replay knows."""
    script = Script()
    script.call(Grant(7, 60), Granted(1, 7, 60))
    script.call(Grant(8, 60), Granted(1, 8, 60))
    script.put("a", "x", 2, lease=7)
    script.call(Revoke(7), Revoked(3))
    script.call(Revoke(8), Revoked(3))
    script.get("a", 3)
    _valid(script)


def test_a_revoke_that_left_its_keys() -> None:
    """The lease is gone, its key is not."""
    script = Script()
    script.call(Grant(7, 60), Granted(1, 7, 60))
    script.put("a", "x", 2, lease=7)
    script.call(Revoke(7), Revoked(2))
    assert "lease 7 was revoked but still has 'a'" in _finding(script).reason


def test_a_put_needs_a_living_lease() -> None:
    """Never granted, and revoked before: both must have been refused."""
    script = Script()
    script.put("a", "x", 2, lease=7)
    assert "no lease 7 was granted by then" in _finding(script).reason
    script = Script()
    script.call(Grant(7, 60), Granted(1, 7, 60))
    revoke = script.call(Revoke(7), Revoked(1))
    put = script.put("a", "x", 2, lease=7)
    assert _finding(script).operations == (revoke, put)


def test_a_wrong_read_among_guesses_is_still_proven() -> None:
    """Gaps that many could have filled excuse no read that contradicts an answered put."""
    run = RandomRun(Random(5), Mix(processes=10, keys=10, unknown=0.1))
    history = run.run(400)
    keys = run.model.keys
    for index in range(10):
        history.operations.append(
            Operation(1, "m0", 1e6 + index, 1e6 + index + 0.5, Put("k3", f"z{index}"), LOST)
        )
    revision = keys.revision + 1
    history.operations.append(Operation(1, "m0", 2e6, 2e6 + 1, Put("k3", "w"), Written(revision)))
    wrong = Operation(1, "m0", 2e6 + 2, 2e6 + 3, Get("k3"), found(revision))
    history.operations.append(wrong)
    verdict = linearizable.check(history)
    assert "must have found 'k3'='w'" in reason(verdict)
    assert wrong in verdict.findings[0].operations


# --- compaction -----------------------------------------------------------------------------------


def test_a_read_of_what_was_compacted() -> None:
    """Answered, though a compaction past it had returned before."""
    script = Script()
    script.put("a", "x", 2)
    script.put("a", "y", 3)
    script.get("a", 3, kv("a", "x", 2, 2, 1), old=2)
    script.get("a", 3, kv("a", "y", 2, 3, 2), old=3)
    compaction = script.compact(3, 3)
    script.get("a", 3, kv("a", "y", 2, 3, 2), old=3)
    script.call(Get("a", revision=2), COMPACTED)
    _valid(script)
    read = script.get("a", 3, kv("a", "x", 2, 2, 1), old=2)
    assert compaction in _finding(script).operations
    assert _finding(script).operations[-1] == read


def test_a_refusal_needs_a_compaction() -> None:
    """Nobody had asked for one that reaches so far; an unanswered one is enough."""
    script = Script()
    script.put("a", "x", 2)
    script.put("a", "y", 3)
    script.compact(2, 3)
    script.call(Get("a", revision=2), COMPACTED)
    assert "nobody had compacted revision 3 or a later one yet" in _finding(script).reason
    script.history.operations.pop()
    script.call(Compact(3), LOST)
    script.call(Get("a", revision=2), COMPACTED)
    _valid(script)


def test_compactions_at_once_may_answer_in_another_order() -> None:
    """etcd reads the header's revision when it answers; what the clock orders stays ordered."""
    script = Script()
    for number in range(2, 7):
        script.put("a", f"v{number}", number)
    script.call(Compact(4), Compacted(6), (10.0, 12.0))
    script.call(Put("a", "v7"), Written(7), (10.0, 13.0))
    script.call(Compact(3, physical=True), Compacted(7), (10.0, 13.0))
    _valid(script)
    late = script.call(Compact(2), Compacted(7))
    assert late in _finding(script).operations


def test_a_compaction_is_refused_the_second_time() -> None:
    """Also when both were under way at once: one of them came first."""
    script = Script()
    script.put("a", "x", 2)
    script.call(Compact(2), Compacted(2), (10.0, 12.0))
    script.call(Compact(2), Compacted(2), (10.0, 12.0))
    assert "the second must have been refused" in _finding(script).reason


def test_a_refusal_shows_that_an_unanswered_compaction_happened() -> None:
    """What was refused once is not answered later."""
    script = Script()
    script.put("a", "x", 2)
    script.put("a", "y", 3)
    script.call(Compact(3), LOST)
    script.call(Get("a", revision=2), COMPACTED)
    script.get("a", 3, kv("a", "x", 2, 2, 1), old=2)
    assert "stands before it in the order" in _finding(script).reason


def test_a_future_revision_must_not_have_been_reached() -> None:
    """Refused as future after the write of that revision had returned."""
    script = Script()
    script.call(Get("a", revision=2), FUTURE)
    write = script.put("a", "x", 2)
    _valid(script)
    read = script.call(Get("a", revision=2), FUTURE)
    assert _finding(script).operations == (write, read)


def test_a_read_of_the_future_must_be_refused() -> None:
    """An answer for a revision above its own header."""
    script = Script()
    script.put("a", "x", 2)
    script.get("a", 2, kv("a", "x", 2, 2, 1), old=3)
    assert "revision 3 was in the future and must be refused" in _finding(script).reason


def test_compactions_go_forward() -> None:
    """The same revision is compacted once."""
    script = Script()
    script.put("a", "x", 2)
    script.compact(2, 2)
    script.compact(2, 2)
    assert "must have been refused" in _finding(script).reason


# --- what watches tell ----------------------------------------------------------------------------


def test_a_watch_tells_who_filled_a_gap() -> None:
    """No read saw it, but an event did."""
    script = Script()
    script.lost_put("a", "x")
    happened = script.lost_put("a", "y")
    script.call(Delete("a"), Deleted(3, 1))
    event = put_event(kv("a", "y", 2, 2, 1))
    script.watch("a", created(1, at_s=0.0), WatchResponse(900.0, 3, (event,)))
    _valid(script)
    assert linearizable.replay(script.history).writers[2] == happened
