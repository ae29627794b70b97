"""etcd's exact words for each error.

Owns: one text per error class (etcd's api/v3rpc/rpctypes/error.go). Clients of etcd tell errors
apart by these words alone, so they must match to the byte. Must never do: know gRPC codes, which
``raftkv.rpc.errors`` adds on the server's side.
"""

from __future__ import annotations

from raftkv import errors as e

TEXTS: dict[type[e.RaftKVError], str] = {
    e.EmptyKey: "etcdserver: key is not provided",
    e.KeyNotFound: "etcdserver: key not found",
    e.ValueProvided: "etcdserver: value is provided",
    e.LeaseProvided: "etcdserver: lease is provided",
    e.TooManyOps: "etcdserver: too many operations in txn request",
    e.DuplicateKey: "etcdserver: duplicate key given in txn request",
    e.InvalidSortOption: "etcdserver: invalid sort option",
    e.InvalidApiVersion: "etcdserver: invalid client api version",
    e.CustomSortOrder: "RangeStream does not support custom sort orders",
    e.RevisionFilters: "RangeStream does not support revision filters",
    e.RequestTooLarge: "etcdserver: request is too large",
    e.Compacted: "etcdserver: mvcc: required revision has been compacted",
    e.FutureRevision: "etcdserver: mvcc: required revision is a future revision",
    e.LeaseNotFound: "etcdserver: requested lease not found",
    e.LeaseExists: "etcdserver: lease already exists",
    e.LeaseTTLTooLarge: "etcdserver: too large lease TTL",
    e.SessionExpired: "mutex: session is expired",
    e.NotElected: "election: not leader",
    e.NoElectionLeader: "election: no leader",
    e.MissingLeaderKey: '"leader" field must be provided',
    e.NoLeader: "etcdserver: no leader",
    e.LeaderChanged: "etcdserver: leader changed",
    e.NotLeader: "etcdserver: not leader",
    e.Stopped: "etcdserver: server stopped",
    e.RequestTimeout: "etcdserver: request timed out",
    e.RequestTimeoutLeaderFailure: (
        "etcdserver: request timed out, possibly due to previous leader failure"
    ),
    e.RequestTimeoutConnectionLost: (
        "etcdserver: request timed out, possibly due to connection lost"
    ),
    e.RequestTimeoutApplyLag: (
        "etcdserver: request timed out, waiting for the applied index took too long"
    ),
    e.UnhealthyCluster: "etcdserver: unhealthy cluster",
    e.TooManyRequests: "etcdserver: too many requests",
    e.NoSpace: "etcdserver: mvcc: database space exceeded",
    e.BadLeaderTransferee: "etcdserver: bad leader transferee",
    e.LeaderTransferTimeout: "etcdserver: request timed out, leader transfer took too long",
    e.WrongDowngradeVersion: "etcdserver: wrong downgrade target version format",
    e.DowngradeInProcess: "etcdserver: cluster has a downgrade job in progress",
    e.InvalidDowngradeTarget: "etcdserver: invalid downgrade target version",
    e.UnknownMethod: "etcdserver: unknown method",
    e.MemberNotFound: "etcdserver: member not found",
    e.MemberExists: "etcdserver: member ID already exist",
    e.PeerUrlExists: "etcdserver: Peer URLs already exists",
    e.BadMemberUrls: "etcdserver: given member URLs are invalid",
    e.NotEnoughStartedMembers: (
        "etcdserver: re-configuration failed due to not enough started members"
    ),
    e.MemberNotLearner: "etcdserver: can only promote a learner member",
    e.LearnerNotReady: (
        "etcdserver: can only promote a learner member which is in sync with leader"
    ),
    e.TooManyLearners: "etcdserver: too many learner members in cluster",
    e.NotCapable: "etcdserver: not capable",
    e.LearnerNotServed: "etcdserver: rpc not supported for learner",
    e.AuthNotEnabled: "etcdserver: authentication is not enabled",
    e.AuthFailed: "etcdserver: authentication failed, invalid user ID or password",
    e.NoPasswordUser: "auth: authentication failed, password was given for no password user",
    e.InvalidAuthToken: "etcdserver: invalid auth token",
    e.AuthOldRevision: "etcdserver: revision of auth store is old",
    e.UserEmpty: "etcdserver: user name is empty",
    e.RoleEmpty: "etcdserver: role name is empty",
    e.PermissionDenied: "etcdserver: permission denied",
    e.PermissionNotGiven: "etcdserver: permission not given",
    e.InvalidAuthManagement: "etcdserver: invalid auth management",
    e.RootUserNotFound: "etcdserver: root user does not exist",
    e.RootRoleNotGranted: "etcdserver: root user does not have root role",
    e.UserExists: "etcdserver: user name already exists",
    e.UserNotFound: "etcdserver: user name not found",
    e.RoleExists: "etcdserver: role name already exists",
    e.RoleNotFound: "etcdserver: role name not found",
    e.RoleNotGranted: "etcdserver: role is not granted to the user",
    e.PermissionNotGranted: "etcdserver: permission is not granted to the role",
    e.PasswordTooLong: "bcrypt: password length exceeds 72 bytes",
    e.VerifyOnlyKey: "auth: token signing attempted with verify-only key",
    e.RequestCanceled: "etcdserver: request canceled",
    e.WatchCanceled: "etcdserver: watch canceled",
    e.DeadlineExceeded: "etcdserver: context deadline exceeded",
    e.Corrupt: "etcdserver: corrupt cluster",
}

_CLASSES = {text: kind for kind, text in TEXTS.items()}


def error_of_text(text: str) -> e.RaftKVError | None:
    """The error that a server, ours or etcd's, means by ``text``; None if it is none of etcd's."""
    kind = _CLASSES.get(text)
    if kind is None:
        return None
    if kind is e.Compacted:
        return e.Compacted(0)  # the text names no revision
    return kind(text)
