"""Errors to gRPC statuses and back, held to etcd's table."""

from __future__ import annotations

import asyncio

import pytest

from raftkv import errors
from raftkv.error_texts import error_of_text
from raftkv.rpc.api_version import vet_api_version
from raftkv.rpc.errors import INTERNAL_TEXT, status_of
from raftkv.wire.service import Status

# Written out once more, from etcd's api/v3rpc/rpctypes/error.go: a test that read the table of the
# code could not find a slip in it.
ETCD = [
    (errors.EmptyKey, 3, "etcdserver: key is not provided"),
    (errors.KeyNotFound, 3, "etcdserver: key not found"),
    (errors.ValueProvided, 3, "etcdserver: value is provided"),
    (errors.LeaseProvided, 3, "etcdserver: lease is provided"),
    (errors.TooManyOps, 3, "etcdserver: too many operations in txn request"),
    (errors.DuplicateKey, 3, "etcdserver: duplicate key given in txn request"),
    (errors.InvalidSortOption, 3, "etcdserver: invalid sort option"),
    (errors.InvalidApiVersion, 3, "etcdserver: invalid client api version"),
    (errors.CustomSortOrder, 12, "RangeStream does not support custom sort orders"),
    (errors.RevisionFilters, 12, "RangeStream does not support revision filters"),
    (errors.RequestTooLarge, 3, "etcdserver: request is too large"),
    (errors.FutureRevision, 11, "etcdserver: mvcc: required revision is a future revision"),
    (errors.LeaseTTLTooLarge, 11, "etcdserver: too large lease TTL"),
    (errors.NoSpace, 8, "etcdserver: mvcc: database space exceeded"),
    (errors.TooManyRequests, 8, "etcdserver: too many requests"),
    (errors.LeaseNotFound, 5, "etcdserver: requested lease not found"),
    (errors.BadLeaderTransferee, 9, "etcdserver: bad leader transferee"),
    (
        errors.LeaderTransferTimeout,
        2,
        "etcdserver: request timed out, leader transfer took too long",
    ),
    (errors.WrongDowngradeVersion, 3, "etcdserver: wrong downgrade target version format"),
    (errors.DowngradeInProcess, 9, "etcdserver: cluster has a downgrade job in progress"),
    (errors.InvalidDowngradeTarget, 3, "etcdserver: invalid downgrade target version"),
    (errors.UnknownMethod, 2, "etcdserver: unknown method"),
    (errors.MemberNotFound, 5, "etcdserver: member not found"),
    (errors.BadMemberUrls, 3, "etcdserver: given member URLs are invalid"),
    (errors.MemberExists, 9, "etcdserver: member ID already exist"),
    (errors.PeerUrlExists, 9, "etcdserver: Peer URLs already exists"),
    (
        errors.NotEnoughStartedMembers,
        9,
        "etcdserver: re-configuration failed due to not enough started members",
    ),
    (errors.MemberNotLearner, 9, "etcdserver: can only promote a learner member"),
    (
        errors.LearnerNotReady,
        9,
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    (errors.TooManyLearners, 9, "etcdserver: too many learner members in cluster"),
    (errors.SessionExpired, 2, "mutex: session is expired"),
    (errors.NotElected, 2, "election: not leader"),
    (errors.NoElectionLeader, 2, "election: no leader"),
    (errors.MissingLeaderKey, 2, '"leader" field must be provided'),
    (errors.LeaseExists, 9, "etcdserver: lease already exists"),
    (errors.NotLeader, 9, "etcdserver: not leader"),
    (errors.NotCapable, 9, "etcdserver: not capable"),
    (errors.LearnerNotServed, 9, "etcdserver: rpc not supported for learner"),
    (errors.WatchCanceled, 1, "etcdserver: watch canceled"),
    (errors.RequestCanceled, 1, "etcdserver: request canceled"),
    (errors.DeadlineExceeded, 4, "etcdserver: context deadline exceeded"),
    (errors.NoLeader, 14, "etcdserver: no leader"),
    (errors.LeaderChanged, 14, "etcdserver: leader changed"),
    (errors.Stopped, 14, "etcdserver: server stopped"),
    (errors.RequestTimeout, 14, "etcdserver: request timed out"),
    (
        errors.RequestTimeoutLeaderFailure,
        14,
        "etcdserver: request timed out, possibly due to previous leader failure",
    ),
    (
        errors.RequestTimeoutConnectionLost,
        14,
        "etcdserver: request timed out, possibly due to connection lost",
    ),
    (
        errors.RequestTimeoutApplyLag,
        14,
        "etcdserver: request timed out, waiting for the applied index took too long",
    ),
    (errors.UnhealthyCluster, 14, "etcdserver: unhealthy cluster"),
    (errors.AuthNotEnabled, 9, "etcdserver: authentication is not enabled"),
    (errors.AuthFailed, 3, "etcdserver: authentication failed, invalid user ID or password"),
    (
        errors.NoPasswordUser,
        2,
        "auth: authentication failed, password was given for no password user",
    ),
    (errors.InvalidAuthToken, 16, "etcdserver: invalid auth token"),
    (errors.AuthOldRevision, 3, "etcdserver: revision of auth store is old"),
    (errors.UserEmpty, 3, "etcdserver: user name is empty"),
    (errors.RoleEmpty, 3, "etcdserver: role name is empty"),
    (errors.PermissionDenied, 7, "etcdserver: permission denied"),
    (errors.PermissionNotGiven, 3, "etcdserver: permission not given"),
    (errors.InvalidAuthManagement, 3, "etcdserver: invalid auth management"),
    (errors.RootUserNotFound, 9, "etcdserver: root user does not exist"),
    (errors.RootRoleNotGranted, 9, "etcdserver: root user does not have root role"),
    (errors.UserExists, 9, "etcdserver: user name already exists"),
    (errors.UserNotFound, 9, "etcdserver: user name not found"),
    (errors.RoleExists, 9, "etcdserver: role name already exists"),
    (errors.RoleNotFound, 9, "etcdserver: role name not found"),
    (errors.RoleNotGranted, 9, "etcdserver: role is not granted to the user"),
    (errors.PermissionNotGranted, 9, "etcdserver: permission is not granted to the role"),
    (errors.PasswordTooLong, 2, "bcrypt: password length exceeds 72 bytes"),
    (errors.VerifyOnlyKey, 2, "auth: token signing attempted with verify-only key"),
    (errors.Corrupt, 15, "etcdserver: corrupt cluster"),
]
COMPACTED = Status(11, "etcdserver: mvcc: required revision has been compacted")
WITHOUT_A_TEXT = {
    errors.RaftKVError,
    errors.InvalidRequest,
    errors.Unavailable,
    errors.MalformedRequest,
    errors.ConfigError,
    errors.MaybeExecuted,
    errors.PrefixFull,
    errors.LeaseLost,
    errors.MemberRemoved,
    errors.Damaged,
    errors.Quarantined,
    errors.PeerUrlRefused,
    errors.ChangePending,
}


@pytest.mark.parametrize(("kind", "code", "text"), ETCD)
def test_each_error_has_etcds_code_and_text(
    kind: type[errors.RaftKVError], code: int, text: str
) -> None:
    """Our own words stay inside; back again, the text leads to the same class."""
    assert status_of(kind("what the log says")) == Status(code, text)
    assert type(error_of_text(text)) is kind


def test_compacted_both_ways() -> None:
    """It carries a revision inside, which the text does not."""
    assert status_of(errors.Compacted(7)) == COMPACTED
    assert isinstance(error_of_text(COMPACTED.message), errors.Compacted)


def test_every_error_class_is_listed_here() -> None:
    """A class without a row would reach clients with no text of etcd's."""

    def below(kind: type[errors.RaftKVError]) -> set[type[errors.RaftKVError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    ours = {kind for kind in below(errors.RaftKVError) if kind.__module__ == "raftkv.errors"}
    assert ours == {row[0] for row in ETCD} | {errors.Compacted} | WITHOUT_A_TEXT


def test_a_class_without_a_row_takes_its_bases() -> None:
    """A narrower kind of a listed error is told like it; others by their family's code."""

    class Narrower(errors.NoLeader): ...

    class Refused(errors.InvalidRequest): ...

    class Passing(errors.Unavailable): ...

    class Own(errors.RaftKVError): ...

    assert status_of(Narrower("x")) == Status(14, "etcdserver: no leader")
    assert status_of(Refused("x")) == Status(3, "x")
    assert status_of(Passing("x")) == Status(14, "x")
    assert status_of(Own("x")) == Status(2, "x")
    assert status_of(errors.PrefixFull("x")) == Status(8, "x")


def test_malformed_requests_are_told_as_grpc_go_does() -> None:
    """With the decoder's words kept."""
    status = Status(13, "grpc: error unmarshalling request: cut off")
    assert status_of(errors.MalformedRequest("cut off")) == status


def test_a_cancelled_task_is_a_canceled_request() -> None:
    """What a stream's handler dies of when the server ends it."""
    assert status_of(asyncio.CancelledError()) == Status(1, "etcdserver: request canceled")


def test_a_bug_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Any other exception: the log has its traceback, the client a general text."""
    with pytest.raises(KeyError) as raised:
        {}["/var/secret"]
    assert status_of(raised.value) == Status(13, INTERNAL_TEXT)
    assert INTERNAL_TEXT.startswith("raftkv: internal error")
    assert "Traceback" in caplog.text
    assert "KeyError: '/var/secret'" in caplog.text


def test_a_text_that_is_none_of_etcds() -> None:
    """Texts of proxies and of newer servers are no error of ours."""
    assert error_of_text("something new") is None


@pytest.mark.parametrize(
    ("value", "refused"), [("3.5", False), ("\u00e9", False), ("\udcff", True), ("", False)]
)
def test_the_clients_version_is_text(value: str, refused: bool) -> None:
    """Bytes that are no UTF-8, which the wire keeps as lone surrogates, are refused."""
    expected = Status(3, "etcdserver: invalid client api version") if refused else None
    assert vet_api_version({"client-api-version": value}) == expected
    assert vet_api_version({}) is None
