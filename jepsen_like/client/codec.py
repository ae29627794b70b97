"""Requests and answers of a history as etcd's protobuf messages, and back.

Owns: the two translations. Must never do: judge an answer, or know what carries it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from jepsen_like.history import request as ask
from jepsen_like.history import result as got
from jepsen_like.history.operation import Event, WatchResponse
from raftkv.api import kv_pb2, rpc_pb2

_TARGETS = {
    ask.Target.VALUE: (rpc_pb2.Compare.VALUE, "value"),
    ask.Target.VERSION: (rpc_pb2.Compare.VERSION, "version"),
    ask.Target.CREATE: (rpc_pb2.Compare.CREATE, "create_revision"),
    ask.Target.MOD: (rpc_pb2.Compare.MOD, "mod_revision"),
    ask.Target.LEASE: (rpc_pb2.Compare.LEASE, "lease"),
}
_RELATIONS = {
    ask.Relation.EQUAL: rpc_pb2.Compare.EQUAL,
    ask.Relation.NOT_EQUAL: rpc_pb2.Compare.NOT_EQUAL,
    ask.Relation.LESS: rpc_pb2.Compare.LESS,
    ask.Relation.GREATER: rpc_pb2.Compare.GREATER,
}


@dataclass(frozen=True, slots=True)
class Method:
    """A gRPC method; ``answer`` is the class of its response."""

    service: str
    name: str
    answer: type[Message]

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"


_KV = "etcdserverpb.KV"
_LEASE = "etcdserverpb.Lease"
_METHODS: dict[type[Any], Method] = {
    ask.Get: Method(_KV, "Range", rpc_pb2.RangeResponse),
    ask.Put: Method(_KV, "Put", rpc_pb2.PutResponse),
    ask.Delete: Method(_KV, "DeleteRange", rpc_pb2.DeleteRangeResponse),
    ask.Txn: Method(_KV, "Txn", rpc_pb2.TxnResponse),
    ask.Compact: Method(_KV, "Compact", rpc_pb2.CompactionResponse),
    ask.Grant: Method(_LEASE, "LeaseGrant", rpc_pb2.LeaseGrantResponse),
    ask.Revoke: Method(_LEASE, "LeaseRevoke", rpc_pb2.LeaseRevokeResponse),
    ask.KeepAlive: Method(_LEASE, "LeaseKeepAlive", rpc_pb2.LeaseKeepAliveResponse),
}


def method_of(request: ask.Request) -> Method:
    return _METHODS[type(request)]


# --- requests ---------------------------------------------------------------------------------


def encode(request: ask.Request) -> Message:
    match request:
        case ask.Get():
            return _range(request)
        case ask.Put():
            return _put(request)
        case ask.Delete():
            return _delete(request)
        case ask.Txn():
            return rpc_pb2.TxnRequest(
                compare=[_compare(c) for c in request.compares],
                success=[_key_op(op) for op in request.success],
                failure=[_key_op(op) for op in request.failure],
            )
        case ask.Compact():
            return rpc_pb2.CompactionRequest(revision=request.revision, physical=request.physical)
        case ask.Grant():
            return rpc_pb2.LeaseGrantRequest(ID=request.id, TTL=request.ttl_s)
        case ask.Revoke():
            return rpc_pb2.LeaseRevokeRequest(ID=request.id)
        case ask.KeepAlive():
            return rpc_pb2.LeaseKeepAliveRequest(ID=request.id)


def _range(get: ask.Get) -> rpc_pb2.RangeRequest:
    return rpc_pb2.RangeRequest(
        key=get.key.encode(),
        range_end=get.end.encode(),
        revision=get.revision,
        limit=get.limit,
        serializable=get.serializable,
    )


def _put(put: ask.Put) -> rpc_pb2.PutRequest:
    return rpc_pb2.PutRequest(key=put.key.encode(), value=put.value.encode(), lease=put.lease)


def _delete(delete: ask.Delete) -> rpc_pb2.DeleteRangeRequest:
    return rpc_pb2.DeleteRangeRequest(key=delete.key.encode(), range_end=delete.end.encode())


def _key_op(op: ask.KeyOp) -> rpc_pb2.RequestOp:
    match op:
        case ask.Get():
            return rpc_pb2.RequestOp(request_range=_range(op))
        case ask.Put():
            return rpc_pb2.RequestOp(request_put=_put(op))
        case ask.Delete():
            return rpc_pb2.RequestOp(request_delete_range=_delete(op))


def _compare(compare: ask.Compare) -> rpc_pb2.Compare:
    target, field = _TARGETS[compare.target]
    message = rpc_pb2.Compare(
        key=compare.key.encode(), target=target, result=_RELATIONS[compare.relation]
    )
    operand = compare.operand
    setattr(message, field, operand.encode() if isinstance(operand, str) else operand)
    return message


# --- answers ----------------------------------------------------------------------------------


def decode(answer: Message) -> got.Answer:
    """TypeError for a message that is no answer to any Request."""
    match answer:
        case rpc_pb2.TxnResponse():
            return got.Decided(
                answer.header.revision,
                answer.succeeded,
                tuple(_key_result(part) for part in answer.responses),
            )
        case rpc_pb2.CompactionResponse():
            return got.Compacted(answer.header.revision)
        case rpc_pb2.LeaseGrantResponse():
            return got.Granted(answer.header.revision, answer.ID, answer.TTL)
        case rpc_pb2.LeaseRevokeResponse():
            return got.Revoked(answer.header.revision)
        case rpc_pb2.LeaseKeepAliveResponse():
            return got.Renewed(answer.header.revision, answer.TTL)
        case rpc_pb2.RangeResponse() | rpc_pb2.PutResponse() | rpc_pb2.DeleteRangeResponse():
            return _plain(answer)
    raise TypeError(f"{type(answer).__name__} answers no request")


def _key_result(part: rpc_pb2.ResponseOp) -> got.KeyResult:
    """With its own header: a read before the first write of a txn is of the revision before."""
    kind = part.WhichOneof("response")
    assert kind is not None, "a part of a transaction's answer is empty"
    return _plain(getattr(part, kind))


def _plain(
    answer: rpc_pb2.RangeResponse | rpc_pb2.PutResponse | rpc_pb2.DeleteRangeResponse,
) -> got.KeyResult:
    revision = answer.header.revision
    match answer:
        case rpc_pb2.RangeResponse():
            kvs = tuple(key_value(kv) for kv in answer.kvs)
            return got.Found(revision, kvs, answer.count, answer.more)
        case rpc_pb2.PutResponse():
            return got.Written(revision)
        case rpc_pb2.DeleteRangeResponse():
            return got.Deleted(revision, answer.deleted)


def key_value(kv: kv_pb2.KeyValue) -> got.KeyValue:
    return got.KeyValue(
        _text(kv.key),
        _text(kv.value),
        kv.create_revision,
        kv.mod_revision,
        kv.version,
        kv.lease,
    )


def _text(content: bytes) -> str:
    """What no test has written is shown for a checker to find, and does not end the run."""
    return content.decode(errors="backslashreplace")


def watch_request(key: str, end: str, start_revision: int, *, prev_kv: bool) -> Message:
    return rpc_pb2.WatchRequest(
        create_request=rpc_pb2.WatchCreateRequest(
            key=key.encode(),
            range_end=end.encode(),
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=True,
        )
    )


def progress_request() -> Message:
    return rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())


def watch_response(message: rpc_pb2.WatchResponse, at_s: float) -> WatchResponse:
    return WatchResponse(
        at_s=at_s,
        revision=message.header.revision,
        events=tuple(_event(event) for event in message.events),
        created=message.created,
        canceled=message.canceled,
        compact_revision=message.compact_revision,
        fragment=message.fragment,
    )


def _event(event: kv_pb2.Event) -> Event:
    return Event(
        is_delete=event.type == kv_pb2.Event.DELETE,
        kv=key_value(event.kv),
        prev=key_value(event.prev_kv) if event.HasField("prev_kv") else None,
    )
