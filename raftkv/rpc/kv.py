"""etcdserverpb.KV: Range, Put, DeleteRange, Txn and Compact; ``range_stream`` has RangeStream.

Owns: what is checked before a request goes anywhere, and whether it goes through the log or is
read here. Must never do: touch a payload that is proposed: the client's own bytes are what the log
keeps. Order as in etcd: quota, fields, size, consensus, then what depends on the state.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    TxnRequest,
)
from raftkv.apply.batch import RequestKind
from raftkv.apply.cost import put_cost, txn_cost
from raftkv.apply.range import query_of
from raftkv.apply.reply import range_message
from raftkv.apply.request_check import check_delete_range, check_put
from raftkv.apply.state import parse
from raftkv.apply.txn import is_read_only, is_serializable, read_txn
from raftkv.apply.txn_check import check_txn
from raftkv.errors import LearnerNotServed, NoSpace, RaftKVError, RequestTooLarge
from raftkv.rpc.errors import status_of
from raftkv.rpc.header import Headers
from raftkv.rpc.member import Done, KvMember
from raftkv.rpc.range_stream import RangeStreamMethod
from raftkv.rpc.stream_admission import admitted_stream
from raftkv.rpc.unary import admitted, read_for, reply_to
from raftkv.wire.service import Service, UnaryCall


def kv_service(member: KvMember) -> Service:
    kv = _Kv(member)
    methods = {
        "Range": kv.range,
        "Put": kv.put,
        "DeleteRange": kv.delete_range,
        "Txn": kv.txn,
        "Compact": kv.compact,
    }
    unary = admitted(member, methods, by_learners=("Range",))
    streams = {"RangeStream": admitted_stream(member, RangeStreamMethod(member).serve)}
    return Service("etcdserverpb.KV", status_of, unary=unary, streams=streams)


class _Kv:
    def __init__(self, member: KvMember) -> None:
        self._member = member
        self._headers = Headers(member)
        self._request_bytes_max = member.config.limits.request_bytes_max
        self._txn_ops_max = member.config.limits.txn_ops_max

    def range(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(RangeRequest, payload)
        if self._member.is_learner and not request.serializable:
            raise LearnerNotServed("this member is a learner")
        query = query_of(request)

        def produce() -> bytes | list[bytes]:
            result = self._member.store.range(query)
            return range_message(self._headers.encoder.field(result.revision), result)

        self._read(call, produce, serializable=request.serializable)

    def put(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(PutRequest, payload)
        self._check_room(put_cost(request))
        check_put(request)
        self._propose(RequestKind.PUT, payload, reply_to(call))

    def delete_range(self, payload: bytes, call: UnaryCall) -> None:
        check_delete_range(parse(DeleteRangeRequest, payload))
        self._propose(RequestKind.DELETE_RANGE, payload, reply_to(call))

    def txn(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(TxnRequest, payload)
        self._check_room(txn_cost(request))
        check_txn(request, self._txn_ops_max)
        if not is_read_only(request):
            self._propose(RequestKind.TXN, payload, reply_to(call))
            return

        def produce() -> bytes:
            return read_txn(request, self._member.store, self._headers.encoder)

        self._read(call, produce, serializable=is_serializable(request))

    def compact(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(CompactionRequest, payload)
        done = reply_to(call)
        self._propose(
            RequestKind.COMPACT, payload, self._after_removal(done) if request.physical else done
        )

    def _after_removal(self, done: Done) -> Done:
        """Physical: the client hears of success only when the data is gone."""

        def compacted(outcome: bytes | RaftKVError) -> None:
            if isinstance(outcome, bytes):
                self._member.when_compacted(lambda: done(outcome))
            else:
                done(outcome)

        return compacted

    def _read(
        self, call: UnaryCall, produce: Callable[[], bytes | list[bytes]], *, serializable: bool
    ) -> None:
        proceed = read_for(call, produce)
        if serializable:
            self._member.read_local(proceed)
        else:
            self._member.linearize(proceed)

    def _check_room(self, cost: int) -> None:
        if not self._member.has_room(cost):
            raise NoSpace("the database has reached its quota")

    def _propose(self, kind: RequestKind, payload: bytes, done: Done) -> None:
        if len(payload) > self._request_bytes_max:
            raise RequestTooLarge(f"{len(payload)} bytes, the limit is {self._request_bytes_max}")
        self._member.propose(kind, payload, done)
