"""The keys of signed tokens, as the options name them and the files hold them.

Owns: etcd's option string, and what is wrong with a key. Must never do: keep a file open, or sign.

    jwt,pub-key=FILE,priv-key=FILE,sign-method=RS256,ttl=5m

A pub-key file may hold several keys, one after the other: tokens of each are believed, which is how
a key is replaced while tokens of the old one are still about.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from raftkv.errors import ConfigError

METHODS = frozenset(
    f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)
) | {"EdDSA"}
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
PUBLIC_KEYS_MAX = 8
"""Keys in one pub-key file; each may be tried for a token that is seen for the first time."""
_BLOCK = re.compile(rb"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)


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


@dataclass(frozen=True, slots=True)
class JwtKeys:
    """What to sign with, None for nothing, and whose tokens are believed. Of pyjwt's types."""

    private: Any
    public: tuple[Any, ...]


def load_keys(options: JwtOptions, read_file: Callable[[str], bytes]) -> JwtKeys:
    """Raises ConfigError for keys that are missing, unreadable, of another kind or of two pairs."""

    def read(path: str) -> bytes:
        try:
            content = read_file(path)
        except OSError as e:
            raise ConfigError(f"--auth-token: cannot read {path}: {e}") from None
        if not content:  # half written: it is not as if it was not named
            raise ConfigError(f"--auth-token: {path} is empty")
        return content

    private = read(options.private_path) if options.private_path else b""
    if options.method.startswith("HS"):
        if not private:
            raise ConfigError(f"--auth-token: {options.method} needs priv-key=, its secret")
        return JwtKeys(private, (private,))
    public = read(options.public_path) if options.public_path else b""
    if not private and not public:
        raise ConfigError(f"--auth-token: {options.method} needs pub-key= or priv-key=")
    believed = _public_keys(options, public) if public else ()
    if not private:
        return JwtKeys(None, believed)
    signing = _private_key(options, private)
    if public and signing.public_key() not in believed:
        raise ConfigError("--auth-token: pub-key and priv-key do not belong together")
    return JwtKeys(signing, believed or (signing.public_key(),))


def _private_key(options: JwtOptions, pem: bytes) -> Any:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"--auth-token: {options.private_path} is no private key: {e}") from None
    _check_kind(options, key, options.private_path)
    return key


def _public_keys(options: JwtOptions, pem: bytes) -> tuple[Any, ...]:
    """Of one file: one after the other."""
    blocks = _BLOCK.findall(pem) or [pem]
    if len(blocks) > PUBLIC_KEYS_MAX:
        raise ConfigError(
            f"--auth-token: {options.public_path} holds {len(blocks)} keys, "
            f"the limit is {PUBLIC_KEYS_MAX}"
        )
    return tuple(_public_key(options, block) for block in blocks)


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
