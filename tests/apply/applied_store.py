"""A store with the applier that writes to it, and what most tests say to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    LeaseGrantRequest,
    LeaseRevokeRequest,
    PutRequest,
    PutResponse,
    TxnRequest,
    TxnResponse,
)
from raftkv.apply.applier import Applier, Outcome
from raftkv.apply.batch import Batch, RequestKind
from raftkv.backend.environment import LmdbBackend
from raftkv.errors import RaftKVError
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.store import Store

CLUSTER_ID = 0xCDF818194E3A8C32
MEMBER_ID = 0x8E9E05C52164694D
TERM = 5
GRANTED_TTL_S = 60

MessageT = TypeVar("MessageT", bound=Message)

KINDS: dict[type[Message], RequestKind] = {
    PutRequest: RequestKind.PUT,
    DeleteRangeRequest: RequestKind.DELETE_RANGE,
    TxnRequest: RequestKind.TXN,
    CompactionRequest: RequestKind.COMPACT,
    LeaseGrantRequest: RequestKind.LEASE_GRANT,
    LeaseRevokeRequest: RequestKind.LEASE_REVOKE,
}


class Applied:
    """A store with the applier that writes to it."""

    def __init__(self, path: Path, granted: frozenset[int]) -> None:
        self.backend = LmdbBackend(str(path))
        self.store = Store(self.backend)
        self.leases = LeaseBook(self.backend)
        self.applier = Applier(
            self.store,
            self.backend,
            self.leases,
            cluster_id=CLUSTER_ID,
            member_id=MEMBER_ID,
        )
        for lease_id in granted:
            self.leases.grant(lease_id, GRANTED_TTL_S)
        self._sequence = 0

    def outcomes(self, *requests: Message, want_replies: bool = True) -> list[Outcome]:
        """Apply as one batch of this member's own."""
        self._sequence += 1
        pairs = [(int(KINDS[type(r)]), r.SerializeToString()) for r in requests]
        batch = Batch(MEMBER_ID, self._sequence, pairs)
        outcomes = self.applier.apply(self._sequence, TERM, batch, want_replies=want_replies)
        assert (outcomes is not None) == want_replies
        return outcomes or []

    def put(self, key: bytes, value: bytes = b"", **fields: Any) -> PutResponse:
        return self._reply(PutResponse, PutRequest(key=key, value=value, **fields))

    def delete(self, key: bytes, **fields: Any) -> DeleteRangeResponse:
        return self._reply(DeleteRangeResponse, DeleteRangeRequest(key=key, **fields))

    def txn(self, request: TxnRequest) -> TxnResponse:
        return self._reply(TxnResponse, request)

    def compact(self, revision: int) -> CompactionResponse:
        return self._reply(CompactionResponse, CompactionRequest(revision=revision))

    def _reply(self, kind: type[MessageT], request: Message) -> MessageT:
        """The decoded reply; raises what the outcome is otherwise."""
        (outcome,) = self.outcomes(request)
        if isinstance(outcome, RaftKVError):
            raise outcome
        return kind.FromString(outcome)


MakeApplied = Callable[..., Applied]
