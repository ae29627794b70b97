"""Signed tokens: JSON Web Tokens that name the user and the auth revision.

Owns: signing and verifying. Must never do: accept another algorithm than the one it was told, or an
algorithm of another family with the public key as its secret; believe a token any longer whose key
is gone from the files (``raftkv.auth.jwt_key_files``).

Without a private key a member verifies and does not sign; somebody else issues the tokens then. The
claims are etcd's: username, revision, exp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jwt

from raftkv.auth.caller import Caller
from raftkv.auth.jwt_keys import JwtKeys, JwtOptions, load_keys
from raftkv.errors import InvalidAuthToken, VerifyOnlyKey

VERIFIED_MAX = 4_096
"""Tokens whose signature is known to be good: a client shows the same one with every call."""
_TOKEN_BYTES_MAX = 8 * 1024


class JwtTokens:
    """``wall_time``: seconds since 1970, since the claim is a date."""

    def __init__(
        self,
        options: JwtOptions,
        read_file: Callable[[str], bytes],
        wall_time: Callable[[], float],
    ) -> None:
        """Raises ConfigError for keys that are missing, unreadable or of another kind."""
        self._method = options.method
        self._ttl_s = options.ttl_s
        self._wall_time = wall_time
        self._keys = load_keys(options, read_file)
        self._verified: dict[str, tuple[Caller, float]] = {}

    def use(self, keys: JwtKeys) -> None:
        """From now on, for what is signed and what is believed."""
        self._keys = keys
        self._verified.clear()

    def sign(self, name: str, revision: int) -> str:
        """Blocks for a millisecond or two. Raises VerifyOnlyKey."""
        private = self._keys.private
        if private is None:
            raise VerifyOnlyKey("--auth-token names no priv-key")
        end = int(self._wall_time() + self._ttl_s)
        claims = {"username": name, "revision": revision, "exp": end}
        return jwt.encode(claims, private, algorithm=self._method)

    def caller_of(self, token: str) -> Caller:
        """Raises InvalidAuthToken."""
        found = self._verified.get(token)
        if found is None:
            found = self._verify(token)
            if len(self._verified) >= VERIFIED_MAX:
                self._verified.clear()
            self._verified[token] = found
        caller, end = found
        if self._wall_time() >= end:
            raise InvalidAuthToken("the token has ended")
        return caller

    def _verify(self, token: str) -> tuple[Caller, float]:
        if len(token) > _TOKEN_BYTES_MAX:
            raise InvalidAuthToken(f"{len(token)} bytes, the limit is {_TOKEN_BYTES_MAX}")
        claims = self._claims(token)
        name = claims.get("username")
        if not isinstance(name, str) or not name:
            raise InvalidAuthToken("the claims lack username")
        return Caller(name, int(_number(claims, "revision"))), _number(claims, "exp")

    def _claims(self, token: str) -> dict[str, Any]:
        """By the first key that has signed it."""
        for key in self._keys.public:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[self._method],
                    options={"verify_exp": False, "verify_aud": False, "require": ["exp"]},
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as e:
                # What anybody may send is parsed before its signature is known to be good.
                raise InvalidAuthToken(str(e)) from None
        raise InvalidAuthToken("Signature verification failed")


def _number(claims: Mapping[str, Any], name: str) -> float:
    """Of any JSON: it may be a text, or a number out of all bounds."""
    value = claims.get(name)
    if not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        raise InvalidAuthToken(f"the claims lack {name}")
    return value
