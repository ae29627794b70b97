"""Who asks, and may they.

Owns: authentication, then authorization of a path or a target. Must never do: let a request through
by default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from apiserver_shim.api.request import ApiRequest, Target


@dataclass(frozen=True, slots=True)
class User:
    """``groups`` as RBAC knows them: system:masters, system:authenticated ..."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)


class Door(Protocol):
    async def identify(self, http: web.Request, request: ApiRequest) -> User:
        """Raises 401 for credentials that are wrong."""

    def admit_path(self, user: User, request: ApiRequest) -> None:
        """Raises 403 for a path that is no resource."""

    async def admit(self, user: User, target: Target) -> None:
        """Raises 403 for what the user may not do."""


class OpenDoor:
    """For a shim that listens on loopback for its own machine's user only: everybody is admin."""

    async def identify(self, http: web.Request, request: ApiRequest) -> User:
        return User("system:admin", ("system:masters", "system:authenticated"))

    def admit_path(self, user: User, request: ApiRequest) -> None:
        return None

    async def admit(self, user: User, target: Target) -> None:
        return None
