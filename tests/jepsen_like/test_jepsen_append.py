"""The append checker: each anomaly that it names, planted by hand, and none in a right run."""

from __future__ import annotations

from jepsen_like.checkers import append as appends
from jepsen_like.checkers.verdict import Validity
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Get, KeyOp, Put, Txn
from jepsen_like.history.result import Decided, KeyResult, Refused, Written
from jepsen_like.workloads.append import append
from tests.jepsen_like.hand_made import LOST, call, found, history, kv, reason
from tests.jepsen_like.tiny_etcd import TinyEtcd
from tests.jepsen_like.virtual_clients import run


def _txn(at_s: float, *micro: str, process: int = 0, took_s: float = 0.5) -> Operation:
    """ "x=a,b" read x as [a, b]; "x<a,b" put x as [a, b]."""
    ops: list[KeyOp] = []
    results: list[KeyResult] = []
    for each in micro:
        key, is_read = f"list/{each[0]}", each[1] == "="
        value = each[2:]
        ops.append(Get(key) if is_read else Put(key, value))
        kvs = [kv(key, value)] if value else []
        results.append(found(*kvs) if is_read else Written(2))
    outcome = Decided(2, True, tuple(results))
    return call(at_s, Txn((), tuple(ops)), outcome, process=process, took_s=took_s)


def _check(*operations: Operation) -> str:
    return reason(appends.check(history(*operations), minimum=1))


def test_g0_is_a_cycle_of_writes() -> None:
    """Two transactions append to two lists, in opposite orders."""
    text = _check(
        _txn(0, "x<a", "y<d,b", took_s=9),
        _txn(1, "x<a,c", "y<d", took_s=9, process=1),
    )
    assert text.startswith("G0: T2 appended c to list/x right after T1's element; T1 appended b")


def test_g1c_is_a_circle_of_information() -> None:
    """Each of two transactions saw what the other wrote."""
    text = _check(
        _txn(0, "x<a", "y=b", took_s=9),
        _txn(0, "y<b", "x=a", took_s=9, process=1),
    )
    assert text.startswith("G1c: ")
    assert "T2 read a of list/x, which T1 appended" in text


def test_g_single_is_read_skew() -> None:
    """A reader saw one of a transaction's two writes, and missed the other."""
    text = _check(
        _txn(0, "x<a", "y<b", took_s=9),
        _txn(0, "x=a", "y=", took_s=9, process=1),
    )
    assert text.startswith("G-single: ")
    assert "read the list before" in text


def test_g2_is_write_skew() -> None:
    """Each of two transactions missed the other's write."""
    text = _check(
        _txn(0, "x=", "y<b", took_s=9),
        _txn(0, "y=", "x<a", took_s=9, process=1),
    )
    assert text.startswith("G2: ")


def test_a_stale_read_breaks_real_time_only() -> None:
    """The read was called after the append had returned, and does not show it; through others'
    operations in between, which the words leave out."""
    text = _check(
        _txn(0, "x<a"),
        _txn(1, "y<b"),
        _txn(2, "z<c"),
        _txn(3, "x=", process=1),
    )
    assert text.startswith("G-single with real time: ")
    assert "T2 had returned before T1 was called" in text
    assert "T3" not in text


def test_a_lost_append_contradicts_the_other_versions() -> None:
    """Two appends after the same list: a compare did not hold them apart."""
    text = _check(_txn(0, "x<a"), _txn(1, "x<a,b"), _txn(1, "x<a,c", process=1))
    assert text.startswith("list/x was [a, c] and also [a, b]")


def test_a_failed_append_that_is_read_is_an_aborted_read() -> None:
    """Of a txn whose compare failed, and of one that was refused."""
    put = Txn((), (Put("list/x", "a"),))
    failed = call(0, put, Decided(2, False, ()))
    assert _check(failed, _txn(1, "x=a")).startswith("G1a, aborted read: list/x holds a")
    refused = call(0, put, Refused("UNAVAILABLE", "no leader"))
    assert "failed (UNAVAILABLE)" in _check(refused, _txn(1, "x=a"))


def test_an_element_that_is_there_twice_was_executed_twice() -> None:
    """As a client leaves it that repeats a txn after a lost answer."""
    text = _check(call(0, Txn((), (Put("list/x", "a"),)), LOST), _txn(1, "x=a,a"))
    assert text == "a was appended once, and is twice in list/x"


def test_an_element_of_nobody_is_named() -> None:
    """Corruption, or another test's keys."""
    assert _check(_txn(0, "x=q")) == "list/x holds q, which nobody appended"


def test_a_lost_answer_may_be_either() -> None:
    """Seen or not, both are right; and late is right too."""
    lost = call(0, Txn((), (Put("list/x", "a"),)), LOST)
    for read in (_txn(2, "x="), _txn(2, "x=a")):
        assert appends.check(history(lost, read), minimum=1).validity is Validity.VALID
    late = appends.check(history(lost, _txn(2, "x="), _txn(3, "x=a")), minimum=1)
    assert late.validity is Validity.VALID


def test_a_store_without_compares_is_caught() -> None:
    """End to end: the workload against a store that lets every compare hold."""
    made = run(append(), 3, etcd=TinyEtcd(ignores_compares=True))
    assert appends.check(made).validity is Validity.INVALID


def test_a_long_right_history_is_judged_in_a_sweep() -> None:
    """Ten thousand steps with lost answers: valid, and most transactions counted."""
    verdict = appends.check(run(append(), 5, steps=10_000))
    assert verdict.validity is Validity.VALID, str(verdict)
    assert verdict.checked > 9_000
