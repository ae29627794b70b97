"""One compare of a txn's If.

Owns: what a Compare means. Must never do: see anything but the state before the txn.
The stored value stands on the left. A missing key compares as all zeros, except that no value
compare ever holds on it. A range compare holds when it holds for every key there is. An operand
that is absent, or is another target's, counts as 0; etcd takes an unknown result for true.
"""

from __future__ import annotations

from typing import Protocol

from raftkv.api.rpc_pb2 import Compare
from raftkv.mvcc.codec import decode_row, rows_of
from raftkv.mvcc.query import KeyValue, RangeQuery, RangeResult


class View(Protocol):
    """The state before the txn."""

    def get(self, key: bytes) -> KeyValue | None: ...

    def range(self, query: RangeQuery) -> RangeResult: ...


def holds(compare: Compare, view: View) -> bool:
    if compare.range_end:
        pieces = view.range(RangeQuery(compare.key, compare.range_end)).pieces
        found = [decode_row(row) for row in rows_of(pieces)]
    else:
        one = view.get(compare.key)
        found = [] if one is None else [one]
    if not found:
        return compare.target != Compare.VALUE and _holds_for(compare, KeyValue(compare.key))
    return all(_holds_for(compare, key_value) for key_value in found)


def _holds_for(compare: Compare, stored: KeyValue) -> bool:
    order = _order(compare, stored)
    match compare.result:
        case Compare.EQUAL:
            return order == 0
        case Compare.NOT_EQUAL:
            return order != 0
        case Compare.GREATER:
            return order > 0
        case Compare.LESS:
            return order < 0
    return True


def _order(compare: Compare, stored: KeyValue) -> int:
    """Below, at or above 0 as the stored side is below, equal to or above the operand."""
    match compare.target:
        case Compare.VERSION:
            return stored.version - compare.version
        case Compare.CREATE:
            return stored.create_revision - compare.create_revision
        case Compare.MOD:
            return stored.mod_revision - compare.mod_revision
        case Compare.LEASE:
            return stored.lease - compare.lease
        case Compare.VALUE:
            return (stored.value > compare.value) - (stored.value < compare.value)
    return 0
