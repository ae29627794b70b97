"""Moving over from etcd and back: a snapshot file with all its history, and a live mirror."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import grpc
import pytest

from raftkv.api import rpc_pb2 as pb
from raftkv.backend.environment import LmdbBackend
from raftkv.errors import ConfigError, Corrupt
from raftkv.migration.conversion import Converted, convert
from raftkv.migration.etcd_snapshot import EtcdSnapshot
from raftkv.wal.disk import OsDisk
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.program import ETCD_3_5, RAFTKV, ROOT
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.slow

LEASE = 0x1234
COMPACTED_AT = 150


def ctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raftkv.cli.main", "ctl", *arguments],
        cwd=ROOT,
        env=RAFTKV.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fill(cluster: Cluster) -> None:
    """Enough for branch pages and overflow pages; deleted, revived, leased keys; several to a
    revision; users."""
    api, etcdctl, random = cluster.api(cluster.members[0]), cluster.ctl(), Random(5)
    etcdctl.run("lease", "grant", "600")
    granted = api.unary("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)
    granted(pb.LeaseGrantRequest(TTL=600, ID=LEASE), timeout=10)
    for number in range(300):
        key = b"k%03d" % random.randrange(90)
        if random.random() < 0.2:
            api.delete(key)
        else:
            api.put(key, b"v%d" % number * random.choice((1, 1, 300)))
    api.put(b"leased", b"", lease=LEASE)
    api.put(b"long", bytes(300_000))
    puts = [pb.RequestOp(request_put=pb.PutRequest(key=b"t%d" % n, value=b"t")) for n in range(9)]
    erase = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"k", range_end=b"k02"))
    api.txn(success=[*puts, erase])
    for words in ("user add root:r", "role add reader", "user add u:p", "user grant-role u reader"):
        etcdctl.run(*words.split())
    etcdctl.run("role", "grant-permission", "reader", "read", "a", "z")


def history(api: Api) -> list[pb.RangeResponse]:
    """All that can be read: the range of all keys at each revision, without headers."""
    pages = []
    for revision in range(COMPACTED_AT, api.revision() + 1):
        page = api.range(b"\0", b"\0", revision=revision)
        page.ClearField("header")
        pages.append(page)
    return pages


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(ETCD_3_5, tmp_path_factory.mktemp("etcd"), members=1) as cluster:
        fill(cluster)
        yield cluster


@dataclass(frozen=True)
class Saved:
    """etcd's snapshots, with all history and compacted; etcd's hash of all history."""

    whole: Path
    compacted: Path
    hashed: pb.HashKVResponse


@pytest.fixture(scope="module")
def saved(etcd: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    place = tmp_path_factory.mktemp("saved")
    found = Saved(place / "a.db", place / "b.db", etcd.api(etcd.members[0]).hash_kv())
    assert etcd.ctl().run("snapshot", "save", str(found.whole)).status == 0
    etcd.ctl().run("compact", "--physical", str(COMPACTED_AT))
    assert etcd.ctl().run("snapshot", "save", str(found.compacted)).status == 0
    return found


def converted(source: Path, target: Path) -> Converted:
    with EtcdSnapshot(source) as snapshot:
        return convert(snapshot, str(target), OsDisk(), LmdbBackend)


def test_a_whole_history_has_etcds_own_hash(saved: Saved, tmp_path: Path) -> None:
    """HashKV is made over every version with its revision: equal to etcd's, bit for bit, is the
    proof that nothing is lost, changed or reordered. The file has several levels of pages."""
    result = converted(saved.whole, tmp_path / "raftkv.db")
    assert (result.revision, result.hash) == (saved.hashed.header.revision, saved.hashed.hash)
    assert (result.compact_revision, result.leases, result.users, result.roles) == (-1, 2, 2, 1)


def test_every_revision_reads_as_at_etcd(etcd: Cluster, saved: Saved, tmp_path: Path) -> None:
    """A compacted snapshot through `ctl import snapshot` and `ctl snapshot restore`; then both
    programs are asked for everything at each revision, and for leases, users and roles."""
    target = tmp_path / "raftkv.db"
    told = ctl("import", "snapshot", str(saved.compacted), str(target))
    assert told.returncode == 0, told.stderr
    with Cluster(RAFTKV, tmp_path, members=1) as cluster:
        cluster.kill()
        (member,) = cluster.members
        subprocess.run(["rm", "-r", str(member.data_dir)], check=True)
        restored = ctl(
            *("snapshot", "restore", str(target), "--name", member.name),
            *("--data-dir", str(member.data_dir), "--initial-cluster-token", "e2e"),
            *("--initial-cluster", f"{member.name}={member.addresses.peer_url}"),
            *("--initial-advertise-peer-urls", member.addresses.peer_url),
            "--no-bump",  # the past is to be read, and nobody saw a later one
        )
        assert restored.returncode == 0, restored.stderr
        cluster.start()
        ours, theirs = cluster.api(member), etcd.api(etcd.members[0])
        assert history(ours) == history(theirs)
        with pytest.raises(grpc.RpcError, match="compacted"):
            ours.range(b"k", revision=COMPACTED_AT - 1)
        for words in ("role get reader", "user get u", "user list", "role list"):
            assert cluster.ctl().run(*words.split()) == etcd.ctl().run(*words.split())
        left = ours.unary("/etcdserverpb.Lease/LeaseTimeToLive", pb.LeaseTimeToLiveResponse)
        answer = left(pb.LeaseTimeToLiveRequest(ID=LEASE, keys=True), timeout=10)
        assert (answer.grantedTTL, list(answer.keys)) == (600, [b"leased"])
        revoke = ours.unary("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse)
        revoke(pb.LeaseRevokeRequest(ID=LEASE), timeout=10)
        assert not ours.range(b"leased").kvs
        ours.put(b"k050", b"goes on")
        assert not cluster.broken_log_lines()


def test_a_damaged_file_is_refused_and_nothing_is_left(saved: Saved, tmp_path: Path) -> None:
    """By its checksum; without one (a member's own file), whatever bytes are there are either
    understood or Corrupt: no other error, no endless walk, and never a file that looks whole."""
    whole, damaged, target = saved.whole.read_bytes(), tmp_path / "x.db", tmp_path / "y.db"
    for content in (b"", b"x" * 4096, whole[:-1], whole[:-512], whole[:5000] + b"!" + whole[5001:]):
        damaged.write_bytes(content)
        with pytest.raises(Corrupt):
            converted(damaged, target)
        assert not target.exists()
    random = Random(7)
    outcomes = set()
    for _ in range(60):
        content = bytearray(whole[:-32])
        for _ in range(random.choice((1, 20))):
            content[random.randrange(len(content))] = random.randrange(256)
        damaged.write_bytes(
            content[: random.choice((len(content), random.randrange(len(content))))]
        )
        try:
            with EtcdSnapshot(damaged, check_hash=False) as snapshot:
                convert(snapshot, str(target), OsDisk(), LmdbBackend)
            outcomes.add("understood")
        except Corrupt:
            outcomes.add("corrupt")
        assert {path.name for path in tmp_path.iterdir()} <= {"x.db", "y.db"}
        target.unlink(missing_ok=True)
    assert outcomes == {"understood", "corrupt"}


def test_a_file_that_is_there_is_not_overwritten(saved: Saved, tmp_path: Path) -> None:
    """Neither silently nor in part."""
    target = tmp_path / "raftkv.db"
    target.write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        converted(saved.whole, target)
    assert target.read_text() == "mine"
    told = ctl("import", "snapshot", str(saved.whole), str(target))
    assert (told.returncode, "exists" in told.stderr) == (1, True)


def test_a_live_mirror_over_and_back(etcd: Cluster, tmp_path: Path) -> None:
    """etcd is copied into three members and followed while one of them dies; both are alike once
    writing ends. Then back: what was written to raftkv meanwhile comes to etcd."""
    source = etcd.api(etcd.members[0])
    with Cluster(RAFTKV, tmp_path) as cluster:
        ours, theirs = ",".join(cluster.endpoints), etcd.members[0].endpoint
        command = [sys.executable, "-m", "raftkv.cli.main", "ctl", "import", "live"]
        mirror = subprocess.Popen(
            [*command, "--from", theirs, "--endpoints", ours],
            cwd=ROOT,
            env=RAFTKV.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            for number in range(150):
                source.put(b"live/%d" % (number % 40), b"%d" % number)
                if number % 10 == 0:
                    source.delete(b"live/%d" % (number % 7))
                if number == 60:
                    cluster.leader().kill()
            source.delete(b"live/2", b"live/3")
            alive = cluster.running[0]
            expected = source.range(b"\0", b"\0")
            wait_until(
                lambda: values(cluster.api(alive).range(b"\0", b"\0")) == values(expected),
                "the mirror has everything",
            )
        finally:
            mirror.send_signal(signal.SIGINT)
            _, said = mirror.communicate(timeout=30)
        assert "following" in said
        assert "the same command goes on" in said
        back = ("--from", alive.endpoint, "--endpoints", theirs)
        assert ctl("import", "verify", *back).returncode == 0
        cluster.api(alive).put(b"written/here", b"x")
        cluster.api(alive).delete(b"long")
        differing = ctl("import", "verify", *back)
        assert (differing.returncode, differing.stdout.count("\n")) == (1, 2)
        refused = ctl("import", "live", "--once", *back)
        assert (refused.returncode, "--prune" in refused.stderr) == (1, True), refused
        assert source.range(b"long").kvs
        assert ctl("import", "live", "--once", "--prune", *back).returncode == 0
        assert ctl("import", "verify", *back).returncode == 0
        assert source.range(b"written/here").kvs[0].value == b"x"


def values(response: pb.RangeResponse) -> list[tuple[bytes, bytes]]:
    return [(kv.key, kv.value) for kv in response.kvs]
