"""From RangeRequest to RangeQuery."""

from __future__ import annotations

import pytest

from raftkv.api.rpc_pb2 import RangeRequest
from raftkv.apply.range import query_of
from raftkv.errors import EmptyKey, InvalidSortOption
from raftkv.mvcc.query import RangeQuery


def test_every_field_arrives_in_its_place() -> None:
    """A different value in each field: the query's field of the same name has it."""
    request = RangeRequest(
        key=b"k",
        range_end=b"z",
        limit=1,
        revision=2,
        sort_order=RangeRequest.DESCEND,
        sort_target=RangeRequest.MOD,
        keys_only=True,
        min_mod_revision=3,
        max_mod_revision=4,
        min_create_revision=5,
        max_create_revision=6,
    )
    query = query_of(request)
    for name in RangeQuery._fields:
        assert getattr(query, name) == getattr(request, name), name
    assert query_of(RangeRequest(key=b"k", count_only=True)).count_only
    assert query_of(RangeRequest(key=b"k")) == RangeQuery(b"k")


@pytest.mark.parametrize("order", range(3))
@pytest.mark.parametrize("target", range(5))
def test_every_sort_is_understood(order: int, target: int) -> None:
    """All orders and targets that the proto names."""
    query = query_of(RangeRequest(key=b"k", sort_order=order, sort_target=target))
    assert (query.sort_order, query.sort_target) == (order, target)


def test_what_is_refused() -> None:
    """No key comes before a bad sort; numbers beyond the enums are no sort."""
    with pytest.raises(EmptyKey):
        query_of(RangeRequest(sort_order=9))
    for wrong in (
        RangeRequest(key=b"k", sort_order=3),
        RangeRequest(key=b"k", sort_order=-1),
        RangeRequest(key=b"k", sort_target=5),
    ):
        with pytest.raises(InvalidSortOption):
            query_of(wrong)
