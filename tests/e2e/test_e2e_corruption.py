"""A member whose data rots on its disk is found out: at its start, and while it runs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import lmdb
import pytest

from raftkv.backend.inline_checks import MARK
from raftkv.backend.register import CHECK_BYTES, ZERO, check_after, extend
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess
from tests.e2e.program import program_under_test
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.raftkv_only
CHECKED_EACH = ("--corrupt-check-time=1s", "--self-heal=false")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("corruption")
    with Cluster(program_under_test(), directory, flags=CHECKED_EACH) as cluster:
        yield cluster
        assert not cluster.broken_log_lines()


def rot(data_dir: Path) -> None:
    """Change one byte of one version of one key, in the database of a member that is down, and its
    check with it, as a bug would that wrote the wrong version."""
    with lmdb.open(
        str(data_dir / "member" / "db"), subdir=False, max_dbs=16, map_size=1 << 30
    ) as db:
        revisions = db.open_db(b"revisions", create=False)
        with db.begin(write=True, db=revisions) as txn:
            key, value = next(row for row in txn.cursor() if b"sound" in row[1])
            wrong = value[:-CHECK_BYTES].replace(b"sound", b"found")
            assert value[0] & MARK, "a version without a check"
            assert txn.put(key, wrong + check_after(extend(extend(ZERO, key), wrong)))


def ready(member: MemberProcess) -> tuple[int, str]:
    url = f"{member.addresses.client_url}/readyz?verbose"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def test_a_rotten_member_is_found_out(cluster: Cluster, tmp_path: Path) -> None:
    """It refuses to start with --initial-corrupt-check; started without, the leader's comparison
    raises CORRUPT for it: writes fail with etcd's error, /readyz says why, disarming works."""
    api = cluster.api(cluster.leader())
    for number in range(50):
        api.put(b"k%d" % number, b"sound")
    cluster.wait_alike()
    cluster.wait_checked()
    member = cluster.follower()
    victim_id = cluster.api(member).status().header.member_id
    assert member.stop() == 0

    careful = MemberProcess(
        program_under_test(),
        member.addresses,
        member.data_dir.parent,
        ",".join(f"{m.name}={m.addresses.peer_url}" for m in cluster.members),
        ("--initial-corrupt-check", f"--log-outputs={tmp_path / 'careful.log'}"),
    )
    careful.start()
    careful.wait_healthy()
    assert careful.stop() == 0
    assert "initial corruption checking passed" in (tmp_path / "careful.log").read_text()
    rot(member.data_dir)
    careful.start()
    assert careful.wait_ended() == 1
    lines = [json.loads(line) for line in (tmp_path / "careful.log").read_text().splitlines()]
    assert lines[-1]["level"] == "fatal"
    assert "found data inconsistency with peers" in lines[-1]["error"]

    member.start()
    ctl = cluster.ctl(cluster.leader())
    alarm = f"memberID:{victim_id} alarm:CORRUPT"
    wait_until(lambda: alarm in "".join(ctl.ok("alarm", "list")), "CORRUPT is raised", seconds=30)
    with pytest.raises(grpc.RpcError) as refused:
        api.put(b"k", b"v")
    assert refused.value.code() is grpc.StatusCode.DATA_LOSS
    assert refused.value.details() == "etcdserver: corrupt cluster"
    assert api.range(b"k1").kvs[0].value == b"sound"
    status, text = ready(cluster.leader())
    assert status == 503
    assert "[-]data_corruption failed" in text

    # Its data goes; what is left agrees, and the alarm can be lowered for good.
    member.kill()
    ctl.ok("member", "remove", f"{victim_id:x}")
    assert alarm in "".join(ctl.ok("alarm", "disarm"))
    wait_until(lambda: ready(cluster.leader())[0] == 200, "the cluster is ready again")
    assert api.put(b"k", b"v").header.revision
