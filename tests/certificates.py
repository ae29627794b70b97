"""Certificates for tests: an authority, what it issues, and its revocation list.

Owns: Authority and Pair. Must never do: anything slow: all keys are on P-256.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """Two files, and the serial number of the certificate."""

    cert: Path
    key: Path
    serial: int

    def replace_with(self, other: Pair) -> None:
        """The other's content under this one's names, each file in one step."""
        for mine, new in ((self.key, other.key), (self.cert, other.cert)):
            copy = mine.with_suffix(".new")
            copy.write_bytes(new.read_bytes())
            copy.rename(mine)


class Authority:
    """Issues certificates into ``directory``; ``ca`` is its own."""

    def __init__(self, directory: Path, name: str = "tests") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.ca = directory / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self._name, self._key, days=10).add_extension(basic, critical=True)
        signed = builder.sign(self._key, hashes.SHA256())
        self.serial = signed.serial_number
        self.ca.write_bytes(signed.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        cn: str = "",
        hosts: Sequence[str] = ("127.0.0.1", "localhost"),
        days: int = 10,
    ) -> Pair:
        """Files ``name``.pem and ``name``-key.pem; ``days`` below 0 are over already."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_named(cn or name), key, days=days)
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        pair = Pair(
            self.directory / f"{name}.pem", self.directory / f"{name}-key.pem", signed.serial_number
        )
        pair.cert.write_bytes(signed.public_bytes(Encoding.PEM))
        shape = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pair.key.write_bytes(key.private_bytes(*shape))
        return pair

    def revoke(self, path: Path, *serials: int, encoding: Encoding = Encoding.PEM) -> Path:
        """Write the list of exactly these to ``path``."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now)
            .next_update(now + timedelta(days=10))
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(revoked.build())
        fresh = path.with_suffix(".new")
        fresh.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(encoding))
        fresh.rename(path)
        return path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=20))
            .not_valid_after(now + timedelta(days=days))
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
