"""Users, roles, whether auth is enabled, and the auth revision, as of the entries applied so far.

Owns: the rows of AUTH_USERS and AUTH_ROLES and two of META, the same in memory, and what each
user's roles add up to. Must never do: know time or tokens, or change by anything but an applied
entry. Rows are etcd's own messages (authpb).

``reload`` must forget all that was derived: a member that was filled by a snapshot, and answered by
what it had worked out before, would apply another outcome than its peers (etcd #14571).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from google.protobuf.message import DecodeError

from raftkv.api import auth_pb2
from raftkv.auth.permissions import KeyRanges, Permissions
from raftkv.backend.environment import Backend
from raftkv.backend.ordered_keys import OrderedKeys
from raftkv.backend.schema import Meta, Table
from raftkv.errors import Corrupt

ROOT_USER = "root"
ROOT_ROLE = "root"
FIRST_REVISION = 1
"""Of a cluster whose users and roles were never touched."""

READ, WRITE = auth_pb2.Permission.READ, auth_pb2.Permission.WRITE


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission of a role; ``kind`` is authpb's number for read, write or both."""

    kind: int
    key: bytes
    range_end: bytes


@dataclass(frozen=True, slots=True)
class User:
    """``roles`` are sorted. A user without password is known by its certificate alone."""

    name: str
    password_hash: bytes = b""
    roles: tuple[str, ...] = ()
    no_password: bool = False

    @property
    def is_root(self) -> bool:
        return ROOT_ROLE in self.roles


@dataclass(frozen=True, slots=True)
class Role:
    """``grants`` are sorted by key."""

    name: str
    grants: tuple[Grant, ...] = ()


class TokenKeeper(Protocol):
    """Whoever remembers which token stands for whom."""

    def assigned(self, token: str, name: str) -> None: ...

    def ended(self, name: str) -> None:
        """The user's password changed, or the user is gone: its tokens are void."""

    def ended_all(self) -> None: ...


class AuthBook:
    """``keeper`` and ``switched`` are told of what is applied. ``enabled`` is a plain attribute:
    every request asks for it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._user_rows = OrderedKeys(backend, Table.AUTH_USERS)
        self._role_rows = OrderedKeys(backend, Table.AUTH_ROLES)
        self.keeper: TokenKeeper | None = None
        self.switched: Callable[[], None] = lambda: None
        self.reload()

    def reload(self) -> None:
        """Read the rows of a database that was opened or replaced. Tokens end: what ended some of
        them may be among the entries that the other database stands for."""
        backend = self._backend
        self._permissions: dict[str, Permissions] = {}
        self.enabled = backend.get(Table.META, Meta.AUTH_ENABLED) is not None
        revision = backend.get(Table.META, Meta.AUTH_REVISION)
        self.revision = FIRST_REVISION if revision is None else int(revision)
        self._user_rows.reload()
        self._role_rows.reload()
        self._users = {u.name: u for u in map(_user, _values(self._user_rows))}
        self._roles = {r.name: r for r in map(_role, _values(self._role_rows))}
        if self.keeper is not None:
            self.keeper.ended_all()
        self.switched()

    # --- reading ------------------------------------------------------------------------------

    def user(self, name: str) -> User | None:
        return self._users.get(name)

    def role(self, name: str) -> Role | None:
        return self._roles.get(name)

    def user_names(self) -> list[str]:
        return sorted(self._users)

    def role_names(self) -> list[str]:
        return sorted(self._roles)

    def permissions(self, user: User) -> Permissions:
        """Of all its roles together; worked out once per auth revision."""
        found = self._permissions.get(user.name)
        if found is None:
            roles = [self._roles[name] for name in user.roles if name in self._roles]
            grants = [grant for role in roles for grant in role.grants]
            found = self._permissions[user.name] = Permissions(
                KeyRanges((g.key, g.range_end) for g in grants if g.kind != WRITE),
                KeyRanges((g.key, g.range_end) for g in grants if g.kind != READ),
            )
        return found

    # --- applied entries ------------------------------------------------------------------------

    def switch(self, *, enabled: bool) -> None:
        self.enabled = enabled
        if enabled:
            self._backend.put(Table.META, Meta.AUTH_ENABLED, b"1")
        else:
            self._backend.delete(Table.META, Meta.AUTH_ENABLED)
        self.switched()

    def put_user(self, user: User) -> None:
        self._users[user.name] = user
        row = auth_pb2.User(
            name=user.name.encode(),
            password=user.password_hash,
            roles=user.roles,
            options=auth_pb2.UserAddOptions(no_password=user.no_password),
        )
        self._user_rows.put(user.name.encode(), row.SerializeToString())

    def remove_user(self, user: User) -> None:
        del self._users[user.name]
        self._user_rows.delete(user.name.encode())

    def put_role(self, role: Role) -> None:
        self._roles[role.name] = role
        row = auth_pb2.Role(
            name=role.name.encode(),
            keyPermission=[
                auth_pb2.Permission(
                    permType=auth_pb2.Permission.Type.ValueType(grant.kind),
                    key=grant.key,
                    range_end=grant.range_end,
                )
                for grant in role.grants
            ],
        )
        self._role_rows.put(role.name.encode(), row.SerializeToString())

    def remove_role(self, role: Role) -> None:
        """Also from the users that had it."""
        del self._roles[role.name]
        self._role_rows.delete(role.name.encode())
        for name in self.user_names():
            user = self._users[name]
            if role.name in user.roles:
                kept = tuple(each for each in user.roles if each != role.name)
                self.put_user(replace(user, roles=kept))

    def changed(self) -> None:
        """Users or roles are others now: what was derived is void, and so are older revisions."""
        self._permissions.clear()
        self.revision += 1
        self._backend.put(Table.META, Meta.AUTH_REVISION, b"%d" % self.revision)


def _values(rows: OrderedKeys) -> list[bytes]:
    return [row for _, row in rows.scan(b"", None)]


def _user(row: bytes) -> User:
    try:
        user = auth_pb2.User.FromString(row)
    except DecodeError as e:
        raise Corrupt(f"a user's row is unreadable: {e}") from e
    return User(user.name.decode(), user.password, tuple(user.roles), user.options.no_password)


def _role(row: bytes) -> Role:
    try:
        role = auth_pb2.Role.FromString(row)
    except DecodeError as e:
        raise Corrupt(f"a role's row is unreadable: {e}") from e
    grants = tuple(Grant(p.permType, p.key, p.range_end) for p in role.keyPermission)
    return Role(role.name.decode(), grants)
