"""Requests of a script as what a member is proposed, and the revision in its answer.

Owns: the translation. Must never do: know scripts or files.
"""

from __future__ import annotations

from jepsen_like.history.request import Compact, Compare, Delete, KeyOp, Put, Relation, Request, Txn
from raftkv.api import rpc_pb2 as pb
from raftkv.apply.batch import RequestKind


def encode(request: Request) -> tuple[RequestKind, bytes]:
    """ValueError for what no script draws."""
    match request:
        case Put():
            return RequestKind.PUT, _put(request).SerializeToString()
        case Delete():
            return RequestKind.DELETE_RANGE, _delete(request).SerializeToString()
        case Txn():
            txn = pb.TxnRequest(
                compare=[_compare(c) for c in request.compares],
                success=[_op(op) for op in request.success],
                failure=[_op(op) for op in request.failure],
            )
            return RequestKind.TXN, txn.SerializeToString()
        case Compact():
            compaction = pb.CompactionRequest(revision=request.revision)
            return RequestKind.COMPACT, compaction.SerializeToString()
        case _:
            raise ValueError(f"a script has no {request}")


def revision_of(request: Request, reply: bytes) -> int:
    match request:
        case Put():
            return pb.PutResponse.FromString(reply).header.revision
        case Delete():
            return pb.DeleteRangeResponse.FromString(reply).header.revision
        case Txn():
            return pb.TxnResponse.FromString(reply).header.revision
        case Compact():
            return pb.CompactionResponse.FromString(reply).header.revision
        case _:
            raise ValueError(f"a script has no {request}")


def _put(put: Put) -> pb.PutRequest:
    return pb.PutRequest(key=put.key.encode(), value=put.value.encode())


def _delete(delete: Delete) -> pb.DeleteRangeRequest:
    return pb.DeleteRangeRequest(key=delete.key.encode(), range_end=delete.end.encode())


def _op(op: KeyOp) -> pb.RequestOp:
    match op:
        case Put():
            return pb.RequestOp(request_put=_put(op))
        case Delete():
            return pb.RequestOp(request_delete_range=_delete(op))
        case _:
            raise ValueError(f"a script has no {op}")


def _compare(compare: Compare) -> pb.Compare:
    assert isinstance(compare.operand, int), compare
    equal = compare.relation is Relation.EQUAL
    return pb.Compare(
        key=compare.key.encode(),
        target=pb.Compare.VERSION,
        result=pb.Compare.EQUAL if equal else pb.Compare.GREATER,
        version=compare.operand,
    )
