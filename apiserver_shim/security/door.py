"""Who asks, and may they.

Owns: authentication, then authorization of a path or a target. Must never do: let a request through
by default.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Protocol

from aiohttp import web
from yarl import URL

from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import ApiError
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
        """Raises 403 for a web page that calls itself another host (DNS rebinding), and for who
        would act as somebody else: nobody is asked here, so nothing would be refused."""
        if not _is_loopback(http.host):
            raise ApiError(403, "Forbidden", f"host {http.host!r} is not loopback")
        if any(name.lower().startswith("impersonate-") for name in http.headers):
            text = "impersonation needs the secure port: on this one everybody is admin"
            raise ApiError(403, "Forbidden", text)
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


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    """A Host header, with a port or without."""
    try:
        name = URL.build(authority=host, scheme="http").host or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
