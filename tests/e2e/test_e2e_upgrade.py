"""Rolling upgrade and downgrade between this version and the one before, member by member, under
load: nothing that was acknowledged is lost, and both versions work together all the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess
from tests.e2e.program import RAFTKV, RAFTKV_0_1, ROOT, Program
from tests.e2e.test_e2e_crash import assert_nothing_lost
from tests.e2e.waiting import wait_until
from tests.e2e.writers import AcknowledgedWriters

pytestmark = pytest.mark.slow

LEVEL_HEADER = "X-Raftkv-Level"


def level(member: MemberProcess) -> str | None:
    """What the member says of levels on its peer port; None for 0.1, which knows none."""
    with urllib.request.urlopen(f"{member.addresses.peer_url}/members", timeout=5) as answer:
        found = answer.headers.get(LEVEL_HEADER)
    return None if found is None else str(found)


def stop(member: MemberProcess) -> None:
    assert member.stop() == 0, member.log_tail()


def roll(
    cluster: Cluster,
    program: Program,
    between: Callable[[], None],
    end: Callable[[MemberProcess], None] = stop,
) -> None:
    """Replace one member after the other, the leader last; ``between`` while both versions run."""
    leader = cluster.leader()
    for member in [*cluster.followers(), leader]:
        end(member)
        member.become(program)
        member.start()
        member.wait_healthy()
        between()


def ctl(cluster: Cluster, *arguments: str) -> str:
    """`raftkv ctl` of this version."""
    done = subprocess.run(
        [sys.executable, "-m", "raftkv.cli.main", "ctl", *arguments],
        cwd=ROOT,
        env=RAFTKV.environment() | {"RAFTKV_ENDPOINTS": ",".join(cluster.endpoints)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_up_and_down_again_under_load(tmp_path: Path) -> None:
    """0.1.0 -> this version -> 0.1.0. The level rises only once all are new; after `downgrade
    enable` the older version finds nothing in log or database that it does not know, also when
    it follows on a kill -9."""
    with Cluster(RAFTKV_0_1, tmp_path) as cluster:
        cluster.ctl().run("put", "before", "1")
        with AcknowledgedWriters(cluster.endpoints) as writers:
            writers.wait_for_more(50)
            levels: list[list[str | None]] = []

            def mixed() -> None:
                levels.append([level(member) for member in cluster.members])
                writers.wait_for_more(50)

            roll(cluster, RAFTKV, mixed)
            assert levels[0].count("1 1 0") == 1, levels
            assert all("1 1 1" not in seen for seen in levels[:2]), levels
            wait_until(
                lambda: all(level(member) == "1 1 1" for member in cluster.members),
                "the cluster knows what this version knows",
            )
            writers.wait_for_more(50)
            assert "success" in ctl(cluster, "downgrade", "enable", "0.1")
            status = json.loads(ctl(cluster, "endpoint", "status", "-w", "json"))
            assert all(one["Status"]["downgradeInfo"]["enabled"] for one in status), status
            roll(cluster, RAFTKV_0_1, lambda: writers.wait_for_more(50), MemberProcess.kill)
            acknowledged = writers.stop()
        assert_nothing_lost(cluster, acknowledged)
        assert cluster.ctl().run("get", "before", "--print-value-only").output == "1\n"
        assert cluster.broken_log_lines() == []


def test_a_downgrade_that_was_called_off(tmp_path: Path) -> None:
    """The members stay, the level rises again, and the target must be the version before."""
    with Cluster(RAFTKV, tmp_path, members=1) as cluster:
        (member,) = cluster.members
        wait_until(lambda: level(member) == "1 1 1", "a cluster of this version")
        assert "success" in ctl(cluster, "downgrade", "validate", "0.1.0")
        ctl(cluster, "downgrade", "enable", "0.1")
        assert level(member) == "1 0 0"
        ctl(cluster, "downgrade", "cancel")
        wait_until(lambda: level(member) == "1 1 1", "the level rises again")
        cluster.ctl().run("put", "still", "here")
