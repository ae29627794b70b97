"""RangeRequest to the question that the store answers.

Owns: the translation, for reads outside the log and inside a txn alike. Must never do: read.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import RangeRequest
from raftkv.errors import EmptyKey, InvalidSortOption
from raftkv.mvcc.query import RangeQuery, SortOrder, SortTarget

_ORDERS = {int(order): order for order in SortOrder}
_TARGETS = {int(target): target for target in SortTarget}


def query_of(request: RangeRequest) -> RangeQuery:
    """Raises EmptyKey and InvalidSortOption."""
    key = request.key
    if not key:
        raise EmptyKey("a range needs a key")
    order = _ORDERS.get(request.sort_order)
    target = _TARGETS.get(request.sort_target)
    if order is None or target is None:
        raise InvalidSortOption(f"sort order {request.sort_order}, target {request.sort_target}")
    return RangeQuery(
        key,
        request.range_end,
        request.limit,
        request.revision,
        order,
        target,
        request.keys_only,
        request.count_only,
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    )
