"""A cluster's certificates, made once and kept in a directory.

Owns: the authority, the serving pair, the clients' pairs and the service accounts' key, as files.
Must never do: write a private key that others can read, or make a second authority where one is.
Two processes that start at once wait for each other on a lock. RFC 5280.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from raftkv.tls.issuing import (
    SECRET_MODE,
    alternative_name,
    issue,
    key_pem,
    load_issued,
    make_authority,
    name_of,
    write_file,
    write_pair,
)

AUTHORITY_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)


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
                made = make_authority(name_of("kubernetes"), AUTHORITY_LIFE, self._now())
                write_pair(made, pair.certificate, pair.key)
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
                write_secret(path, key_pem(ec.generate_private_key(ec.SECP256R1())))
        return path

    # --- files ----------------------------------------------------------------------------------

    def _pair(self, name: str) -> Pair:
        return Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

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
            signer = load_issued(authority.certificate, authority.key)
            subject = name_of(user, groups)
            if not self._is_good(pair, signer.certificate, subject, names):
                made = issue(signer, subject, names, [usage], LIFE, self._now())
                write_pair(made, pair.certificate, pair.key)
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
        return {alternative_name(name) for name in names} <= set(found)


def write_secret(path: Path, content: bytes) -> None:
    """Whole or not at all, for the owner alone."""
    write_file(path, content, SECRET_MODE)
