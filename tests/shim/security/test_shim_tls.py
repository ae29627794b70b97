"""Certificates: what is generated, how it is kept, and who gets in with it."""

from __future__ import annotations

import base64
import os
import ssl
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner
from cryptography import x509

from apiserver_shim.cli.apiserver import main
from apiserver_shim.cli.credentials import server_context
from apiserver_shim.security.certificates import RENEW_BEFORE, Certificates, Pair
from apiserver_shim.security.identities import ADMIN, Identity, issue, node_identity, write_identity
from tests.shim.security.guarded_shim import GuardedShim

SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def modes(directory: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in directory.iterdir()}


def test_private_keys_are_their_owner_s_alone(tmp_path: Path) -> None:
    """Keys and kubeconfigs are 0600 whatever the umask; nothing is left lying beside them."""
    before = os.umask(0)
    try:
        certificates = Certificates(tmp_path / "pki")
        certificates.serving(["localhost"])
        write_identity(certificates, ADMIN, "https://127.0.0.1:6443")
        certificates.account_key()
    finally:
        os.umask(before)
    found = modes(tmp_path / "pki")
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    assert {name for name, mode in found.items() if mode == 0o600} >= {
        "ca.key",
        "apiserver.key",
        "admin.key",
        "admin.conf",
        "sa.key",
    }
    assert not [name for name in found if name.startswith(".") and name != ".lock"]


def test_what_is_kept_is_used_again_until_it_will_not_do(tmp_path: Path) -> None:
    """The authority stays; the serving pair is renewed for a new name, and before it expires."""
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    certificates = Certificates(tmp_path, lambda: now[0])
    first = load(certificates.serving(["localhost", "127.0.0.1"]).certificate)
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert load(certificates.serving(["localhost"]).certificate) == first
    second = load(certificates.serving(["localhost", "example.test"]).certificate)
    assert second != first
    now[0] = second.not_valid_after_utc - RENEW_BEFORE + timedelta(seconds=1)
    third = load(certificates.serving(["localhost", "example.test"]).certificate)
    assert third.not_valid_after_utc > second.not_valid_after_utc
    authority = load(certificates.authority().certificate)
    for each in (first, second, third):
        each.verify_directly_issued_by(authority)


def test_processes_that_start_at_once_make_one_authority(tmp_path: Path) -> None:
    """Eight at the same time: one authority, one pair that fits it."""

    def start(_: int) -> bytes:
        return Certificates(tmp_path).serving(["localhost"]).certificate.read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    certificates = Certificates(tmp_path)
    pair, authority = (
        certificates.serving(["localhost"]),
        load(certificates.authority().certificate),
    )
    load(pair.certificate).verify_directly_issued_by(authority)


def test_a_kubeconfig_carries_all_it_needs(tmp_path: Path) -> None:
    """Server, authority, certificate and key, in the file itself."""
    certificates = Certificates(tmp_path)
    path = write_identity(certificates, node_identity("n1"), "https://127.0.0.1:1")
    config = yaml.safe_load(path.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    assert cluster["server"] == "https://127.0.0.1:1"
    authority = certificates.authority().certificate.read_bytes()
    assert base64.b64decode(cluster["certificate-authority-data"]) == authority
    shown = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    assert shown.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
    assert b"PRIVATE KEY" in base64.b64decode(user["client-key-data"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--insecure-bind-address", "0.0.0.0"], "loopback only"),
        (["--insecure-bind-address", "10.1.2.3", "--insecure-port", "8080"], "loopback only"),
        (["--tls-cert-file", __file__], "go together"),
        (["--authorization-mode", "AlwaysAllow"], "--no-anonymous-auth"),
        (["--etcd-certfile", __file__], "--etcd-keyfile go together"),
        (["--service-cluster-ip-range", "10.0.0.0/99"], "--service-cluster-ip-range"),
        (["--token-auth-file", __file__], "line 1"),
    ],
)
def test_options_that_do_not_go_together(flags: list[str], words: str, tmp_path: Path) -> None:
    """Each is refused before anything listens, in words that say what to do."""
    result = CliRunner().invoke(main, [*flags, "--cert-dir", str(tmp_path / "pki")])
    assert result.exit_code != 0
    assert words in result.output


class Door:
    """A guarded shim behind TLS, and what a client with some certificate gets there."""

    def __init__(self, server: str, certificates: Certificates) -> None:
        self.server = server
        self.certificates = certificates

    def context(self, pair: Pair | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificates.authority().certificate)
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context

    async def who(self, pair: Pair | None) -> tuple[int, dict[str, object]]:
        connector = aiohttp.TCPConnector(ssl=self.context(pair))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(self.server + SELF, json={}) as reply,
        ):
            body = await reply.json()
            return reply.status, body["status"]["userInfo"] if reply.status == 201 else body


@pytest.fixture
async def door(guarded: GuardedShim, tmp_path: Path) -> AsyncIterator[Door]:
    certificates = Certificates(tmp_path / "pki")
    serving = certificates.serving(["localhost", "127.0.0.1"])
    context = server_context(serving, certificates.authority().certificate)
    app = guarded.shim.server_behind(guarded.shim.door).app
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield Door(f"https://127.0.0.1:{runner.addresses[0][1]}", certificates)
    await runner.cleanup()


async def test_a_client_certificate_is_who_it_says(door: Door) -> None:
    """CN is the user, O its groups."""
    code, user = await door.who(issue(door.certificates, ADMIN))
    assert code == 201
    assert user["username"] == "kubernetes-admin"
    assert user["groups"] == ["system:masters", "system:authenticated"]
    code, user = await door.who(issue(door.certificates, Identity("c", "carol", ("a", "b"))))
    assert (user["username"], user["groups"]) == ("carol", ["a", "b", "system:authenticated"])


async def test_a_certificate_nobody_vouches_for_gets_no_connection(
    door: Door, tmp_path: Path
) -> None:
    """Of another authority, expired, or made for servers; without one there is a connection, and
    one is nobody on it."""
    other = issue(Certificates(tmp_path / "other"), ADMIN)
    old = Certificates(door.certificates.directory, lambda: datetime(2020, 1, 1, tzinfo=UTC))
    for pair in (other, issue(old, Identity("old", "x")), door.certificates.serving(["localhost"])):
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
            await door.who(pair)
    code, status = await door.who(None)
    assert code == 403
    assert 'User "system:anonymous" cannot create' in str(status["message"])


def test_old_tls_is_refused(tmp_path: Path) -> None:
    """TLS 1.2 at least; a client need not show a certificate, but one that it shows is checked."""
    certificates = Certificates(tmp_path)
    serving = certificates.serving(["localhost"])
    context = server_context(serving, certificates.authority().certificate)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_OPTIONAL
