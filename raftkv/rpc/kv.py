"""etcdserverpb.KV: Range, Put, DeleteRange, Txn and Compact; ``range_stream`` has RangeStream.

Owns: what is checked before a request goes anywhere, and whether it goes through the log or is
read here. Must never do: touch a payload that is proposed: the client's own bytes are what the log
keeps. Order as in etcd: quota, fields, caller, size, consensus, permissions, then what else depends
on the state.
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
from raftkv.errors import LearnerNotServed, NoSpace, RaftKVError
from raftkv.mvcc.query import RangeResult
from raftkv.rpc.errors import status_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.long_ranges import LongRanges
from raftkv.rpc.member import Done, KvMember
from raftkv.rpc.range_stream import RangeStreamMethod
from raftkv.rpc.stream_admission import admitted_stream
from raftkv.rpc.unary import Reply, admitted, read_for, reply_to
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
        self._guard = Guard(member)
        self._auth = member.authority.book
        self._long_ranges = LongRanges(member, self._range_message)
        self._txn_ops_max = member.config.limits.txn_ops_max

    def range(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(RangeRequest, payload)
        if self._member.serves_as_learner and not request.serializable:
            raise LearnerNotServed("this member is a learner")
        query = query_of(request)

        def produce() -> Reply:
            if self._auth.enabled:
                self._guard.check_keys(call, request.key, request.range_end)
            begun = self._member.store.begin_range(query)
            if isinstance(begun, RangeResult):
                return self._range_message(begun)
            self._long_ranges.add(call, begun)
            return None

        self._read(call, produce, serializable=request.serializable)

    def _range_message(self, result: RangeResult) -> bytes | list[bytes]:
        return range_message(self._headers.encoder.field(result.revision), result)

    def put(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(PutRequest, payload)
        self._check_room(put_cost(request))
        check_put(request)
        self._guard.propose(RequestKind.PUT, payload, call, reply_to(call))

    def delete_range(self, payload: bytes, call: UnaryCall) -> None:
        check_delete_range(parse(DeleteRangeRequest, payload))
        self._guard.propose(RequestKind.DELETE_RANGE, payload, call, reply_to(call))

    def txn(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(TxnRequest, payload)
        self._check_room(txn_cost(request))
        check_txn(request, self._txn_ops_max)
        if not is_read_only(request):
            self._guard.propose(RequestKind.TXN, payload, call, reply_to(call))
            return

        def produce() -> bytes:
            if self._auth.enabled:
                self._guard.requests.txn(self._guard.caller(call), request)
            return read_txn(request, self._member.store, self._headers.encoder)

        self._read(call, produce, serializable=is_serializable(request))

    def compact(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(CompactionRequest, payload)
        done = reply_to(call)
        if request.physical:
            done = self._after_removal(done)
        self._guard.propose(RequestKind.COMPACT, payload, call, done)

    def _after_removal(self, done: Done) -> Done:
        """Physical: the client hears of success only when the data is gone."""

        def compacted(outcome: bytes | RaftKVError) -> None:
            if isinstance(outcome, bytes):
                self._member.when_compacted(lambda: done(outcome))
            else:
                done(outcome)

        return compacted

    def _read(self, call: UnaryCall, produce: Callable[[], Reply], *, serializable: bool) -> None:
        proceed = read_for(call, produce)
        if serializable:
            self._guard.read_local(call, proceed)
        else:
            self._member.linearize(proceed)

    def _check_room(self, cost: int) -> None:
        if not self._member.has_room(cost):
            raise NoSpace("the database has reached its quota")
