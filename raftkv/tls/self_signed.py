"""--auto-tls: a certificate that a member makes for itself, once.

Owns: the files cert.pem and key.pem in fixtures/client and fixtures/peer. Must never do: replace a
pair that is there and valid. As etcd's SelfCert: ECDSA P-521, names and addresses of the URLs.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from raftkv.tls.settings import TlsSettings

_SKEW = timedelta(minutes=5)
"""Clocks of clients that are behind ours by less still take it."""


def with_own_pair(settings: TlsSettings, directory: str, hosts: Sequence[str]) -> TlsSettings:
    """The settings with a pair in ``directory``, made now unless a valid one is there. Raises
    OSError."""
    place = Path(directory)
    cert, key = place / "cert.pem", place / "key.pem"
    if not (key.exists() and _is_valid(cert)):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(cert, key, hosts, settings.self_signed_years)
    return replace(settings, cert_file=str(cert), key_file=str(key), is_self_signed=True)


def _is_valid(cert: Path) -> bool:
    """False for one that is not there, not whole or not valid any more: it is made anew."""
    try:
        found = x509.load_pem_x509_certificate(cert.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return datetime.now(UTC) < found.not_valid_after_utc


def _make(cert: Path, key: Path, hosts: Sequence[str], years: int) -> None:
    private = ec.generate_private_key(ec.SECP521R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "raftkv")])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .sign(private, hashes.SHA256())
    )
    shape = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(key, private.private_bytes(*shape))
    _write(cert, signed.public_bytes(Encoding.PEM))


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _write(path: Path, data: bytes) -> None:
    """Under its name only once it is whole, and readable by nobody else."""
    unfinished = path.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
