"""The workloads: what they ask is legal, collides, and repeats from its seed."""

from __future__ import annotations

import pytest

from jepsen_like.checkers import linearizable
from jepsen_like.checkers import watch as watches
from jepsen_like.checkers.verdict import Validity, overall
from jepsen_like.history.history import History
from jepsen_like.history.parts import possible
from jepsen_like.history.request import Compact, Delete, Get, Put, Txn
from jepsen_like.history.result import Decided, Refused
from jepsen_like.workloads.registry import WORKLOADS, workload
from tests.jepsen_like.virtual_clients import run

NAMES = sorted(WORKLOADS)


def _puts(history: History) -> list[str]:
    return [
        op.value
        for operation in history.operations
        for op in possible(operation.request)
        if isinstance(op, Put)
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lock-unfenced"])
def test_a_right_store_is_judged_valid(name: str) -> None:
    """Three seeds of each workload on a right store, with lost answers, satisfy its own checks."""
    for seed in range(3):
        tried = workload(name, ())
        verdicts = tried.check(run(tried, seed, steps=2000))
        assert overall(verdicts) is Validity.VALID, "\n".join(map(str, verdicts))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_a_few_operations_is_unknown(name: str) -> None:
    """Eight steps prove nothing, and no workload says that they do."""
    tried = workload(name, ())
    assert overall(tried.check(run(tried, 1, steps=8))) is Validity.UNKNOWN


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_asks_the_same(name: str) -> None:
    """Sessions draw from their Random alone."""
    assert run(workload(name, ()), 5, steps=200) == run(workload(name, ()), 5, steps=200)


@pytest.mark.parametrize("name", NAMES)
def test_txns_are_legal(name: str) -> None:
    """No branch writes a key twice: etcd would refuse it, and the txn would test nothing."""
    history = run(workload(name, ()), 7)
    for operation in history.requests(Txn):
        txn = operation.request
        assert isinstance(txn, Txn)
        for branch in (txn.success, txn.failure):
            puts = [op.key for op in branch if isinstance(op, Put)]
            assert len(puts) == len(set(puts)), txn


@pytest.mark.parametrize("name", ["register", "txn", "mix", "watch"])
def test_every_value_is_written_once(name: str) -> None:
    """Who reads a value knows whose write it saw."""
    values = _puts(run(workload(name, ()), 11))
    assert len(values) > 50
    assert len(values) == len(set(values))


def test_the_mix_asks_everything() -> None:
    """Plain and old reads, limits, deletes, compactions, and txns that take either branch."""
    operations = run(workload("mix", ()), 3, steps=2000).operations
    gets = [o.request for o in operations if isinstance(o.request, Get)]
    assert any(get.limit for get in gets)
    assert any(get.revision for get in gets)
    assert any(get.serializable for get in gets)
    assert any(isinstance(o.request, Delete) and o.request.end for o in operations)
    decided = [o.outcome.succeeded for o in operations if isinstance(o.outcome, Decided)]
    assert min(decided.count(True), decided.count(False)) > len(decided) // 5
    compactions = [o for o in operations if isinstance(o.request, Compact)]
    assert any(isinstance(o.outcome, Refused) for o in compactions)
    assert any(not isinstance(o.outcome, Refused) for o in compactions)


def test_watches_start_in_the_past_and_in_the_future() -> None:
    """Start revisions lie on both sides of what the watcher had seen; some are compacted away."""
    history = run(workload("watch", ()), 3, steps=4000)
    created = [(w.start_revision, w.responses[0].revision) for w in history.watches]
    assert any(0 < start < revision for start, revision in created)
    assert any(start > revision + 10 for start, revision in created)
    assert any(start == 0 for start, _ in created)
    canceled = [r for w in history.watches for r in w.responses if r.canceled]
    assert all(response.compact_revision for response in canceled)
    assert canceled


@pytest.mark.parametrize("name", NAMES)
def test_the_general_checks_find_nothing_in_a_right_store(name: str) -> None:
    """The model of etcd and the tiny etcd agree about every answer and event of a run."""
    history = run(workload(name, ()), 0, steps=800)
    for verdict in (linearizable.check(history), watches.check(history)):
        assert verdict.validity is not Validity.INVALID, str(verdict)
    assert linearizable.check(history).validity is Validity.VALID


def test_an_unknown_name_says_what_there_is() -> None:
    """A typing error on the command line is answered with the list."""
    with pytest.raises(ValueError, match=r"no workload 'mixx'; there are .*register"):
        workload("mixx", ())
