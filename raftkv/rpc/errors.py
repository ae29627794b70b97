"""Errors as gRPC statuses.

Owns: gRPC's codes, which nothing else in raftkv knows; the texts stand in
``raftkv.error_texts``, which our client reads too.
Must never do: let a stack trace or a path reach a client: what is no RaftKVError is logged, and
answered with a general text.
"""

from __future__ import annotations

import asyncio
import logging
from enum import IntEnum

from raftkv import errors as e
from raftkv.error_texts import TEXTS
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

# TooManyRequests and NotEnoughStartedMembers: etcd declares these codes, and loses them to Unknown
# on the way out. Clients that look at the code are better served by the declared one.
_CODES: dict[type[e.RaftKVError], Code] = {
    e.EmptyKey: Code.INVALID_ARGUMENT,
    e.KeyNotFound: Code.INVALID_ARGUMENT,
    e.ValueProvided: Code.INVALID_ARGUMENT,
    e.LeaseProvided: Code.INVALID_ARGUMENT,
    e.TooManyOps: Code.INVALID_ARGUMENT,
    e.DuplicateKey: Code.INVALID_ARGUMENT,
    e.InvalidSortOption: Code.INVALID_ARGUMENT,
    e.InvalidApiVersion: Code.INVALID_ARGUMENT,
    e.CustomSortOrder: Code.UNIMPLEMENTED,
    e.RevisionFilters: Code.UNIMPLEMENTED,
    e.RequestTooLarge: Code.INVALID_ARGUMENT,
    e.Compacted: Code.OUT_OF_RANGE,
    e.FutureRevision: Code.OUT_OF_RANGE,
    e.LeaseNotFound: Code.NOT_FOUND,
    e.LeaseExists: Code.FAILED_PRECONDITION,
    e.LeaseTTLTooLarge: Code.OUT_OF_RANGE,
    e.SessionExpired: Code.UNKNOWN,
    e.NotElected: Code.UNKNOWN,
    e.NoElectionLeader: Code.UNKNOWN,
    e.MissingLeaderKey: Code.UNKNOWN,
    e.NoLeader: Code.UNAVAILABLE,
    e.LeaderChanged: Code.UNAVAILABLE,
    e.NotLeader: Code.FAILED_PRECONDITION,
    e.Stopped: Code.UNAVAILABLE,
    e.RequestTimeout: Code.UNAVAILABLE,
    e.RequestTimeoutLeaderFailure: Code.UNAVAILABLE,
    e.RequestTimeoutConnectionLost: Code.UNAVAILABLE,
    e.RequestTimeoutApplyLag: Code.UNAVAILABLE,
    e.UnhealthyCluster: Code.UNAVAILABLE,
    e.TooManyRequests: Code.RESOURCE_EXHAUSTED,
    e.NoSpace: Code.RESOURCE_EXHAUSTED,
    e.BadLeaderTransferee: Code.FAILED_PRECONDITION,
    e.LeaderTransferTimeout: Code.UNKNOWN,
    e.WrongDowngradeVersion: Code.INVALID_ARGUMENT,
    e.InvalidDowngradeTarget: Code.INVALID_ARGUMENT,
    e.DowngradeInProcess: Code.FAILED_PRECONDITION,
    e.UnknownMethod: Code.UNKNOWN,
    e.MemberNotFound: Code.NOT_FOUND,
    e.MemberExists: Code.FAILED_PRECONDITION,
    e.PeerUrlExists: Code.FAILED_PRECONDITION,
    e.BadMemberUrls: Code.INVALID_ARGUMENT,
    e.NotEnoughStartedMembers: Code.FAILED_PRECONDITION,
    e.MemberNotLearner: Code.FAILED_PRECONDITION,
    e.LearnerNotReady: Code.FAILED_PRECONDITION,
    e.TooManyLearners: Code.FAILED_PRECONDITION,
    e.NotCapable: Code.FAILED_PRECONDITION,
    e.LearnerNotServed: Code.FAILED_PRECONDITION,
    e.AuthNotEnabled: Code.FAILED_PRECONDITION,
    e.AuthFailed: Code.INVALID_ARGUMENT,
    e.NoPasswordUser: Code.UNKNOWN,
    e.InvalidAuthToken: Code.UNAUTHENTICATED,
    e.AuthOldRevision: Code.INVALID_ARGUMENT,
    e.UserEmpty: Code.INVALID_ARGUMENT,
    e.RoleEmpty: Code.INVALID_ARGUMENT,
    e.PermissionDenied: Code.PERMISSION_DENIED,
    e.PermissionNotGiven: Code.INVALID_ARGUMENT,
    e.InvalidAuthManagement: Code.INVALID_ARGUMENT,
    e.RootUserNotFound: Code.FAILED_PRECONDITION,
    e.RootRoleNotGranted: Code.FAILED_PRECONDITION,
    e.UserExists: Code.FAILED_PRECONDITION,
    e.UserNotFound: Code.FAILED_PRECONDITION,
    e.RoleExists: Code.FAILED_PRECONDITION,
    e.RoleNotFound: Code.FAILED_PRECONDITION,
    e.RoleNotGranted: Code.FAILED_PRECONDITION,
    e.PermissionNotGranted: Code.FAILED_PRECONDITION,
    e.PasswordTooLong: Code.UNKNOWN,
    e.VerifyOnlyKey: Code.UNKNOWN,
    e.RequestCanceled: Code.CANCELED,
    e.WatchCanceled: Code.CANCELED,
    e.DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    e.Corrupt: Code.DATA_LOSS,
}

_STATUS_OF: dict[type[BaseException], Status] = {
    kind: Status(int(code), TEXTS[kind]) for kind, code in _CODES.items()
} | {asyncio.CancelledError: Status(int(Code.CANCELED), "etcdserver: request canceled")}
_CODE_OF_BASE: dict[type[e.RaftKVError], Code] = {
    e.InvalidRequest: Code.INVALID_ARGUMENT,
    e.Unavailable: Code.UNAVAILABLE,
    e.PrefixFull: Code.RESOURCE_EXHAUSTED,
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
