"""Users, roles and auth itself: ``client.auth``.

Owns: the calls of etcd's Auth service. Must never do: log in; ``login`` does, for every call.

    async with Client(endpoints, user="root", password="...") as client:
        await client.auth.user_add("ann", "secret")
        await client.auth.role_add("team")
        await client.auth.grant_permission("team", READWRITE, "team/", prefix_end(b"team/"))
        await client.auth.user_grant_role("ann", "team")
"""

from __future__ import annotations

from raftkv.api import auth_pb2
from raftkv.api import rpc_pb2 as api
from raftkv.client.calls import Calls
from raftkv.client.txn import Text, encoded

READ, WRITE = auth_pb2.Permission.READ, auth_pb2.Permission.WRITE
READWRITE = auth_pb2.Permission.READWRITE

_AUTH = "/etcdserverpb.Auth/"


class Auth:
    """Every call raises what etcd names: UserNotFound, RoleExists, PermissionDenied, ..."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def status(self) -> api.AuthStatusResponse:
        """Whether auth is enabled, and the revision of users and roles."""
        request = api.AuthStatusRequest()
        return await self._calls.read(_AUTH + "AuthStatus", request, api.AuthStatusResponse)

    async def enable(self) -> api.AuthEnableResponse:
        """The user root must have the role root. Raises RootUserNotFound, RootRoleNotGranted."""
        request = api.AuthEnableRequest()
        return await self._calls.write(_AUTH + "AuthEnable", request, api.AuthEnableResponse)

    async def disable(self) -> api.AuthDisableResponse:
        request = api.AuthDisableRequest()
        return await self._calls.write(_AUTH + "AuthDisable", request, api.AuthDisableResponse)

    # --- users ----------------------------------------------------------------------------------

    async def user_add(self, name: str, password: str | None) -> api.AuthUserAddResponse:
        """Without a password the user is known by its client certificate's common name alone."""
        request = api.AuthUserAddRequest(
            name=name,
            password=password or "",
            options=auth_pb2.UserAddOptions(no_password=password is None),
        )
        return await self._calls.write(_AUTH + "UserAdd", request, api.AuthUserAddResponse)

    async def user_get(self, name: str) -> api.AuthUserGetResponse:
        request = api.AuthUserGetRequest(name=name)
        return await self._calls.read(_AUTH + "UserGet", request, api.AuthUserGetResponse)

    async def user_list(self) -> api.AuthUserListResponse:
        request = api.AuthUserListRequest()
        return await self._calls.read(_AUTH + "UserList", request, api.AuthUserListResponse)

    async def user_delete(self, name: str) -> api.AuthUserDeleteResponse:
        request = api.AuthUserDeleteRequest(name=name)
        return await self._calls.write(_AUTH + "UserDelete", request, api.AuthUserDeleteResponse)

    async def user_change_password(
        self, name: str, password: str
    ) -> api.AuthUserChangePasswordResponse:
        """All its simple tokens end."""
        request = api.AuthUserChangePasswordRequest(name=name, password=password)
        method, answer = _AUTH + "UserChangePassword", api.AuthUserChangePasswordResponse
        return await self._calls.write(method, request, answer)

    async def user_grant_role(self, name: str, role: str) -> api.AuthUserGrantRoleResponse:
        request = api.AuthUserGrantRoleRequest(user=name, role=role)
        method = _AUTH + "UserGrantRole"
        return await self._calls.write(method, request, api.AuthUserGrantRoleResponse)

    async def user_revoke_role(self, name: str, role: str) -> api.AuthUserRevokeRoleResponse:
        request = api.AuthUserRevokeRoleRequest(name=name, role=role)
        method = _AUTH + "UserRevokeRole"
        return await self._calls.write(method, request, api.AuthUserRevokeRoleResponse)

    # --- roles ----------------------------------------------------------------------------------

    async def role_add(self, name: str) -> api.AuthRoleAddResponse:
        request = api.AuthRoleAddRequest(name=name)
        return await self._calls.write(_AUTH + "RoleAdd", request, api.AuthRoleAddResponse)

    async def role_get(self, name: str) -> api.AuthRoleGetResponse:
        request = api.AuthRoleGetRequest(role=name)
        return await self._calls.read(_AUTH + "RoleGet", request, api.AuthRoleGetResponse)

    async def role_list(self) -> api.AuthRoleListResponse:
        request = api.AuthRoleListRequest()
        return await self._calls.read(_AUTH + "RoleList", request, api.AuthRoleListResponse)

    async def role_delete(self, name: str) -> api.AuthRoleDeleteResponse:
        request = api.AuthRoleDeleteRequest(role=name)
        return await self._calls.write(_AUTH + "RoleDelete", request, api.AuthRoleDeleteResponse)

    async def grant_permission(
        self, role: str, kind: auth_pb2.Permission.Type.ValueType, key: Text, range_end: Text = b""
    ) -> api.AuthRoleGrantPermissionResponse:
        """``range_end`` as everywhere: empty is the one key, a zero byte has no end."""
        permission = auth_pb2.Permission(
            permType=kind, key=encoded(key), range_end=encoded(range_end)
        )
        request = api.AuthRoleGrantPermissionRequest(name=role, perm=permission)
        method, answer = _AUTH + "RoleGrantPermission", api.AuthRoleGrantPermissionResponse
        return await self._calls.write(method, request, answer)

    async def revoke_permission(
        self, role: str, key: Text, range_end: Text = b""
    ) -> api.AuthRoleRevokePermissionResponse:
        """Exactly as it was granted."""
        request = api.AuthRoleRevokePermissionRequest(
            role=role, key=encoded(key), range_end=encoded(range_end)
        )
        method, answer = _AUTH + "RoleRevokePermission", api.AuthRoleRevokePermissionResponse
        return await self._calls.write(method, request, answer)
