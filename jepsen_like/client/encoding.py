"""A history's requests as etcd's protobufs, and the answers back.

Owns: the mapping of fields, and which method takes which request. Must never do: send, or fill in
what a member left out. Keys and values are UTF-8; bytes that are not are shown with backslashes.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from jepsen_like.history.operation import Event, WatchResponse
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    Grant,
    KeepAlive,
    KeyOp,
    Put,
    Relation,
    Request,
    Revoke,
    Target,
    Txn,
)
from jepsen_like.history.result import (
    Answer,
    Compacted,
    Decided,
    Deleted,
    Found,
    Granted,
    KeyResult,
    KeyValue,
    Renewed,
    Revoked,
    Written,
)
from raftkv.api import kv_pb2 as kv
from raftkv.api import rpc_pb2 as pb


@dataclass(frozen=True, slots=True)
class Method:
    """``is_stream``: one message is written to a stream and one is read from it."""

    path: str
    reply: type[Message]
    is_stream: bool = False


_METHODS: dict[type[Request], Method] = {
    Get: Method("/etcdserverpb.KV/Range", pb.RangeResponse),
    Put: Method("/etcdserverpb.KV/Put", pb.PutResponse),
    Delete: Method("/etcdserverpb.KV/DeleteRange", pb.DeleteRangeResponse),
    Txn: Method("/etcdserverpb.KV/Txn", pb.TxnResponse),
    Compact: Method("/etcdserverpb.KV/Compact", pb.CompactionResponse),
    Grant: Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse),
    Revoke: Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse),
    KeepAlive: Method(
        "/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveResponse, is_stream=True
    ),
}

_RELATIONS = {
    Relation.EQUAL: pb.Compare.EQUAL,
    Relation.NOT_EQUAL: pb.Compare.NOT_EQUAL,
    Relation.LESS: pb.Compare.LESS,
    Relation.GREATER: pb.Compare.GREATER,
}


def method_of(request: Request) -> Method:
    return _METHODS[type(request)]


def message_of(request: Request) -> Message:
    match request:
        case Get():
            return _range(request)
        case Put():
            return _put(request)
        case Delete():
            return _delete(request)
        case Txn():
            return pb.TxnRequest(
                compare=[_compare(compare) for compare in request.compares],
                success=[_key_op(op) for op in request.success],
                failure=[_key_op(op) for op in request.failure],
            )
        case Compact():
            return pb.CompactionRequest(revision=request.revision, physical=request.physical)
        case Grant():
            return pb.LeaseGrantRequest(ID=request.id, TTL=request.ttl_s)
        case Revoke():
            return pb.LeaseRevokeRequest(ID=request.id)
        case KeepAlive():
            return pb.LeaseKeepAliveRequest(ID=request.id)


def _range(request: Get) -> pb.RangeRequest:
    return pb.RangeRequest(
        key=request.key.encode(),
        range_end=request.end.encode(),
        revision=request.revision,
        limit=request.limit,
        serializable=request.serializable,
    )


def _put(request: Put) -> pb.PutRequest:
    return pb.PutRequest(
        key=request.key.encode(), value=request.value.encode(), lease=request.lease
    )


def _delete(request: Delete) -> pb.DeleteRangeRequest:
    return pb.DeleteRangeRequest(key=request.key.encode(), range_end=request.end.encode())


def _key_op(op: KeyOp) -> pb.RequestOp:
    match op:
        case Get():
            return pb.RequestOp(request_range=_range(op))
        case Put():
            return pb.RequestOp(request_put=_put(op))
        case Delete():
            return pb.RequestOp(request_delete_range=_delete(op))


def _compare(compare: Compare) -> pb.Compare:
    message = pb.Compare(key=compare.key.encode(), result=_RELATIONS[compare.relation])
    if compare.target is Target.VALUE:
        message.target = pb.Compare.VALUE
        message.value = str(compare.operand).encode()
        return message
    number = int(compare.operand)
    match compare.target:
        case Target.VERSION:
            message.target = pb.Compare.VERSION
            message.version = number
        case Target.CREATE:
            message.target = pb.Compare.CREATE
            message.create_revision = number
        case Target.MOD:
            message.target = pb.Compare.MOD
            message.mod_revision = number
        case Target.LEASE:
            message.target = pb.Compare.LEASE
            message.lease = number
    return message


def answer_of(reply: Message) -> Answer:
    """ValueError for a message that answers no request."""
    match reply:
        case pb.RangeResponse() | pb.PutResponse() | pb.DeleteRangeResponse():
            return _key_result(reply)
        case pb.TxnResponse():
            results = tuple(_op_result(op) for op in reply.responses)
            return Decided(reply.header.revision, reply.succeeded, results)
        case pb.CompactionResponse():
            return Compacted(reply.header.revision)
        case pb.LeaseGrantResponse():
            return Granted(reply.header.revision, reply.ID, reply.TTL)
        case pb.LeaseRevokeResponse():
            return Revoked(reply.header.revision)
        case pb.LeaseKeepAliveResponse():
            return Renewed(reply.header.revision, reply.TTL)
    raise ValueError(f"{type(reply).__name__} answers no request")


def _op_result(op: pb.ResponseOp) -> KeyResult:
    which = op.WhichOneof("response")
    if which == "response_range":
        return _key_result(op.response_range)
    if which == "response_put":
        return _key_result(op.response_put)
    if which == "response_delete_range":
        return _key_result(op.response_delete_range)
    raise ValueError(f"a txn's result holds {which}")


def _key_result(
    reply: pb.RangeResponse | pb.PutResponse | pb.DeleteRangeResponse,
) -> KeyResult:
    revision = reply.header.revision
    match reply:
        case pb.RangeResponse():
            kvs = tuple(key_value_of(pair) for pair in reply.kvs)
            return Found(revision, kvs, reply.count, reply.more)
        case pb.PutResponse():
            return Written(revision)
        case pb.DeleteRangeResponse():
            return Deleted(revision, reply.deleted)


def key_value_of(pair: kv.KeyValue) -> KeyValue:
    return KeyValue(
        _text(pair.key),
        _text(pair.value),
        pair.create_revision,
        pair.mod_revision,
        pair.version,
        pair.lease,
    )


def watch_response_of(reply: pb.WatchResponse, at_s: float) -> WatchResponse:
    return WatchResponse(
        at_s,
        reply.header.revision,
        tuple(_event(event) for event in reply.events),
        created=reply.created,
        canceled=reply.canceled,
        compact_revision=reply.compact_revision,
        fragment=reply.fragment,
    )


def _event(event: kv.Event) -> Event:
    return Event(
        event.type == kv.Event.DELETE,
        key_value_of(event.kv),
        key_value_of(event.prev_kv) if event.HasField("prev_kv") else None,
    )


def _text(content: bytes) -> str:
    return content.decode(errors="backslashreplace")
