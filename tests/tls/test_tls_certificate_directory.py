"""A cluster's certificates in one directory: who signs whom, and what is never overwritten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from raftkv.tls.certificate_check import is_issued_by
from raftkv.tls.certificate_directory import CertificateDirectory, Lives
from raftkv.tls.errors import TlsError
from raftkv.tls.open_connections import is_welcome

MEMBERS = {"m1": ["10.0.0.1", "node1.example"], "m2": ["fd00::2"]}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEAVES = (
    "clients/root/client", "members/m1/peer", "members/m1/server", "members/m2/peer",
    "members/m2/server",
)  # fmt: skip
BUNDLES = (
    "clients/root/ca", "members/m1/ca", "members/m1/peer-ca", "members/m2/ca", "members/m2/peer-ca",
)  # fmt: skip


class Made:
    """A directory with a clock of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.now = NOW
        self.directory = CertificateDirectory(place, lambda: self.now)
        self.directory.create(MEMBERS, ["root"], Lives())

    def read(self, name: str) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates((self.place / f"{name}.pem").read_bytes())

    def bundle_for(self, leaf: str) -> list[x509.Certificate]:
        home, _, kind = leaf.rpartition("/")
        return self.read(f"{home}/{'peer-ca' if kind == 'peer' else 'ca'}")

    def is_trusted(self, leaf: str) -> bool:
        (certificate,) = self.read(leaf)
        return any(is_issued_by(certificate, each) for each in self.bundle_for(leaf))

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.place)): path.read_bytes()
            for path in self.place.rglob("*.pem")
        }


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "certs")


def test_what_is_made(made: Made) -> None:
    """Each certificate is for its hosts and purposes, signed by the authority whose bundle lies
    beside it; keys are for their owner alone, and no key of an authority lies with a member."""
    assert sorted(made.files()) == sorted(
        [f"authority/{name}{key}.pem" for name in ("ca", "peer-ca") for key in ("", "-key")]
        + [f"{leaf}{key}.pem" for leaf in LEAVES for key in ("", "-key")]
        + [f"{bundle}.pem" for bundle in BUNDLES]
    )
    assert all(made.is_trusted(leaf) for leaf in LEAVES)
    for path in made.place.rglob("*-key.pem"):
        assert path.stat().st_mode & 0o777 == 0o600, path
        assert path.parent.stat().st_mode & 0o777 == 0o700, path
    wanted = {
        "members/m1/server": ({"10.0.0.1", "node1.example", "localhost", "127.0.0.1", "::1"}, 1),
        "members/m1/peer": ({"10.0.0.1", "node1.example"}, 2),
        "members/m2/peer": ({"fd00::2"}, 2),
        "clients/root/client": (set(), 1),
    }
    for name, (hosts, purposes) in wanted.items():
        (found,) = made.read(name)
        assert (
            len(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == purposes
        )
        assert found.not_valid_after_utc == NOW + timedelta(days=365)
        assert _hosts(found) == hosts


def _hosts(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}


def test_nothing_is_overwritten(made: Made) -> None:
    """A member that is there already is refused, with all that was asked beside it; new members and
    clients are signed by the same authorities; a name that is a path is refused."""
    before = made.files()
    for members, clients in (({"m3": ["h"], "m1": ["h"]}, []), ({}, ["root"])):
        with pytest.raises(TlsError, match="nothing is overwritten"):
            made.directory.create(members, clients, Lives())
    with pytest.raises(TlsError, match="is no name"):
        made.directory.create({"../m9": ["h"]}, [], Lives())
    assert made.files() == before
    made.directory.create({"m3": ["10.0.0.3"]}, ["alice"], Lives())
    assert made.is_trusted("members/m3/peer")
    assert made.is_trusted("clients/alice/client")
    assert before.items() <= made.files().items()


def test_renewal(made: Made) -> None:
    """What ends soon gets a new key and the same names; what does not is left alone."""
    before = made.files()
    assert made.directory.renew(timedelta(days=30), timedelta(days=365)) == []
    assert made.files() == before
    hosts = {leaf: _hosts(made.read(leaf)[0]) for leaf in LEAVES}
    made.now += timedelta(days=340)
    renewed = made.directory.renew(timedelta(days=30), timedelta(days=90))
    assert [str(leaf.path.relative_to(made.place).with_suffix("")) for leaf in renewed] == [*LEAVES]
    changed = {name for name, data in made.files().items() if data != before[name]}
    assert changed == {f"{leaf}{key}.pem" for leaf in LEAVES for key in ("", "-key")}
    assert {leaf: _hosts(made.read(leaf)[0]) for leaf in LEAVES} == hosts
    assert made.read(LEAVES[0])[0].not_valid_after_utc == made.now + timedelta(days=90)


def test_new_authorities(made: Made) -> None:
    """At no step does anybody meet a certificate that a bundle of this step or of the one before
    does not admit; at the end the old authority admits nobody and its key is gone."""
    steps = made.directory
    first = made.files()
    seen = [{leaf: (made.read(leaf), made.bundle_for(leaf)) for leaf in LEAVES}]
    for step in (
        lambda: steps.start_rotation(timedelta(days=3650)),
        lambda: steps.issue_rotated(timedelta(days=365)),
        lambda: steps.finish_rotation(),
    ):
        step()
        seen.append({leaf: (made.read(leaf), made.bundle_for(leaf)) for leaf in LEAVES})
        for shown, trusting in ((-1, -1), (-1, -2), (-2, -1)):
            for leaf in LEAVES:
                (certificate,), bundle = seen[shown][leaf][0], seen[trusting][leaf][1]
                assert any(is_issued_by(certificate, each) for each in bundle), (len(seen), leaf)
    for leaf in LEAVES:
        assert len(seen[-1][leaf][1]) == 1
        assert not is_welcome(seen[0][leaf][0], frozenset(seen[-1][leaf][1]), frozenset())
    assert not steps.is_rotating
    assert not set(first.values()) & set(made.files().values())


def test_steps_out_of_order(made: Made) -> None:
    """Finish before issue would lock everybody out; create and renew wait for the end. A step that
    was cut off is done again."""
    steps = made.directory
    with pytest.raises(TlsError, match="begin with `rotate-ca start`"):
        steps.finish_rotation()
    steps.start_rotation(timedelta(days=10))
    with pytest.raises(TlsError, match="`rotate-ca issue` first"):
        steps.finish_rotation()
    for refused in (
        lambda: steps.renew(timedelta(days=400), timedelta(days=1)),
        lambda: steps.create({"m3": ["h"]}, [], Lives()),
    ):
        with pytest.raises(TlsError, match="authority-next exists"):
            refused()
    before = made.files()
    steps.start_rotation(timedelta(days=10))
    assert made.files() == before
    assert len(steps.issue_rotated(timedelta(days=1))) == len(LEAVES)
    assert steps.issue_rotated(timedelta(days=1)) == []
    for path in (made.place / "authority").iterdir():
        path.unlink()
    (made.place / "authority").rmdir()  # as if finish had been cut off here
    steps.finish_rotation()
    assert all(made.is_trusted(leaf) for leaf in LEAVES)
