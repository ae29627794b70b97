"""The informer checker: a cache that missed something is found at the next bookmark."""

from __future__ import annotations

from dataclasses import replace

from jepsen_like.checkers import informer
from jepsen_like.checkers.verdict import Validity, Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import Event, Operation, Watch, WatchResponse
from jepsen_like.history.request import Delete, Get, Put
from jepsen_like.history.result import Deleted, Found, Written
from jepsen_like.workloads.kubernetes import kubernetes
from tests.jepsen_like.hand_made import LOST, call, found, kv, reason
from tests.jepsen_like.virtual_clients import run

_LIST = Get("pods/", "pods0")
_A, _B = kv("pods/a", "v1", 3), kv("pods/b", "v2", 5)


def _watch(*responses: WatchResponse, start: int = 5) -> Watch:
    created = WatchResponse(2.0, 4, created=True)
    return Watch(0, "m0", "pods/", "pods0", start, True, 2.0, 9.0, [created, *responses])


def _put(kv_put: str, value: str, revision: int) -> Operation:
    return call(3, Put(kv_put, value), Written(revision), process=1)


def _check(watches: list[Watch], *operations: Operation) -> Verdict:
    listed = call(1, _LIST, found(_A, revision=4))
    history = History(operations=[listed, *operations], watches=watches)
    return informer.check(history, minimum=2)


def test_a_cache_that_got_everything_is_valid() -> None:
    """A list, an event and a progress notification: three bookmarks, all equal."""
    event = WatchResponse(3.0, 5, (Event(False, _B),))
    verdict = _check([_watch(event, WatchResponse(4.0, 6))], _put("pods/b", "v2", 5))
    assert verdict.validity is Validity.VALID, str(verdict)
    assert verdict.checked == 3


def test_a_progress_notification_ahead_of_the_stream_is_found() -> None:
    """etcd #15220: it says 6, and the event of 5 has not come."""
    verdict = _check([_watch(WatchResponse(4.0, 6))], _put("pods/b", "v2", 5))
    expected = "at revision 6 pods/b is v2 of revision 5, and the cache has nothing"
    assert expected in reason(verdict)


def test_a_missed_delete_is_found() -> None:
    """The cache keeps an object that another client deleted with an answer."""
    delete = call(3, Delete("pods/a"), Deleted(5, 1), process=1)
    verdict = _check([_watch(WatchResponse(4.0, 6))], delete)
    assert "pods/a is nothing, and the cache has v1 of revision 3" in reason(verdict)


def test_an_event_between_two_delivered_ones_is_missed() -> None:
    """A gap shows at the next event; no notification is needed."""
    later = WatchResponse(4.0, 7, (Event(False, kv("pods/c", "v3", 7)),))
    verdict = _check([_watch(later)], _put("pods/b", "v2", 5))
    assert "at revision 7 pods/b is v2 of revision 5" in reason(verdict)


def test_a_stale_list_is_found() -> None:
    """The list says revision 4 and leaves out what was put at 2."""
    verdict = _check([], _put("pods/z", "old", 2))
    assert "the list is wrong: at revision 4 pods/z is old of revision 2" in reason(verdict)


def test_pages_are_one_list() -> None:
    """The next page, at another revision than the first, does not complete the list; at the same
    revision it does, and what it leaves out is found."""
    first = call(1, Get("pods/", "pods0", limit=1), Found(4, (_A,), 2, more=True))
    put = _put("pods/b", "v0", 2)
    for revision, compared in ((5, 0), (4, 1)):
        rest = call(2, Get("pods/a\0", "pods0", revision, 1), found(revision=9))
        history = History(operations=[first, rest, put])
        verdict = informer.check(history, minimum=1)
        assert verdict.checked == compared
        assert bool(verdict.findings) == bool(compared)


def test_an_unanswered_delete_explains_an_absence() -> None:
    """It may have happened before the list, so the list may leave the key out."""
    lost = call(0, Delete("pods/z"), LOST, process=2)
    event = WatchResponse(3.0, 5, (Event(False, _B),))
    verdict = _check([_watch(event)], lost, _put("pods/z", "old", 2))
    assert verdict.validity is Validity.VALID, str(verdict)


def test_two_values_at_one_revision_are_found() -> None:
    """The answer to the put and the event disagree."""
    event = WatchResponse(3.0, 5, (Event(False, replace(_B, value="other")),))
    verdict = _check([_watch(event)], _put("pods/b", "v2", 5))
    reasons = [finding.reason for finding in verdict.findings]
    assert "pods/b was both v2 and other at revision 5" in reasons


def test_a_watch_that_starts_elsewhere_is_not_judged() -> None:
    """It does not go on where the cache stands; nothing can be told."""
    verdict = _check([_watch(WatchResponse(4.0, 9), start=8)], _put("pods/b", "v2", 5))
    assert verdict.validity is Validity.UNKNOWN


def test_one_event_dropped_from_a_long_run_is_found() -> None:
    """End to end: the workload is valid; without one response of one watch it is not."""
    made = run(kubernetes(), 2, steps=1500)
    assert informer.check(made).validity is Validity.VALID
    watch = max(made.watches, key=lambda each: len(each.responses))
    del watch.responses[len(watch.responses) // 2]
    assert informer.check(made).validity is Validity.INVALID
