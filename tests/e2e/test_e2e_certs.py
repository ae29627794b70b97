"""Certificates from `raftkv ctl certs`: a cluster that takes them, and a new CA under load."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.e2e.api import Api
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import Addresses, MemberProcess, reserve_ports
from tests.e2e.program import RAFTKV
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.raftkv_only
NAMES = ("m0", "m1", "m2")


def certs(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "raftkv.cli.main", "ctl", "certs", *arguments],
        env=RAFTKV.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


class Secured:
    """Three members whose ports speak TLS only, but for health and metrics."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "certs"
        hosts = ",".join(f"{name}=127.0.0.1" for name in NAMES)
        self.told = certs("create", "--hosts", hosts, "--out", str(self.out))
        ports = reserve_ports(9)
        places = [
            Addresses(name, ports[3 * n], ports[3 * n + 1], peer_scheme="https")
            for n, name in enumerate(NAMES)
        ]
        self.endpoints = [f"127.0.0.1:{ports[3 * n + 2]}" for n in range(3)]
        initial = ",".join(f"{place.name}={place.peer_url}" for place in places)
        self.members = [
            MemberProcess(
                RAFTKV, place, directory, initial,
                ["--election-timeout=3000", *self._tls_flags(place.name)],
                last=[
                    f"--listen-metrics-urls={place.client_url}",
                    f"--listen-client-urls=https://{endpoint}",
                    f"--advertise-client-urls=https://{endpoint}",
                ],
            )
            for place, endpoint in zip(places, self.endpoints, strict=True)
        ]  # fmt: skip

    def _tls_flags(self, name: str) -> list[str]:
        """As the command told them."""
        (command,) = re.findall(rf"raftkv serve (\\\n    --name {name} .*?)\n\n", self.told, re.S)
        words = command.replace("\\\n", " ").split()
        start = words.index("--cert-file")
        return words[start:]

    @property
    def client_flags(self) -> list[str]:
        place = self.out / "clients" / "root"
        return [
            f"--cacert={place}/ca.pem", f"--cert={place}/client.pem",
            f"--key={place}/client-key.pem",
        ]  # fmt: skip

    def credentials(self) -> grpc.ChannelCredentials:
        place = self.out / "clients" / "root"
        files = ("ca.pem", "client-key.pem", "client.pem")
        return grpc.ssl_channel_credentials(*((place / file).read_bytes() for file in files))

    def metric(self, member: MemberProcess, name: str) -> float:
        port = member.addresses.client_port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(value)

    def knock(self) -> None:
        """Whoever comes to a port has it look at its files: nobody waits for the timer."""
        for member, endpoint in zip(self.members, self.endpoints, strict=True):
            for port in (member.addresses.peer_port, int(endpoint.rpartition(":")[2])):
                socket.create_connection(("127.0.0.1", port), timeout=10).close()

    def wait_loaded(self, times: int) -> None:
        """Until every port has put changed files in use so often."""

        def loaded() -> bool:
            self.knock()
            return all(
                self.metric(member, f'raftkv_tls_reloads_total{{port="{port}"}}') >= times
                for member in self.members
                for port in ("client", "peer")
            )

        wait_until(loaded, f"files loaded {times} times", seconds=60)

    def wait_moved(self, times: int) -> None:
        """Until each member has moved its links so often."""
        moved = "moved the link to a peer to new certificates"
        wait_until(
            lambda: all(each.log_text().count(moved) >= times for each in self.members),
            f"links moved {times} times",
        )


class Load:
    """Puts to each member without pause, each once: nothing is tried again, and no error is
    excused. ``take_files`` has the clients read theirs anew."""

    def __init__(self, cluster: Secured) -> None:
        self.errors: list[str] = []
        self.puts = [0, 0, 0]
        self._cluster = cluster
        self._files = 0
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._put, args=(n,)) for n in range(3)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def take_files(self) -> None:
        self._files += 1
        self.go_on()

    def go_on(self) -> None:
        """Until each has put some more."""
        before = list(self.puts)
        wait_until(
            lambda: (
                self.errors
                or all(now > then + 20 for now, then in zip(self.puts, before, strict=True))
            ),
            "all clients go on",
        )

    def _put(self, number: int) -> None:
        endpoint, used = self._cluster.endpoints[number], -1
        api: Api | None = None
        try:
            while not self._ending.is_set():
                if used != self._files:
                    used = self._files
                    if api is not None:
                        api.close()
                    api = Api(endpoint, credentials=self._cluster.credentials())
                assert api is not None
                api.put(b"k%d" % number, b"%d" % self.puts[number])
                self.puts[number] += 1
        except grpc.RpcError as e:
            self.errors.append(str(e))
        finally:
            if api is not None:
                api.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    secured = Secured(tmp_path_factory.mktemp("certs"))
    try:
        for member in secured.members:
            member.start()
        for member in secured.members:
            member.wait_healthy()
        yield secured
    finally:
        for member in secured.members:
            if member.is_running:
                member.kill()


def test_one_command_makes_a_cluster(cluster: Secured) -> None:
    """Three members with the flags that the command told; etcdctl is served with the client's
    certificate, and refused without one or with a member's of the peer port."""
    ctl = Etcdctl(*(f"https://{endpoint}" for endpoint in cluster.endpoints))
    ctl.ok("put", "k", "v", *cluster.client_flags)
    assert ctl.ok("get", "k", *cluster.client_flags) == ["k", "v"]
    peer = cluster.out / "members" / "m0"
    cacert = cluster.client_flags[0]
    for flags in ([], [f"--cert={peer}/peer.pem", f"--key={peer}/peer-key.pem"]):
        outcome = ctl.run("put", "k", "no", "--command-timeout=1s", cacert, *flags)
        assert outcome.status != 0, outcome
    table = certs("show", str(cluster.out))
    assert table.count("127.0.0.1") == 6
    days = (
        cluster.metric(
            cluster.members[0],
            'raftkv_tls_certificate_expiry_timestamp_seconds{file="cert-file",port="peer"}',
        )
        - (cluster.out / "members" / "m0" / "peer.pem").stat().st_mtime
    )
    assert round(days / 86_400) == 365


def test_a_new_ca_under_load(cluster: Secured) -> None:
    """Demand 23: the CA of both ports is replaced on three members under load, in the three steps
    that the command tells, without a restart, a failed request or an election; in the end nobody
    trusts the old one, and a client that still shows its certificate of it is refused."""
    pids = [member.pid for member in cluster.members]
    elections = "etcd_server_leader_changes_seen_total"
    before = [cluster.metric(member, elections) for member in cluster.members]
    kept = cluster.out.parent / "kept"
    kept.mkdir()
    for path in (cluster.out / "clients" / "root").iterdir():
        (kept / path.name).write_bytes(path.read_bytes())
    with Load(cluster) as load:
        load.go_on()
        for times, step in enumerate(("start", "issue", "finish"), start=1):
            certs("rotate-ca", step, "--out", str(cluster.out))
            cluster.wait_loaded(times)
            load.take_files()
            cluster.wait_moved(2 * times)
        load.go_on()
    print(f"{sum(load.puts)} puts, {len(load.errors)} failed")
    assert load.errors == []
    assert [cluster.metric(member, elections) for member in cluster.members] == before
    assert [member.pid for member in cluster.members] == pids
    assert all(member.is_running for member in cluster.members)
    ctl = Etcdctl(f"https://{cluster.endpoints[0]}")
    ctl.ok("put", "k", "v", *cluster.client_flags)
    old = [f"--cert={kept}/client.pem", f"--key={kept}/client-key.pem", cluster.client_flags[0]]
    assert ctl.run("put", "k", "no", "--command-timeout=1s", *old).status != 0
