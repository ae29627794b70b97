"""What etcd does with one request, on plain dictionaries: the oracle for the applier.

A key's history is a list of (revision, KeyValue or None), and a txn works on a copy that is thrown
away when it fails. Slow and obvious on purpose; it shares no code with what it judges.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from raftkv.api.kv_pb2 import KeyValue
from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    CompactionResponse,
    Compare,
    DeleteRangeRequest,
    DeleteRangeResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from raftkv.errors import (
    Compacted,
    FutureRevision,
    KeyNotFound,
    LeaseExists,
    LeaseNotFound,
)


@dataclass
class Model:
    leases: frozenset[int] = frozenset()
    history: dict[bytes, list[tuple[int, KeyValue | None]]] = field(default_factory=dict)
    revision: int = 1
    compacted: int = -1
    refused_read: Exception | None = None
    """The first range of a txn under way that cannot be: told if no put is refused."""

    # --- reading ------------------------------------------------------------------------------

    def at(self, key: bytes, revision: int) -> KeyValue | None:
        found = None
        for main, key_value in self.history.get(key, []):
            if main <= revision:
                found = key_value
        return found

    def keys(self, key: bytes, end: bytes, revision: int) -> list[bytes]:
        def inside(k: bytes) -> bool:
            if not end:
                return k == key
            return k >= key and (end == b"\0" or k < end)

        return sorted(k for k in self.history if inside(k) and self.at(k, revision) is not None)

    def range(self, request: RangeRequest, now: int) -> RangeResponse:
        """``now`` is the revision that a read without a revision sees."""
        revision = request.revision if request.revision > 0 else now
        found = [self.at(k, revision) for k in self.keys(request.key, request.range_end, revision)]
        response = RangeResponse(count=len(found))
        response.header.revision = now
        if request.count_only:
            return response
        if request.sort_order == RangeRequest.DESCEND:
            found.reverse()
        if 0 < request.limit < len(found):
            found = found[: request.limit]
            response.more = True
        for key_value in found:
            shown = response.kvs.add()
            shown.CopyFrom(key_value)
            if request.keys_only:
                shown.ClearField("value")
                shown.ClearField("lease")
        return response

    # --- writing: ``main`` is the revision that the write gets ----------------------------------

    def put(self, request: PutRequest, main: int) -> PutResponse:
        old = self.at(request.key, main)
        new = KeyValue(
            key=request.key,
            value=request.value,
            lease=request.lease,
            create_revision=main if old is None else old.create_revision,
            mod_revision=main,
            version=1 if old is None else old.version + 1,
        )
        if request.ignore_value or request.ignore_lease:
            if old is None:
                raise KeyNotFound
            if request.ignore_value:
                new.value = old.value
            if request.ignore_lease:
                new.lease = old.lease
        self.history.setdefault(request.key, []).append((main, new))
        response = PutResponse()
        response.header.revision = main
        if request.prev_kv and old is not None:
            response.prev_kv.CopyFrom(old)
        return response

    def delete(self, request: DeleteRangeRequest, main: int) -> DeleteRangeResponse:
        response = DeleteRangeResponse()
        for key in self.keys(request.key, request.range_end, main):
            if request.prev_kv:
                response.prev_kvs.add().CopyFrom(self.at(key, main))
            self.history[key].append((main, None))
            response.deleted += 1
        return response

    def apply_put(self, request: PutRequest) -> PutResponse:
        if request.lease and request.lease not in self.leases:
            raise LeaseNotFound
        response = self.put(request, self.revision + 1)
        self.revision += 1
        return response

    def apply_delete(self, request: DeleteRangeRequest) -> DeleteRangeResponse:
        response = self.delete(request, self.revision + 1)
        self.revision += bool(response.deleted)
        response.header.revision = self.revision
        return response

    def apply_compact(self, request: CompactionRequest) -> CompactionResponse:
        if request.revision <= self.compacted:
            raise Compacted(self.compacted)
        if request.revision > self.revision:
            raise FutureRevision
        self.compacted = request.revision
        response = CompactionResponse()
        response.header.revision = self.revision
        return response

    # --- leases: the keys on one are those whose newest version names it ------------------------

    def apply_grant(self, request: LeaseGrantRequest) -> LeaseGrantResponse:
        if request.ID in self.leases:
            raise LeaseExists
        self.leases |= {request.ID}
        response = LeaseGrantResponse(ID=request.ID, TTL=request.TTL)
        response.header.revision = self.revision
        return response

    def apply_revoke(self, request: LeaseRevokeRequest) -> LeaseRevokeResponse:
        if request.ID not in self.leases:
            raise LeaseNotFound
        keys = self.keys_on(request.ID)
        for key in keys:
            self.delete(DeleteRangeRequest(key=key), self.revision + 1)
        self.revision += bool(keys)
        self.leases -= {request.ID}
        response = LeaseRevokeResponse()
        response.header.revision = self.revision
        return response

    def keys_on(self, lease: int) -> list[bytes]:
        newest = {key: self.at(key, self.revision) for key in sorted(self.history)}
        return [key for key, kv in newest.items() if kv is not None and kv.lease == lease]

    # --- txn ------------------------------------------------------------------------------------

    def apply_txn(self, request: TxnRequest) -> TxnResponse:
        work = copy.deepcopy(self)
        path: list[bool] = []
        self._choose(request, path)
        response, wrote = work._run(request, path, before=self.revision, wrote=False)
        if work.refused_read is not None:
            raise work.refused_read
        self.history = work.history
        self.revision += wrote
        response.header.revision = self.revision
        return response

    def _choose(self, request: TxnRequest, path: list[bool]) -> None:
        """The outcome of each txn on the way taken, in the order that running meets them."""
        taken = all(self._holds(compare) for compare in request.compare)
        path.append(taken)
        for op in request.success if taken else request.failure:
            if op.HasField("request_txn"):
                self._choose(op.request_txn, path)

    def _holds(self, compare: Compare) -> bool:
        keys = self.keys(compare.key, compare.range_end, self.revision)
        if not keys:
            return compare.target != Compare.VALUE and self._compare(compare, KeyValue())
        return all(self._compare(compare, self.at(key, self.revision)) for key in keys)

    def _compare(self, compare: Compare, stored: KeyValue) -> bool:
        name = {0: "version", 1: "create_revision", 2: "mod_revision", 3: "value", 4: "lease"}[
            compare.target
        ]
        left, right = getattr(stored, name), getattr(compare, name)
        return {0: left == right, 1: left > right, 2: left < right, 3: left != right}[
            compare.result
        ]

    def _run(
        self, request: TxnRequest, path: list[bool], *, before: int, wrote: bool
    ) -> tuple[TxnResponse, bool]:
        response = TxnResponse(succeeded=path.pop(0))
        response.header.SetInParent()
        for op in request.success if response.succeeded else request.failure:
            wrote = self._run_op(op, response.responses.add(), path, before=before, wrote=wrote)
        return response, wrote

    def _run_op(
        self, op: RequestOp, shown: ResponseOp, path: list[bool], *, before: int, wrote: bool
    ) -> bool:
        if op.HasField("request_range"):
            revision = op.request_range.revision
            if revision > before:
                self.refused_read = self.refused_read or FutureRevision()
                return wrote
            if revision and revision < self.compacted:
                self.refused_read = self.refused_read or Compacted(self.compacted)
                return wrote
            shown.response_range.CopyFrom(self.range(op.request_range, before + wrote))
        elif op.HasField("request_put"):
            put = op.request_put
            if (put.ignore_value or put.ignore_lease) and self.at(put.key, before + 1) is None:
                raise KeyNotFound
            if put.lease and put.lease not in self.leases:
                raise LeaseNotFound
            shown.response_put.CopyFrom(self.put(put, before + 1))
            wrote = True
        elif op.HasField("request_delete_range"):
            deleted = self.delete(op.request_delete_range, before + 1)
            wrote = wrote or deleted.deleted > 0
            deleted.header.revision = before + wrote
            shown.response_delete_range.CopyFrom(deleted)
        else:
            nested, wrote = self._run(op.request_txn, path, before=before, wrote=wrote)
            shown.response_txn.CopyFrom(nested)
        return wrote
