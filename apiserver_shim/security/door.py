"""Who asks, and may they.

Owns: authentication, then authorization of a path or a target. Must never do: let a request through
by default.
"""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.user import AUTHENTICATED, MASTERS, User
from apiserver_shim.security.attributes import of_path, of_target, refused
from apiserver_shim.security.authentication import Authenticator
from apiserver_shim.security.authorizer import Authorizer
from apiserver_shim.security.impersonation import impersonated


class Door(Protocol):
    async def identify(self, http: web.Request) -> User:
        """Before the body is read. Raises 401 for credentials that are wrong."""

    def admit_path(self, user: User, request: ApiRequest) -> None:
        """Raises 403 for a path that is no resource."""

    async def admit(self, user: User, target: Target, request: ApiRequest) -> None:
        """Raises 403 for what the user may not do."""


class OpenDoor:
    """For a shim that listens on loopback for its own machine's user only: everybody is admin."""

    async def identify(self, http: web.Request) -> User:
        return User("system:admin", (MASTERS, AUTHENTICATED))

    def admit_path(self, user: User, request: ApiRequest) -> None:
        return None

    async def admit(self, user: User, target: Target, request: ApiRequest) -> None:
        return None


class GuardedDoor:
    """For everybody else."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    async def identify(self, http: web.Request) -> User:
        certificate = http.get_extra_info("peercert")
        authorization = http.headers.get("Authorization", "")
        user = await self._authenticator.identify(certificate, authorization)
        return impersonated(user, http.headers, self._authorizer)

    def admit_path(self, user: User, request: ApiRequest) -> None:
        asked = of_path(user, request)
        if not self._authorizer.allows(asked):
            raise refused(asked)

    async def admit(self, user: User, target: Target, request: ApiRequest) -> None:
        asked = of_target(user, target, request)
        if not self._authorizer.allows(asked):
            raise refused(asked)
