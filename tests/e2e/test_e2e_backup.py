"""Backups of running clusters: followed through crashes, and by a directory that is full."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.backup_run import BackupRun, raftkv_ctl
from tests.e2e.cluster import Cluster
from tests.e2e.waiting import wait_until
from tests.e2e.writers import AcknowledgedWriters

NewCluster = Callable[..., Cluster]
HASH = re.compile(r"hash ([0-9a-f]+), compacted at (-?\d+)")
BUMP = 1_000_000_000

pytestmark = pytest.mark.raftkv_only  # etcd has no such command


def restored_hash(backup: Path, revision: int, data_dir: Path) -> str:
    done = raftkv_ctl(
        *("backup", "restore", str(backup), "--to-revision", str(revision)),
        *("--data-dir", str(data_dir)),
    )
    assert done.returncode == 0, done
    assert f"goes on at {revision + BUMP}" in done.stdout
    found = HASH.search(done.stdout)
    assert found, done.stdout
    return found[1]


def test_a_backup_outlives_the_member_that_it_follows(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    """Under writers the followed member is killed and comes back: every acknowledged revision is in
    the backup, and any of them comes back with the hash that the cluster has there. Another run
    goes on where a killed one was; one that a compaction has overtaken says so and begins anew;
    the drill passes."""
    cluster = new_cluster()
    backup = tmp_path / "backup"
    api = cluster.api(cluster.members[1])
    first = api.put(b"before", b"1").header.revision
    with BackupRun(cluster.endpoints, backup, "--base-interval", "2s") as run:
        run.wait_for_base(first)
        with AcknowledgedWriters(cluster.endpoints, number=2) as writers:
            wait_until(lambda: len(writers.acknowledged) > 100, "some writes")
            cluster.members[0].kill()
            seen = len(writers.acknowledged)
            wait_until(lambda: len(writers.acknowledged) > seen + 100, "writes go on")
            run.kill()
        with BackupRun(cluster.endpoints, backup, "--base-interval", "2s") as again:
            cluster.start()
            lease = granted(cluster)
            last = api.put(b"leased", b"v", lease=lease).header.revision
            again.wait_for_log(last)
            again.wait_for_base(last)
            assert again.stop() == 0
    acknowledged = [each.revision for each in writers.acknowledged]
    assert max(acknowledged) < last
    for number, revision in enumerate((acknowledged[-1], last)):
        found = restored_hash(backup, revision, tmp_path / f"restored-{number}")
        assert found == f"{api.hash_kv(revision).hash:x}"
    assert raftkv_ctl("backup", "verify", str(backup)).returncode == 0
    api.put(b"unseen", b"1")
    last = api.put(b"unseen", b"2").header.revision
    api.compact(last)
    with BackupRun(cluster.endpoints, backup) as overtaken:
        overtaken.wait_for_base(last, chain=2)
        assert overtaken.stop() == 0
    assert f"a compaction at revision {last} overtook it" in overtaken.log
    refused = raftkv_ctl("backup", "restore", str(backup), "--to-revision", str(last - 1))
    assert refused.returncode == 2
    assert f"cannot give revision {last - 1} back; it has revisions" in refused.stderr
    drill = raftkv_ctl("backup", "restore", str(backup), "--drill", "-w", "json")
    assert drill.returncode == 0, drill
    steps = [step["name"] for step in json.loads(drill.stdout)["steps"]]
    assert steps[:3] == ["restore", "count", "start a member"]
    assert not list(tmp_path.glob("raftkv-drill-*"))


def granted(cluster: Cluster) -> int:
    return int(cluster.ctl().ok("lease", "grant", "600")[0].split()[1], 16)


def test_a_full_disk_leaves_no_whole_looking_file(new_cluster: NewCluster, tmp_path: Path) -> None:
    """Files may not grow beyond a limit: saving fails with its reason and leaves nothing; following
    ends with status 1, and what it kept can be restored."""
    cluster = new_cluster(members=1)
    api, member = cluster.api(cluster.members[0]), cluster.members[0]
    first = api.put(b"k", b"v" * 1000).header.revision
    backup = tmp_path / "backup"
    with BackupRun([member.endpoint], backup, file_blocks=400) as run:
        run.wait_for_base(first)
        for number in range(12):
            kept = api.put(b"k%d" % number, b"v" * 30_000).header.revision
        assert run.ended() == 1
    assert "File too large" in run.log
    rows = [row for row in run.rows() if row["what"] == "log"]
    assert first <= rows[-1]["to"] < kept
    found = restored_hash(backup, rows[-1]["to"], tmp_path / "restored")
    assert found == f"{api.hash_kv(rows[-1]['to']).hash:x}"
    path = tmp_path / "saved.db"
    failed = raftkv_ctl(
        *("--endpoints", member.endpoint, "snapshot", "save", str(path)), file_blocks=100
    )
    assert failed.returncode == 1
    assert "File too large" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list(tmp_path.glob("saved.db*"))
    too_small = tmp_path / "too-small"
    with BackupRun([member.endpoint], too_small, file_blocks=100) as run:
        assert run.ended() == 1
    assert not list(too_small.glob("*.snap")) + list(too_small.glob("*.part"))
