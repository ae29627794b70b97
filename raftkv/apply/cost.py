"""What a request may add to the database, as etcd reckons it for the quota.

Owns: the estimates. Must never do: know sizes or limits. A request that puts nothing costs
nothing, so deletes, compactions and reads are never in the quota's way.
"""

from __future__ import annotations

from collections.abc import Iterable

from raftkv.api.rpc_pb2 import PutRequest, RequestOp, TxnRequest

KEY_OVERHEAD_BYTES = 256
LEASE_BYTES = 64


def put_cost(request: PutRequest) -> int:
    return KEY_OVERHEAD_BYTES + len(request.key) + len(request.value)


def txn_cost(request: TxnRequest) -> int:
    """That of the dearer branch: which one runs is not known yet."""
    return max(_branch_cost(request.success), _branch_cost(request.failure))


def _branch_cost(ops: Iterable[RequestOp]) -> int:
    total = 0
    for op in ops:
        which = op.WhichOneof("request")
        if which == "request_put":
            total += put_cost(op.request_put)
        elif which == "request_txn":
            total += txn_cost(op.request_txn)
    return total
