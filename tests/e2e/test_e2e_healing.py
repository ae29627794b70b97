"""A byte flips in the database file of a member that is down: it repairs itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.program import program_under_test
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.raftkv_only
KEYS = 200
VALUE = b"precious-%04d"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("healing")
    with Cluster(program_under_test(), directory) as cluster:
        yield cluster
        assert not cluster.broken_log_lines()


def flip(path: Path, content: bytes) -> int:
    """One bit of each place in the file that holds ``content``; how many there are."""
    data = bytearray(path.read_bytes())
    places, at = 0, data.find(content)
    while at >= 0:
        data[at] ^= 1
        places, at = places + 1, data.find(content, at + 1)
    path.write_bytes(data)
    return places


def test_a_flipped_byte_is_repaired_and_never_served(cluster: Cluster) -> None:
    """The member that was hit gives out the right value or an error, and soon the right value."""
    api = cluster.api(cluster.leader())
    for number in range(KEYS):
        api.put(b"k%04d" % number, VALUE % number)
    cluster.wait_alike()
    member = cluster.follower()
    cluster.wait_checked()
    assert member.stop() == 0
    assert flip(member.data_dir / "member" / "db", VALUE % 77) >= 2
    member.start()

    def is_repaired() -> bool:
        got = cluster.ctl(member).run("get", "k0077", "--consistency=s")
        assert got.status or got.lines == ["k0077", "precious-0077"], got
        return not got.status and member.metric("raftkv_server_repairs_total") == 1

    wait_until(is_repaired, "the member has a peer's data", seconds=PATIENCE_S)
    assert member.metric("raftkv_server_quarantined") == 0
    got = cluster.ctl(member).ok("get", "k", "--prefix", "--print-value-only")
    assert got == [(VALUE % number).decode() for number in range(KEYS)]
    assert (member.data_dir / "member" / "db.damaged").exists()
    api.put(b"after", b"all")
    cluster.wait_alike()
