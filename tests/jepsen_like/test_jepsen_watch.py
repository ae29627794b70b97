"""Each promise to a watcher: broken by a tiny watch, it is flagged with its name."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from jepsen_like.checkers import watch
from jepsen_like.checkers.verdict import Validity
from jepsen_like.history.operation import Fault, Watch, WatchResponse
from jepsen_like.history.request import Delete, Put, Txn
from jepsen_like.history.result import Decided, Written
from tests.jepsen_like.random_history import Mix, RandomRun
from tests.jepsen_like.scripted_history import (
    LOST,
    Script,
    created,
    delete_event,
    kv,
    put_event,
    reason,
)

A2 = kv("a", "x", 2, 2, 1)
A3 = kv("a", "y", 2, 3, 2)
A5 = kv("a", "t", 5, 5, 1)
B5 = kv("b", "u", 5, 5, 1)
PUT2, PUT3, GONE4 = put_event(A2), put_event(A3), delete_event("a", 4)
PUT5, PUT5B = put_event(A5), put_event(B5)


@pytest.fixture
def script() -> Script:
    """2: a=x, 3: a=y, 4: a deleted, 5: a=t and b=u."""
    script = Script()
    script.put("a", "x", 2)
    script.put("a", "y", 3)
    script.delete("a", 4)
    both = Txn((), (Put("a", "t"), Put("b", "u")))
    script.call(both, Decided(5, True, (Written(5), Written(5))))
    return script


def sent(*events: object, **more: object) -> WatchResponse:
    response = WatchResponse(1000.0, 5, tuple(events))  # type: ignore[arg-type]
    return replace(response, **more)  # type: ignore[arg-type]


def watched(script: Script, *responses: WatchResponse, start: int = 2, **more: object) -> Watch:
    return script.watch("a", created(5), *responses, start=start, **{"end": "c", **more})


def why(script: Script) -> str:
    return reason(watch.check(script.history))


def _valid(script: Script) -> None:
    verdict = watch.check(script.history)
    assert verdict.validity is Validity.VALID, str(verdict)


def test_no_watch_is_unknown(script: Script) -> None:
    """Nothing watched, nothing proven."""
    assert watch.check(script.history).validity is Validity.UNKNOWN


def test_all_events_then_progress(script: Script) -> None:
    """Every event from the start, batches of whole revisions, a bookmark."""
    watched(script, sent(PUT2), sent(PUT3, GONE4), sent(PUT5, PUT5B), sent())
    _valid(script)


def test_from_now_on_starts_after_the_header(script: Script) -> None:
    """Start 0 is the created response's revision + 1."""
    script.watch("a", created(4), sent(PUT5), start=0)
    _valid(script)


def test_filtered(script: Script) -> None:
    """A key outside the range."""
    watched(script, sent(PUT5, PUT5B), start=5, end="b")
    assert "filtered: 'b' is not in its range" in why(script)


def test_ordered(script: Script) -> None:
    """Time goes back after a partition."""
    watched(script, sent(PUT3), sent(PUT2))
    assert "ordered: revision 2 came after 3" in why(script)


def test_unique(script: Script) -> None:
    """The same event twice."""
    watched(script, sent(PUT2), sent(PUT3), sent(PUT3))
    assert any("unique: 'a' of revision 3" in f.reason for f in _findings(script))


def test_atomic_in_two_responses(script: Script) -> None:
    """One revision's events in two responses that are no fragments."""
    watched(script, sent(PUT5), sent(PUT5B), start=5)
    assert "atomic: the events of revision 5 came in two responses" in why(script)


def test_fragments_may_split_a_revision(script: Script) -> None:
    """A response marked as a fragment goes on in the next."""
    watched(script, sent(PUT5, fragment=True), sent(PUT5B), start=5)
    _valid(script)


def test_atomic_with_a_key_left_out(script: Script) -> None:
    """Half of a txn's keys came."""
    watched(script, sent(PUT5), start=5)
    assert "atomic: of revision 5, 'b' did not come" in why(script)


def test_reliable(script: Script) -> None:
    """A delete was dropped between two events."""
    watched(script, sent(PUT2), sent(PUT3), sent(PUT5, PUT5B))
    assert "reliable: 'a' of revision 4 did not come" in why(script)


def test_bookmarkable_ahead_of_the_stream(script: Script) -> None:
    """Progress says 5, the events follow."""
    watched(script, sent(PUT2, PUT3, GONE4), sent(), sent(PUT5, PUT5B))
    assert "came after the progress notification of revision 5" in why(script)


def test_bookmarkable_and_never_delivered(script: Script) -> None:
    """Progress says 5, the events never come."""
    watched(script, sent(PUT2, PUT3, GONE4), sent())
    assert "bookmarkable: 'a', 'b' of revision 5 did not come" in why(script)


def test_progress_does_not_go_back(script: Script) -> None:
    """A second notification with an older revision."""
    watched(script, sent(PUT5, PUT5B), sent(), sent(revision=4), start=5)
    assert "progress went back from 5 to 4" in why(script)


def test_resumable(script: Script) -> None:
    """An event from before the start."""
    watched(script, sent(PUT3), sent(GONE4), sent(PUT5, PUT5B), start=4)
    assert "resumable: revision 3 is before its start 4" in why(script)


def test_a_future_watch_gets_nothing_older(script: Script) -> None:
    """Neither events nor progress before its start."""
    watched(script, sent(PUT5, PUT5B), start=9)
    assert "resumable: revision 5 is before its start 9" in why(script)
    script.history.watches.clear()
    watched(script, sent(), start=9)
    assert "future revision: progress at 5, though the watch starts at 9" in why(script)


def test_prev_kv(script: Script) -> None:
    """The value before, not the newest; and none when none was asked for."""
    wrong = put_event(A3, A5)
    watched(script, sent(PUT2), sent(wrong), prev_kv=True)
    assert "prev-kv: 'a' of revision 3 was" in why(script)
    script.history.watches.clear()
    watched(script, sent(PUT2), sent(put_event(A3, A2)), prev_kv=False)
    assert "prev-kv" in why(script)
    script.history.watches.clear()
    watched(script, sent(PUT2), sent(put_event(A3, A2)), prev_kv=True)
    _valid(script)


def test_prev_kv_may_be_compacted(script: Script) -> None:
    """What was compacted meanwhile is left out; without a compaction it must be there."""
    watched(script, sent(PUT3), start=3, prev_kv=True)
    assert "prev-kv" in why(script)
    script.compact(3, 5)
    _valid(script)


def test_is_create(script: Script) -> None:
    """A change that says that it created its key."""
    watched(script, sent(PUT2), sent(put_event(kv("a", "y", 3, 3, 2))))
    assert "is-create: 'a' of revision 3 says created, is changed" in why(script)


def test_wrong_value(script: Script) -> None:
    """An event with a value that nobody wrote there."""
    watched(script, sent(put_event(kv("a", "w", 2, 2, 1))))
    assert "'a' of revision 2 is KeyValue" in why(script)


def test_an_event_that_never_was(script: Script) -> None:
    """A delete where a put was."""
    watched(script, sent(PUT2), sent(delete_event("a", 3)))
    assert "'a' of revision 3 was not deleted by anybody" in why(script)


def test_from_the_future(script: Script) -> None:
    """An event before its write was called, and one newer than its response."""
    watched(script, sent(PUT2, at_s=0.0))
    assert "came before its write was called" in why(script)
    script.history.watches.clear()
    watched(script, sent(PUT2), sent(PUT3, revision=2))
    assert "revision 3 came in a response of revision 2" in why(script)


def test_a_compaction_cancels(script: Script) -> None:
    """Rightly when the next revision is older than the compact revision."""
    script.compact(4, 5)
    canceled = sent(canceled=True, compact_revision=4)
    watched(script, canceled)
    watched(script, sent(PUT2), canceled)
    _valid(script)
    watched(script, sent(PUT2), sent(PUT3), canceled)
    assert "compaction: canceled at compact revision 4, though its next revision was 4" in why(
        script
    )


def test_a_compaction_that_nobody_asked_for(script: Script) -> None:
    """The cancel names a compact revision that no request had."""
    watched(script, sent(canceled=True, compact_revision=3))
    assert "compaction: canceled at 3, which nobody had compacted" in why(script)


def test_a_frequent_violation_does_not_hide_a_rare_one(script: Script) -> None:
    """Twenty watches that break one promise, and the last one another: it is told first."""
    for _ in range(20):
        watched(script, sent(PUT2), sent(PUT2), end="")
    watched(script, sent(PUT2), sent(PUT3, GONE4), sent(), sent(PUT5, PUT5B))
    assert "bookmarkable" in why(script)


def test_silence_is_no_answer(script: Script) -> None:
    """Compacted away, neither canceled nor served; a fault at the time would excuse it."""
    script.compact(4, 5)
    watched(script, closed_s=1010.0)
    assert "silent, though revision 2 was due; 4 had been compacted" in why(script)
    script.history.faults.append(Fault("partition", 1001.0, 1002.0))
    assert watch.check(script.history).validity is Validity.UNKNOWN


def test_after_a_cancel_nothing_comes(script: Script) -> None:
    """A watch that was canceled goes on."""
    watched(script, sent(canceled=True), sent(PUT2))
    assert "it went on after it was canceled" in why(script)


def test_a_guess_accuses_nobody(script: Script) -> None:
    """Two unanswered writes could have made revision 6: a watch that shows nothing of it may be
    right."""
    script.call(Put("a", "v"), LOST)
    script.call(Delete("a"), LOST)
    script.put("z", "z", 7)
    watched(script, sent(PUT5, PUT5B), WatchResponse(1000.0, 7), start=5)
    _valid(script)


@pytest.mark.parametrize("seed", range(30))
def test_right_watches_of_random_histories_are_valid(seed: int) -> None:
    """No false alarm: watches of every start over histories with many unanswered writes."""
    run = RandomRun(Random(seed), Mix(unknown=0.4, values=3))
    history = run.run(60)
    for start in (1, 5, run.model.revision + 1):
        for prev_kv in (False, True):
            history.watches.append(run.watch("k", "l", start, prev_kv=prev_kv))
    verdict = watch.check(history)
    assert verdict.validity is Validity.VALID, str(verdict)


def test_a_dropped_event_is_found_in_random_histories() -> None:
    """Each event of a right watch in turn is dropped: all answered, so each loss is noticed."""
    run = RandomRun(Random(1), Mix(unknown=0.0))
    history = run.run(60)
    right = run.watch("k", "l", 1)
    for index, response in enumerate(right.responses):
        if response.events:
            responses = right.responses[:index] + right.responses[index + 1 :]
            history.watches = [replace(right, responses=responses)]
            assert "did not come" in reason(watch.check(history))


def _findings(script: Script) -> tuple[object, ...]:
    return watch.check(script.history).findings
