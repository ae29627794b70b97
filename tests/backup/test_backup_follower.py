"""Following a cluster: nothing is missed silently, whatever the cluster does."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from followed_cluster import FollowedCluster

from raftkv.backend.environment import LmdbBackend
from raftkv.backup.directory import BackupDirectory
from raftkv.backup.follower import Follower, FollowOptions
from raftkv.backup.record import Kind
from raftkv.backup.replay import LogReader, replay
from raftkv.backup.timeline import extent_of, point_at_revision
from raftkv.backup.verification import verify
from raftkv.errors import PermissionDenied
from raftkv.lease.book import LeaseBook
from raftkv.server.restore import unpack
from raftkv.wal.disk import OsDisk


class Clock:
    """Time goes on when everybody waits."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    async def pause(self, seconds: float) -> None:
        end = self.now_s + seconds
        while self.now_s < end:
            self.now_s += 0.01
            await asyncio.sleep(0)


class Following:
    def __init__(self, cluster: FollowedCluster, place: Path, options: FollowOptions) -> None:
        self.directory = BackupDirectory(OsDisk(), str(place / "backup"))
        self.directory.disk.make_dir(self.directory.path)
        self.clock = Clock()
        self.follower = Follower(
            cluster,  # type: ignore[arg-type]
            self.directory,
            options,
            lambda: int(self.clock.now_s * 1000),
            pause=self.clock.pause,
        )

    async def until(self, condition: Callable[[], object], what: str) -> None:
        try:
            async with asyncio.timeout(60):
                while not condition():  # noqa: ASYNC110 - the clock is the test's own
                    await asyncio.sleep(0)
        except TimeoutError:
            raise AssertionError(f"still not: {what}") from None

    async def kept(self, revision: int) -> None:
        await self.until(lambda: self.follower.kept_revision >= revision, f"{revision} is kept")

    def has_lease(self) -> bool:
        log = LogReader(self.directory.disk, self.directory.chains()[0].segments)
        return any(record.kind is Kind.LEASE for record in log)

    async def has_base(self, chain: int) -> None:
        def is_there() -> bool:
            return any(each.number == chain and each.bases for each in self.directory.chains())

        await self.until(is_there, f"a base of chain {chain}")


@asynccontextmanager
async def following(
    cluster: FollowedCluster, place: Path, options: FollowOptions | None = None
) -> AsyncIterator[Following]:
    found = Following(cluster, place, options or FollowOptions(base_interval_s=1e9))
    running = asyncio.ensure_future(found.follower.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()


async def test_every_revision_is_kept(tmp_path: Path) -> None:
    """From the moment it began, in small segments, over failures of the cluster; a lease that a key
    hangs on is there too. Another run goes on where the first one ended."""
    cluster = FollowedCluster(tmp_path)
    first = cluster.put(b"before")
    options = FollowOptions(base_interval_s=1e9, segment_bytes=400)
    async with following(cluster, tmp_path, options) as run:
        await run.has_base(1)
        for number in range(20):
            revision = cluster.put(b"k%d" % (number % 3), lease=5 if number > 15 else 0)
            cluster.fails = number % 2
        await run.kept(revision)
        await run.until(run.has_lease, "the lease was asked for")
    for number in range(5):
        revision = cluster.put(b"between%d" % number)
    async with following(cluster, tmp_path, options) as run:
        await run.kept(revision)
    assert len(run.directory.chains()) == 1
    assert len(run.directory.chains()[0].segments) > 3
    assert cluster.watches[-1] == revision - 4
    point = point_at_revision(run.directory, revision)
    assert point.base.revision == first
    unpack(point.base.path, str(tmp_path / "image"), run.directory.disk)
    backend = LmdbBackend(str(tmp_path / "image"))
    done = replay(backend, run.directory.disk, point.chain, revision)
    assert (done.revision, done.lost_leases) == (revision, set())
    assert sorted(LeaseBook(backend).keys(5)) == [b"k0", b"k1", b"k2"]
    backend.close()


async def test_a_compaction_that_overtakes_it_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While nobody followed, revisions were compacted: another chain with a base of its own, and an
    error in the log that says from where to where."""
    cluster = FollowedCluster(tmp_path)
    async with following(cluster, tmp_path) as run:
        last = cluster.put(b"k")
        await run.kept(last)
        await run.has_base(1)
    for _ in range(10):
        cluster.put(b"k")
    cluster.store.compact(cluster.revision)
    with caplog.at_level(logging.ERROR, "raftkv.backup"):
        async with following(cluster, tmp_path) as run:
            await run.has_base(2)
            after = cluster.put(b"after")
            await run.kept(after)
    (told,) = caplog.records
    assert "another chain begins" in told.getMessage()
    old, new = run.directory.chains()
    assert extent_of(run.directory, old).last_revision == last
    assert extent_of(run.directory, new).last_revision == after
    assert new.bases[0].revision >= cluster.store.compact_revision
    assert not [row for row in verify(run.directory, LmdbBackend) if row.problem]


async def test_another_cluster_is_another_chain(tmp_path: Path) -> None:
    """Its revisions are never put behind those of the one before, also if it takes over in the
    middle of a watch."""
    cluster = FollowedCluster(tmp_path)
    async with following(cluster, tmp_path) as run:
        await run.has_base(1)
        last = cluster.put(b"k")
        await run.kept(last)
        cluster.replace(8)
        await run.has_base(2)
        revision = cluster.put(b"other")
        await run.until(lambda: len(run.directory.chains()) == 2, "two chains")
        await run.kept(revision)
    old, new = run.directory.chains()
    assert extent_of(run.directory, old).last_revision == last
    assert [base.facts.cluster_id for base in (*old.bases, *new.bases)][-1] == 8


async def test_a_watch_that_brings_nothing_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A dead connection that nobody closed: the cluster's revision gives it away within seconds."""
    cluster = FollowedCluster(tmp_path)
    async with following(cluster, tmp_path) as run:
        await run.has_base(1)
        cluster.loses_events = True
        revision = cluster.put(b"k")
        before = run.clock.now_s
        await run.until(lambda: len(cluster.watches) > 1, "another watch")
        assert run.clock.now_s < before + 30
        cluster.loses_events = False
        await run.kept(revision)
    assert any("opening another one" in str(vars(record)) for record in caplog.records)


async def test_bases_come_again_and_old_files_go(tmp_path: Path) -> None:
    """One an interval; one that fails is told and tried again; with --keep 2 the third last base
    and the segments before are removed, and what is left can be restored from its first base."""
    cluster = FollowedCluster(tmp_path)
    cluster.snapshots_fail = 2
    options = FollowOptions(base_interval_s=60, keep=2, segment_bytes=200)
    async with following(cluster, tmp_path, options) as run:
        for _ in range(8):
            made = cluster.snapshots
            for number in range(10):
                revision = cluster.put(b"k%d" % number)
            await run.kept(revision)
            await run.until(lambda seen=made: cluster.snapshots > seen, "another base")
        await run.until(
            lambda: [len(chain.bases) for chain in run.directory.chains()] == [2], "two bases"
        )
    (chain,) = run.directory.chains()
    assert chain.segments[0].first_revision > 20
    assert chain.segments[0].first_revision <= chain.bases[0].revision + 1
    assert not [row for row in verify(run.directory, LmdbBackend) if row.problem]


async def test_a_caller_that_is_not_let_in_is_told(tmp_path: Path) -> None:
    """From the start: the run ends with the cluster's error. Later, say while a password changes,
    it is tried again."""
    cluster = FollowedCluster(tmp_path)
    cluster.refuses = True
    run = Following(cluster, tmp_path, FollowOptions(base_interval_s=1e9))
    with pytest.raises(PermissionDenied):
        await run.follower.run()
    cluster.refuses = False
    async with following(cluster, tmp_path) as run:
        await run.has_base(1)
        cluster.refuses, cluster.fails = True, 1
        revision = cluster.put(b"k")
        watches = len(cluster.watches)
        before = run.clock.now_s
        await run.until(lambda: run.clock.now_s > before + 20, "it is refused for a while")
        cluster.refuses = False
        await run.kept(revision)
        assert len(cluster.watches) > watches


async def test_a_directory_that_takes_no_more_ends_it(tmp_path: Path) -> None:
    """An error of the disk is not tried again: the run ends with it."""
    cluster = FollowedCluster(tmp_path)
    run = Following(cluster, tmp_path, FollowOptions(base_interval_s=1e9))
    running = asyncio.ensure_future(run.follower.run())
    await run.has_base(1)
    shutil.rmtree(run.directory.path)
    run.follower._writer._segment_bytes = 1  # type: ignore[union-attr]
    cluster.put(b"k")
    await asyncio.wait([running], timeout=60)
    assert isinstance(running.exception(), FileNotFoundError)
