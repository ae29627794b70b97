"""One wrong answer, or one wrong time, in a history that was right.

Owns: ``corrupted``. The change may happen to leave the history right: whether it did is for two
independent judges to agree on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Put
from jepsen_like.history.result import (
    Decided,
    Deleted,
    Found,
    KeyResult,
    KeyValue,
    Refused,
    Unknown,
)

_Change = Callable[[Random, Operation], Operation]


def corrupted(random: Random, history: History) -> History:
    """A copy with one change, in an operation that was answered."""
    operations = list(history.operations)
    answered = [i for i, o in enumerate(operations) if not isinstance(o.outcome, Unknown)]
    if answered:
        index = random.choice(answered)
        change = random.choice(_CHANGES)
        operations[index] = change(random, operations[index])
    return replace(history, operations=operations)


def _later(random: Random, operation: Operation) -> Operation:
    delay = random.uniform(0.5, 4.0)
    return replace(
        operation,
        called_s=operation.called_s + delay,
        returned_s=operation.returned_s + delay,
    )


def _earlier(random: Random, operation: Operation) -> Operation:
    delay = random.uniform(0.5, 4.0)
    return replace(
        operation,
        called_s=operation.called_s - delay,
        returned_s=operation.returned_s - delay,
    )


def _lost(random: Random, operation: Operation) -> Operation:
    return replace(operation, outcome=Unknown("UNAVAILABLE", "lost"))


def _renumbered(random: Random, operation: Operation) -> Operation:
    outcome = operation.outcome
    if isinstance(outcome, Refused | Unknown):
        return operation
    revision = max(1, outcome.revision + random.choice((-2, -1, 1)))
    return replace(operation, outcome=replace(outcome, revision=revision))


def _altered(random: Random, operation: Operation) -> Operation:
    outcome = operation.outcome
    if isinstance(outcome, Decided) and random.random() < 0.3:
        return replace(operation, outcome=replace(outcome, succeeded=not outcome.succeeded))
    if isinstance(outcome, Decided) and outcome.results:
        results = list(outcome.results)
        index = random.randrange(len(results))
        results[index] = _result(random, results[index])
        return replace(operation, outcome=replace(outcome, results=tuple(results)))
    if isinstance(outcome, Found | Deleted):
        return replace(operation, outcome=_result(random, outcome))
    return operation


def _leased(random: Random, operation: Operation) -> Operation:
    request = operation.request
    if isinstance(request, Put):
        return replace(operation, request=replace(request, lease=random.randint(1, 3)))
    return operation


def _result(random: Random, result: KeyResult) -> KeyResult:
    if isinstance(result, Deleted):
        return replace(result, count=max(0, result.count + random.choice((-1, 1))))
    if isinstance(result, Found):
        if result.kvs and random.random() < 0.7:
            kvs = list(result.kvs)
            index = random.randrange(len(kvs))
            kvs[index] = _key_value(random, kvs[index])
            return replace(result, kvs=tuple(kvs))
        if random.random() < 0.5:
            return replace(result, more=not result.more)
        return replace(result, count=result.count + 1)
    return result


def _key_value(random: Random, kv: KeyValue) -> KeyValue:
    match random.randrange(4):
        case 0:
            return replace(kv, value=str(random.randrange(20)))
        case 1:
            return replace(kv, version=kv.version + 1)
        case 2:
            return replace(kv, mod_revision=max(2, kv.mod_revision - 1))
        case _:
            return replace(kv, lease=kv.lease + 1)


_CHANGES: tuple[_Change, ...] = (_later, _earlier, _lost, _renumbered, _altered, _altered, _leased)
