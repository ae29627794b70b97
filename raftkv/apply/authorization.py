"""What of the key space a request touches, and whether its caller may.

Owns: which keys each request reads and writes, as etcd's auth applier has it: compares and both
branches of a txn with all that is nested in them, previous values, and every key that hangs on a
lease. Asked when an entry is applied, and when a read is served. Must never do: change anything.

A put on a lease writes all keys that hang on it: who may not write one of them could delete it by
revoking the lease. The kinds that only root may ask for stand in ``ROOT_ONLY``.
"""

from __future__ import annotations

from collections.abc import Iterable

from raftkv.api.rpc_pb2 import (
    DeleteRangeRequest,
    LeaseRevokeRequest,
    PutRequest,
    RequestOp,
    TxnRequest,
)
from raftkv.apply.batch import RequestKind
from raftkv.apply.state import State, parse
from raftkv.auth.caller import Authorization, Caller
from raftkv.lease.book import LeaseBook

ROOT_ONLY = frozenset(
    {
        RequestKind.COMPACT,
        RequestKind.ALARM,
        RequestKind.PREFIX_QUOTA,
        RequestKind.AUTH_ENABLE,
        RequestKind.AUTH_DISABLE,
        RequestKind.USER_ADD,
        RequestKind.USER_DELETE,
        RequestKind.USER_CHANGE_PASSWORD,
        RequestKind.USER_GRANT_ROLE,
        RequestKind.USER_REVOKE_ROLE,
        RequestKind.ROLE_ADD,
        RequestKind.ROLE_DELETE,
        RequestKind.ROLE_GRANT_PERMISSION,
        RequestKind.ROLE_REVOKE_PERMISSION,
    }
)
OF_CLIENTS = ROOT_ONLY | {
    RequestKind.PUT,
    RequestKind.DELETE_RANGE,
    RequestKind.TXN,
    RequestKind.LEASE_GRANT,
    RequestKind.LEASE_REVOKE,
}
"""The kinds that nobody may ask for without saying who it is, while auth is enabled."""


class RequestAuthorization:
    """Raises UserEmpty, AuthOldRevision and PermissionDenied, all before any effect."""

    def __init__(self, authorization: Authorization, leases: LeaseBook) -> None:
        self._may = authorization
        self._leases = leases

    def check(self, caller: Caller, kind: int, payload: bytes) -> None:
        """A request on its way into the state."""
        match kind:
            case RequestKind.PUT:
                self.put(caller, parse(PutRequest, payload))
            case RequestKind.DELETE_RANGE:
                self.delete(caller, parse(DeleteRangeRequest, payload))
            case RequestKind.TXN:
                self.txn(caller, parse(TxnRequest, payload))
            case RequestKind.LEASE_GRANT:
                self._may.is_user(caller)
            case RequestKind.LEASE_REVOKE:
                self._may.is_user(caller)
                self.lease_write(caller, parse(LeaseRevokeRequest, payload).ID)
            case _:
                self._may.is_root(caller)

    def put(self, caller: Caller, request: PutRequest) -> None:
        self._may.may_write(caller, request.key)
        if request.lease:
            self.lease_write(caller, request.lease)
        if request.prev_kv:
            self._may.may_read(caller, request.key)

    def delete(self, caller: Caller, request: DeleteRangeRequest) -> None:
        self._may.may_write(caller, request.key, request.range_end)
        if request.prev_kv:
            self._may.may_read(caller, request.key, request.range_end)

    def txn(self, caller: Caller, request: TxnRequest) -> None:
        for compare in request.compare:
            self._may.may_read(caller, compare.key, compare.range_end)
        self._operations(caller, request.success)
        self._operations(caller, request.failure)
        self._may.is_user(caller)  # also for a txn that touches nothing

    def lease_write(self, caller: Caller, lease_id: int) -> None:
        """A lease that is not there has no keys, and is refused for that."""
        if self._may.is_asked(caller):
            for key in self._leases.keys(lease_id):
                self._may.may_write(caller, key)

    def lease_read(self, caller: Caller, lease_id: int) -> None:
        if self._may.is_asked(caller):
            for key in self._leases.keys(lease_id):
                self._may.may_read(caller, key)

    def _operations(self, caller: Caller, ops: Iterable[RequestOp]) -> None:
        for op in ops:
            match op.WhichOneof("request"):
                case "request_range":
                    self._may.may_read(caller, op.request_range.key, op.request_range.range_end)
                case "request_put":
                    self.put(caller, op.request_put)
                case "request_delete_range":
                    self.delete(caller, op.request_delete_range)
                case "request_txn":
                    self.txn(caller, op.request_txn)


def authorization_of(state: State) -> RequestAuthorization:
    return RequestAuthorization(Authorization(state.auth), state.leases)
