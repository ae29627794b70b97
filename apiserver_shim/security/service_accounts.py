"""Tokens of service accounts: signed here, believed here, bound to objects that must still exist.

Owns: the keys, the claims and their checks. Must never do: believe a token whose account, pod or
secret is gone or has been made anew. Claims are Kubernetes': iss, aud, exp, iat, nbf, jti, sub and
``kubernetes.io``. RFC 7519, RFC 7515.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from apiserver_shim.api.user import User, account_groups, account_name
from apiserver_shim.store.mirror import Mirror
from apiserver_shim.store.registry import Registry

DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local"
VERIFIED_MAX = 1024
"""Tokens whose signature need not be checked again."""
CLOCK_SKEW_S = 60
"""A token of another shim whose clock is ahead of ours is good at once."""
DELETED_LEEWAY_S = 60
"""What an object that is being deleted may still do with its token, as in Kubernetes."""
WRONG_KEY = "a service account key is an RSA or an elliptic-curve key"
_PRIVATE = "kubernetes.io"
_EXTRA = "authentication.kubernetes.io"
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class BadToken(Exception):
    """Says why, for the log: the client is told only that it is not authorized."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    key: PublicKey
    algorithm: str
    key_id: str

    @staticmethod
    def of(key: PublicKey) -> VerificationKey:
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return VerificationKey(
            key, _algorithm(key), jwt.utils.base64url_encode(hashlib.sha256(der).digest()).decode()
        )


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """One signs; all those of ``public`` are believed."""

    private: PrivateKey
    public: tuple[VerificationKey, ...]
    issuer: str = DEFAULT_ISSUER

    @staticmethod
    def load(
        signing: bytes, verifying: Sequence[bytes] = (), issuer: str = DEFAULT_ISSUER
    ) -> TokenKeys:
        """From PEM; what signs is believed too. Raises ValueError for other kinds of keys."""
        private = _private(signing)
        keys = [private.public_key(), *(_public(pem) for pem in verifying)]
        found = {each.key_id: each for each in map(VerificationKey.of, keys)}
        return TokenKeys(private, tuple(found.values()), issuer)

    @staticmethod
    def generate(issuer: str = DEFAULT_ISSUER) -> TokenKeys:
        """For one shim that keeps no files: nobody else believes its tokens."""
        private = ec.generate_private_key(ec.SECP256R1())
        return TokenKeys(private, (VerificationKey.of(private.public_key()),), issuer)


@dataclass(frozen=True, slots=True)
class Binding:
    """The object that a token lives as long as: a Pod, a Secret or a Node."""

    kind: str
    name: str
    uid: str


class ServiceAccountTokens:
    """``now`` is the wall clock, in UTC."""

    def __init__(
        self, keys: TokenKeys, mirror: Mirror, registry: Registry, now: Callable[[], datetime]
    ) -> None:
        self._keys = keys
        self._mirror = mirror
        self._registry = registry
        self._now = now
        self._verified: dict[bytes, dict[str, Any]] = {}

    @property
    def issuer(self) -> str:
        return self._keys.issuer

    def sign(
        self,
        account: dict[str, Any],
        audiences: Sequence[str],
        lifetime_s: int,
        bound: Binding | None,
        node: tuple[str, str] | None = None,
    ) -> str:
        """``account`` is the stored object; ``node`` is the bound pod's (name, uid)."""
        metadata = account["metadata"]
        at = int(self._now().timestamp())
        private: dict[str, Any] = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound is not None:
            private[bound.kind.lower()] = {"name": bound.name, "uid": bound.uid}
        if node is not None:
            private["node"] = {"name": node[0], "uid": node[1]}
        claims = {
            "iss": self._keys.issuer,
            "sub": account_name(metadata["namespace"], metadata["name"]),
            "aud": list(audiences),
            "iat": at,
            "nbf": at,
            "exp": at + lifetime_s,
            "jti": str(uuid.uuid4()),
            _PRIVATE: private,
        }
        signer = VerificationKey.of(self._keys.private.public_key())
        return jwt.encode(
            claims, self._keys.private, signer.algorithm, headers={"kid": signer.key_id}
        )

    async def user_of(self, token: str, audiences: Sequence[str]) -> tuple[User, list[str]]:
        """Who it is of, and those of ``audiences`` that it is meant for. Raises BadToken."""
        claims = self._claims_of(token)
        meant = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        shared = [each for each in audiences if each in meant]
        if not shared:
            raise BadToken(f"token audiences {meant} are none of {list(audiences)}")
        private = claims[_PRIVATE]
        try:
            namespace, account = private["namespace"], private["serviceaccount"]
            if claims["sub"] != account_name(namespace, account["name"]):
                raise BadToken(f"subject {claims['sub']} is not {namespace}:{account['name']}")
            await self._check_bound(namespace, account, private)
        except (KeyError, TypeError, AttributeError) as e:
            raise BadToken(f"claims without {e}") from None
        extra = {f"{_EXTRA}/credential-id": [f"JTI={claims['jti']}"]}
        for kind in ("pod", "node"):
            if kind in private:
                extra[f"{_EXTRA}/{kind}-name"] = [private[kind]["name"]]
                extra[f"{_EXTRA}/{kind}-uid"] = [private[kind]["uid"]]
        groups = account_groups(namespace)
        return User(str(claims["sub"]), groups, account["uid"], extra), shared

    def _claims_of(self, token: str) -> dict[str, Any]:
        """Signed by us and in its time, by our clock."""
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = self._verify(token)
            if len(self._verified) >= VERIFIED_MAX:
                self._verified.clear()
            self._verified[digest] = claims
        at = self._now().timestamp()
        if not isinstance(claims.get(_PRIVATE), dict):
            raise BadToken("no kubernetes.io claims")
        if at >= claims["exp"] or at < claims.get("nbf", 0) - CLOCK_SKEW_S:
            raise BadToken("token is expired, or is not valid yet")
        return claims

    def _verify(self, token: str) -> dict[str, Any]:
        why: Exception = BadToken("no key")
        required = ["iss", "sub", "aud", "exp", "jti"]
        for each in self._keys.public:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    each.key,
                    algorithms=[each.algorithm],
                    issuer=self._keys.issuer,
                    options={
                        "require": required,
                        "verify_aud": False,
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                    },
                )
            except jwt.InvalidTokenError as e:
                why = e
                continue
            return claims
        raise BadToken(str(why))

    async def _check_bound(
        self, namespace: str, account: dict[str, str], private: dict[str, Any]
    ) -> None:
        await self._check(f"serviceaccounts/{namespace}/", account)
        for kind, path in (("pod", f"pods/{namespace}/"), ("secret", f"secrets/{namespace}/")):
            if kind in private:
                await self._check(path, private[kind])
        if "node" in private and "pod" not in private:
            await self._check("minions/", private["node"])

    async def _check(self, path: str, wanted: dict[str, str]) -> None:
        """It is there, is the same one, and is not long deleted."""
        key = f"/registry/{path}{wanted['name']}"
        collection = self._mirror.collection(f"/registry/{path.partition('/')[0]}/")
        found = collection.find(key)
        if found is None or found.object["metadata"].get("uid") != wanted["uid"]:
            found = await self._registry.get(key)  # the copy may be a moment behind
        if found is None or found.object["metadata"].get("uid") != wanted["uid"]:
            raise BadToken(f"{key} is gone or is another one now")
        deleted = found.object["metadata"].get("deletionTimestamp")
        if deleted is not None:
            gone_at = datetime.fromisoformat(deleted).timestamp() + DELETED_LEEWAY_S
            if self._now().timestamp() > gone_at:
                raise BadToken(f"{key} is deleted")


def _public(pem: bytes) -> PublicKey:
    """Of a public or a private key, as ``--service-account-key-file`` allows both."""
    if b"PRIVATE KEY" in pem:
        return _private(pem).public_key()
    key = load_pem_public_key(pem)
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return key
    raise ValueError(WRONG_KEY)


def _private(pem: bytes) -> PrivateKey:
    key = load_pem_private_key(pem, None)
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return key
    raise ValueError(WRONG_KEY)


def _algorithm(key: PublicKey) -> str:
    return "RS256" if isinstance(key, rsa.RSAPublicKey) else _CURVES[key.curve.name]
