"""Users, roles and auth itself, changed by entries.

Owns: the effect and the answer of each change, in etcd's order of checks and with its rules about
root. Must never do: see a password (the entry has its hash), ask who the caller is (that was
checked before), or count a change that changed nothing: granting a role twice, enabling twice.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from dataclasses import replace

from raftkv.api.auth_pb2 import Permission
from raftkv.api.rpc_pb2 import (
    AuthDisableRequest,
    AuthEnableRequest,
    AuthRoleAddRequest,
    AuthRoleDeleteRequest,
    AuthRoleGrantPermissionRequest,
    AuthRoleRevokePermissionRequest,
    AuthUserAddRequest,
    AuthUserChangePasswordRequest,
    AuthUserDeleteRequest,
    AuthUserGrantRoleRequest,
    AuthUserRevokeRoleRequest,
)
from raftkv.apply.batch import RequestKind
from raftkv.apply.behalf import NAME_BYTES_MAX
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.state import Handler, State, parse
from raftkv.auth.book import ROOT_ROLE, ROOT_USER, Grant, Role, User
from raftkv.auth.permissions import OPEN_END
from raftkv.errors import (
    AuthFailed,
    AuthNotEnabled,
    AuthOldRevision,
    InvalidAuthManagement,
    MalformedRequest,
    NoPasswordUser,
    PermissionNotGiven,
    PermissionNotGranted,
    RoleEmpty,
    RoleExists,
    RoleNotFound,
    RoleNotGranted,
    RootRoleNotGranted,
    RootUserNotFound,
    UserEmpty,
    UserExists,
    UserNotFound,
)


def encode_assignment(name: str, prefix: str, revision: int) -> bytes:
    """The payload of AUTH_ASSIGN_TOKEN: ``name`` has shown its password at ``revision``."""
    return json.dumps({"name": name, "token": prefix, "revision": revision}).encode()


def apply_assign_token(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is the token itself. Every member learns it. Raises AuthOldRevision when the user
    may have another password by now: whoever asked has to look again."""
    try:
        fields = json.loads(payload)
        name, prefix, revision = str(fields["name"]), str(fields["token"]), int(fields["revision"])
    except (ValueError, KeyError, TypeError) as e:
        raise MalformedRequest(f"a token's assignment: {e!r}") from None
    book = state.auth
    if not book.enabled:
        raise AuthNotEnabled("auth was disabled meanwhile")
    if revision != book.revision:
        raise AuthOldRevision(f"known at {revision}, the book is at {book.revision}")
    if book.user(name) is None:
        raise AuthFailed(f"there is no user {name!r}")
    token = f"{prefix}.{state.entry_index}"
    if book.keeper is not None:
        book.keeper.assigned(token, name)
    return token.encode()


def _apply_enable(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    parse(AuthEnableRequest, payload)
    book = state.auth
    if not book.enabled:
        root = book.user(ROOT_USER)
        if root is None:
            raise RootUserNotFound("add the user root first")
        if not root.is_root:
            raise RootRoleNotGranted("grant the role root to the user root first")
        book.switch(enabled=True)
    return _reply(state, header)


def _apply_disable(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    parse(AuthDisableRequest, payload)
    if state.auth.enabled:
        state.auth.switch(enabled=False)
        state.auth.changed()
        if state.auth.keeper is not None:
            state.auth.keeper.ended_all()
    return _reply(state, header)


# --- users ----------------------------------------------------------------------------------


def _apply_user_add(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(AuthUserAddRequest, payload)
    if not request.name:
        raise UserEmpty("a user needs a name")
    if len(request.name.encode()) > NAME_BYTES_MAX:
        raise MalformedRequest(f"a user's name has at most {NAME_BYTES_MAX} bytes")
    if state.auth.user(request.name) is not None:
        raise UserExists(f"there is a user {request.name!r}")
    no_password = request.options.no_password
    password_hash = b"" if no_password else _password_hash(request.hashedPassword)
    state.auth.put_user(User(request.name, password_hash, no_password=no_password))
    state.auth.changed()
    return _reply(state, header)


def _apply_user_delete(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    name = parse(AuthUserDeleteRequest, payload).name
    if state.auth.enabled and name == ROOT_USER:
        raise InvalidAuthManagement("the user root stays while auth is enabled")
    state.auth.remove_user(_user(state, name))
    state.auth.changed()
    _end_tokens(state, name)
    return _reply(state, header)


def _apply_change_password(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(AuthUserChangePasswordRequest, payload)
    user = _user(state, request.name)
    if not user.no_password:
        user = replace(user, password_hash=_password_hash(request.hashedPassword))
    state.auth.put_user(user)
    state.auth.changed()
    _end_tokens(state, user.name)
    return _reply(state, header)


def _apply_grant_role(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(AuthUserGrantRoleRequest, payload)
    user = _user(state, request.user)
    if request.role != ROOT_ROLE:
        _role(state, request.role)
    if request.role not in user.roles:
        roles = tuple(sorted((*user.roles, request.role)))
        state.auth.put_user(replace(user, roles=roles))
        state.auth.changed()
    return _reply(state, header)


def _apply_revoke_role(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(AuthUserRevokeRoleRequest, payload)
    if state.auth.enabled and request.name == ROOT_USER and request.role == ROOT_ROLE:
        raise InvalidAuthManagement("the user root keeps its role while auth is enabled")
    user = _user(state, request.name)
    if request.role not in user.roles:
        raise RoleNotGranted(f"{user.name!r} has not the role {request.role!r}")
    kept = tuple(role for role in user.roles if role != request.role)
    state.auth.put_user(replace(user, roles=kept))
    state.auth.changed()
    return _reply(state, header)


# --- roles ----------------------------------------------------------------------------------


def _apply_role_add(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    name = parse(AuthRoleAddRequest, payload).name
    if not name:
        raise RoleEmpty("a role needs a name")
    if state.auth.role(name) is not None:
        raise RoleExists(f"there is a role {name!r}")
    state.auth.put_role(Role(name))
    state.auth.changed()
    return _reply(state, header)


def _apply_role_delete(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """Whoever had it keeps its tokens, as in etcd: what they may is asked for at each use."""
    name = parse(AuthRoleDeleteRequest, payload).role
    if state.auth.enabled and name == ROOT_ROLE:
        raise InvalidAuthManagement("the role root stays while auth is enabled")
    state.auth.remove_role(_role(state, name))
    state.auth.changed()
    return _reply(state, header)


def _apply_grant_permission(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The same key and range_end again get the new kind; etcd keeps the order of keys."""
    request = parse(AuthRoleGrantPermissionRequest, payload)
    if not request.HasField("perm"):
        raise PermissionNotGiven("the request has no permission")
    given = Grant(request.perm.permType, request.perm.key, request.perm.range_end)
    if not _is_range(given) or given.kind not in Permission.Type.values():
        raise InvalidAuthManagement(f"[{given.key!r}, {given.range_end!r}) is no range of keys")
    role = _role(state, request.name)
    at = _place(role, given.key, given.range_end)
    grants = [*role.grants]
    if at is None:
        grants.append(given)
        grants.sort(key=lambda grant: grant.key)
    else:
        grants[at] = given
    state.auth.put_role(replace(role, grants=tuple(grants)))
    state.auth.changed()
    return _reply(state, header)


def _apply_revoke_permission(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(AuthRoleRevokePermissionRequest, payload)
    role = _role(state, request.role)
    at = _place(role, request.key, request.range_end)
    if at is None:
        raise PermissionNotGranted(f"{role.name!r} has no such permission")
    kept = role.grants[:at] + role.grants[at + 1 :]
    state.auth.put_role(replace(role, grants=kept))
    state.auth.changed()
    return _reply(state, header)


# --- what they share ------------------------------------------------------------------------


def _reply(state: State, header: HeaderEncoder | None) -> bytes:
    """All these answers are a header and no more."""
    return b"" if header is None else header.field(state.store.current_revision)


def _user(state: State, name: str) -> User:
    user = state.auth.user(name)
    if user is None:
        raise UserNotFound(f"there is no user {name!r}")
    return user


def _role(state: State, name: str) -> Role:
    role = state.auth.role(name)
    if role is None:
        raise RoleNotFound(f"there is no role {name!r}")
    return role


def _end_tokens(state: State, name: str) -> None:
    if state.auth.keeper is not None:
        state.auth.keeper.ended(name)


def _place(role: Role, key: bytes, range_end: bytes) -> int | None:
    for at, grant in enumerate(role.grants):
        if grant.key == key and grant.range_end == range_end:
            return at
    return None


def _is_range(grant: Grant) -> bool:
    key, end = grant.key, grant.range_end
    return bool(key) and (not end or end == OPEN_END or key < end)


def _password_hash(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        raise NoPasswordUser("the hash of the password is no base64") from None


AUTH_HANDLERS: dict[int, Handler] = {
    int(RequestKind.AUTH_ENABLE): _apply_enable,
    int(RequestKind.AUTH_DISABLE): _apply_disable,
    int(RequestKind.AUTH_ASSIGN_TOKEN): apply_assign_token,
    int(RequestKind.USER_ADD): _apply_user_add,
    int(RequestKind.USER_DELETE): _apply_user_delete,
    int(RequestKind.USER_CHANGE_PASSWORD): _apply_change_password,
    int(RequestKind.USER_GRANT_ROLE): _apply_grant_role,
    int(RequestKind.USER_REVOKE_ROLE): _apply_revoke_role,
    int(RequestKind.ROLE_ADD): _apply_role_add,
    int(RequestKind.ROLE_DELETE): _apply_role_delete,
    int(RequestKind.ROLE_GRANT_PERMISSION): _apply_grant_permission,
    int(RequestKind.ROLE_REVOKE_PERMISSION): _apply_revoke_permission,
}
