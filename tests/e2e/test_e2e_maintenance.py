"""etcdctl's upkeep: alarms, the quota, defrag, move-leader, and snapshots."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest

from raftkv.api import rpc_pb2 as pb
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV
from tests.e2e.waiting import wait_until

NO_SPACE = "etcdserver: mvcc: database space exceeded"
QUOTA_BYTES = 16 << 20
BIG = "v" * 500_000
NewCluster = Callable[..., Cluster]


def raftkv_ctl(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "raftkv.cli.main", "ctl", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=RAFTKV.environment(),
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


def fill(cluster: Cluster, prefix: str = "fill") -> int:
    """Put until the quota says no; how many fitted."""
    api = cluster.api(cluster.leader())
    put = api.unary("/etcdserverpb.KV/Put", pb.PutResponse)
    fitted = 0

    def put_on() -> None:
        nonlocal fitted
        for fitted in range(100):
            key = f"{prefix}{fitted}".encode()
            put(pb.PutRequest(key=key, value=BIG.encode()), timeout=20)

    with pytest.raises(grpc.RpcError, match=NO_SPACE):
        put_on()
    return fitted


def is_counted(cluster: Cluster) -> bool:
    """Whether the quota is held against what is live, on every member."""
    ports = [member.addresses.client_port for member in cluster.members]
    pages = [urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read() for port in ports]
    return all(b"\nraftkv_space_live_bytes " in page for page in pages)


def test_a_full_database_and_the_way_back(new_cluster: NewCluster) -> None:
    """Fill three members to the quota: puts are refused everywhere with etcd's words and the alarm
    is listed. Delete half, compact, and puts work again: nobody defragments or disarms."""
    cluster = new_cluster(flags=(f"--quota-backend-bytes={QUOTA_BYTES}",))
    wait_until(lambda: is_counted(cluster), "what is live is counted")
    ctl = cluster.ctl()
    fitted = fill(cluster)
    assert 10 < fitted < 40, fitted
    wait_until(lambda: "alarm:NOSPACE" in "".join(ctl.ok("alarm", "list")), "the alarm is listed")
    for member in cluster.members:
        alone = cluster.ctl(member)
        assert NO_SPACE in alone.fails("put", "k", "v")
        assert NO_SPACE in alone.fails("txn", stdin='\n\nput a "b"\n\n')
    errors = ctl.json("endpoint", "status")[0]["Status"]["errors"]
    assert any("NOSPACE" in error for error in errors), errors
    assert ctl.ok("alarm", "list") == ["alarm:NOSPACE "], "of the cluster, so of no member"
    assert (
        raftkv_ctl("--endpoints", cluster.leader().endpoint, "alarm", "list") == "alarm:NOSPACE \n"
    )
    ctl.ok("alarm", "disarm")
    assert ctl.ok("alarm", "list") == []
    assert NO_SPACE in ctl.fails("put", "again", stdin=BIG)
    revision = 0
    for number in range(fitted // 2):
        revision = int(ctl.json("del", f"fill{number}")["header"]["revision"])
    ctl.ok("compaction", str(revision))
    assert ctl.ok("alarm", "list") == []
    ctl.ok("put", "again", stdin=BIG)
    assert ctl.keys("again") == ["again"]


def test_defrag_gives_room_back(new_cluster: NewCluster) -> None:
    """What was deleted and compacted is out of the file after etcdctl defrag; nothing else is."""
    cluster = new_cluster(members=1)
    ctl = cluster.ctl()
    api = cluster.api(cluster.members[0])
    for number in range(60):
        ctl.put("key", f"{number}" + BIG[:100_000])
    before = api.status().dbSize
    revision = ctl.put("other", "1")
    ctl.ok("compaction", "--physical", str(revision))
    hashed = api.hash_kv().hash
    assert ctl.ok("defrag") == [
        f"Finished defragmenting etcd member[{cluster.members[0].endpoint}]"
    ]
    assert api.status().dbSize < before / 3
    assert api.hash_kv().hash == hashed
    ctl.put("other", "2")
    cluster.kill()
    cluster.start()
    assert ctl.ok("get", "other", "--print-value-only") == ["2"]
    assert len(ctl.ok("get", "key", "--print-value-only")[0]) == 100_002


def test_alarm_list_and_disarm(new_cluster: NewCluster) -> None:
    """An alarm that was raised by hand stops puts and fails /health until etcdctl disarms it."""
    cluster = new_cluster(members=1)
    member, ctl = cluster.members[0], cluster.ctl()
    api = cluster.api(member)
    member_id = api.status().header.member_id
    assert ctl.ok("alarm", "list") == []
    alarm = api.unary("/etcdserverpb.Maintenance/Alarm", pb.AlarmResponse)
    raised = pb.AlarmRequest(
        action=pb.AlarmRequest.ACTIVATE, memberID=member_id, alarm=pb.AlarmType.NOSPACE
    )
    assert list(alarm(raised, timeout=10).alarms) == list(alarm(raised, timeout=10).alarms)
    assert ctl.ok("alarm", "list") == [f"memberID:{member_id} alarm:NOSPACE "]
    assert NO_SPACE in ctl.fails("put", "k", "v")
    ctl.ok("del", "k")
    assert ctl.ok("alarm", "disarm") == [f"memberID:{member_id} alarm:NOSPACE "]
    ctl.put("k", "v")


def test_move_leader(new_cluster: NewCluster) -> None:
    """etcdctl move-leader hands over to the member named; refusals have etcd's words."""
    cluster = new_cluster()
    leader, follower = cluster.leader(), cluster.follower()
    target = f"{cluster.api(follower).status().header.member_id:x}"
    move = cluster.api(follower).unary(
        "/etcdserverpb.Maintenance/MoveLeader", pb.MoveLeaderResponse
    )
    with pytest.raises(Exception, match="etcdserver: not leader"):
        move(pb.MoveLeaderRequest(targetID=int(target, 16)), timeout=10)
    assert "bad leader transferee" in cluster.ctl(leader).fails("move-leader", "123abc")
    said = cluster.ctl().ok("move-leader", target)
    assert said[0].startswith("Leadership transferred from ")
    assert cluster.leader() is follower


def test_snapshot_save(shared_cluster: Cluster, prefix: str, tmp_path: Path) -> None:
    """etcdctl is content with the stream: a database and its SHA-256 are in the file."""
    ctl = shared_cluster.ctl(shared_cluster.follower())
    ctl.put(prefix, "v")
    path = tmp_path / "saved.db"
    ctl.ok("snapshot", "save", str(path))
    saved = path.read_bytes()
    assert len(saved) % 512 == 32
    assert hashlib.sha256(saved[:-32]).digest() == saved[-32:]


@pytest.mark.raftkv_only  # etcd's file is bbolt, and etcdctl restores it
def test_a_snapshot_under_writes_becomes_a_new_cluster(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    """Saved while a writer goes on, restored into three members: they hold what the old cluster
    held at the snapshot's revision, all that was acknowledged before, and take writes."""
    old = new_cluster()
    path = tmp_path / "saved.db"
    stop, acknowledged = threading.Event(), 0
    api = old.api(old.leader())

    def write() -> None:
        nonlocal acknowledged
        while not stop.is_set():
            acknowledged = api.put(b"w%d" % (acknowledged % 500), b"v" * 200).header.revision

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: acknowledged > 300, "some writes")
        before = acknowledged
        assert "Snapshot saved" in raftkv_ctl(
            "snapshot", "save", str(path), "--endpoint", old.leader().endpoint
        )
    finally:
        stop.set()
        writer.join()
    status = json.loads(raftkv_ctl("snapshot", "status", str(path), "-w", "json"))
    assert before <= status["revision"] <= acknowledged
    new = Cluster(RAFTKV, _made(tmp_path / "new"))
    _restore(new, path)
    with new:
        hashed = {new.api(member).hash_kv().hash for member in new.members}
        at_revision = old.api(old.leader()).unary(
            "/etcdserverpb.Maintenance/HashKV", pb.HashKVResponse
        )(pb.HashKVRequest(revision=status["revision"]), timeout=20)
        assert hashed == {status["hash"]} == {at_revision.hash}
        assert new.ctl().put("more", "1") == status["revision"] + 1
        assert not new.broken_log_lines()


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _restore(cluster: Cluster, path: Path) -> None:
    initial = ",".join(f"{m.name}={m.addresses.peer_url}" for m in cluster.members)
    for member in cluster.members:
        said = raftkv_ctl(
            *("snapshot", "restore", str(path), "--name", member.name),
            *("--data-dir", str(member.data_dir), "--initial-cluster", initial),
            *("--initial-cluster-token", "e2e"),
            *("--initial-advertise-peer-urls", member.addresses.peer_url),
            "--no-bump",  # nobody is left who saw a later revision, and hashes are compared
        )
        assert "restored" in said
