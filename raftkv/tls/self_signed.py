"""--auto-tls: a certificate that a member makes for itself, once.

Owns: the files cert.pem and key.pem in fixtures/client and fixtures/peer. Must never do: replace a
pair that is there and valid. As etcd's SelfCert: ECDSA P-521, names and addresses of the URLs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from raftkv.tls.issuing import SECRET_MODE, issue, write_file
from raftkv.tls.settings import TlsSettings

_PURPOSES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


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
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "raftkv")])
    life = timedelta(days=365 * years)
    made = issue(None, subject, hosts, _PURPOSES, life, datetime.now(UTC), ec.SECP521R1())
    write_file(key, made.key_pem, SECRET_MODE)
    write_file(cert, made.certificate_pem, SECRET_MODE)
