"""TLS between processes: the real etcdctl, curl, and three members that trust nobody else."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificates import Authority, Pair
from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import Addresses, MemberProcess, reserve_ports
from tests.e2e.program import program_under_test
from tests.e2e.waiting import wait_until

PROGRAM = program_under_test()
DER = Encoding.DER


def pair_flags(pair: Pair, prefix: str = "") -> list[str]:
    return [f"--{prefix}cert-file={pair.cert}", f"--{prefix}key-file={pair.key}"]


def as_client(ca: Path, pair: Pair | None = None) -> list[str]:
    """etcdctl's flags."""
    flags = [f"--cacert={ca}"]
    if pair is not None:
        flags += [f"--cert={pair.cert}", f"--key={pair.key}"]
    return flags


def refused(ctl: Etcdctl, *flags: str) -> bool:
    """Whether a put gets no answer with these flags."""
    outcome = ctl.run("put", "k", "v", "--command-timeout=500ms", "--dial-timeout=1s", *flags)
    return outcome.status != 0


@pytest.fixture(scope="module")
def server(authority: Authority) -> Pair:
    return authority.issue("e2e-server", cn="member")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.issue("e2e-client", cn="alice", hosts=())


@contextmanager
def running(place: Addresses, directory: Path, *flags: str) -> Iterator[MemberProcess]:
    """One member that is a cluster, from its flags until the end of the block."""
    member = MemberProcess(PROGRAM, place, directory, f"{place.name}={place.peer_url}", flags)
    member.start()
    try:
        yield member
    finally:
        member.kill()


@pytest.fixture(scope="module")
def mutual(
    authority: Authority, server: Pair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MemberProcess, Path]]:
    """A member that wants client certificates, because it was given a CA; its revocation list."""
    directory = tmp_path_factory.mktemp("mutual")
    crl = authority.revoke(directory / "list.der", encoding=DER)
    flags = [*pair_flags(server), f"--trusted-ca-file={authority.ca}", f"--client-crl-file={crl}"]
    place = Addresses("m0", *reserve_ports(2), client_scheme="https")
    with running(place, directory, *flags) as member:
        answer = Etcdctl(place.client_url)
        wait_until(
            lambda: not refused(answer, *as_client(authority.ca, authority.issue("probe"))),
            "the member serves over TLS",
        )
        yield member, crl


def test_client_certificates(
    mutual: tuple[MemberProcess, Path], authority: Authority, stranger: Authority, client: Pair
) -> None:
    """etcdctl is served with a certificate of the CA; refused without one, with one of another CA,
    when it trusts another CA itself, and when it speaks no TLS."""
    member, _ = mutual
    ctl = Etcdctl(member.addresses.client_url)
    ctl.ok("put", "k", "v", *as_client(authority.ca, client))
    assert refused(ctl, *as_client(authority.ca))
    assert refused(ctl, *as_client(authority.ca, stranger.issue("e2e-foreign")))
    assert refused(ctl, *as_client(stranger.ca, client))
    assert refused(Etcdctl(member.endpoint))
    ctl.ok("put", "k", "v", *as_client(authority.ca, client))


def test_revoked_client(
    mutual: tuple[MemberProcess, Path], authority: Authority, client: Pair
) -> None:
    """A certificate put on the list while the member runs is refused from then on."""
    member, crl = mutual
    ctl = Etcdctl(member.addresses.client_url)
    unlucky = authority.issue("e2e-unlucky")
    ctl.ok("put", "k", "v", *as_client(authority.ca, unlucky))
    authority.revoke(crl, unlucky.serial, encoding=DER)
    assert refused(ctl, *as_client(authority.ca, unlucky))
    ctl.ok("put", "k", "v", *as_client(authority.ca, client))


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl(
    mutual: tuple[MemberProcess, Path], authority: Authority, client: Pair, version: str
) -> None:
    """Plain HTTP under TLS in both versions."""
    member, _ = mutual
    url = f"{member.addresses.client_url}/version"
    pair = ["--cert", str(client.cert), "--key", str(client.key)]
    done = subprocess.run(
        ["curl", "-sS", version, "--max-time", "10", "--cacert", str(authority.ca), *pair, url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert "etcdserver" in done.stdout


@pytest.mark.raftkv_only
def test_raftkv_ctl(
    mutual: tuple[MemberProcess, Path], authority: Authority, client: Pair, tmp_path: Path
) -> None:
    """etcdctl's options for `raftkv ctl`, by flag and by variable; without them it is refused."""
    member, _ = mutual
    save = ["snapshot", "save", str(tmp_path / "saved")]
    url = f"--endpoints={member.addresses.client_url}"
    ended = [
        ctl_ended(url, *as_client(authority.ca, client), *save),
        ctl_ended(url, *save, ETCDCTL_CACERT=authority.ca, **variables(client)),
        ctl_ended(url, "--insecure-skip-tls-verify", *save, **variables(client)),
    ]
    assert [each.returncode for each in ended] == [0, 0, 0], ended
    assert ctl_ended(url, f"--cacert={authority.ca}", *save).returncode == 1
    half = ctl_ended(url, f"--cert={client.cert}", *save)
    assert (half.returncode, "needs its key" in half.stderr) == (2, True)


def variables(pair: Pair) -> dict[str, Path]:
    return {"ETCDCTL_CERT": pair.cert, "ETCDCTL_KEY": pair.key}


def ctl_ended(*arguments: str, **environment: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raftkv.cli.main", "ctl", *arguments],
        env=PROGRAM.environment() | {name: str(path) for name, path in environment.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ask_peer(port: int, ca: Path, pair: Pair | None) -> bytes:
    """The answer to GET /members at a peer port; b"" when the connection is ended instead."""
    context = ssl.create_default_context(cafile=str(ca))
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
        ):
            tls.sendall(b"GET /members HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
            return tls.recv(65536)
    except TimeoutError:
        raise
    except OSError:
        return b""


def test_a_cluster_that_trusts_only_its_own(
    new_cluster: Callable[..., Cluster],
    authority: Authority,
    stranger: Authority,
    server: Pair,
    tmp_path: Path,
) -> None:
    """Three members with client-cert-auth and an allowed CN elect, replicate, send a snapshot and
    elect again, all over TLS, while their certificate is replaced by one of another key: who is
    restarted finds the others, and those show the new one without a restart. Nobody else gets an
    answer at a peer port."""
    live = Authority(tmp_path / "live").issue("pair")
    live.replace_with(server)
    renewed = authority.issue("e2e-renewed", cn="member")
    flags = [
        *pair_flags(live, "peer-"),
        f"--peer-trusted-ca-file={authority.ca}",
        "--peer-client-cert-auth",
        "--peer-cert-allowed-cn=member",
        "--snapshot-count=20",
    ]
    if not PROGRAM.is_etcd:
        flags.append("--snapshot-catchup-entries=5")
    cluster = new_cluster(flags=flags, peer_scheme="https")
    behind, other = cluster.followers()
    assert cluster.ctl(other).put("k", "v") == 2
    behind.kill()
    api = cluster.api(cluster.leader())
    for number in range(100):
        api.put(b"key%d" % number, b"v" * 10_000)
    live.replace_with(renewed)
    behind.start()
    behind.wait_healthy()
    assert cluster.wait_alike() == 102
    if not PROGRAM.is_etcd:
        assert "installed a snapshot" in behind.log_text()
    cluster.leader().stop()
    assert cluster.ctl(cluster.leader()).put("k", "v2") == 103

    port = next(each for each in cluster.running if each is not behind).addresses.peer_port
    assert shown_by(port, authority, server) == renewed.serial
    assert b"200 OK" in ask_peer(port, authority.ca, server)
    assert ask_peer(port, authority.ca, None) == b""
    assert ask_peer(port, authority.ca, authority.issue("e2e-intruder")) == b""
    assert ask_peer(port, authority.ca, stranger.issue("e2e-outsider", cn="member")) == b""


def shown_by(port: int, authority: Authority, pair: Pair) -> int:
    """The serial number of the certificate that a peer port shows."""
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(pair.cert, pair.key)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        found = tls.getpeercert()
        assert found is not None
        return int(str(found["serialNumber"]), 16)


@pytest.mark.raftkv_only
def test_auto_tls_and_unix_sockets(tmp_path: Path) -> None:
    """Self-signed certificates for both ports are made once and kept, the keys for nobody else to
    read; plain and TLS URLs, and unix sockets of either kind, are served side by side. (etcd
    3.4 takes no path in a unix URL, and leaves its sockets behind.)"""
    client_port, peer_port, plain_port = reserve_ports(3)
    place = Addresses("m0", plain_port, peer_port, peer_scheme="https")
    secure, plain, secret = (
        f"https://127.0.0.1:{client_port}",
        f"unix://{tmp_path}/plain:1",
        f"unixs://{tmp_path}/secret:1",
    )
    flags = ["--auto-tls", "--peer-auto-tls"]
    more = f"--listen-client-urls={place.client_url},{secure},{plain},{secret}"
    blind = ("--insecure-skip-tls-verify", "--insecure-transport=false")
    seen = []
    for _ in range(2):
        member = MemberProcess(PROGRAM, place, tmp_path, f"m0={place.peer_url}", flags, last=[more])
        member.start()
        try:
            member.wait_healthy()
            Etcdctl(secure).ok("put", "k", "v", *blind)
            Etcdctl(plain).ok("put", "k", "v")
            Etcdctl(secret).ok("put", "k", "v", *blind)
            seen.append([path.read_bytes() for path in own_files(member)])
            assert all(path.stat().st_mode & 0o077 == 0 for path in own_files(member))
            member.stop()
        finally:
            member.kill()
    assert seen[0] == seen[1]
    assert len(seen[0]) == 4
    assert not list(tmp_path.glob("*:1"))


def own_files(member: MemberProcess) -> list[Path]:
    return sorted(member.data_dir.glob("fixtures/*/*.pem"))


@pytest.mark.raftkv_only
def test_wrong_files_are_one_line(tmp_path: Path, server: Pair, client: Pair) -> None:
    """A key of another certificate ends the program with one line and status 2, as all bad settings
    do, before anything is made."""
    ended = subprocess.run(
        [*PROGRAM.command, f"--cert-file={server.cert}", f"--key-file={client.key}"],
        cwd=tmp_path,
        env=PROGRAM.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2, ended
    assert "is not the key of the certificate" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_certificates_name_is_a_user(
    authority: Authority, server: Pair, client: Pair, tmp_path: Path
) -> None:
    """With --client-cert-auth and auth enabled: what the user may do whom the certificate names, as
    long as no token says who calls. At the JSON gateway such a name is refused."""
    flags = [*pair_flags(server), f"--trusted-ca-file={authority.ca}", "--client-cert-auth"]
    place = Addresses("m0", *reserve_ports(2), client_scheme="https")
    alice = as_client(authority.ca, client)
    stranger = as_client(authority.ca, authority.issue("e2e-mallory", cn="mallory", hosts=()))
    with running(place, tmp_path, *flags):
        ctl = Etcdctl(place.client_url)
        wait_until(lambda: not refused(ctl, *alice), "the member serves over TLS")
        for line in (
            "user add root:pw", "role add root", "user grant-role root root",
            "user add alice --no-password", "role add a", "user grant-role alice a",
            "role grant-permission a readwrite a/ --prefix", "auth enable",
        ):  # fmt: skip
            ctl.ok(*line.split(), *alice)
        ctl.ok("put", "a/1", "mine", *alice)
        denied = ctl.run("put", "b/1", "not mine", *alice)
        assert (denied.status, "permission denied" in denied.errors) == (1, True), denied
        assert ctl.run("get", "a/1", *stranger).status == 1
        ctl.ok("put", "b/1", "root's", "--user=root:pw", *alice)
        url = f"{place.client_url}/v3/kv/range"
        pair = ["--cert", str(client.cert), "--key", str(client.key)]
        command = ["curl", "--silent", "--cacert", str(authority.ca), *pair, "-w", "%{http_code}"]
        told = subprocess.run(
            [*command, "--data", '{"key":"YS8x"}', url],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert told.stdout.endswith("400"), told.stdout
        assert "CommonName of client" in told.stdout
