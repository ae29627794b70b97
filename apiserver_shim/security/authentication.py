"""Who asks: a client certificate, a bearer token, or nobody.

Owns: the order in which credentials are believed. Must never do: take wrong credentials for none:
they are 401.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from apiserver_shim.api.status import ApiError
from apiserver_shim.api.user import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User
from apiserver_shim.security.service_accounts import BadToken, ServiceAccountTokens

log = logging.getLogger("apiserver_shim.security")

TOKEN_BYTES_MAX = 16 * 1024
Certificate = Mapping[str, Any]
"""As ``SSLSocket.getpeercert`` gives it: verified already, by the handshake."""


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


class StaticTokens:
    """``--token-auth-file``: lines of token,user,uid,"group1,group2". Tokens are kept as digests,
    and looked up by them: how long that takes says nothing of a token."""

    def __init__(self, text: str = "") -> None:
        """Raises ValueError for a line that is none."""
        self._users: dict[bytes, User] = {}
        for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
            fields = [field.strip() for field in row]
            if not any(fields) or fields[0].startswith("#"):
                continue
            if len(fields) < 3 or not fields[0] or not fields[1]:
                raise ValueError(f"line {number}: expected token,user,uid[,groups]")
            groups = tuple(g.strip() for g in fields[3].split(",")) if len(fields) > 3 else ()
            user = User(fields[1], tuple(filter(None, groups)), fields[2])
            self._users[_digest(fields[0])] = user

    def find(self, token: str) -> User | None:
        return self._users.get(_digest(token))


class Authenticator:
    """``now`` is the wall clock, in UTC."""

    def __init__(
        self,
        accounts: ServiceAccountTokens,
        now: Callable[[], datetime],
        *,
        tokens: StaticTokens | None = None,
        anonymous: bool = True,
    ) -> None:
        self._accounts = accounts
        self._now = now
        self._tokens = tokens or StaticTokens()
        self._anonymous = anonymous

    @property
    def audiences(self) -> list[str]:
        """Of tokens that are meant for this API."""
        return [self._accounts.issuer]

    async def identify(self, certificate: Certificate | None, authorization: str) -> User:
        """Raises 401 for credentials that are wrong, and for none if those are asked for."""
        if certificate:
            return _vouched(self._by_certificate(certificate))
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            user, _ = await self.by_token(token.strip(), self.audiences)
            return _vouched(user)
        if not self._anonymous:
            raise unauthorized()
        return User(ANONYMOUS, (UNAUTHENTICATED,))

    async def by_token(self, token: str, audiences: Sequence[str]) -> tuple[User, list[str]]:
        """The user, and which of ``audiences`` the token is for. Raises 401."""
        if len(token) > TOKEN_BYTES_MAX:
            raise unauthorized()
        user = self._tokens.find(token)
        if user is not None:
            shared = [each for each in audiences if each in self.audiences]
            if not shared:
                raise unauthorized()
            return user, shared
        try:
            return await self._accounts.user_of(token, audiences)
        except BadToken as e:
            log.info("a bearer token is refused: %s", e)
            raise unauthorized() from None

    def _by_certificate(self, certificate: Certificate) -> User:
        """A connection may outlive the certificate that opened it."""
        if self._now().timestamp() >= ssl.cert_time_to_seconds(certificate["notAfter"]):
            raise unauthorized()
        named: dict[str, list[str]] = {}
        for part in certificate.get("subject", ()):
            for name, value in part:
                named.setdefault(name, []).append(value)
        names = named.get("commonName", [])
        if not names or not names[-1]:
            raise unauthorized()
        return User(names[-1], tuple(named.get("organizationName", ())))


def _vouched(user: User) -> User:
    if AUTHENTICATED in user.groups or user.name == ANONYMOUS:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
