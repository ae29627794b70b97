"""Our client against real members: what it asks, what it retries, and what it never does twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from raftkv.api import rpc_pb2 as api
from raftkv.client import Client, RetryPolicy, Txn, prefix_end
from raftkv.client import txn as t
from raftkv.errors import (
    BadLeaderTransferee,
    Compacted,
    CustomSortOrder,
    FutureRevision,
    LeaseNotFound,
    MaybeExecuted,
    NotLeader,
    RequestTimeout,
)
from tests.client.cutting_proxy import CuttingProxy
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
QUICK = RetryPolicy(timeout_s=5.0, tries_max=20, backoff_min_s=0.02, backoff_max_s=0.2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(RAFTKV, tmp_path_factory.mktemp("client")) as started:
        started.leader()
        yield started


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with Client(cluster.endpoints, policy=QUICK) as made:
        yield made


async def test_every_call(client: Client) -> None:
    """Put, get, list, txn, delete, compact, status, members and hash, as a user would."""
    first = await client.put("every/a", "1")
    await client.put("every/b", "2", prev_kv=True)
    found = await client.get("every/a")
    assert found is not None
    assert (found.value, found.mod_revision) == (b"1", first.header.revision)
    assert [kv.key for kv in (await client.list("every/")).kvs] == [b"every/a", b"every/b"]
    txn = Txn().when(t.value("every/a") == "1", t.version("every/b") < 2)
    txn = txn.then(t.put("every/a", "3"), t.get("every/b")).otherwise(t.delete("every/a"))
    done = await client.txn(txn)
    assert done.succeeded
    assert done.responses[1].response_range.kvs[0].value == b"2"
    assert not (await client.txn(txn)).succeeded
    assert await client.get("every/a") is None
    gone = await client.delete("every/", range_end=prefix_end(b"every/"))
    assert gone.deleted == 1
    await client.compact(gone.header.revision, physical=True)
    with pytest.raises(Compacted):
        await client.get("every/a", revision=first.header.revision)
    with pytest.raises(FutureRevision):
        await client.get("every/a", revision=1 << 40)
    assert (await client.maintenance.status()).leader
    assert len((await client.cluster.members()).members) == 3
    assert (await client.maintenance.hash_kv()).hash


async def test_upkeep(cluster: Cluster, client: Client, tmp_path: Path) -> None:
    """Alarms, defragmenting, a snapshot and handing over leadership."""
    assert not list(await client.maintenance.alarms())
    await client.maintenance.defragment()
    assert (
        await client.maintenance.snapshot(str(tmp_path / "saved"))
        == (tmp_path / "saved").stat().st_size
    )
    alarm = api.AlarmMember(memberID=5, alarm=api.AlarmType.NOSPACE)
    assert list((await client.maintenance.disarm(alarm)).alarms) == []
    async with Client([cluster.leader().endpoint], policy=QUICK) as at_leader:
        with pytest.raises(BadLeaderTransferee):
            await at_leader.maintenance.move_leader(5)
        followers = [m.ID for m in (await client.cluster.members()).members]
        followers.remove((await client.maintenance.status()).leader)
        await at_leader.maintenance.move_leader(followers[0])
    async with Client([cluster.follower().endpoint], policy=QUICK) as at_follower:
        with pytest.raises(NotLeader):
            await at_follower.maintenance.move_leader(followers[0])


async def test_a_dead_endpoint_is_passed_over(cluster: Cluster) -> None:
    """Reads and writes go on at the next endpoint when one cannot be reached at all."""
    async with Client(["127.0.0.1:1", *cluster.endpoints], policy=QUICK) as client:
        await client.put("dead", "x")
        assert (await client.get("dead")) is not None


async def test_a_write_whose_answer_is_lost_is_not_repeated(cluster: Cluster) -> None:
    """The request had left: the caller is told, and the put has happened once."""
    async with (
        CuttingProxy(cluster.endpoints[0]) as proxy,
        Client([proxy.endpoint, cluster.endpoints[1]], policy=QUICK) as client,
        Client(cluster.endpoints, policy=QUICK) as witness,
    ):
        await client.put("once", "0")
        proxy.swallow = True
        before = proxy.sent_bytes
        write = asyncio.ensure_future(client.put("once", "1"))
        async with asyncio.timeout(10):
            while proxy.sent_bytes == before:
                await asyncio.wait([write], timeout=0.01)
            while (kv := await witness.get("once")) is None or kv.version < 2:
                pass
        proxy.cut()
        with pytest.raises(MaybeExecuted, match="may have happened"):
            await write
        kv = await witness.get("once")
        assert kv is not None
        assert (kv.version, kv.value) == (2, b"1")


async def test_a_read_whose_answer_is_lost_is_asked_again(cluster: Cluster) -> None:
    """A read does no harm: it is answered by the next endpoint."""
    async with (
        CuttingProxy(cluster.endpoints[0]) as proxy,
        Client([proxy.endpoint, cluster.endpoints[1]], policy=QUICK) as client,
    ):
        await client.put("again", "1")
        proxy.swallow = True
        before = proxy.sent_bytes
        read = asyncio.ensure_future(client.get("again"))
        async with asyncio.timeout(10):
            while proxy.sent_bytes == before:
                await asyncio.wait([read], timeout=0.01)
            proxy.cut()
            found = await read
        assert found is not None
        assert found.value == b"1"


async def test_a_watch_goes_on_elsewhere(cluster: Cluster, client: Client) -> None:
    """Cut again and again under writes, it delivers every event once and in order."""
    async with (
        CuttingProxy(cluster.endpoints[0]) as proxy,
        Client([proxy.endpoint, cluster.endpoints[2]], policy=QUICK) as watching,
    ):
        start = (await client.put("watched/start", "")).header.revision
        watch = watching.watch("watched/", range_end=prefix_end(b"watched/"), start_revision=start)
        seen: list[int] = []

        async def follow() -> None:
            async for event in watch.events():
                seen.append(event.kv.mod_revision)
                if event.kv.key == b"watched/end":
                    return

        following = asyncio.ensure_future(follow())
        wanted = [start]
        for number in range(60):
            wanted.append((await client.put(f"watched/{number}", "")).header.revision)
            if number % 15 == 7:
                proxy.cut()
        wanted.append((await client.put("watched/end", "")).header.revision)
        async with asyncio.timeout(20):
            await following
        assert seen == wanted


async def test_a_watch_from_a_compacted_revision_says_so(client: Client) -> None:
    """It ends with the revision from which history is still there."""
    for _ in range(3):
        last = await client.put("compacted", "x")
    await client.compact(last.header.revision)
    with pytest.raises(Compacted) as raised:
        async for _ in client.watch("compacted", start_revision=2):
            pass
    assert raised.value.compact_revision == last.header.revision


async def test_a_long_list_comes_in_chunks(client: Client) -> None:
    """An asynchronous iterator; the last chunk has what concerns all; errors have their names."""
    for number in range(12):
        await client.put(f"chunks/{number:02}", b"v" * 8)
    request = api.RangeRequest(key=b"chunks/", range_end=prefix_end(b"chunks/"))
    found = [chunk async for chunk in client.range_stream(request)]
    assert [len(chunk.kvs) for chunk in found] == [10, 2]
    assert (found[0].header.revision, found[0].count) == (0, 0)
    assert (found[1].header.revision, found[1].count) == (found[1].kvs[-1].mod_revision, 12)
    request.revision = 1 << 40
    with pytest.raises(FutureRevision):
        await anext(client.range_stream(request))
    with pytest.raises(CustomSortOrder):
        await anext(client.range_stream(api.RangeRequest(key=b"k", sort_order=2)))


async def test_a_lease_is_kept_until_it_is_revoked(client: Client) -> None:
    """Renewed past its TTL in the background; the keeper hears of the revoke."""
    granted = await client.grant(2)
    async with client.keep_alive(granted) as lease:
        await client.put("kept", "x", lease=lease.id)
        until = asyncio.get_running_loop().time() + 5
        while asyncio.get_running_loop().time() < until:
            assert (await client.time_to_live(granted.ID)).TTL >= 0
        left = await client.time_to_live(granted.ID, keys=True)
        assert (left.grantedTTL, list(left.keys)) == (2, [b"kept"])
        assert granted.ID in [each.ID for each in (await client.leases()).leases]
        assert not lease.is_lost
        await client.revoke(granted.ID)
        async with asyncio.timeout(20):
            assert isinstance(await lease.lost(), LeaseNotFound)
        assert lease.is_lost
    assert await client.get("kept") is None


async def test_a_lease_that_cannot_be_renewed_is_lost(cluster: Cluster) -> None:
    """Nothing is answered any more: after a TTL without a renewal the keeper is told."""
    async with (
        CuttingProxy(cluster.endpoints[0]) as proxy,
        Client([proxy.endpoint], policy=QUICK) as client,
        client.keep_alive(await client.grant(2)) as lease,
    ):
        proxy.swallow = True
        async with asyncio.timeout(20):
            assert isinstance(await lease.lost(), RequestTimeout)
        assert lease.is_lost


async def test_no_acknowledged_write_is_lost_when_the_leader_dies(tmp_path: Path) -> None:
    """kill -9 of the leader under writes: the client goes on, and keeps count honestly."""
    with Cluster(RAFTKV, tmp_path) as own:
        leader = own.leader()
        async with Client(own.endpoints, policy=QUICK) as client:
            acknowledged, unknown = [], 0
            for number in range(60):
                if number == 20:
                    leader.kill()
                try:
                    await client.put(f"k{number}", str(number))
                    acknowledged.append(number)
                except MaybeExecuted:
                    unknown += 1
            assert unknown <= 5
            for number in acknowledged:
                kv = await client.get(f"k{number}")
                assert kv is not None
                assert (kv.value, kv.version) == (str(number).encode(), 1)
