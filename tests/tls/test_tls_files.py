"""What is wrong with a certificate, key, CA or list is one line that names flag and file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from raftkv.tls.certificate_check import covers_host
from raftkv.tls.contexts import server_context
from raftkv.tls.errors import TlsError
from raftkv.tls.files import check_files, revoked_serials
from raftkv.tls.rate import Ration
from raftkv.tls.self_signed import with_own_pair
from raftkv.tls.settings import NO_CLIENT_TLS, NO_PEER_TLS, TlsSettings
from tests.certificates import Authority, Pair


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("tls-pair")


def of(pair: Pair) -> TlsSettings:
    return replace(NO_PEER_TLS, cert_file=str(pair.cert), key_file=str(pair.key))


def objection(settings: TlsSettings) -> str:
    def judge() -> None:
        settings.validate()
        list(check_files(settings))
        server_context(settings, ())

    with pytest.raises(TlsError) as raised:
        judge()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_good_pair(pair: Pair) -> None:
    """No word is said of it."""
    assert list(check_files(of(pair))) == []


def test_what_is_wrong_with_a_pair(pair: Pair, authority: Authority, tmp_path: Path) -> None:
    """Missing, not readable as PEM, of another certificate, or half a pair."""
    other = authority.issue("tls-other")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    good = of(pair)
    assert "cannot read --peer-cert-file /nowhere: No such file" in objection(
        replace(good, cert_file="/nowhere")
    )
    assert f"--peer-cert-file {text} holds no certificate in PEM" in objection(
        replace(good, cert_file=str(text))
    )
    assert f"--peer-key-file {text} holds no private key in PEM" in objection(
        replace(good, key_file=str(text))
    )
    assert f"--peer-key-file {other.key} is not the key of the certificate" in objection(
        replace(good, key_file=str(other.key))
    )
    assert "--peer-cert-file and --peer-key-file must both be present" in objection(
        replace(good, key_file="")
    )
    assert f"--peer-trusted-ca-file {text} holds no certificate" in objection(
        replace(good, trusted_ca_file=str(text))
    )
    assert f"--client-crl-file {text} holds no certificate revocation list" in objection(
        replace(NO_CLIENT_TLS, crl_file=str(text))
    )


def test_expired_certificates_are_warned_of(authority: Authority) -> None:
    """With the date; they do not keep a member from starting, as in etcd."""
    expired = authority.issue("tls-expired", days=-1)
    day = datetime.now(UTC) - timedelta(days=1)
    (warning,) = check_files(of(expired))
    assert f"the certificate expired at {day:%Y-%m-%d}" in warning
    early = datetime.now(UTC) - timedelta(days=100)
    (warning,) = check_files(of(expired), early)
    assert "is not valid before" in warning


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cipher_suites": ("TLS_NONE",)}, "unexpected TLS cipher suite 'TLS_NONE'; known are"),
        ({"version_min": "TLS1.1"}, "must be one of: TLS1.2, TLS1.3"),
        ({"version_min": "TLS1.3", "version_max": "TLS1.2"}, "is greater than max version"),
        (
            {"version_min": "TLS1.3", "cipher_suites": ("TLS_RSA_WITH_AES_128_CBC_SHA",)},
            "cannot be configured when only TLS1.3 is enabled",
        ),
        ({"allowed_names": ("a",), "allowed_hostnames": ("b",)}, "mutually exclusive"),
        ({"allowed_hostnames": ("b",)}, "allowed names bind nobody"),
        ({"self_signed_years": 0}, "--self-signed-cert-validity must be above 0 years, got 0"),
    ],
)
def test_settings_that_contradict_themselves(changes: dict[str, object], says: str) -> None:
    """Refused before any file is read."""
    assert says in objection(replace(NO_CLIENT_TLS, **changes))


def test_suites_and_versions_are_what_openssl_gets(pair: Pair) -> None:
    """Go's names become OpenSSL's; those of TLS 1.3 alone leave 1.2 off."""
    one = replace(of(pair), cipher_suites=("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",))
    context = server_context(one, ())
    names = {row["name"] for row in context.get_ciphers() if row["protocol"] == "TLSv1.2"}
    assert names == {"ECDHE-ECDSA-AES256-GCM-SHA384"}
    new = server_context(replace(one, cipher_suites=("TLS_AES_128_GCM_SHA256",)), ())
    assert new.minimum_version.name == "TLSv1_3"
    old = server_context(replace(of(pair), version_max="TLS1.2"), ())
    assert old.maximum_version.name == "TLSv1_2"


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_revocation_lists(
    authority: Authority, pair: Pair, tmp_path: Path, encoding: Encoding
) -> None:
    """Read in either encoding."""
    path = authority.revoke(tmp_path / "list", pair.serial, encoding=encoding)
    settings = replace(NO_CLIENT_TLS, crl_file=str(path))
    assert revoked_serials(settings) == {pair.serial}


def test_own_pair_is_kept(tmp_path: Path) -> None:
    """--auto-tls makes a pair for the hosts, valid for the years asked for; the next start finds
    it, and one that is not whole is made anew."""
    settings = replace(NO_CLIENT_TLS, self_signed_years=3)
    made = with_own_pair(settings, str(tmp_path / "client"), ["127.0.0.1", "localhost"])
    cert, key = Path(made.cert_file), Path(made.key_file)
    assert made.is_self_signed
    assert key.stat().st_mode & 0o777 == 0o600
    late = datetime.now(UTC) + timedelta(days=3 * 365 - 1)
    assert list(check_files(made, late)) == []
    assert list(check_files(made, late + timedelta(days=2)))
    before = cert.read_bytes(), key.read_bytes()
    assert with_own_pair(settings, str(tmp_path / "client"), ["other"]) == made
    assert (cert.read_bytes(), key.read_bytes()) == before
    cert.write_bytes(before[0][:100])
    with_own_pair(settings, str(tmp_path / "client"), ["other"])
    assert list(check_files(made)) == []


def test_host_names(authority: Authority) -> None:
    """A star covers one label; addresses are compared as addresses."""
    from cryptography import x509

    pair = authority.issue("tls-hosts", hosts=("*.Example.org", "plain", "::1"))
    certificate = x509.load_pem_x509_certificate(pair.cert.read_bytes())
    for host in ("a.example.org", "PLAIN", "0:0:0:0:0:0:0:1"):
        assert covers_host(certificate, host)
    for host in ("example.org", "a.b.example.org", "other", "127.0.0.1", ""):
        assert not covers_host(certificate, host)


def test_ration() -> None:
    """A burst, then as much as time gives back; what was left out is counted once."""
    now = [0.0]
    ration = Ration(2, 0.5, lambda: now[0])
    assert [ration.ask() for _ in range(4)] == [0, 0, None, None]
    now[0] = 2.0
    assert ration.ask() == 2
    assert ration.ask() is None
