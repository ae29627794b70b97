"""Errors and gRPC statuses, both ways.

Owns: gRPC's codes and etcd's exact texts (api/v3rpc/rpctypes/error.go); nothing else in raftkv
knows either. Clients of etcd tell errors apart by the text, so it must match to the byte.
Must never do: let a stack trace or a path reach a client: what is no RaftKVError is logged, and
answered with a general text.
"""

from __future__ import annotations

import asyncio
import logging
from enum import IntEnum

from raftkv import errors as e
from raftkv.wire.service import Status

log = logging.getLogger("raftkv.rpc")


class Code(IntEnum):
    """gRPC's status codes."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


UNMARSHAL_PREFIX = "grpc: error unmarshalling request: "
INTERNAL_TEXT = "raftkv: internal error, the member's log has more"

# TooManyRequests: etcd declares this code, and loses it to Unknown on the way out. Clients that
# look at the code are better served by the declared one.
_TABLE: tuple[tuple[type[e.RaftKVError], Code, str], ...] = (
    (e.EmptyKey, Code.INVALID_ARGUMENT, "etcdserver: key is not provided"),
    (e.KeyNotFound, Code.INVALID_ARGUMENT, "etcdserver: key not found"),
    (e.ValueProvided, Code.INVALID_ARGUMENT, "etcdserver: value is provided"),
    (e.LeaseProvided, Code.INVALID_ARGUMENT, "etcdserver: lease is provided"),
    (e.TooManyOps, Code.INVALID_ARGUMENT, "etcdserver: too many operations in txn request"),
    (e.DuplicateKey, Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request"),
    (e.InvalidSortOption, Code.INVALID_ARGUMENT, "etcdserver: invalid sort option"),
    (e.RequestTooLarge, Code.INVALID_ARGUMENT, "etcdserver: request is too large"),
    (e.Compacted, Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"),
    (
        e.FutureRevision,
        Code.OUT_OF_RANGE,
        "etcdserver: mvcc: required revision is a future revision",
    ),
    (e.LeaseNotFound, Code.NOT_FOUND, "etcdserver: requested lease not found"),
    (e.LeaseExists, Code.FAILED_PRECONDITION, "etcdserver: lease already exists"),
    (e.LeaseTTLTooLarge, Code.OUT_OF_RANGE, "etcdserver: too large lease TTL"),
    (e.NoLeader, Code.UNAVAILABLE, "etcdserver: no leader"),
    (e.LeaderChanged, Code.UNAVAILABLE, "etcdserver: leader changed"),
    (e.NotLeader, Code.FAILED_PRECONDITION, "etcdserver: not leader"),
    (e.Stopped, Code.UNAVAILABLE, "etcdserver: server stopped"),
    (e.RequestTimeout, Code.UNAVAILABLE, "etcdserver: request timed out"),
    (
        e.RequestTimeoutLeaderFailure,
        Code.UNAVAILABLE,
        "etcdserver: request timed out, possibly due to previous leader failure",
    ),
    (
        e.RequestTimeoutConnectionLost,
        Code.UNAVAILABLE,
        "etcdserver: request timed out, possibly due to connection lost",
    ),
    (
        e.RequestTimeoutApplyLag,
        Code.UNAVAILABLE,
        "etcdserver: request timed out, waiting for the applied index took too long",
    ),
    (e.UnhealthyCluster, Code.UNAVAILABLE, "etcdserver: unhealthy cluster"),
    (e.TooManyRequests, Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
    (e.NoSpace, Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
    (e.MemberNotFound, Code.NOT_FOUND, "etcdserver: member not found"),
    (e.NotCapable, Code.FAILED_PRECONDITION, "etcdserver: not capable"),
    (e.LearnerNotServed, Code.FAILED_PRECONDITION, "etcdserver: rpc not supported for learner"),
    (e.RequestCanceled, Code.CANCELED, "etcdserver: request canceled"),
    (e.WatchCanceled, Code.CANCELED, "etcdserver: watch canceled"),
    (e.DeadlineExceeded, Code.DEADLINE_EXCEEDED, "etcdserver: context deadline exceeded"),
    (e.Corrupt, Code.DATA_LOSS, "etcdserver: corrupt cluster"),
)

_STATUS_OF: dict[type[BaseException], Status] = {
    kind: Status(int(code), text) for kind, code, text in _TABLE
} | {asyncio.CancelledError: Status(int(Code.CANCELED), "etcdserver: request canceled")}
_ERROR_OF: dict[str, type[e.RaftKVError]] = {text: kind for kind, _, text in _TABLE}
_CODE_OF_BASE: dict[type[e.RaftKVError], Code] = {
    e.InvalidRequest: Code.INVALID_ARGUMENT,
    e.Unavailable: Code.UNAVAILABLE,
}
_ERROR_OF_CODE: dict[int, type[e.RaftKVError]] = {
    int(Code.CANCELED): e.RequestCanceled,
    int(Code.DEADLINE_EXCEEDED): e.DeadlineExceeded,
    int(Code.INVALID_ARGUMENT): e.InvalidRequest,
    int(Code.UNAVAILABLE): e.Unavailable,
}


def status_of(error: BaseException) -> Status:
    """What a client is told about ``error``. A class without a row takes its base's."""
    for kind in type(error).__mro__:
        status = _STATUS_OF.get(kind)
        if status is not None:
            return status
    if isinstance(error, e.MalformedRequest):
        return Status(int(Code.INTERNAL), UNMARSHAL_PREFIX + str(error))
    for base, code in _CODE_OF_BASE.items():
        if isinstance(error, base):
            return Status(int(code), str(error))
    if isinstance(error, e.RaftKVError):
        return Status(int(Code.UNKNOWN), str(error))
    log.error("a request failed in a way that has no answer", exc_info=error)
    return Status(int(Code.INTERNAL), INTERNAL_TEXT)


def error_of(status: Status) -> e.RaftKVError:
    """The error that a server, ours or etcd's, meant by ``status``. etcd's own client goes by the
    text alone; the code decides only for a text that is not known."""
    assert status.code != Code.OK, "OK is no error"
    kind = _ERROR_OF.get(status.message)
    if kind is e.Compacted:
        return e.Compacted(0)  # the text names no revision
    if kind is None and status.message.startswith(UNMARSHAL_PREFIX):
        return e.MalformedRequest(status.message.removeprefix(UNMARSHAL_PREFIX))
    if kind is None:
        kind = _ERROR_OF_CODE.get(status.code, e.RaftKVError)
    return kind(status.message)
