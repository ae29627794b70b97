"""The member as a process: flags, the environment, signals and exit codes."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import Addresses, MemberProcess, reserve_ports
from tests.e2e.program import program_under_test

NewCluster = Callable[..., Cluster]
PROGRAM = program_under_test()


def run_to_end(
    *flags: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM.command, *flags],
        cwd=cwd,
        env=PROGRAM.environment() | (environment or {}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "flags",
    [
        ("--nonsense",),
        ("--election-timeout=abc",),
        ("--pre-vote=perhaps",),
    ],
)
def test_bad_flags_exit_with_2(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """An unknown flag or an unreadable value ends the program with status 2 and names the flag."""
    ended = run_to_end(*flags, cwd=tmp_path)
    assert ended.returncode == 2
    assert flags[0].split("=")[0].lstrip("-") in ended.stderr


@pytest.mark.raftkv_only
@pytest.mark.parametrize(
    "flags",
    [
        ("--nonsense",),
        ("--election-timeout=abc",),
        ("--election-timeout=200", "--heartbeat-interval=100"),
        ("--name=m9", "--initial-cluster=m0=http://127.0.0.1:2380"),
        ("--listen-client-urls=nowhere",),
        ("--initial-cluster-state=perhaps",),
        ("--config-file=/no/such/file",),
    ],
)
def test_bad_settings_are_one_line(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Every bad setting is one line on stderr and status 2; nothing is made on disk."""
    ended = run_to_end(*flags, cwd=tmp_path)
    assert ended.returncode == 2, ended
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_gracefully(new_cluster: NewCluster, number: signal.Signals) -> None:
    """A member ends by itself on SIGTERM and SIGINT, the others go on, and it comes back."""
    cluster = new_cluster()
    member = cluster.follower()
    status = member.stop(number)
    if PROGRAM.is_etcd:
        # It ends by sending the signal to itself again.
        assert status == 128 + number
    else:
        assert status == 0
    made = cluster.api(cluster.leader()).put(b"k", b"v").header.revision
    member.start()
    member.wait_healthy()
    assert cluster.wait_alike() == made


def test_stopped_leader_is_replaced(new_cluster: NewCluster) -> None:
    """SIGTERM to the leader: another one leads within a failover, and the cluster takes writes."""
    cluster = new_cluster()
    old = cluster.leader()
    old.stop()
    assert cluster.leader() is not old
    assert cluster.api(cluster.leader()).put(b"k", b"v").header.revision == 2


def test_single_member_cluster(new_cluster: NewCluster) -> None:
    """One member is a cluster of its own, and keeps its data over a restart."""
    cluster = new_cluster(members=1)
    (member,) = cluster.members
    assert cluster.ctl().put("k", "v") == 2
    member.kill()
    member.start()
    member.wait_healthy()
    assert cluster.ctl().ok("get", "k", "--print-value-only") == ["v"]


def test_five_member_cluster(new_cluster: NewCluster) -> None:
    """Five members form a cluster that loses two and still takes writes."""
    cluster = new_cluster(members=5)
    for member in cluster.followers()[:2]:
        member.kill()
    assert cluster.ctl(cluster.leader()).put("k", "v") == 2
    assert cluster.ctl(*cluster.followers()).ok("get", "k", "--print-value-only") == ["v"]


def test_settings_from_the_environment(tmp_path: Path) -> None:
    """ETCD_* variables are read as the flags of the same name."""
    place = Addresses("from-the-environment", *reserve_ports(2))
    initial = f"{place.name}={place.peer_url}"
    member = MemberProcess(PROGRAM, place, tmp_path, initial, by_environment=True)
    member.start()
    try:
        member.wait_healthy()
        (listed,) = Etcdctl(member.endpoint).json("member", "list")["members"]
    finally:
        member.kill()
    assert listed["name"] == place.name
    assert member.data_dir.is_dir()


def test_flag_and_variable_together_are_refused(tmp_path: Path) -> None:
    """One setting from two places is an error, not a guess."""
    ended = run_to_end("--name=a", cwd=tmp_path, environment={"ETCD_NAME": "b"})
    assert ended.returncode != 0
    assert "ETCD_NAME" in ended.stderr


def test_port_in_use_is_an_error(tmp_path: Path) -> None:
    """A client port that somebody listens on ends the program with a line that names it."""
    (port, peer) = reserve_ports(2)
    with socket.create_server(("127.0.0.1", port)):
        place = Addresses("default", port, peer)
        ended = run_to_end(
            f"--data-dir={tmp_path / 'data'}",
            f"--listen-client-urls={place.client_url}",
            f"--advertise-client-urls={place.client_url}",
            f"--listen-peer-urls={place.peer_url}",
            f"--initial-advertise-peer-urls={place.peer_url}",
            f"--initial-cluster=default={place.peer_url}",
            cwd=tmp_path,
        )
    assert ended.returncode != 0
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stderr
