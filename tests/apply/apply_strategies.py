"""Requests to try: few keys and small values, so that they meet each other often."""

from __future__ import annotations

from hypothesis import strategies as st

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

LEASES = frozenset({7, 8})

keys = st.sampled_from([b"a", b"ab", b"b", b"c", b"\xff\xff"])
ends = st.sampled_from([b"", b"", b"\0", b"b", b"c", b"d", b"a"])
values = st.sampled_from([b"", b"x", b"yy"])
small = st.integers(0, 6)
revisions = st.one_of(st.just(0), st.just(0), st.integers(-2, 12))


@st.composite
def puts(draw: st.DrawFn) -> PutRequest:
    ignore_value = draw(st.booleans()) and draw(st.booleans())
    ignore_lease = draw(st.booleans()) and draw(st.booleans())
    return PutRequest(
        key=draw(keys),
        value=b"" if ignore_value else draw(values),
        lease=0 if ignore_lease else draw(st.sampled_from([0, 0, 0, 7, 8, 9])),
        prev_kv=draw(st.booleans()),
        ignore_value=ignore_value,
        ignore_lease=ignore_lease,
    )


deletes = st.builds(DeleteRangeRequest, key=keys, range_end=ends, prev_kv=st.booleans())
ranges = st.builds(
    RangeRequest,
    key=keys,
    range_end=ends,
    limit=st.integers(-1, 3),
    revision=revisions,
    sort_order=st.sampled_from([0, 1, 2]),
    keys_only=st.booleans(),
    count_only=st.booleans(),
    serializable=st.booleans(),
)
compactions = st.builds(CompactionRequest, revision=st.integers(0, 12), physical=st.booleans())


@st.composite
def compares(draw: st.DrawFn) -> Compare:
    compare = Compare(
        key=draw(keys),
        range_end=draw(ends),
        result=draw(st.integers(0, 3)),
        target=draw(st.integers(0, 4)),
    )
    operand = draw(
        st.sampled_from(["version", "create_revision", "mod_revision", "value", "lease", ""])
    )
    if operand == "value":
        compare.value = draw(values)
    elif operand:
        setattr(compare, operand, draw(small))
    return compare


def operations(depth: int) -> st.SearchStrategy[RequestOp]:
    choices = [
        st.builds(RequestOp, request_range=ranges),
        st.builds(RequestOp, request_put=puts()),
        st.builds(RequestOp, request_delete_range=deletes),
    ]
    if depth:
        choices.append(st.builds(RequestOp, request_txn=txns(depth - 1)))
    return st.one_of(choices)


def txns(depth: int = 2) -> st.SearchStrategy[TxnRequest]:
    ops = st.lists(operations(depth), max_size=3)
    return st.builds(TxnRequest, compare=st.lists(compares(), max_size=2), success=ops, failure=ops)
