"""The check of a txn before it is proposed, against a brute-force reading of etcd's rules."""

from __future__ import annotations

import pytest
from apply_strategies import ends, keys
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.api.rpc_pb2 import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from raftkv.apply.txn_check import KeyIntervals, check_txn
from raftkv.errors import (
    DuplicateKey,
    EmptyKey,
    InvalidSortOption,
    KeyNotFound,
    LeaseProvided,
    RaftKVError,
    TooManyOps,
    ValueProvided,
)


def put(key: bytes = b"k", **fields: object) -> RequestOp:
    return RequestOp(request_put=PutRequest(key=key, **fields))


def delete(key: bytes = b"k", range_end: bytes = b"") -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(key=key, range_end=range_end))


def get(key: bytes = b"k", **fields: object) -> RequestOp:
    return RequestOp(request_range=RangeRequest(key=key, **fields))


def nested(success: list[RequestOp], failure: list[RequestOp] | None = None) -> RequestOp:
    return RequestOp(request_txn=TxnRequest(success=success, failure=failure or []))


def outcome(request: TxnRequest, ops_max: int = 128) -> type[RaftKVError] | None:
    try:
        check_txn(request, ops_max)
    except RaftKVError as error:
        return type(error)
    return None


# --- brute force: one pass, the first violation in etcd's order ---------------------------------


def brute(request: TxnRequest, ops_max: int) -> type[RaftKVError] | None:
    fields = brute_fields(request, ops_max)
    if fields is not None:
        return fields
    for ops in (request.success, request.failure):
        if brute_writes(list(ops)) is None:
            return DuplicateKey
    return None


def brute_fields(request: TxnRequest, ops_max: int) -> type[RaftKVError] | None:
    most = max(len(request.compare), len(request.success), len(request.failure))
    if most > ops_max:
        return TooManyOps
    if any(compare.key == b"" for compare in request.compare):
        return EmptyKey
    for op in [*request.success, *request.failure]:
        wrong = brute_op(op, ops_max - most)
        if wrong is not None:
            return wrong
    return None


def brute_op(op: RequestOp, ops_max: int) -> type[RaftKVError] | None:
    kind = op.WhichOneof("request")
    if kind is None:
        return KeyNotFound
    if kind == "request_txn":
        return brute_fields(op.request_txn, ops_max)
    return EmptyKey if getattr(op, kind).key == b"" else None


def brute_writes(
    ops: list[RequestOp],
) -> tuple[set[bytes], list[tuple[bytes, bytes]]] | None:
    """The keys put and the intervals deleted, or None for a duplicate."""
    puts: set[bytes] = set()
    deletes = [
        (op.request_delete_range.key, op.request_delete_range.range_end)
        for op in ops
        if op.HasField("request_delete_range")
    ]

    def taken(key: bytes) -> bool:
        return key in puts or any(
            key == start if end == b"" else start <= key < end for start, end in deletes
        )

    for op in ops:
        if op.HasField("request_txn"):
            then = brute_writes(list(op.request_txn.success))
            other = brute_writes(list(op.request_txn.failure))
            if then is None or other is None or any(taken(k) for k in then[0] | other[0]):
                return None
            puts |= then[0] | other[0]
            deletes += then[1] + other[1]
    for op in ops:
        if op.HasField("request_put"):
            if taken(op.request_put.key):
                return None
            puts.add(op.request_put.key)
    return puts, deletes


some_keys = st.one_of(keys, keys, keys, keys, st.just(b""))


def operations(depth: int) -> st.SearchStrategy[RequestOp]:
    choices = [
        st.builds(put, some_keys),
        st.builds(put, keys),
        st.builds(delete, some_keys, ends),
        st.builds(get, some_keys),
        st.just(RequestOp()) if depth == 0 else st.builds(put, keys),
    ]
    if depth:
        choices.append(st.builds(lambda txn: RequestOp(request_txn=txn), txns(depth - 1)))
    return st.one_of(choices)


def txns(depth: int) -> st.SearchStrategy[TxnRequest]:
    ops = st.lists(operations(depth), max_size=3)
    compare = st.lists(st.builds(Compare, key=some_keys), max_size=3)
    return st.builds(TxnRequest, compare=compare, success=ops, failure=ops)


@settings(max_examples=400, deadline=None)
@given(txns(3), st.integers(0, 8))
def test_the_check_equals_brute_force(request: TxnRequest, ops_max: int) -> None:
    """Random nested txns: the same verdict, and of several violations the same one."""
    assert outcome(request, ops_max) == brute(request, ops_max)


@given(st.lists(st.tuples(keys, ends)), st.lists(st.tuples(keys, ends)), keys)
def test_intervals_cover_what_any_of_them_covers(
    first: list[tuple[bytes, bytes]], second: list[tuple[bytes, bytes]], key: bytes
) -> None:
    """Add and merge intervals in any order: a key is covered if and only if one of them has it."""
    intervals, more = KeyIntervals(), KeyIntervals()
    for start, end in first:
        intervals.add(start, end)
    for start, end in second:
        more.add(start, end)
    intervals.update(more)
    inside = [key == start if not end else start <= key < end for start, end in first + second]
    assert intervals.covers(key) == any(inside)


# --- the statements of etcd's rules, one by one ---------------------------------------------------


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([put(), put()], DuplicateKey),
        ([put(), delete()], DuplicateKey),
        ([delete(), put()], DuplicateKey),
        ([delete(b"a", b"z"), put()], DuplicateKey),
        ([delete(b"a", b"k"), put()], None),
        ([delete(b"k", b"l"), put()], DuplicateKey),
        ([delete(), delete(), delete(b"a", b"z")], None),
        ([get(), put(), get()], None),
        ([put(), nested([put()])], DuplicateKey),
        ([nested([put()]), nested([put()])], DuplicateKey),
        ([nested([put()], [put()])], None),
        ([nested([put()], [delete()])], None),
        ([nested([delete()], [put()])], None),
        ([nested([delete()]), put()], DuplicateKey),
        ([nested([delete()]), nested([put()])], DuplicateKey),
        ([nested([nested([put()])]), put()], DuplicateKey),
        # etcd's blind spots, kept:
        ([delete(b"a", b"\0"), put()], None),
        ([put(), delete(b"k", b"\0")], None),
        ([nested([put()]), nested([delete()])], None),
    ],
)
def test_duplicate_keys(ops: list[RequestOp], expected: type[RaftKVError] | None) -> None:
    """Each rule on keys written twice, in either branch, whichever of them would run."""
    assert outcome(TxnRequest(success=ops)) == expected
    assert outcome(TxnRequest(failure=ops)) == expected


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (RequestOp(), KeyNotFound),
        (put(b""), EmptyKey),
        (get(b""), EmptyKey),
        (delete(b""), EmptyKey),
        (put(value=b"v", ignore_value=True), ValueProvided),
        (put(lease=1, ignore_lease=True), LeaseProvided),
        (get(sort_order=3), InvalidSortOption),
        (get(sort_target=5), InvalidSortOption),
    ],
)
def test_fields_of_operations(op: RequestOp, expected: type[RaftKVError]) -> None:
    """A wrong operation is found in both branches and in nested txns."""
    assert outcome(TxnRequest(success=[op])) == expected
    assert outcome(TxnRequest(failure=[op])) == expected
    assert outcome(TxnRequest(success=[nested([], [op])])) == expected


def test_the_limit_is_on_the_longest_list_and_its_rest_is_the_nested_budget() -> None:
    """128 operations pass, 129 do not; a nested txn has what its parent's longest list left."""
    gets = [get() for _ in range(128)]
    assert outcome(TxnRequest(success=gets, failure=gets)) is None
    assert outcome(TxnRequest(success=[*gets, get()])) == TooManyOps
    assert outcome(TxnRequest(compare=[Compare(key=b"k")] * 129)) == TooManyOps
    assert outcome(TxnRequest(success=[get(), get(), nested(gets[:125])])) is None
    assert outcome(TxnRequest(success=[get(), get(), nested(gets[:126])])) == TooManyOps
    assert outcome(TxnRequest(failure=gets[:3], success=[nested(gets[:125])])) is None
    assert outcome(TxnRequest(failure=gets[:3], success=[nested(gets[:126])])) == TooManyOps


def test_a_hostile_txn_costs_about_its_length() -> None:
    """27,000 nested deletes and as many puts, no two alike: a quadratic check would not end."""
    number = iter(range(1_000_000))

    def key() -> bytes:
        return b"%06d" % (next(number) * 7919 % 1_000_000)

    def pairs() -> list[RequestOp]:
        found = []
        for _ in range(60):
            start = key()
            found += [delete(start, start + b"1"), put(start + b"2")]
        return found[:60]

    two_deep = [nested([nested(pairs()) for _ in range(30)]) for _ in range(30)]
    check_txn(TxnRequest(success=two_deep), 128)
