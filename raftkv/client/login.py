"""A user's login: the token that its calls carry, renewed when a server does not take it any more.

Owns: user, password and the one token of a client. Must never do: log in twice at once, or be asked
about an error that may have come after an effect: the three below are raised before any, so that
whatever met them may be asked again, a write too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from raftkv.errors import AuthNotEnabled, AuthOldRevision, InvalidAuthToken, RaftKVError, UserEmpty

Metadata = tuple[tuple[str, str], ...]
STALE = (InvalidAuthToken, AuthOldRevision, UserEmpty)
"""The token has ended, users or roles have changed, or auth was enabled after the login."""


class Login:
    """``authenticate`` gets user and password to the server, and the token back."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password
        self._token: str | None = None
        self._busy = asyncio.Lock()

    async def metadata(self, authenticate: Callable[[], Awaitable[str]]) -> Metadata:
        """What a call carries. The first one logs in."""
        if self._token is None:
            await self._renew(None, authenticate)
        return (("token", self._token),) if self._token else ()

    async def renew(self, refused: Metadata, authenticate: Callable[[], Awaitable[str]]) -> None:
        """A call that carried ``refused`` was told that it is stale."""
        await self._renew(refused[0][1] if refused else "", authenticate)

    async def _renew(self, stale: str | None, authenticate: Callable[[], Awaitable[str]]) -> None:
        async with self._busy:
            if self._token != stale:
                return  # somebody has been here meanwhile
            try:
                self._token = await authenticate()
            except AuthNotEnabled:
                self._token = ""


def is_stale(error: RaftKVError) -> bool:
    return isinstance(error, STALE)
