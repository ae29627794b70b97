"""Users, roles and auth as entries: etcd's rules, and the same outcome on every member."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftkv import errors
from raftkv.api import auth_pb2
from raftkv.api import rpc_pb2 as api
from raftkv.apply.applier import Applier, Outcome
from raftkv.apply.auth import encode_assignment
from raftkv.apply.batch import Batch, RequestKind
from raftkv.apply.behalf import decode_as_user, encode_as_member, encode_as_user
from raftkv.auth.book import AuthBook
from raftkv.auth.caller import Caller
from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Table
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.store import Store

Kind = RequestKind
HASH = b64encode(b"$2b$04$made.up").decode()
PUT = api.PutRequest(key=b"a1", value=b"v")
ROOT = "root"


class Tokens:
    """A TokenKeeper that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def assigned(self, token: str, name: str) -> None:
        self.told.append(("assigned", token, name))

    def ended(self, name: str) -> None:
        self.told.append(("ended", name))

    def ended_all(self) -> None:
        self.told.append(("ended all",))


class Machine:
    """One applier, fed with one request per entry."""

    def __init__(self, path: Path) -> None:
        self.backend = LmdbBackend(str(path))
        self.store = Store(self.backend)
        leases = LeaseBook(self.backend)
        self.applier = Applier(self.store, self.backend, leases, cluster_id=1, member_id=2)
        self.book = self.applier.auth
        self.tokens = Tokens()
        self.book.keeper = self.tokens
        self.index = 0

    def apply(self, kind: int, payload: bytes, *, want_replies: bool = True) -> Outcome:
        self.index += 1
        batch = Batch(7, self.index, [(int(kind), payload)])
        outcomes = self.applier.apply(self.index, 1, batch, want_replies=want_replies)
        assert (outcomes is not None) == want_replies
        return outcomes[0] if outcomes else b""

    def ask(self, kind: Kind, request: Message, user: str = "") -> Outcome:
        payload = request.SerializeToString()
        if not user:
            return self.apply(kind, payload)
        return self.apply(
            Kind.AS_USER, encode_as_user(Caller(user, self.book.revision), kind, payload)
        )

    def done(self, kind: Kind, request: Message, user: str = "") -> None:
        outcome = self.ask(kind, request, user)
        assert isinstance(outcome, bytes), outcome

    def user(self, name: str, *roles: str) -> None:
        self.done(Kind.USER_ADD, api.AuthUserAddRequest(name=name, hashedPassword=HASH))
        for role in roles:
            self.done(Kind.USER_GRANT_ROLE, api.AuthUserGrantRoleRequest(user=name, role=role))

    def role(self, name: str, *grants: tuple[int, bytes, bytes]) -> None:
        self.done(Kind.ROLE_ADD, api.AuthRoleAddRequest(name=name))
        for kind, key, end in grants:
            self.done(Kind.ROLE_GRANT_PERMISSION, grant(name, kind, key, end))

    def enable(self) -> None:
        self.user(ROOT, ROOT)
        self.done(Kind.AUTH_ENABLE, api.AuthEnableRequest())

    def rows(self) -> list[tuple[bytes, bytes]]:
        tables = (Table.AUTH_USERS, Table.AUTH_ROLES, Table.META, Table.LATEST)
        return [row for table in tables for row in self.backend.cursor(table)]


def grant(role: str, kind: int, key: bytes, end: bytes = b"") -> api.AuthRoleGrantPermissionRequest:
    perm = auth_pb2.Permission(permType=kind, key=key, range_end=end)  # type: ignore[arg-type]
    return api.AuthRoleGrantPermissionRequest(name=role, perm=perm)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "db")
    yield machine
    machine.backend.close()


def test_enabling_needs_root(machine: Machine) -> None:
    """The user root with the role root; enabling twice is fine and bumps no revision."""
    enable = api.AuthEnableRequest()
    assert isinstance(machine.ask(Kind.AUTH_ENABLE, enable), errors.RootUserNotFound)
    machine.user(ROOT)
    assert isinstance(machine.ask(Kind.AUTH_ENABLE, enable), errors.RootRoleNotGranted)
    grant_root = api.AuthUserGrantRoleRequest(user=ROOT, role=ROOT)
    machine.done(Kind.USER_GRANT_ROLE, grant_root)
    assert machine.book.revision == 3
    machine.done(Kind.AUTH_ENABLE, enable)
    machine.done(Kind.AUTH_ENABLE, enable, ROOT)
    assert machine.book.enabled
    assert machine.book.revision == 3
    machine.done(Kind.AUTH_DISABLE, api.AuthDisableRequest(), ROOT)
    assert not machine.book.enabled
    assert machine.book.revision == 4
    assert machine.tokens.told == [("ended all",)]
    machine.done(Kind.AUTH_DISABLE, api.AuthDisableRequest())
    assert machine.book.revision == 4


def test_root_cannot_be_locked_out(machine: Machine) -> None:
    """While auth is enabled neither the user, nor the role, nor the one's having the other goes;
    while it is disabled all of them do."""
    machine.role(ROOT)
    machine.enable()
    asked: list[tuple[Kind, Message]] = [
        (Kind.USER_REVOKE_ROLE, api.AuthUserRevokeRoleRequest(name=ROOT, role=ROOT)),
        (Kind.ROLE_DELETE, api.AuthRoleDeleteRequest(role=ROOT)),
        (Kind.USER_DELETE, api.AuthUserDeleteRequest(name=ROOT)),
    ]
    for kind, request in asked:
        assert isinstance(machine.ask(kind, request, ROOT), errors.InvalidAuthManagement), kind
    machine.done(Kind.AUTH_DISABLE, api.AuthDisableRequest(), ROOT)
    for kind, request in asked:
        machine.done(kind, request)


REFUSED: list[tuple[Kind, Message, type[errors.RaftKVError]]] = [
    (Kind.USER_ADD, api.AuthUserAddRequest(), errors.UserEmpty),
    (Kind.USER_ADD, api.AuthUserAddRequest(name="ann"), errors.UserExists),
    (Kind.USER_ADD, api.AuthUserAddRequest(name="x", hashedPassword="*"), errors.NoPasswordUser),
    (Kind.USER_DELETE, api.AuthUserDeleteRequest(name="x"), errors.UserNotFound),
    (Kind.USER_CHANGE_PASSWORD, api.AuthUserChangePasswordRequest(name="x"), errors.UserNotFound),
    (Kind.USER_GRANT_ROLE, api.AuthUserGrantRoleRequest(user="x", role="r"), errors.UserNotFound),
    (Kind.USER_GRANT_ROLE, api.AuthUserGrantRoleRequest(user="ann", role="x"), errors.RoleNotFound),
    (Kind.USER_REVOKE_ROLE, api.AuthUserRevokeRoleRequest(name="x"), errors.UserNotFound),
    (Kind.USER_REVOKE_ROLE, api.AuthUserRevokeRoleRequest(name="ann"), errors.RoleNotGranted),
    (Kind.ROLE_ADD, api.AuthRoleAddRequest(), errors.RoleEmpty),
    (Kind.ROLE_ADD, api.AuthRoleAddRequest(name="r"), errors.RoleExists),
    (Kind.ROLE_DELETE, api.AuthRoleDeleteRequest(role="x"), errors.RoleNotFound),
    (
        Kind.ROLE_GRANT_PERMISSION,
        api.AuthRoleGrantPermissionRequest(name="x"),
        errors.PermissionNotGiven,
    ),
    (Kind.ROLE_GRANT_PERMISSION, grant("x", 0, b"k"), errors.RoleNotFound),
    (Kind.ROLE_GRANT_PERMISSION, grant("r", 0, b""), errors.InvalidAuthManagement),
    (Kind.ROLE_GRANT_PERMISSION, grant("r", 0, b"", b"\0"), errors.InvalidAuthManagement),
    (Kind.ROLE_GRANT_PERMISSION, grant("r", 0, b"b", b"b"), errors.InvalidAuthManagement),
    (Kind.ROLE_GRANT_PERMISSION, grant("r", 0, b"b", b"a"), errors.InvalidAuthManagement),
    (Kind.ROLE_GRANT_PERMISSION, grant("r", 9, b"b"), errors.InvalidAuthManagement),
    (Kind.ROLE_REVOKE_PERMISSION, api.AuthRoleRevokePermissionRequest(), errors.RoleNotFound),
    (
        Kind.ROLE_REVOKE_PERMISSION,
        api.AuthRoleRevokePermissionRequest(role="r", key=b"k"),
        errors.PermissionNotGranted,
    ),
]


def test_what_is_refused_changes_nothing(machine: Machine) -> None:
    """Each has etcd's error; no row and no revision is another afterwards."""
    machine.user("ann")
    machine.role("r", (0, b"k", b"l"))
    before = machine.rows()
    for kind, request, error in REFUSED:
        assert type(machine.ask(kind, request)) is error, request
        assert machine.rows() == before, request


def test_each_change_is_one_revision(machine: Machine) -> None:
    """From 1 on; a role that the user has already is granted silently, at no revision."""
    assert machine.book.revision == 1
    machine.role("r", (0, b"k", b""))
    machine.user("ann", "r")
    assert machine.book.revision == 5
    machine.done(Kind.USER_GRANT_ROLE, api.AuthUserGrantRoleRequest(user="ann", role="r"))
    assert machine.book.revision == 5
    no_revision = machine.store.current_revision
    assert no_revision == 1, "users and roles are no keys"


def test_a_grant_of_the_same_range_replaces_it(machine: Machine) -> None:
    """By key and range_end; the list is ordered by key, as etcd's."""
    machine.role("r", (0, b"k", b""), (1, b"a", b"b"), (0, b"k", b"z"), (2, b"k", b""))
    role = machine.book.role("r")
    assert role is not None
    assert [(g.kind, g.key, g.range_end) for g in role.grants] == [
        (1, b"a", b"b"),
        (2, b"k", b""),
        (0, b"k", b"z"),
    ]


def test_tokens_end_with_what_they_stood_for(machine: Machine) -> None:
    """A new password and the user's end. Not the end of a role: what its users may is asked for
    at each use."""
    machine.role("r")
    machine.user("ann", "r")
    machine.user("bob")
    change = api.AuthUserChangePasswordRequest(name="bob", hashedPassword=HASH)
    machine.done(Kind.USER_CHANGE_PASSWORD, change)
    machine.done(Kind.ROLE_DELETE, api.AuthRoleDeleteRequest(role="r"))
    machine.done(Kind.USER_DELETE, api.AuthUserDeleteRequest(name="bob"))
    assert machine.tokens.told == [("ended", "bob"), ("ended", "bob")]
    ann = machine.book.user("ann")
    assert ann is not None
    assert ann.roles == ()


def test_a_token_is_assigned_at_the_revision_that_it_was_asked_at(machine: Machine) -> None:
    """Every member is told, with the entry's index; after any change it is void."""
    machine.user("ann")
    revision = machine.book.revision
    payload = encode_assignment("ann", "abc", revision)
    assert isinstance(machine.apply(Kind.AUTH_ASSIGN_TOKEN, payload), errors.AuthNotEnabled)
    machine.enable()
    assert isinstance(machine.apply(Kind.AUTH_ASSIGN_TOKEN, payload), errors.AuthOldRevision)
    payload = encode_assignment("ann", "abc", machine.book.revision)
    token = machine.apply(Kind.AUTH_ASSIGN_TOKEN, payload)
    assert token == b"abc.%d" % machine.index
    assert machine.tokens.told == [("assigned", f"abc.{machine.index}", "ann")]
    payload = encode_assignment("eve", "abc", machine.book.revision)
    assert isinstance(machine.apply(Kind.AUTH_ASSIGN_TOKEN, payload), errors.AuthFailed)


def test_nobody_writes_once_auth_is_enabled(machine: Machine) -> None:
    """A request that came before it and is applied after it, also in the same batch: refused, and
    the member's own are not; disabled again, it passes."""
    machine.user(ROOT, ROOT)
    put = (int(Kind.PUT), PUT.SerializeToString())
    own = encode_as_member(Kind.COMPACT, api.CompactionRequest(revision=2).SerializeToString())
    requests = [put, (int(Kind.AUTH_ENABLE), b""), put, (int(Kind.AS_MEMBER), own)]
    machine.index += 1
    outcomes = machine.applier.apply(
        machine.index, 1, Batch(7, machine.index, requests), want_replies=True
    )
    assert outcomes is not None
    assert [type(outcome) for outcome in outcomes] == [bytes, bytes, errors.UserEmpty, bytes]
    assert machine.store.current_revision == 2
    machine.done(Kind.AUTH_DISABLE, api.AuthDisableRequest(), ROOT)
    machine.done(Kind.PUT, PUT)


def test_the_permission_counts_that_holds_when_it_is_applied(machine: Machine) -> None:
    """Checked at the door, taken back before its entry: refused as too old, and by name."""
    machine.role("r", (2, b"a", b"b"))
    machine.user("ann", "r")
    machine.enable()
    early = encode_as_user(Caller("ann", machine.book.revision), Kind.PUT, PUT.SerializeToString())
    assert isinstance(machine.apply(Kind.AS_USER, early), bytes)
    revoke = api.AuthUserRevokeRoleRequest(name="ann", role="r")
    machine.done(Kind.USER_REVOKE_ROLE, revoke, ROOT)
    assert isinstance(machine.apply(Kind.AS_USER, early), errors.AuthOldRevision)
    assert isinstance(machine.ask(Kind.PUT, PUT, "ann"), errors.PermissionDenied)
    machine.done(Kind.USER_DELETE, api.AuthUserDeleteRequest(name="ann"), ROOT)
    assert isinstance(machine.ask(Kind.PUT, PUT, "ann"), errors.PermissionDenied)
    assert machine.store.current_revision == 2


def test_a_reopened_book_derives_its_answers_anew(tmp_path: Path) -> None:
    """A member filled by a snapshot: its book, which has answered before, is put on another
    database. It must apply what its peers apply (etcd #14571)."""
    old, new = Machine(tmp_path / "old"), Machine(tmp_path / "new")
    for machine, end in ((old, b"b"), (new, b"a")):
        machine.role("r", (2, b"a", b"b") if end == b"b" else (2, b"x", b"y"))
        machine.user("ann", "r")
        machine.enable()
    assert isinstance(old.ask(Kind.PUT, PUT, "ann"), bytes)
    copy = tmp_path / "copy"
    new.backend.commit()
    new.backend.copy_to(str(copy))
    old.backend.replace(str(copy))
    old.book.reload()
    old.store.reload()
    assert old.tokens.told == [("ended all",)]
    for machine in (old, new):
        assert isinstance(machine.ask(Kind.PUT, PUT, "ann"), errors.PermissionDenied)
    assert old.rows() == new.rows()
    for machine in (old, new):
        machine.backend.close()


names = st.sampled_from(("root", "ann", "bob", ""))
roles = st.sampled_from(("root", "r", "s", ""))
keys = st.sampled_from((b"a", b"a1", b"b", b"c", b"\0", b""))
changes = st.one_of(
    st.builds(lambda n: (Kind.USER_ADD, api.AuthUserAddRequest(name=n)), names),
    st.builds(lambda n: (Kind.USER_DELETE, api.AuthUserDeleteRequest(name=n)), names),
    st.builds(
        lambda n, r: (Kind.USER_GRANT_ROLE, api.AuthUserGrantRoleRequest(user=n, role=r)),
        names,
        roles,
    ),
    st.builds(
        lambda n, r: (Kind.USER_REVOKE_ROLE, api.AuthUserRevokeRoleRequest(name=n, role=r)),
        names,
        roles,
    ),
    st.builds(lambda r: (Kind.ROLE_ADD, api.AuthRoleAddRequest(name=r)), roles),
    st.builds(lambda r: (Kind.ROLE_DELETE, api.AuthRoleDeleteRequest(role=r)), roles),
    st.builds(
        lambda r, t, k, e: (Kind.ROLE_GRANT_PERMISSION, grant(r, t, k, e)),
        roles,
        st.integers(0, 2),
        keys,
        keys,
    ),
    st.just((Kind.AUTH_ENABLE, api.AuthEnableRequest())),
    st.just((Kind.AUTH_DISABLE, api.AuthDisableRequest())),
    st.builds(lambda k: (Kind.PUT, api.PutRequest(key=k, prev_kv=True)), keys),
    st.builds(
        lambda k, e: (Kind.DELETE_RANGE, api.DeleteRangeRequest(key=k, range_end=e)), keys, keys
    ),
)
steps = st.tuples(changes, names, st.integers(-2, 0), st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=40))
def test_every_member_comes_to_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[tuple[Kind, Message], str, int, bool]],
) -> None:
    """The same entries on a member that answers, on one that does not, and on one that reads its
    rows anew in between: the same outcomes and the same rows."""
    directory = tmp_path_factory.mktemp("auth")
    asked, silent, reread = (Machine(directory / name) for name in ("a", "b", "c"))
    for machine in (asked, silent, reread):
        machine.user("root", "root")
        machine.role("r", (2, b"a", b"b"))
    for (kind, request), user, age, rereads in drawn:
        payload = request.SerializeToString()
        if user:
            caller = Caller(user, max(asked.book.revision + age, 0))
            kind, payload = Kind.AS_USER, encode_as_user(caller, kind, payload)
        first = asked.apply(kind, payload)
        silent.apply(kind, payload, want_replies=False)
        if rereads:
            reread.book.reload()
        second = reread.apply(kind, payload)
        assert first == second or type(first) is type(second), (first, second)
    assert asked.rows() == silent.rows() == reread.rows()
    fresh = AuthBook(asked.backend)
    assert (fresh.enabled, fresh.revision) == (asked.book.enabled, asked.book.revision)
    assert [fresh.user(n) for n in fresh.user_names()] == [
        asked.book.user(n) for n in asked.book.user_names()
    ]
    for machine in (asked, silent, reread):
        machine.backend.close()


@given(st.text(max_size=20), st.integers(0, 2**63), st.binary(max_size=40))
def test_who_asks_survives_the_log(name: str, revision: int, payload: bytes) -> None:
    """Encode and decode: the same caller, kind and bytes; cut in its head it is refused."""
    whole = encode_as_user(Caller(name, revision), Kind.TXN, payload)
    assert decode_as_user(whole) == (Caller(name, revision), Kind.TXN, payload)
    head = len(whole) - len(payload)
    for cut in range(head):
        with pytest.raises(errors.MalformedRequest):
            decode_as_user(whole[:cut])


def test_names_of_any_length_are_kept(machine: Machine) -> None:
    """Longer than a key of the database may be: found again by a book that reads anew."""
    machine.user("n" * 2000)
    machine.role("r" * 3000)
    book = AuthBook(machine.backend)
    assert book.user_names() == ["n" * 2000]
    assert book.role_names() == ["r" * 3000]


def test_an_unknown_request_of_a_member_stops_it(machine: Machine) -> None:
    """Inside a request of its own or of a user's: to skip it would be to diverge."""
    for payload in (
        (Kind.AS_MEMBER, encode_as_member(200, b"")),
        (Kind.AS_USER, encode_as_user(Caller("ann", 1), 200, b"")),
    ):
        with pytest.raises(errors.Corrupt, match="unknown kind 200"):
            machine.apply(*payload)
