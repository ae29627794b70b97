"""Certificates made by us: an authority's, and those that it signs.

Owns: what such a certificate says (RFC 5280), and writing it and its key to files. Must never do:
know who gets which: ``self_signed``, ``certificate_directory`` and the Kubernetes API's own
``security.certificates`` decide. Every certificate names its issuer's key, so that two authorities
of one name can be told apart while one follows the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from cryptography.x509.oid import NameOID

CLOCK_SKEW = timedelta(minutes=5)
"""Clocks of others that are behind ours by less still take a certificate that is new."""
PUBLIC_MODE = 0o644
SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)


def name_of(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def make_authority(name: x509.Name, life: timedelta, now: datetime) -> Issued:
    """A self-signed one, for signing certificates and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, name, key, key.public_key(), life, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Issued(builder.sign(key, hashes.SHA256()), key)


def issue(
    authority: Issued | None,
    subject: x509.Name,
    names: Sequence[str],
    purposes: Sequence[x509.ObjectIdentifier],
    life: timedelta,
    now: datetime,
    curve: ec.EllipticCurve | None = None,
) -> Issued:
    """For a server or client that goes by these names and addresses, with a new key; signed by
    itself without an ``authority``."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    signer = authority.key if authority else key
    issuer = authority.certificate.subject if authority else subject
    builder = (
        _builder(subject, issuer, key, signer.public_key(), life, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    if names:
        alternatives = [alternative_name(name) for name in dict.fromkeys(names)]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def load_issued(certificate: Path, key: Path) -> Issued:
    """Raises OSError, and ValueError for what is no certificate with its key on a curve."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    private = load_pem_private_key(key.read_bytes(), None)
    is_its_key = found.public_key() == private.public_key()
    if not (is_its_key and isinstance(private, ec.EllipticCurvePrivateKey)):
        raise ValueError(f"{key} is not the key, on an elliptic curve, of {certificate}")
    return Issued(found, private)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all under its name, and never readable by others in between."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_pair(issued: Issued, certificate: Path, key: Path) -> None:
    """The key first: who finds a new certificate finds its key."""
    write_file(key, issued.key_pem, SECRET_MODE)
    write_file(certificate, issued.certificate_pem, PUBLIC_MODE)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePublicKey,
    life: timedelta,
    now: datetime,
) -> x509.CertificateBuilder:
    by_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(by_key, critical=False)
    )


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
