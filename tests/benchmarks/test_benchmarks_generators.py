"""Every generator against real programs for a moment: each work proves itself on one member of
raftkv and on one of etcd. No time is asserted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import ceiling
from benchmarks.catch_up_work import CatchUpWork
from benchmarks.lease_work import KeepAliveWork
from benchmarks.list_work import GrpcioListWork, H2loadListWork, OldListWork, PagedListWork
from benchmarks.measurement import NotProven, Work
from benchmarks.mix_work import MixWork
from benchmarks.no_sync_guest import NoSyncGuest
from benchmarks.pysyncobj_guest import PySyncObjGuest
from benchmarks.rows import Rows
from benchmarks.scripts import UpdateScript, numbered
from benchmarks.txn_work import PREFIX, TxnWork
from benchmarks.unary_client import ClosedLoop
from benchmarks.unary_work import GetWork, PutWork, VariedPutWork
from benchmarks.watch_work import WatchWork
from tests.e2e.cluster import Cluster
from tests.e2e.program import ETCD, RAFTKV

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MOMENT = 0.02
ROWS = Rows(b"few/", 1_200, 1024)
AGED = Rows(b"old/", 300, 1024)
WORKS: list[Work] = [
    PutWork(10, MOMENT),
    PutWork(2, MOMENT, value_bytes=102_400),
    VariedPutWork(20, MOMENT),
    GetWork(10, MOMENT, serializable=True),
    GetWork(10, MOMENT, serializable=False),
    TxnWork(20, MOMENT),
    MixWork(MOMENT, clients=20),
    GrpcioListWork(ROWS, MOMENT),
    H2loadListWork("whole", ROWS, MOMENT),
    H2loadListWork("keys only", ROWS, MOMENT, keys_only=True),
    H2loadListWork("count only", ROWS, MOMENT, count_only=True),
    PagedListWork(ROWS, MOMENT),
    OldListWork(AGED, MOMENT),
    WatchWork(MOMENT, watchers=20, streams=2),
    WatchWork(MOMENT, watchers=20, streams=20),
    WatchWork(MOMENT, watchers=1, streams=1),
    KeepAliveWork(MOMENT, leases=150),
    CatchUpWork(1, revisions=500),
    CatchUpWork(3, revisions=500),
]


@pytest.fixture(scope="module", params=[RAFTKV, ETCD], ids=["raftkv", "etcd"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One member of each program."""
    with Cluster(request.param, tmp_path_factory.mktemp("bench"), members=1) as cluster:
        yield cluster
        assert not cluster.broken_log_lines()


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_a_work_proves_itself(cluster: Cluster, work: Work) -> None:
    """Twice on the same member, as in a round: figures above zero, with p50, p99 and p99.9, and
    facts of how many requests there were and how busy the generator was."""
    for _ in range(2):
        measurement = work.measure(cluster)
        names = {metric.name for metric in measurement.figures}
        assert all(any(name.endswith(share) for name in names) for share in ("p50", "p99", "p99.9"))
        assert all(value > 0 for value in measurement.figures.values())
        assert {"requests", "generator_busy"} <= measurement.facts.keys()


def test_an_update_that_lost_its_race_is_noticed(cluster: Cluster) -> None:
    """Another client's put in between: the guard fails, and the run is not believed."""
    leader = cluster.leader()
    key = numbered(PREFIX, 999_999)
    cluster.api(leader).put(key, b"from elsewhere")
    with pytest.raises(NotProven, match="was not at revision 0"):
        ClosedLoop(leader.endpoint, [UpdateScript(key, 10, revision=0)]).run(MOMENT)


def test_generators_drive_the_responder() -> None:
    """Each generator gets its answers from the server that answers ready bytes, and its own cost
    is known."""
    found = ceiling.ceilings(MOMENT)
    assert len({one.generator for one in found}) == len(found) >= 10
    assert all(one.load.requests > 0 and one.per_core > 0 for one in found)


def test_pysyncobj_does_the_same_work(tmp_path: Path) -> None:
    """Three processes with journals; all apply every put, and the rows are those of ours."""
    guest = PySyncObjGuest(MOMENT, 1)
    measured = guest.measure(tmp_path)
    assert list(measured) == list(guest.works)
    assert PutWork(1, MOMENT).name in measured
    for number in range(3):
        assert (tmp_path / str(number) / "journal").stat().st_size > 0


def test_raftkv_without_fsync_does_the_same_work(tmp_path: Path) -> None:
    """Its rows are those of the puts that PySyncObj has, too."""
    guest = NoSyncGuest(RAFTKV, MOMENT, 1, members=1)
    measured = guest.measure(tmp_path)
    assert list(measured) == list(guest.works)
    assert set(guest.works) <= set(PySyncObjGuest(MOMENT, 1).works)
