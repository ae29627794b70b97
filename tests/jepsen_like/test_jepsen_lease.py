"""The lease checker: an end before its time, after its bound or after a revoke is found."""

from __future__ import annotations

import pytest

from jepsen_like.checkers import lease as leases
from jepsen_like.checkers.verdict import Validity, Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import Event, Fault, Operation, Watch, WatchResponse
from jepsen_like.history.request import Delete, Get, Grant, KeepAlive, Put, Revoke
from jepsen_like.history.result import Granted, Refused, Renewed, Revoked, Written
from jepsen_like.workloads.lease import lease
from tests.jepsen_like.hand_made import LOST, call, found, kv, reason
from tests.jepsen_like.tiny_etcd import TinyEtcd
from tests.jepsen_like.virtual_clients import run

_GRANT = call(0, Grant(7, 3), Granted(1, 7, 3))
_PUT = call(1, Put("k", "v", 7), Written(2))
_GONE = found()
_THERE = found(kv("k", lease=7))


def _check(*operations: Operation, faults: list[Fault] | None = None) -> Verdict:
    made = History(operations=[_GRANT, _PUT, *operations], faults=faults or [])
    return leases.check(made, slack_s=1.0, minimum=1)


def _renewal(at_s: float) -> Operation:
    return call(at_s, KeepAlive(7), Renewed(2, 3))


def test_an_end_at_its_time_is_valid() -> None:
    """Renewed at 2 s for 3 s: there at 4 s, gone at 6 s."""
    verdict = _check(_renewal(2), call(4, Get("k"), _THERE), call(6, Get("k"), _GONE))
    assert verdict.validity is Validity.VALID, str(verdict)
    assert verdict.checked == 1


def test_a_key_that_is_gone_too_early_is_found() -> None:
    """A read that returns at 4.5 s; the lease was to live until 5 s."""
    verdict = _check(_renewal(2), call(4, Get("k"), _GONE))
    assert "ended 0.500 s early: k was not there by 4.500 s" in reason(verdict)


def test_an_event_too_early_is_found() -> None:
    """The delete's event arrives before the lease may end."""
    deleted = WatchResponse(2.5, 3, (Event(True, kv("k", "", 3)),))
    made = History(operations=[_GRANT, _PUT], watches=[Watch(0, "m0", "k", responses=[deleted])])
    verdict = leases.check(made, minimum=1)
    assert "ended 0.500 s early: k was deleted, by an event at 2.500 s" in reason(verdict)


@pytest.mark.parametrize("outcome", [Renewed(2, 0), Refused("NOT_FOUND", "lease not found")])
def test_a_keep_alive_that_finds_no_lease_too_early_is_found(outcome: Renewed | Refused) -> None:
    """Both answers say that there is no such lease."""
    assert "a keep-alive was told" in reason(_check(call(1.5, KeepAlive(7), outcome)))


def test_a_put_that_finds_no_lease_too_early_is_found() -> None:
    """The lease was granted a moment ago."""
    put = call(1, Put("j", "v", 7), Refused("NOT_FOUND", "lease not found"))
    assert "a put was told at 1.500 s" in reason(_check(put))


def test_a_key_that_outlives_its_lease_is_found() -> None:
    """Granted by 0.5 s for 3 s, slack 1 s: not after 4.5 s."""
    assert "lives 0.500 s past its bound" in reason(_check(call(5, Get("k"), _THERE)))


def test_a_lost_renewal_may_have_renewed() -> None:
    """It moves the bound, but promises no life."""
    lost = call(3, KeepAlive(7), LOST)
    there = _check(lost, call(5, Get("k"), _THERE), call(9, Get("k"), _GONE))
    assert there.validity is Validity.VALID, str(there)
    gone = _check(lost, call(4, Get("k"), _GONE))
    assert gone.validity is Validity.VALID, str(gone)


def test_a_fault_starts_the_time_anew() -> None:
    """A new leader extends every lease; after a fault that ended at 3 s the bound is 7 s."""
    faults = [Fault("kill", 2.0, 3.0)]
    operations = [call(5, Get("k"), _THERE), call(9, Get("k"), _GONE)]
    verdict = _check(*operations, faults=faults)
    assert verdict.validity is Validity.VALID, str(verdict)
    late = _check(call(7.25, Get("k"), _THERE), faults=faults)
    assert "lives 0.250 s past its bound" in reason(late)


def test_a_revoke_ends_the_lease_at_once() -> None:
    """Gone early is right then, also if the revoke was not answered; there is wrong."""
    for outcome in (Revoked(3), LOST):
        verdict = _check(call(2, Revoke(7), outcome), call(2.6, Get("k"), _GONE, took_s=0.1))
        assert verdict.validity is Validity.VALID, str(verdict)
    alive = _check(call(2, Revoke(7), Revoked(3)), call(2.6, Get("k"), _THERE))
    assert reason(alive).startswith("lease 7 was revoked at 2.500 s: k was read")


def test_a_key_that_was_deleted_is_not_judged() -> None:
    """Not the lease ended it."""
    verdict = _check(call(2, Delete("k"), LOST), call(2.5, Get("k"), _GONE))
    assert verdict.validity is Validity.UNKNOWN


@pytest.mark.parametrize(("factor", "words"), [(0.5, "early"), (12.0, "past its bound")])
def test_a_store_with_a_wrong_clock_is_caught(factor: float, words: str) -> None:
    """End to end: leases that live half their time, or far too long."""
    verdict = leases.check(run(lease(), 2, steps=1500, etcd=TinyEtcd(ttl_factor=factor)))
    assert verdict.validity is Validity.INVALID
    assert words in verdict.findings[0].reason
