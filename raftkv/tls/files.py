"""The files of a TLS setting, read and judged: pairs, authorities, revocation lists.

Owns: every reading of such a file but OpenSSL's own, and the words for what is wrong with one.
Must never do: keep what it read, or run on the event loop: callers use a thread, or the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from raftkv.tls.errors import TlsError
from raftkv.tls.settings import TlsSettings

Read = TypeVar("Read")

FILE_BYTES_MAX = 8 << 20
"""No such file is larger; a revocation list of 100,000 entries has 4 MB."""

CERTIFICATE_FLAGS = ("cert-file", "client-cert-file", "trusted-ca-file")


@dataclass(frozen=True, slots=True)
class Expiry:
    """``file`` is the flag's name, without the port's prefix."""

    file: str
    not_after: datetime


def check_files(settings: TlsSettings, now: datetime | None = None) -> Iterator[str]:
    """Warnings, one line each. Raises TlsError for what cannot be used."""
    pairs = (("cert-file", "key-file"), ("client-cert-file", "client-key-file"))
    for cert_flag, key_flag in pairs:
        cert = getattr(settings, cert_flag.replace("-", "_"))
        if cert:
            key = getattr(settings, key_flag.replace("-", "_"))
            leaf = _read_pair(settings.flag(cert_flag), cert, settings.flag(key_flag), key)
            yield from expiry_warnings(settings.flag(cert_flag), cert, leaf, now)
    if settings.trusted_ca_file:
        flag = settings.flag("trusted-ca-file")
        for authority in _certificates(flag, settings.trusted_ca_file):
            yield from expiry_warnings(flag, settings.trusted_ca_file, authority, now)
    if settings.crl_file:
        revoked_serials(settings)


def anchors_of(settings: TlsSettings) -> frozenset[x509.Certificate] | None:
    """What --trusted-ca-file holds; None without one. Raises TlsError."""
    path = settings.trusted_ca_file
    return frozenset(_certificates(settings.flag("trusted-ca-file"), path)) if path else None


def expiries_of(settings: TlsSettings) -> tuple[Expiry, ...]:
    """When the first certificate of each file ends to be valid. Raises TlsError."""
    flags = [name for name in CERTIFICATE_FLAGS if getattr(settings, name.replace("-", "_"))]
    paths = [getattr(settings, name.replace("-", "_")) for name in flags]
    return tuple(
        Expiry(name, min(each.not_valid_after_utc for each in _certificates(name, path)))
        for name, path in zip(flags, paths, strict=True)
    )


def expiry_warnings(
    flag: str, path: str, certificate: x509.Certificate, now: datetime | None = None
) -> Iterator[str]:
    now = now or datetime.now(UTC)
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > last:
        yield f"{flag} {path}: the certificate expired at {last:%Y-%m-%dT%H:%M:%SZ}"
    elif now < first:
        yield f"{flag} {path}: the certificate is not valid before {first:%Y-%m-%dT%H:%M:%SZ}"


def revoked_serials(settings: TlsSettings) -> frozenset[int]:
    """Serial numbers in the revocation list, PEM or DER. etcd too looks at serial numbers only."""
    path = settings.crl_file
    if not path:
        return frozenset()
    flag = settings.flag("crl-file")
    data = _bytes(flag, path)
    is_pem = data.lstrip().startswith(b"-----")
    parse = x509.load_pem_x509_crl if is_pem else x509.load_der_x509_crl
    crl = _parsed(flag, path, "certificate revocation list", lambda: parse(data))
    return frozenset(entry.serial_number for entry in crl)


def _read_pair(cert_flag: str, cert: str, key_flag: str, key: str) -> x509.Certificate:
    """The leaf. Raises TlsError when either cannot be read or they do not belong together."""
    leaf = _certificates(cert_flag, cert)[0]
    data = _bytes(key_flag, key)
    private = _parsed(
        key_flag, key, "private key in PEM", lambda: load_pem_private_key(data, password=None)
    )
    shape = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*shape) != leaf.public_key().public_bytes(*shape):
        raise TlsError(f"{key_flag} {key} is not the key of the certificate {cert_flag} {cert}")
    return leaf


def _certificates(flag: str, path: str) -> list[x509.Certificate]:
    data = _bytes(flag, path)
    return _parsed(flag, path, "certificate in PEM", lambda: x509.load_pem_x509_certificates(data))


def _bytes(flag: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as e:
        raise TlsError(f"cannot read {flag} {path}: {e.strerror or e}") from None
    if len(data) > FILE_BYTES_MAX:
        raise TlsError(f"{flag} {path} is larger than {FILE_BYTES_MAX} bytes")
    return data


def _parsed(flag: str, path: str, what: str, parse: Callable[[], Read]) -> Read:
    try:
        return parse()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as e:
        # cryptography appends a link to its own documents.
        reason = " ".join(str(e).split(" See https")[0].split())
        raise TlsError(f"{flag} {path} holds no {what}: {reason}") from None
