"""Signed tokens: every method, both ways, and all that must not pass for one."""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from raftkv.auth.caller import Caller
from raftkv.auth.jwt_keys import METHODS, parse_jwt_options
from raftkv.auth.jwt_tokens import JwtTokens
from raftkv.cli.flags import parse_duration
from raftkv.errors import ConfigError, InvalidAuthToken, VerifyOnlyKey

NOW = 1_700_000_000.0
SECRET = b"0123456789abcdef" * 4


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with NAME.priv and NAME.pub for each kind of key, and a certificate."""
    directory = tmp_path_factory.mktemp("keys")
    made: dict[str, Any] = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "other": rsa.generate_private_key(65537, 2048),
        "256": ec.generate_private_key(ec.SECP256R1()),
        "384": ec.generate_private_key(ec.SECP384R1()),
        "512": ec.generate_private_key(ec.SECP521R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    for name, key in made.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / f"{name}.priv").write_bytes(pem)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (directory / f"{name}.pub").write_bytes(public)
    (directory / "secret").write_bytes(SECRET)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(made["rsa"].public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=9))
        .sign(made["rsa"], hashes.SHA256())
    )
    (directory / "rsa.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    return directory


def tokens(options: str, keys: Path, now: float = NOW) -> JwtTokens:
    parsed = parse_jwt_options(options, parse_duration)
    return JwtTokens(parsed, lambda name: (keys / name).read_bytes(), lambda: now)


def options_of(method: str) -> str:
    if method.startswith("HS"):
        return f"sign-method={method},priv-key=secret"
    name = "rsa" if method[:2] in ("RS", "PS") else "ed" if method == "EdDSA" else method[2:]
    return f"sign-method={method},pub-key={name}.pub,priv-key={name}.priv"


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_signs_what_it_verifies(method: str, keys: Path) -> None:
    """User and revision come back, also where only the public key is known; the claims and the
    header are etcd's; one changed letter and it is none."""
    signer = tokens(options_of(method), keys)
    token = signer.sign("ann", 7)
    assert signer.caller_of(token) == Caller("ann", 7)
    assert jwt.get_unverified_header(token)["alg"] == method
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims == {"username": "ann", "revision": 7, "exp": int(NOW) + 300}
    changed = token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:]
    with pytest.raises(InvalidAuthToken):
        signer.caller_of(changed)
    if not method.startswith("HS"):
        public = ",".join(o for o in options_of(method).split(",") if "priv" not in o)
        verifier = tokens(public, keys)
        assert verifier.caller_of(token) == Caller("ann", 7)
        with pytest.raises(VerifyOnlyKey):
            verifier.sign("ann", 7)


def test_a_token_ends(keys: Path) -> None:
    """At its exp to the second, also when it was seen before."""
    token = tokens("sign-method=RS256,priv-key=rsa.priv,ttl=90s", keys).sign("ann", 1)
    now = [NOW + 89.9]
    parsed = parse_jwt_options("sign-method=RS256,pub-key=rsa.pub", parse_duration)
    verifier = JwtTokens(parsed, lambda name: (keys / name).read_bytes(), lambda: now[0])
    for _ in range(2):
        assert verifier.caller_of(token) == Caller("ann", 1)
    now[0] = NOW + 90
    with pytest.raises(InvalidAuthToken):
        verifier.caller_of(token)


def test_a_certificate_is_a_public_key(keys: Path) -> None:
    """etcd takes an X.509 certificate in PEM for pub-key."""
    token = tokens("sign-method=PS256,priv-key=rsa.priv", keys).sign("ann", 1)
    assert tokens("sign-method=PS256,pub-key=rsa.crt", keys).caller_of(token) == Caller("ann", 1)


def forged(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def test_what_must_not_pass(keys: Path) -> None:
    """No signature, the public key as a secret, another method, another key, claims that lack or
    are of a wrong kind, and no token at all."""
    verifier = tokens("sign-method=RS256,pub-key=rsa.pub", keys)
    good = {"username": "root", "revision": 1, "exp": NOW + 60}
    rsa_key = (keys / "rsa.priv").read_bytes()
    head = {"alg": "HS256", "typ": "JWT"}
    signing = forged(head, good)[:-1]
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        signing.encode(), (keys / "rsa.pub").read_bytes()
    )
    wrong = [
        forged({"alg": "none"}, good),
        signing + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode(),
        jwt.encode(good, rsa_key, "RS512"),
        jwt.encode(good, (keys / "other.priv").read_bytes(), "RS256"),
        "",
        "a.b.c",
        "x" * 9000,
        "\u20ac.\u20ac.\u20ac",
        ".".join([base64.urlsafe_b64encode(b"[" * 2500).decode()] * 2) + ".",
        forged({"alg": ["RS256"]}, good),
        forged({"alg": "RS256", "crit": ["exp"], "kid": 7}, good),
    ]
    for claims in (
        {"username": "root", "revision": 1},
        {"username": "", "revision": 1, "exp": NOW + 60},
        {"username": 7, "revision": 1, "exp": NOW + 60},
        {"revision": 1, "exp": NOW + 60},
        {"username": "root", "exp": NOW + 60},
        {"username": "root", "revision": "1", "exp": NOW + 60},
        {"username": "root", "revision": -1, "exp": NOW + 60},
        {"username": "root", "revision": float("nan"), "exp": NOW + 60},
        {"username": "root", "revision": 10**400, "exp": NOW + 60},
    ):
        wrong.append(jwt.encode(claims, rsa_key, "RS256"))
    for token in wrong:
        with pytest.raises(InvalidAuthToken):
            verifier.caller_of(token)
    assert verifier.caller_of(jwt.encode(good, rsa_key, "RS256")) == Caller("root", 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("", "sign-method="),
        ("sign-method=none,priv-key=secret", "sign-method=none"),
        ("sign-method=RS256", "needs pub-key= or priv-key="),
        ("sign-method=HS256,pub-key=rsa.pub", "needs priv-key="),
        ("sign-method=RS256,pub-key=nosuch", "cannot read nosuch"),
        ("sign-method=RS256,pub-key=secret", "secret is no public key"),
        ("sign-method=RS256,priv-key=rsa.pub", "rsa.pub is no private key"),
        ("sign-method=ES256,pub-key=rsa.pub", "not one for ES256"),
        ("sign-method=ES256,priv-key=384.priv", "not one for ES256"),
        ("sign-method=RS256,pub-key=other.pub,priv-key=rsa.priv", "do not belong together"),
        ("sign-method=RS256,pub-key=rsa.pub,ttl=soon", "ttl=soon"),
        ("sign-method=RS256,pub-key=rsa.pub,ttl=0s", "ttl must be above 0"),
        ("sign-method=RS256,pub_key=rsa.pub", "'pub_key=rsa.pub' is none of"),
        ("sign-method=RS256,sign-method=RS256", "twice"),
    ],
)
def test_options_that_cannot_be(options: str, says: str, keys: Path) -> None:
    """Each is one line that names the option and what is wrong with it."""
    with pytest.raises(ConfigError, match=says) as refused:
        tokens(options, keys)
    assert "\n" not in str(refused.value)
