"""`raftkv local`: a cluster from one command, its end by Ctrl-C, and its data at the next start."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import reserve_ports
from tests.e2e.program import RAFTKV
from tests.e2e.waiting import wait_until

pytestmark = [pytest.mark.raftkv_only, pytest.mark.slow]

MEMBERS = 5
COMMAND = (*RAFTKV.command[:-1], "local")


@contextmanager
def local(log: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """`raftkv local` with its output in ``log``: no terminal, so plain lines."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, *flags],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=RAFTKV.environment(),
            start_new_session=True,
        )
    try:
        yield process
    except BaseException as error:
        error.add_note(f"--- {log.name}\n{log.read_text()}")
        raise
    finally:
        # Its members are in its process group: none may outlive the test.
        with_group = process.poll() is None
        if with_group:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def healthy(ctl: Etcdctl) -> bool:
    return ctl.run("endpoint", "health").status == 0


def test_local_cluster_keeps_its_data(tmp_path: Path) -> None:
    """Start, write, Ctrl-C, start again: the endpoints are printed and the key is still there."""
    # Five members get ports 10 apart; three would be spread into the range of outgoing connections.
    base = reserve_ports(10 * MEMBERS)[0]
    flags = ("--members", "5", "--data-dir", str(tmp_path / "data"), "--base-port", str(base))
    log = tmp_path / "local.log"
    with local(log, *flags) as process:
        endpoints = wait_until(lambda: printed_endpoints(log), "the endpoints are printed")
        ctl = Etcdctl(*endpoints)
        wait_until(lambda: healthy(ctl), "all members are healthy", seconds=60)
        assert "etcdctl" in log.read_text()
        assert ctl.put("k", "v") == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0, log.read_text()
    assert not healthy(ctl)
    with local(log, *flags) as process:
        wait_until(lambda: healthy(ctl), "all members are healthy again", seconds=60)
        for endpoint in endpoints:
            assert Etcdctl(endpoint).ok("get", "k", "--print-value-only") == ["v"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def test_local_refuses_a_bad_flag(tmp_path: Path) -> None:
    """A number of members that makes no sense is one line and status 2."""
    ended = subprocess.run(
        [*COMMAND, "--members", "zero"],
        cwd=tmp_path,
        env=RAFTKV.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert "members" in ended.stderr


def printed_endpoints(log: Path) -> list[str]:
    """The addresses of the etcdctl line, once it is complete."""
    for line in log.read_text().splitlines():
        if "--endpoints" in line:
            listed = line.split("--endpoints", 1)[1].lstrip("= ").split()[0].split(",")
            if len(listed) == MEMBERS:
                return [one.removeprefix("http://") for one in listed]
    return []
