"""Backups of running clusters: followed through crashes, and by a directory that is full."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.backup_run import BackupRun, raftkv_ctl
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV
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


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One member, for tests that do not break it."""
    with Cluster(RAFTKV, tmp_path_factory.mktemp("alone"), members=1) as cluster:
        yield cluster
        assert not cluster.broken_log_lines()


def test_a_backup_outlives_the_member_that_it_follows(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    """Under writes the followed member is killed and comes back, and so does the backup: every
    acknowledged revision is in it, and one comes back with the hash that the cluster has there."""
    cluster = new_cluster()
    backup = tmp_path / "backup"
    api = cluster.api(cluster.members[1])
    first = api.put(b"before", b"1").header.revision
    with BackupRun(cluster.endpoints, backup) as run:
        run.wait_for_base(first)
        with AcknowledgedWriters(cluster.endpoints, number=2) as writers:
            wait_until(lambda: len(writers.acknowledged) > 100, "some writes")
            cluster.members[0].kill()
            seen = len(writers.acknowledged)
            wait_until(lambda: len(writers.acknowledged) > seen + 100, "writes go on")
            run.kill()
        with BackupRun(cluster.endpoints, backup) as again:
            cluster.start()
            last = api.put(b"leased", b"v", lease=granted(cluster)).header.revision
            again.wait_for_log(last)
            assert again.stop() == 0
    revision = max(each.revision for each in writers.acknowledged)
    assert restored_hash(backup, revision, tmp_path / "new") == f"{api.hash_kv(revision).hash:x}"
    assert raftkv_ctl("backup", "verify", str(backup)).returncode == 0


def test_a_compaction_that_overtakes_a_backup_is_told(alone: Cluster, tmp_path: Path) -> None:
    """While nobody followed, revisions went: another run says so, begins anew with a base, and a
    drill on that passes and leaves nothing."""
    api, backup = alone.api(alone.members[0]), tmp_path / "backup"
    with BackupRun(alone.endpoints, backup) as run:
        run.wait_for_base(api.put(b"seen", b"1").header.revision)
        assert run.stop() == 0
    api.put(b"unseen", b"1")
    last = api.put(b"unseen", b"2").header.revision
    api.compact(last)
    with BackupRun(alone.endpoints, backup) as overtaken:
        overtaken.wait_for_base(last, chain=2)
        assert overtaken.stop() == 0
    assert f"a compaction at revision {last} overtook it" in overtaken.log
    drill = raftkv_ctl("backup", "restore", str(backup), "--drill", "-w", "json")
    assert drill.returncode == 0, drill
    steps = [step["name"] for step in json.loads(drill.stdout)["steps"]]
    assert steps[:3] == ["restore", "count", "start a member"]
    assert not list(tmp_path.glob("raftkv-drill-*"))


def granted(cluster: Cluster) -> int:
    return int(cluster.ctl().ok("lease", "grant", "600")[0].split()[1], 16)


def test_a_full_disk_leaves_no_whole_looking_file(alone: Cluster, tmp_path: Path) -> None:
    """Files may not grow beyond a limit: saving fails with its reason and leaves nothing; following
    ends with status 1, and what it kept can be restored."""
    api, member = alone.api(alone.members[0]), alone.members[0]
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
