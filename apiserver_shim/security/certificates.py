"""A cluster's certificates, made once and kept in a directory.

Owns: the authority, the serving pair, the clients' pairs and the service accounts' key, as files.
Must never do: write a private key that others can read, or make a second authority where one is.
Two processes that start at once wait for each other on a lock. RFC 5280.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two PEM files."""

    certificate: Path
    key: Path


class Certificates:
    """``now`` is the wall clock, in UTC. Everything here reads and writes files: at start only."""

    def __init__(
        self, directory: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.directory = directory
        self._now = now
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def authority(self) -> Pair:
        """ca.crt and ca.key."""
        pair = self._pair("ca")
        with self._locked():
            if not pair.certificate.exists():
                self._make_authority(pair)
        return pair

    def serving(
        self, names: Sequence[str], file: str = "apiserver", user: str = "kube-apiserver"
    ) -> Pair:
        """For a server that goes by these names and addresses; a kept one that lacks some, or is
        about to expire, is made anew."""
        return self._issued(file, [], user, names, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, file: str, user: str, groups: Iterable[str] = ()) -> Pair:
        """For a client: CN is its user, each O a group."""
        return self._issued(file, list(groups), user, [], ExtendedKeyUsageOID.CLIENT_AUTH)

    def account_key(self) -> Path:
        """sa.key, that service account tokens are signed with."""
        path = self.directory / "sa.key"
        with self._locked():
            if not path.exists():
                _write(path, _key_pem(ec.generate_private_key(ec.SECP256R1())), 0o600)
        return path

    # --- files ----------------------------------------------------------------------------------

    def _pair(self, name: str) -> Pair:
        return Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_authority(self, pair: Pair) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name([], "kubernetes")
        builder = (
            self._builder(name, name, key.public_key(), AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        certificate = builder.sign(key, hashes.SHA256())
        _write(pair.key, _key_pem(key), 0o600)
        _write(pair.certificate, certificate.public_bytes(Encoding.PEM), 0o644)

    def _issued(
        self,
        file: str,
        groups: list[str],
        user: str,
        names: Sequence[str],
        usage: x509.ObjectIdentifier,
    ) -> Pair:
        authority, pair = self.authority(), self._pair(file)
        with self._locked():
            issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
            signer = load_pem_private_key(authority.key.read_bytes(), None)
            assert isinstance(signer, ec.EllipticCurvePrivateKey), f"{authority.key} is no EC key"
            if self._is_good(pair, issuer, _name(groups, user), names):
                return pair
            key = ec.generate_private_key(ec.SECP256R1())
            builder = (
                self._builder(_name(groups, user), issuer.subject, key.public_key(), LIFE)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_usage(signs_certificates=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            )
            if names:
                alternatives = x509.SubjectAlternativeName([_alternative(n) for n in names])
                builder = builder.add_extension(alternatives, critical=False)
            certificate = builder.sign(signer, hashes.SHA256())
            _write(pair.key, _key_pem(key), 0o600)
            _write(pair.certificate, certificate.public_bytes(Encoding.PEM), 0o644)
        return pair

    def _is_good(
        self, pair: Pair, issuer: x509.Certificate, subject: x509.Name, names: Sequence[str]
    ) -> bool:
        if not pair.certificate.exists() or not pair.key.exists():
            return False
        kept = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        key = load_pem_private_key(pair.key.read_bytes(), None)
        if kept.subject != subject or kept.issuer != issuer.subject:
            return False
        if kept.public_key() != key.public_key():  # a process died between the two files
            return False
        if kept.not_valid_after_utc < self._now() + RENEW_BEFORE:
            return False
        if not names:
            return True
        found = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return {_alternative(name) for name in names} <= set(found)

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        public: ec.EllipticCurvePublicKey,
        life: timedelta,
    ) -> x509.CertificateBuilder:
        now = self._now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + life)
        )


def _name(groups: Sequence[str], user: str) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by others in between."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_secret(path: Path, content: bytes) -> None:
    """Whole or not at all, for the owner alone."""
    _write(path, content, 0o600)
