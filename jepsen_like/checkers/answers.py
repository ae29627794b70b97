"""One answer against the key space: field by field, and in words where it differs.

Owns: Mismatch and how an answer is compared at its own revision. Must never do: say who is to
blame; a wrong guess of ``replaying`` looks the same as a wrong answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from jepsen_like.checkers.evidence import branch, wrote
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Delete, Get, Put, Request, Revoke, Txn
from jepsen_like.history.result import (
    Answer,
    Compacted,
    Decided,
    Deleted,
    Found,
    Granted,
    KeyValue,
    Revoked,
    Written,
)
from jepsen_like.model.keyspace import KeySpace

Range = tuple[str, str]  # key and range_end, as etcd has them


@dataclass(frozen=True, slots=True)
class Mismatch:
    """``ranges``: what keys it is about, None is any; ``revisions``: whose writers show it;
    ``is_answer``: ``operation`` itself is wrong, it is no mere witness."""

    reason: str
    operation: Operation | None = None
    ranges: tuple[Range, ...] | None = ()
    revisions: tuple[int, ...] = ()
    is_answer: bool = True


def footprint(request: Request) -> list[Range]:
    """Every range that the request may read or write, but for the keys of a lease."""
    match request:
        case Get() | Delete():
            return [(request.key, request.end)]
        case Put():
            return [(request.key, "")]
        case Txn():
            ranges = [(compare.key, "") for compare in request.compares]
            for op in request.success + request.failure:
                ranges += footprint(op)
            return ranges
        case _:
            return []


def compare_answer(keys: KeySpace, operation: Operation) -> Mismatch | None:
    """A write runs, at the revision after ``keys``'s; anything else leaves ``keys`` as it was."""
    request, outcome = operation.request, operation.outcome
    wrong: tuple[str, tuple[int, ...]] | None = None
    match request, outcome:
        case Get(), Found():
            wrong = _get(keys, request, outcome)
        case Put(), Written():
            wrong = _result(keys.run((request,))[0], outcome)
        case Delete(), Deleted():
            before = keys.revision
            wrong = _result(keys.run((request,))[0], outcome)
            if not wrote(operation):
                keys.truncate(before)
        case Txn(), Decided():
            wrong = _txn(keys, operation, request, outcome)
        case Revoke(), Revoked():
            left = sorted(keys.attached.get(request.id, ()))
            if left:
                wrong = f"lease {request.id:x} was revoked but still has {left[0]!r}", ()
        case _:
            wrong = _plain(operation)
    if wrong is None:
        return None
    text, revisions = wrong
    ranges = None if isinstance(request, Revoke) else tuple(footprint(request))
    return Mismatch(f"{describe(operation)}: {text}", operation, ranges, revisions)


def describe(operation: Operation) -> str:
    request = operation.request
    name = type(request).__name__.lower()
    subject = "" if isinstance(request, Txn) else f" {_subject(request)}"
    header = getattr(operation.outcome, "revision", None)
    answered = "" if header is None else f" answered at revision {header}"
    return f"{name}{subject} of client {operation.process}{answered}"


def _subject(request: Request) -> str:
    match request:
        case Get() | Delete():
            text = f"{request.key!r}" + (f"..{request.end!r}" if request.end else "")
            at = request.revision if isinstance(request, Get) else 0
            return f"{text} at revision {at}" if at else text
        case Put():
            return f"{request.key!r}={request.value!r}"
        case Txn():
            return ""
        case _:
            number = getattr(request, "id", None)
            return f"{number:x}" if number is not None else f"{getattr(request, 'revision', '')}"


def _get(keys: KeySpace, get: Get, found: Found) -> tuple[str, tuple[int, ...]] | None:
    if get.revision > found.revision:
        return f"revision {get.revision} was in the future and must be refused", ()
    return _result(keys.get(get, header=found.revision), found)


def _txn(
    keys: KeySpace, operation: Operation, txn: Txn, decided: Decided
) -> tuple[str, tuple[int, ...]] | None:
    """What the answer says was done is done, so that one wrong answer makes one finding."""
    before = keys.revision
    succeeded = all(keys.holds(compare) for compare in txn.compares)
    revisions = tuple(kv.mod_revision for c in txn.compares if (kv := keys.newest(c.key)))
    ops = branch(txn, decided.succeeded)
    future = [op for op in ops if isinstance(op, Get) and op.revision > before]
    results = keys.run(ops)
    if not wrote(operation):
        keys.truncate(before)
    if succeeded != decided.succeeded:
        return f"its compares must have been {succeeded}, not {decided.succeeded}", revisions
    if future:
        return f"revision {future[0].revision} was in the future and must be refused", ()
    if len(results) != len(decided.results):
        return f"{len(results)} operations, {len(decided.results)} results", ()
    for number, (right, result) in enumerate(zip(results, decided.results, strict=True), 1):
        wrong = _result(right, result)
        if wrong:
            return f"operation {number}: {wrong[0]}", wrong[1]
    return None


def _plain(operation: Operation) -> tuple[str, tuple[int, ...]] | None:
    """Answers without keys."""
    request, outcome = operation.request, operation.outcome
    match outcome:
        case Granted():
            asked = (getattr(request, "id", None), getattr(request, "ttl_s", 0))
            if outcome.id != asked[0]:
                return f"lease {outcome.id:x} was granted instead", ()
            if outcome.ttl_s < asked[1]:
                return f"a ttl of {outcome.ttl_s} s, {asked[1]} s were asked for", ()
            return None
        case Compacted():
            asked_revision = getattr(request, "revision", 0)
            if asked_revision > outcome.revision:
                return f"revision {asked_revision} was in the future and must be refused", ()
            return None
        case _:
            return f"answered with a {type(outcome).__name__}", ()


def _result(right: Answer, result: Answer) -> tuple[str, tuple[int, ...]] | None:
    if right == result:
        return None
    match right, result:
        case Found(), Found():
            return _found(right, result)
        case Deleted(), Deleted() if right.count != result.count:
            return f"must have deleted {right.count} keys, not {result.count}", ()
        case ((Written() | Deleted()), (Written() | Deleted())) if type(right) is type(result):
            return f"its header must have revision {right.revision}, not {result.revision}", ()
        case _:
            return f"a {type(result).__name__} instead of a {type(right).__name__}", ()


def _found(right: Found, found: Found) -> tuple[str, tuple[int, ...]]:
    expected = {kv.key: kv for kv in right.kvs}
    actual = {kv.key: kv for kv in found.kvs}
    for key in sorted(expected.keys() | actual.keys()):
        if expected.get(key) != actual.get(key):
            return _key(key, expected.get(key), actual.get(key))
    if right.revision != found.revision:
        return f"its header must have revision {right.revision}, not {found.revision}", ()
    if right.count != found.count:
        return f"must have counted {right.count} keys, not {found.count}", ()
    if right.more != found.more:
        return f"more must be {right.more}", ()
    return "its keys are not in order, or twice", ()


def _key(key: str, right: KeyValue | None, seen: KeyValue | None) -> tuple[str, tuple[int, ...]]:
    revisions = tuple(kv.mod_revision for kv in (right, seen) if kv)
    if right is None or seen is None:
        return f"must have found {_brief(right, key)}, not {_brief(seen, key)}", revisions
    names = ("value", "create_revision", "mod_revision", "version", "lease")
    differing = [
        f"{name} {getattr(right, name)!r}, not {getattr(seen, name)!r}"
        for name in names
        if getattr(right, name) != getattr(seen, name)
    ]
    return f"{key!r} must have {'; '.join(differing)}", revisions


def _brief(kv: KeyValue | None, key: str) -> str:
    return f"{key!r}={kv.value!r} of revision {kv.mod_revision}" if kv else f"no {key!r}"
