"""Txn: If all compares hold Then these operations Else those, at one revision.

Owns: choosing the branch, checking it, running it, and its reply. Three passes, in this order:

  1. ``_choose`` evaluates the compares, those of nested txns too, against the state before the
     txn, and translates the operations of the branches taken;
  2. ``_Checks`` looks for all that etcd refuses at apply: first the puts, then the ranges, nested
     ones too, so that of two errors the same one is told;
  3. ``_Run`` executes. Nothing can fail any more, so a refused txn leaves no effect.

Must never do: check anything after the first write. ``raftkv.apply.txn_check`` has refused what
is wrong in the request itself before it was proposed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from raftkv.api.rpc_pb2 import DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from raftkv.apply.compare import View, holds
from raftkv.apply.delete_range import write_delete
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.put import check_key_exists, check_lease, write_put
from raftkv.apply.range import query_of
from raftkv.apply.reply import (
    EMPTY_HEADER,
    OP_DELETE_RANGE,
    OP_PUT,
    OP_RANGE,
    OP_TXN,
    delete_reply,
    put_reply,
    range_reply,
    response_op,
    revision_header,
    txn_reply,
)
from raftkv.apply.state import State, parse
from raftkv.errors import Compacted, EmptyKey, FutureRevision, KeyNotFound
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.query import RangeQuery, RangeResult
from raftkv.mvcc.store import Store
from raftkv.mvcc.write_txn import WriteTxn

FROM_KEY = b"\x00"


@dataclass(frozen=True, slots=True)
class _Branch:
    """The operations of a txn that are executed, in order; a nested txn is its own branch."""

    succeeded: bool
    steps: tuple[_Step, ...]


_Step = RangeQuery | PutRequest | DeleteRangeRequest | _Branch


class _Ranger(Protocol):
    def range(self, query: RangeQuery) -> RangeResult: ...


def apply_txn(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    branch = _choose(parse(TxnRequest, payload), state.store)
    _Checks(state.store, state.leases).check(branch)
    txn = state.store.begin()
    writer = _Writer(txn, state.leases)
    run = _Run(txn, writer, wants_replies=header is not None)
    replies = run.replies(branch)
    revision = txn.end()
    if header is None:
        return b""
    return txn_reply(header.field(revision), succeeded=branch.succeeded, ops=replies)


def read_txn(request: TxnRequest, store: Store, header: HeaderEncoder) -> bytes:
    """Answer a txn that ``is_read_only`` outside the log. Raises Compacted and FutureRevision."""
    branch = _choose(request, store)
    for step in branch.steps:
        assert isinstance(step, RangeQuery), f"a read-only txn holds a {type(step).__name__}"
        check_revision(step, store)
    replies = _Run(store, None, wants_replies=True).replies(branch)
    field = header.field(store.current_revision)
    return txn_reply(field, succeeded=branch.succeeded, ops=replies)


def is_read_only(request: TxnRequest) -> bool:
    """Only ranges in both branches. A nested txn counts as a write, whatever is in it."""
    return all(op.HasField("request_range") for op in _operations(request))


def is_serializable(request: TxnRequest) -> bool:
    """Whether a read-only txn may be answered from local state; etcd: also one without ranges,
    however its compares may be meant."""
    return all(op.request_range.serializable for op in _operations(request))


def _operations(request: TxnRequest) -> Iterable[RequestOp]:
    yield from request.success
    yield from request.failure


def check_revision(query: RangeQuery, store: Store) -> None:
    """As etcd has it inside a txn: a negative revision is older than any compaction."""
    revision = query.revision
    if revision == 0:
        return
    if revision > store.current_revision:
        raise FutureRevision(f"revision {revision}, the store is at {store.current_revision}")
    if revision < store.compact_revision:
        raise Compacted(store.compact_revision)


def _choose(request: TxnRequest, view: View) -> _Branch:
    succeeded = all(holds(compare, view) for compare in request.compare)
    taken = request.success if succeeded else request.failure
    return _Branch(succeeded, tuple(_step(op, view) for op in taken))


def _step(op: RequestOp, view: View) -> _Step:
    match op.WhichOneof("request"):
        case "request_range":
            return query_of(op.request_range)
        case "request_put":
            if not op.request_put.key:
                raise EmptyKey("a put needs a key")
            return op.request_put
        case "request_delete_range":
            if not op.request_delete_range.key:
                raise EmptyKey("a delete needs a key")
            return op.request_delete_range
        case "request_txn":
            return _choose(op.request_txn, view)
    raise KeyNotFound("an operation of a txn is none of range, put, delete and txn")


class _Checks:
    """What may be refused only once the branch is known."""

    def __init__(self, store: Store, leases: LeaseBook) -> None:
        self._store = store
        self._leases = leases
        self._deleted_from: list[bytes] = []

    def check(self, branch: _Branch) -> None:
        self._check_puts(branch)
        self._check_ranges(branch)

    def _check_ranges(self, branch: _Branch) -> None:
        for step in branch.steps:
            match step:
                case RangeQuery():
                    check_revision(step, self._store)
                case _Branch():
                    self._check_ranges(step)

    def _check_puts(self, branch: _Branch) -> None:
        for step in branch.steps:
            match step:
                case PutRequest():
                    check_key_exists(step, self._store)
                    self._check_not_deleted(step)
                    check_lease(step, self._leases)
                case DeleteRangeRequest():
                    if step.range_end == FROM_KEY:
                        self._deleted_from.append(step.key)
                case _Branch():
                    self._check_puts(step)

    def _check_not_deleted(self, put: PutRequest) -> None:
        """A from-key delete is the one that may come before a put of the same txn (etcd does not
        see the overlap). Such a put has nothing to keep; etcd panics there."""
        if (put.ignore_value or put.ignore_lease) and any(
            start <= put.key for start in self._deleted_from
        ):
            raise KeyNotFound("ignore_value or ignore_lease, and the txn deletes the key before")


@dataclass(frozen=True, slots=True)
class _Writer:
    """Where a txn's writes go."""

    txn: WriteTxn
    leases: LeaseBook


class _Run:
    """One execution. ``reader`` is the write txn itself, or the store when there is nothing to
    write and ``writer`` is None."""

    def __init__(self, reader: _Ranger, writer: _Writer | None, *, wants_replies: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._wants_replies = wants_replies
        self._wrote = False

    def replies(self, branch: _Branch) -> list[bytes]:
        """Execute, and return one encoded ResponseOp per step if somebody wants them."""
        ops = [self._execute(step) for step in branch.steps]
        return [op for op in ops if op is not None]

    def _execute(self, step: _Step) -> bytes | None:
        match step:
            case RangeQuery():
                return self._range(step)
            case PutRequest():
                return self._put(step)
            case DeleteRangeRequest():
                return self._delete(step)
            case _Branch():
                return self._nested(step)

    def _range(self, query: RangeQuery) -> bytes | None:
        if not self._wants_replies:
            return None
        result = self._reader.range(query)
        return response_op(OP_RANGE, range_reply(revision_header(result.revision), result))

    def _put(self, request: PutRequest) -> bytes | None:
        writer = self._writer
        assert writer is not None, "a put in a read-only txn"
        previous = write_put(writer.txn, request, writer.leases)
        self._wrote = True
        if not self._wants_replies:
            return None
        kept = previous if request.prev_kv else None
        return response_op(OP_PUT, put_reply(revision_header(writer.txn.revision), kept))

    def _delete(self, request: DeleteRangeRequest) -> bytes | None:
        writer = self._writer
        assert writer is not None, "a delete in a read-only txn"
        deleted = write_delete(writer.txn, request, writer.leases)
        self._wrote = self._wrote or bool(deleted)
        if not self._wants_replies:
            return None
        revision = writer.txn.revision
        header = revision_header(revision if self._wrote else revision - 1)
        kept = deleted if request.prev_kv else ()
        return response_op(OP_DELETE_RANGE, delete_reply(header, len(deleted), kept))

    def _nested(self, branch: _Branch) -> bytes | None:
        replies = self.replies(branch)
        if not self._wants_replies:
            return None
        body = txn_reply(EMPTY_HEADER, succeeded=branch.succeeded, ops=replies)
        return response_op(OP_TXN, body)
