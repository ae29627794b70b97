"""Signed tokens: JSON Web Tokens that name the user and the auth revision.

Owns: etcd's option string, the keys, signing and verifying. Must never do: accept another algorithm
than the one it was told, or an algorithm of another family with the public key as its secret.

    jwt,pub-key=FILE,priv-key=FILE,sign-method=RS256,ttl=5m

Without a private key a member verifies and does not sign; somebody else issues the tokens then. The
claims are etcd's: username, revision, exp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from raftkv.auth.caller import Caller
from raftkv.errors import ConfigError, InvalidAuthToken, VerifyOnlyKey

METHODS = frozenset(
    f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)
) | {"EdDSA"}
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
VERIFIED_MAX = 4_096
"""Tokens whose signature is known to be good: a client shows the same one with every call."""
_TOKEN_BYTES_MAX = 8 * 1024


@dataclass(frozen=True, slots=True)
class JwtOptions:
    """Paths as given; "" for a key that is not there."""

    method: str
    public_path: str
    private_path: str
    ttl_s: float


def parse_jwt_options(text: str, parse_duration: Callable[[str], float]) -> JwtOptions:
    """``text`` is what follows "jwt,". Raises ConfigError."""
    given: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        if name not in ("pub-key", "priv-key", "sign-method", "ttl") or not equals:
            raise ConfigError(
                f"--auth-token: {pair!r} is none of pub-key=, priv-key=, sign-method= and ttl="
            )
        if name in given:
            raise ConfigError(f"--auth-token: {name} is given twice")
        given[name] = value
    method = given.get("sign-method", "")
    if method not in METHODS:
        raise ConfigError(
            f"--auth-token: sign-method={method} is none of {', '.join(sorted(METHODS))}"
        )
    try:
        ttl_s = parse_duration(given.get("ttl", "5m"))
    except ValueError as e:
        raise ConfigError(f"--auth-token: ttl={given['ttl']}: {e}") from None
    if ttl_s <= 0:
        raise ConfigError(f"--auth-token: ttl must be above 0, got {given['ttl']}")
    return JwtOptions(method, given.get("pub-key", ""), given.get("priv-key", ""), ttl_s)


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
        self._private, self._public = _load_keys(options, read_file)
        self._verified: dict[str, tuple[Caller, float]] = {}

    def sign(self, name: str, revision: int) -> str:
        """Blocks for a millisecond or two. Raises VerifyOnlyKey."""
        if self._private is None:
            raise VerifyOnlyKey("--auth-token names no priv-key")
        end = int(self._wall_time() + self._ttl_s)
        claims = {"username": name, "revision": revision, "exp": end}
        return jwt.encode(claims, self._private, algorithm=self._method)

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
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[self._method],
                options={"verify_exp": False, "verify_aud": False, "require": ["exp"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as e:
            # What anybody may send is parsed before its signature is known to be good.
            raise InvalidAuthToken(str(e)) from None
        name = claims.get("username")
        if not isinstance(name, str) or not name:
            raise InvalidAuthToken("the claims lack username")
        return Caller(name, int(_number(claims, "revision"))), _number(claims, "exp")


def _number(claims: Mapping[str, Any], name: str) -> float:
    """Of any JSON: it may be a text, or a number out of all bounds."""
    value = claims.get(name)
    if not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        raise InvalidAuthToken(f"the claims lack {name}")
    return value


def _load_keys(options: JwtOptions, read_file: Callable[[str], bytes]) -> tuple[Any, Any]:
    """The key to sign with, None for none, and the one to verify with."""

    def read(path: str) -> bytes:
        try:
            return read_file(path)
        except OSError as e:
            raise ConfigError(f"--auth-token: cannot read {path}: {e}") from None

    private = read(options.private_path) if options.private_path else b""
    if options.method.startswith("HS"):
        if not private:
            raise ConfigError(f"--auth-token: {options.method} needs priv-key=, its secret")
        return private, private
    public = read(options.public_path) if options.public_path else b""
    if not private and not public:
        raise ConfigError(f"--auth-token: {options.method} needs pub-key= or priv-key=")
    if not private:
        return None, _public_key(options, public)
    signing = _private_key(options, private)
    if public and signing.public_key() != _public_key(options, public):
        raise ConfigError("--auth-token: pub-key and priv-key do not belong together")
    return signing, signing.public_key()


def _private_key(options: JwtOptions, pem: bytes) -> Any:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"--auth-token: {options.private_path} is no private key: {e}") from None
    _check_kind(options, key, options.private_path)
    return key


def _public_key(options: JwtOptions, pem: bytes) -> Any:
    """A bare key, or that of an X.509 certificate."""
    try:
        if b"BEGIN CERTIFICATE" in pem:
            key: Any = load_pem_x509_certificate(pem).public_key()
        else:
            key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"--auth-token: {options.public_path} is no public key: {e}") from None
    _check_kind(options, key, options.public_path)
    return key


def _check_kind(options: JwtOptions, key: Any, path: str) -> None:
    match key:
        case RSAPrivateKey() | RSAPublicKey():
            fits = options.method[:2] in ("RS", "PS")
        case EllipticCurvePrivateKey() | EllipticCurvePublicKey():
            fits = _CURVES.get(options.method) == key.curve.name
        case Ed25519PrivateKey() | Ed25519PublicKey():
            fits = options.method == "EdDSA"
        case _:
            fits = False
    if not fits:
        raise ConfigError(f"--auth-token: the key in {path} is not one for {options.method}")
