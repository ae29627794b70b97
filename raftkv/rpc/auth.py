"""etcdserverpb.Auth: auth itself, logins, users and roles.

Owns: the requests' way: questions are linearizable reads, changes go through the log with who asks
for them, and a password becomes a hash before that. Must never do: let a password into the log, or
hash one for somebody who is not root: that would be work for anybody's asking.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from google.protobuf.message import Message

from raftkv.api import auth_pb2
from raftkv.api.rpc_pb2 import (
    AuthDisableRequest,
    AuthEnableRequest,
    AuthenticateRequest,
    AuthenticateResponse,
    AuthRoleAddRequest,
    AuthRoleDeleteRequest,
    AuthRoleGetRequest,
    AuthRoleGetResponse,
    AuthRoleGrantPermissionRequest,
    AuthRoleListRequest,
    AuthRoleListResponse,
    AuthRoleRevokePermissionRequest,
    AuthStatusRequest,
    AuthStatusResponse,
    AuthUserAddRequest,
    AuthUserChangePasswordRequest,
    AuthUserDeleteRequest,
    AuthUserGetRequest,
    AuthUserGetResponse,
    AuthUserGrantRoleRequest,
    AuthUserListRequest,
    AuthUserListResponse,
    AuthUserRevokeRoleRequest,
    ResponseHeader,
)
from raftkv.apply.batch import RequestKind
from raftkv.apply.state import parse
from raftkv.auth.book import ROOT_ROLE, Role
from raftkv.auth.permissions import OPEN_END
from raftkv.errors import PermissionDenied, RaftKVError, RoleNotFound, UserEmpty, UserNotFound
from raftkv.rpc.errors import status_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.member import AuthMember
from raftkv.rpc.unary import admitted, fail_with, read_for, reply_to
from raftkv.wire.service import Service, UnaryCall, UnaryMethod

_LOGGED: dict[str, tuple[RequestKind, type[Message]]] = {
    "AuthEnable": (RequestKind.AUTH_ENABLE, AuthEnableRequest),
    "AuthDisable": (RequestKind.AUTH_DISABLE, AuthDisableRequest),
    "UserDelete": (RequestKind.USER_DELETE, AuthUserDeleteRequest),
    "UserGrantRole": (RequestKind.USER_GRANT_ROLE, AuthUserGrantRoleRequest),
    "UserRevokeRole": (RequestKind.USER_REVOKE_ROLE, AuthUserRevokeRoleRequest),
    "RoleAdd": (RequestKind.ROLE_ADD, AuthRoleAddRequest),
    "RoleDelete": (RequestKind.ROLE_DELETE, AuthRoleDeleteRequest),
    "RoleGrantPermission": (RequestKind.ROLE_GRANT_PERMISSION, AuthRoleGrantPermissionRequest),
    "RoleRevokePermission": (RequestKind.ROLE_REVOKE_PERMISSION, AuthRoleRevokePermissionRequest),
}
"""Methods whose request the log has as the client sent it."""


def auth_service(member: AuthMember) -> Service:
    auth = _Auth(member)
    methods: dict[str, UnaryMethod] = {
        name: auth.logged(kind, request) for name, (kind, request) in _LOGGED.items()
    }
    methods |= {
        "AuthStatus": auth.status,
        "Authenticate": auth.authenticate,
        "UserAdd": auth.user_add,
        "UserGet": auth.user_get,
        "UserList": auth.user_list,
        "UserChangePassword": auth.user_change_password,
        "RoleGet": auth.role_get,
        "RoleList": auth.role_list,
    }
    return Service("etcdserverpb.Auth", status_of, unary=admitted(member, methods))


class _Auth:
    def __init__(self, member: AuthMember) -> None:
        self._member = member
        self._authority = member.authority
        self._book = member.authority.book
        self._guard = Guard(member)
        self._headers = Headers(member)

    def logged(self, kind: RequestKind, request: type[Message]) -> UnaryMethod:
        def method(payload: bytes, call: UnaryCall) -> None:
            parse(request, payload)
            self._guard.propose(kind, payload, call, reply_to(call))

        return method

    def status(self, payload: bytes, call: UnaryCall) -> None:
        """Open to everybody: who has no token yet asks whether it takes one."""
        parse(AuthStatusRequest, payload)

        def produce() -> bytes:
            return AuthStatusResponse(
                header=self._header(), enabled=self._book.enabled, authRevision=self._book.revision
            ).SerializeToString()

        self._member.linearize(read_for(call, produce))

    def authenticate(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(AuthenticateRequest, payload)

        def told(outcome: str | RaftKVError) -> None:
            if isinstance(outcome, RaftKVError):
                call.fail(status_of(outcome))
                return
            response = AuthenticateResponse(header=self._header(), token=outcome)
            call.reply(response.SerializeToString())

        self._authority.log_in(request.name, request.password, told)

    # --- users ----------------------------------------------------------------------------------

    def user_add(self, payload: bytes, call: UnaryCall) -> None:
        """What a client sends as a hash is not taken for one, as in etcd."""
        request = parse(AuthUserAddRequest, payload)
        password, request.password, request.hashedPassword = request.password, "", ""
        if request.options.no_password:
            encoded = request.SerializeToString()
            self._guard.propose(RequestKind.USER_ADD, encoded, call, reply_to(call))
            return

        def hashed(text: str) -> None:
            request.hashedPassword = text
            encoded = request.SerializeToString()
            self._guard.propose(RequestKind.USER_ADD, encoded, call, reply_to(call))

        self._with_hash(password, call, hashed)

    def user_change_password(self, payload: bytes, call: UnaryCall) -> None:
        request = parse(AuthUserChangePasswordRequest, payload)
        password, request.password = request.password, ""

        def hashed(text: str) -> None:
            request.hashedPassword = text
            kind, encoded = RequestKind.USER_CHANGE_PASSWORD, request.SerializeToString()
            self._guard.propose(kind, encoded, call, reply_to(call))

        self._with_hash(password, call, hashed)

    def user_get(self, payload: bytes, call: UnaryCall) -> None:
        """One's own, or for root. The user without a name is nobody's own, and is not found."""
        name = parse(AuthUserGetRequest, payload).name

        def produce() -> bytes:
            self._check_root_or(call, lambda caller: caller == name)
            user = self._book.user(name)
            if user is None:
                raise UserNotFound(f"there is no user {name!r}")
            return AuthUserGetResponse(header=self._header(), roles=user.roles).SerializeToString()

        self._member.linearize(read_for(call, produce))

    def user_list(self, payload: bytes, call: UnaryCall) -> None:
        parse(AuthUserListRequest, payload)

        def produce() -> bytes:
            self._guard.may.is_root(self._guard.caller(call))
            names = self._book.user_names()
            return AuthUserListResponse(header=self._header(), users=names).SerializeToString()

        self._member.linearize(read_for(call, produce))

    # --- roles ----------------------------------------------------------------------------------

    def role_get(self, payload: bytes, call: UnaryCall) -> None:
        """One of one's own, or for root."""
        name = parse(AuthRoleGetRequest, payload).role

        def holds(caller: str) -> bool:
            user = self._book.user(caller)
            return user is not None and name in user.roles

        def produce() -> bytes:
            self._check_root_or(call, holds)
            role = self._book.role(name)
            if role is None:
                raise RoleNotFound(f"there is no role {name!r}")
            return AuthRoleGetResponse(
                header=self._header(), perm=_permissions(role)
            ).SerializeToString()

        self._member.linearize(read_for(call, produce))

    def role_list(self, payload: bytes, call: UnaryCall) -> None:
        parse(AuthRoleListRequest, payload)

        def produce() -> bytes:
            self._guard.may.is_root(self._guard.caller(call))
            names = self._book.role_names()
            return AuthRoleListResponse(header=self._header(), roles=names).SerializeToString()

        self._member.linearize(read_for(call, produce))

    # --- what they share ------------------------------------------------------------------------

    def _header(self) -> ResponseHeader:
        return self._headers.message(self._member.store.current_revision)

    def _check_root_or(self, call: UnaryCall, is_own: Callable[[str], bool]) -> None:
        caller = self._guard.caller(call)
        try:
            self._guard.may.is_root(caller)
        except (PermissionDenied, UserEmpty):
            if not is_own(caller.name):
                raise

    def _with_hash(self, password: str, call: UnaryCall, go_on: Callable[[str], None]) -> None:
        def hashed(outcome: bytes | RaftKVError) -> None:
            if isinstance(outcome, RaftKVError):
                call.fail(status_of(outcome))
                return
            try:
                go_on(b64encode(outcome).decode())
            except RaftKVError as error:
                call.fail(status_of(error))

        def hash_it() -> None:
            self._authority.hash_password(password, hashed)

        self._guard.as_newest_root(call, hash_it, fail_with(call))


def _permissions(role: Role) -> list[auth_pb2.Permission]:
    """The role root has none of its own, and may do everything."""
    if role.name == ROOT_ROLE:
        return [auth_pb2.Permission(permType=auth_pb2.Permission.READWRITE, range_end=OPEN_END)]
    return [
        auth_pb2.Permission(
            permType=auth_pb2.Permission.Type.ValueType(grant.kind),
            key=grant.key,
            range_end=grant.range_end,
        )
        for grant in role.grants
    ]
