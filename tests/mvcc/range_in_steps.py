"""A range read in steps to its end, as the RPC layer does, and what says how long a step is."""

from __future__ import annotations

from raftkv.mvcc.query import RangeQuery, RangeResult
from raftkv.mvcc.store import Store

STEP_SIZES = (
    "raftkv.mvcc.range_steps.ROWS_PER_STEP",
    "raftkv.mvcc.range_steps.HEADS_PER_STEP",
    "raftkv.mvcc.range_steps.PAST_ROWS_PER_STEP",
    "raftkv.mvcc.range_reader.ROWS_PER_PIECE",
    "raftkv.mvcc.past_range.ROWS_PER_PIECE",
    "raftkv.mvcc.past_range.TOMBSTONES_PER_PART",
)


def in_steps(store: Store, query: RangeQuery) -> RangeResult:
    begun = store.begin_range(query)
    while not isinstance(begun, RangeResult):
        begun = begun.step() or begun
    return begun
