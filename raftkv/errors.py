"""Every error that raftkv itself raises for a caller to act on.

Owns: one class per condition that etcd names. Must never do: know gRPC codes or etcd's exact
messages, which `raftkv.rpc.errors` maps both ways for server and client. The text here is for
logs and for people who embed raftkv.
"""

from __future__ import annotations


class RaftKVError(Exception):
    """Base of all. ``str(error)`` says what happened and, where there is one, names the limit."""


# --- a request that is wrong in itself -------------------------------------------------------


class InvalidRequest(RaftKVError):
    """Base of the requests that no retry will make right."""


class EmptyKey(InvalidRequest): ...


class KeyNotFound(InvalidRequest): ...


class ValueProvided(InvalidRequest): ...


class LeaseProvided(InvalidRequest): ...


class TooManyOps(InvalidRequest): ...


class DuplicateKey(InvalidRequest): ...


class InvalidSortOption(InvalidRequest): ...


class InvalidApiVersion(InvalidRequest):
    """The metadata that names the client's version is no text."""


class CustomSortOrder(InvalidRequest):
    """Of a RangeStream, whose chunks come in the order of the keys."""


class RevisionFilters(InvalidRequest):
    """Of a RangeStream, as above."""


class RequestTooLarge(InvalidRequest): ...


class MalformedRequest(InvalidRequest):
    """The bytes are no message of the method's request type."""


# --- revisions ------------------------------------------------------------------------------


class Compacted(RaftKVError):
    """The revision asked for is older than the last compaction. ``compact_revision`` names it."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__(f"required revision has been compacted (compacted at {compact_revision})")
        self.compact_revision = compact_revision


class FutureRevision(RaftKVError):
    """The revision asked for has not happened yet."""


# --- leases ---------------------------------------------------------------------------------


class LeaseNotFound(RaftKVError): ...


class LeaseExists(RaftKVError): ...


class LeaseTTLTooLarge(RaftKVError): ...


# --- locks and elections --------------------------------------------------------------------


class LeaseLost(RaftKVError):
    """The lease that held something could not be renewed, or was ended by somebody."""


class SessionExpired(RaftKVError):
    """The lease ended, or somebody deleted the key, while the lock was waited for."""


class NotElected(RaftKVError):
    """Whoever acts as the election's leader is none, or none any more."""


class NoElectionLeader(RaftKVError):
    """Nobody stands for election."""


class MissingLeaderKey(InvalidRequest):
    """The request must name the leader that it is for."""


# --- cluster and availability ---------------------------------------------------------------


class Unavailable(RaftKVError):
    """Base of the conditions that pass: retry later or elsewhere, if a retry is safe."""


class NoLeader(Unavailable): ...


class LeaderChanged(Unavailable): ...


class NotLeader(RaftKVError): ...


class Quarantined(Unavailable):
    """This member's data is wrong and is being replaced by a peer's: another member serves."""


class Stopped(Unavailable):
    """The member is shutting down."""


class RequestTimeout(Unavailable):
    """No answer in time; a write may still happen."""


class RequestTimeoutLeaderFailure(RequestTimeout):
    """No answer in time, and the leader was lost meanwhile; a write may still happen."""


class RequestTimeoutConnectionLost(RequestTimeout):
    """No answer in time, and the connection to the leader was lost; a write may still happen."""


class RequestTimeoutApplyLag(RequestTimeout):
    """A read found its position in the log, and this member did not get there in time."""


class UnhealthyCluster(Unavailable):
    """Too few members are connected for what was asked."""


class ChangePending(UnhealthyCluster):
    """Another change of members was let through and has not happened yet: to clients of etcd the
    same, since both pass and are asked again."""


class TooManyRequests(RaftKVError):
    """The member holds as much unfinished work as its limits allow."""


class BadLeaderTransferee(RaftKVError):
    """Leadership can go to a voting member only."""


class LeaderTransferTimeout(RaftKVError):
    """The member that was to lead has not taken over in time."""


class WrongDowngradeVersion(InvalidRequest):
    """The target is no version."""


class InvalidDowngradeTarget(InvalidRequest):
    """The target is not the minor version before the cluster's."""


class DowngradeInProcess(RaftKVError):
    """Another downgrade was begun and is not over."""


class UnknownMethod(RaftKVError):
    """The request names an action that nobody knows."""


class MemberNotFound(RaftKVError): ...


class MemberExists(RaftKVError):
    """The id is a member's, or was one's: ids are not used twice."""


class PeerUrlExists(RaftKVError): ...


class BadMemberUrls(InvalidRequest): ...


class PeerUrlRefused(InvalidRequest):
    """What answers at the URL is not the member that is to be there."""


class NotEnoughStartedMembers(RaftKVError):
    """The change would leave a quorum in which too few have ever started."""


class MemberNotLearner(RaftKVError): ...


class LearnerNotReady(RaftKVError):
    """The learner's log is too far behind its leader's."""


class TooManyLearners(RaftKVError): ...


class MemberRemoved(RaftKVError):
    """This member is none any more: it stops serving, for ever."""


class NotCapable(RaftKVError):
    """The member does not serve this method in its present state or version."""


class LearnerNotServed(RaftKVError):
    """A learner answers serializable reads and Status, and nothing else."""


class PrefixFull(RaftKVError):
    """What is below a prefix has reached its quota; the text says which, and how much is there."""


class NoSpace(RaftKVError):
    """The database has reached its quota, or a member has raised the alarm that says so."""


# --- auth ---------------------------------------------------------------------------------------


class AuthNotEnabled(RaftKVError): ...


class AuthFailed(InvalidRequest):
    """Wrong password, or no such user: the caller does not hear which."""


class NoPasswordUser(RaftKVError):
    """The user is known by its certificate alone, and a password came."""


class InvalidAuthToken(RaftKVError):
    """The token is unknown, has ended, or is not signed by whom it should be."""


class AuthOldRevision(InvalidRequest):
    """Users or roles have changed since the caller showed who it is: it has to do so again."""


class UserEmpty(InvalidRequest):
    """A user's name is needed: of the caller, or in the request."""


class RoleEmpty(InvalidRequest): ...


class PermissionDenied(RaftKVError): ...


class PermissionNotGiven(InvalidRequest): ...


class InvalidAuthManagement(InvalidRequest):
    """It would lock root out, or the range of a permission is none."""


class RootUserNotFound(RaftKVError): ...


class RootRoleNotGranted(RaftKVError):
    """The user root lacks the role root."""


class UserExists(RaftKVError): ...


class UserNotFound(RaftKVError): ...


class RoleExists(RaftKVError): ...


class RoleNotFound(RaftKVError): ...


class RoleNotGranted(RaftKVError): ...


class PermissionNotGranted(RaftKVError): ...


class PasswordTooLong(RaftKVError):
    """bcrypt looks at 72 bytes and no more."""


class VerifyOnlyKey(RaftKVError):
    """This member has no private key to sign tokens with."""


# --- calls that end early -----------------------------------------------------------------------


class RequestCanceled(RaftKVError):
    """Whoever asked gave up; a write may still happen."""


class WatchCanceled(RaftKVError):
    """The watch stream's call was cancelled."""


class DeadlineExceeded(RaftKVError):
    """The client's own deadline passed; a write may still happen."""


# --- damage and misuse ----------------------------------------------------------------------------


class Corrupt(RaftKVError):
    """Data on disk or between members is damaged; the member stops rather than guess."""


class Damaged(Corrupt):
    """A row of this member's database is not what was written. Other members have it whole."""


class ConfigError(RaftKVError):
    """A flag, environment variable or file asks for something that cannot be."""


class MaybeExecuted(RaftKVError):
    """The connection was lost after the request had left: the write may have happened, or not.
    The client did not repeat it. Read what it wrote before deciding to write again."""
