"""A cluster's certificates in one directory: made, renewed, and moved to new authorities.

Owns: the places and names of the files, and which authority signs what. Must never do: replace a
file that nobody asked to replace, or leave one half written. Two authorities, since whoever has a
certificate of the peer port's is a member: ``ca`` for servers and clients, ``peer-ca`` for members.

    authority/        ca.pem ca-key.pem peer-ca.pem peer-ca-key.pem: keep it off the members
    authority-next/   the same, while new authorities follow old ones
    members/NAME/     server.pem peer.pem, their keys, and the bundles ca.pem and peer-ca.pem
    clients/NAME/     client.pem, its key, and the bundle ca.pem
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from raftkv.tls.certificate_check import alternative_names, common_name, is_issued_by
from raftkv.tls.errors import TlsError
from raftkv.tls.issuing import (
    PUBLIC_MODE,
    Issued,
    issue,
    load_issued,
    make_authority,
    name_of,
    write_file,
    write_pair,
)

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
AUTHORITIES = ("ca", "peer-ca")
LOCAL = ("localhost", "127.0.0.1", "::1")
"""A member's own host may call it by these too."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a certificate is for; ``authority`` signs it."""

    name: str
    authority: str
    purposes: tuple[x509.ObjectIdentifier, ...]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("server", "ca", (SERVER,)),
        Kind("peer", "peer-ca", (SERVER, CLIENT)),
        Kind("client", "ca", (CLIENT,)),
    )
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate that is in use, and its files."""

    kind: Kind
    path: Path
    certificate: x509.Certificate

    @property
    def key_path(self) -> Path:
        return self.path.with_name(f"{self.kind.name}-key.pem")


@dataclass(frozen=True, slots=True)
class Lives:
    """How long certificates are good, from now."""

    authority: timedelta = timedelta(days=3650)
    leaf: timedelta = timedelta(days=365)


class CertificateDirectory:
    """Everything here reads and writes files, and raises TlsError or OSError."""

    def __init__(
        self, directory: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.directory = directory
        self._now = now
        self._authority = directory / "authority"
        self._next = directory / "authority-next"

    @property
    def is_rotating(self) -> bool:
        return self._next.exists()

    def create(
        self, members: Mapping[str, Sequence[str]], clients: Sequence[str], lives: Lives
    ) -> list[Path]:
        """Directories of new members, by name with their hosts, and of new clients; the authorities
        too where there are none yet."""
        self._refuse_while_rotating()
        places = [self.directory / "members" / _checked(name) for name in members]
        places += [self.directory / "clients" / _checked(name) for name in clients]
        there = [str(place) for place in places if place.exists()]
        if there:
            raise TlsError(f"nothing is overwritten: {', '.join(there)} exist; see `certs renew`")
        if not self._authority.exists():
            self._make_authorities(self._authority, lives.authority)
        for name, hosts in members.items():
            place = _private(self.directory / "members" / name)
            self._issue(place, "server", name, [*hosts, *LOCAL], lives.leaf)
            self._issue(place, "peer", name, hosts, lives.leaf)
        for name in clients:
            place = _private(self.directory / "clients" / name)
            self._issue(place, "client", name, (), lives.leaf)
        self._write_bundles()
        return places

    def renew(self, within: timedelta, life: timedelta) -> list[Leaf]:
        """Those that end ``within`` this time, made anew with the names they have."""
        self._refuse_while_rotating()
        until = self._now() + within
        due = [leaf for leaf in self.leaves() if leaf.certificate.not_valid_after_utc <= until]
        for leaf in due:
            self._issue_again(leaf, life)
        return due

    # --- new authorities, in three steps -----------------------------------------------------

    def start_rotation(self, life: timedelta) -> None:
        """New authorities beside the old ones; everybody is to trust both."""
        self._loaded(self._authority, "ca")
        if not self._next.exists():
            self._make_authorities(self._next, life)
        self._write_bundles()

    def issue_rotated(self, life: timedelta) -> list[Leaf]:
        """Every certificate anew, by the new authorities."""
        self._refuse_unless_rotating()
        old = [leaf for leaf in self.leaves() if not self._is_by(leaf, self._next)]
        for leaf in old:
            self._issue_again(leaf, life)
        return old

    def finish_rotation(self) -> None:
        """The old authorities are trusted by nobody any more, and their keys are gone."""
        self._refuse_unless_rotating()
        old = [str(leaf.path) for leaf in self.leaves() if not self._is_by(leaf, self._next)]
        if old:
            raise TlsError(f"by the old authority still: {', '.join(old)}; `rotate-ca issue` first")
        if self._authority.exists():  # not so if this was cut off before its end
            shutil.rmtree(self._authority)
        self._next.rename(self._authority)
        self._write_bundles()

    def leaves(self) -> Iterator[Leaf]:
        for path in sorted(self.directory.glob("*/*/*.pem")):
            kind = KINDS.get(path.stem)
            if kind is not None and path.parent.parent.name in ("members", "clients"):
                yield Leaf(kind, path, x509.load_pem_x509_certificate(path.read_bytes()))

    # --- files ---------------------------------------------------------------------------------

    def _make_authorities(self, place: Path, life: timedelta) -> None:
        """All or none of them are there under ``place``."""
        unfinished = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        _private(unfinished)
        for name in AUTHORITIES:
            # Of its own name each, for whoever looks at a bundle that holds two.
            title = f"raftkv {name} {self._now():%Y-%m-%d} {secrets.token_hex(3)}"
            made = make_authority(name_of(title), life, self._now())
            write_pair(made, unfinished / f"{name}.pem", unfinished / f"{name}-key.pem")
        unfinished.rename(place)

    def _issue(
        self, place: Path, kind: str, name: str, hosts: Sequence[str], life: timedelta
    ) -> None:
        authority = self._loaded(self._authority, KINDS[kind].authority)
        made = issue(authority, name_of(name), hosts, KINDS[kind].purposes, life, self._now())
        write_pair(made, place / f"{kind}.pem", place / f"{kind}-key.pem")

    def _issue_again(self, leaf: Leaf, life: timedelta) -> None:
        authority = self._loaded(
            self._next if self.is_rotating else self._authority, leaf.kind.authority
        )
        dns, ips = alternative_names(leaf.certificate)
        names = [*dns, *map(str, ips)]
        subject, purposes = leaf.certificate.subject, leaf.kind.purposes
        made = issue(authority, subject, names, purposes, life, self._now())
        write_pair(made, leaf.path, leaf.key_path)

    def _write_bundles(self) -> None:
        """What is to be trusted, into every directory that is copied to a host."""
        places = [place for place in (self._authority, self._next) if place.exists()]
        for name in AUTHORITIES:
            pem = b"".join((place / f"{name}.pem").read_bytes() for place in places)
            homes = "members" if name == "peer-ca" else "*"
            for leaf in {leaf.path.parent for leaf in self.leaves()}:
                if leaf.parent.match(homes):
                    write_file(leaf / f"{name}.pem", pem, PUBLIC_MODE)

    def _loaded(self, place: Path, name: str) -> Issued:
        try:
            return load_issued(place / f"{name}.pem", place / f"{name}-key.pem")
        except (OSError, ValueError) as e:
            raise TlsError(f"cannot use the authority in {place}: {e}") from None

    def _is_by(self, leaf: Leaf, place: Path) -> bool:
        path = place / f"{leaf.kind.authority}.pem"
        return is_issued_by(leaf.certificate, x509.load_pem_x509_certificate(path.read_bytes()))

    def _refuse_while_rotating(self) -> None:
        if self.is_rotating:
            raise TlsError(f"{self._next} exists: go on with `rotate-ca issue` and `finish` first")

    def _refuse_unless_rotating(self) -> None:
        if not self.is_rotating:
            raise TlsError(f"{self._next} does not exist: begin with `rotate-ca start`")


def title_of(name: x509.Name) -> str:
    """Its common name, or all of it."""
    return name.rfc4514_string().removeprefix("CN=")


def describe(certificate: x509.Certificate) -> tuple[str, str, str]:
    """(subject, names and addresses, issuer), for people."""
    dns, ips = alternative_names(certificate)
    subject = common_name(certificate) or title_of(certificate.subject)
    return subject, ", ".join([*dns, *map(str, ips)]), title_of(certificate.issuer)


def _private(place: Path) -> Path:
    place.mkdir(mode=0o700, parents=True)
    return place


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise TlsError(f"{name!r} is no name: 1 to 63 letters, digits, '.', '_', '-' are expected")
    return name
