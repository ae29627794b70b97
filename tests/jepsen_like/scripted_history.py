"""Small histories by hand: one line an operation.

Owns: Script. Calls follow each other, each a second long, unless ``at`` says otherwise.
"""

from __future__ import annotations

from jepsen_like.checkers.verdict import Validity, Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import Event, Operation, Watch, WatchResponse
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    Put,
    Relation,
    Request,
    Target,
    Txn,
)
from jepsen_like.history.result import (
    Compacted,
    Decided,
    Deleted,
    Found,
    KeyResult,
    KeyValue,
    Outcome,
    Refused,
    Unknown,
    Written,
)

COMPACTED = Refused("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
FUTURE = Refused("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")
LOST = Unknown("UNAVAILABLE", "connection reset")


def kv(key: str, value: str, create: int, mod: int, version: int, lease: int = 0) -> KeyValue:
    return KeyValue(key, value, create, mod, version, lease)


def found(revision: int, *kvs: KeyValue, count: int | None = None, more: bool = False) -> Found:
    return Found(revision, kvs, len(kvs) if count is None else count, more)


def created(revision: int, *, at_s: float = 1000.0) -> WatchResponse:
    return WatchResponse(at_s, revision, created=True)


def put_event(value: KeyValue, prev: KeyValue | None = None) -> Event:
    return Event(False, value, prev)


def delete_event(key: str, revision: int, prev: KeyValue | None = None) -> Event:
    return Event(True, KeyValue(key, "", 0, revision, 0), prev)


class Script:
    """``history`` is what was said so far."""

    def __init__(self) -> None:
        self.history = History()
        self._now_s = 0.0

    def call(
        self, request: Request, outcome: Outcome, at: tuple[float, float] | None = None
    ) -> Operation:
        called_s, returned_s = at or (self._now_s + 0.1, self._now_s + 1.0)
        self._now_s = max(self._now_s, returned_s)
        operation = Operation(1, "m0", called_s, returned_s, request, outcome)
        self.history.operations.append(operation)
        return operation

    def put(self, key: str, value: str, revision: int, lease: int = 0) -> Operation:
        return self.call(Put(key, value, lease), Written(revision))

    def lost_put(self, key: str, value: str) -> Operation:
        return self.call(Put(key, value), LOST)

    def delete(self, key: str, revision: int, count: int = 1, end: str = "") -> Operation:
        return self.call(Delete(key, end), Deleted(revision, count))

    def get(
        self, key: str, revision: int, *kvs: KeyValue, end: str = "", old: int = 0
    ) -> Operation:
        return self.call(Get(key, end, old), found(revision, *kvs))

    def cas(self, key: str, mod: int, value: str, revision: int, *, succeeded: bool) -> Operation:
        txn = Txn((Compare(key, Target.MOD, Relation.EQUAL, mod),), (Put(key, value),))
        results: tuple[KeyResult, ...] = (Written(revision),) if succeeded else ()
        return self.call(txn, Decided(revision, succeeded, results))

    def compact(self, revision: int, header: int) -> Operation:
        return self.call(Compact(revision), Compacted(header))

    def watch(self, key: str, *responses: WatchResponse, start: int = 0, **more: object) -> Watch:
        watch = Watch(2, "m0", key, start_revision=start, opened_s=999.0, closed_s=1000.5)
        watch.responses.extend(responses)
        for name, content in more.items():
            setattr(watch, name, content)
        self.history.watches.append(watch)
        return watch


def reason(verdict: Verdict) -> str:
    """Of the first finding of a verdict that must be invalid."""
    assert verdict.validity is Validity.INVALID, str(verdict)
    return verdict.findings[0].reason
