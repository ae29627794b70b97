"""What is wrong with a txn whatever the state: found before it is proposed.

Owns: the limit on operations, the field checks of all operations of both branches, and the rule
that a txn writes no key twice. Must never do: look at the store, or cost more than about the
length of the request: a txn may hold a quarter of a million operations.

The rule follows etcd, with its blind spots: a from-key delete overlaps nothing, and a nested txn's
delete is not compared with the puts of nested txns that stand before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter

from raftkv.api.rpc_pb2 import RequestOp, TxnRequest
from raftkv.apply.range import query_of
from raftkv.apply.request_check import check_delete_range, check_put
from raftkv.errors import DuplicateKey, EmptyKey, KeyNotFound, TooManyOps


def check_txn(request: TxnRequest, ops_max: int) -> None:
    """Raises TooManyOps, EmptyKey, KeyNotFound (an operation that is none), InvalidSortOption,
    ValueProvided, LeaseProvided and DuplicateKey."""
    _check_operations(request, ops_max)
    _Writes().add(request.success)
    _Writes().add(request.failure)


def _check_operations(request: TxnRequest, ops_max: int) -> None:
    count = max(len(request.compare), len(request.success), len(request.failure))
    if count > ops_max:
        raise TooManyOps(f"{count} operations, {ops_max} are left of the limit")
    for compare in request.compare:
        if not compare.key:
            raise EmptyKey("a compare needs a key")
    for op in request.success:
        _check_operation(op, ops_max - count)
    for op in request.failure:
        _check_operation(op, ops_max - count)


def _check_operation(op: RequestOp, ops_max: int) -> None:
    match op.WhichOneof("request"):
        case "request_range":
            query_of(op.request_range)
        case "request_put":
            check_put(op.request_put)
        case "request_delete_range":
            check_delete_range(op.request_delete_range)
        case "request_txn":
            _check_operations(op.request_txn, ops_max)
        case _:
            raise KeyNotFound("an operation of a txn is none of range, put, delete and txn")


class _Writes:
    """Keys put and intervals deleted by a list of operations and all that is nested in it."""

    def __init__(self) -> None:
        self.puts: set[bytes] = set()
        self.deletes = KeyIntervals()

    def add(self, ops: Sequence[RequestOp]) -> None:
        """etcd's order: this list's deletes, then each nested txn, then this list's puts."""
        for op in ops:
            if op.HasField("request_delete_range"):
                delete = op.request_delete_range
                self.deletes.add(delete.key, delete.range_end)
        for op in ops:
            if op.HasField("request_txn"):
                self._add_nested(op.request_txn)
        for op in ops:
            if op.HasField("request_put"):
                self._add_put(op.request_put.key)

    def _add_nested(self, request: TxnRequest) -> None:
        """Only one of the two branches runs, so both may put the same key."""
        then, otherwise = _Writes(), _Writes()
        then.add(request.success)
        otherwise.add(request.failure)
        nested = then.puts | otherwise.puts
        for key in nested:
            self._check(key)
        self.puts |= nested
        self.deletes.update(then.deletes)
        self.deletes.update(otherwise.deletes)

    def _add_put(self, key: bytes) -> None:
        self._check(key)
        self.puts.add(key)

    def _check(self, key: bytes) -> None:
        if key in self.puts or self.deletes.covers(key):
            raise DuplicateKey(f"key {key!r} is written twice")


_Interval = tuple[bytes, bytes]


class KeyIntervals:
    """A set of keys given as single keys and half-open intervals.

    Intervals are kept in sorted runs without overlaps, each at least twice as long as the next:
    few enough to look through, and an interval is moved to a longer run only so many times.
    """

    def __init__(self) -> None:
        self._keys: set[bytes] = set()
        self._runs: list[list[_Interval]] = []

    def add(self, key: bytes, range_end: bytes) -> None:
        """An interval that ends before it begins holds nothing, a from-key one ("\\0") included."""
        if not range_end:
            self._keys.add(key)
        elif key < range_end:
            self._push([(key, range_end)])

    def update(self, other: KeyIntervals) -> None:
        self._keys |= other._keys
        for run in other._runs:
            self._push(run)

    def covers(self, key: bytes) -> bool:
        return key in self._keys or any(_run_covers(run, key) for run in self._runs)

    def _push(self, run: list[_Interval]) -> None:
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = _merged(self._runs.pop(), run)
        self._runs.append(run)


def _run_covers(run: list[_Interval], key: bytes) -> bool:
    at = bisect_right(run, key, key=itemgetter(0)) - 1
    return at >= 0 and key < run[at][1]


def _merged(left: list[_Interval], right: list[_Interval]) -> list[_Interval]:
    """Both runs as one, overlapping and touching intervals joined."""
    merged: list[_Interval] = []
    for start, end in sorted(left + right):
        if merged and start <= merged[-1][1]:
            start, last = merged.pop()
            end = max(end, last)
        merged.append((start, end))
    return merged
