"""Locks, elections, kept leases and resumed watches of our client, on real members."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from raftkv.client import Client, Gap, RetryPolicy, Txn
from raftkv.client import txn as t
from raftkv.errors import LeaseLost, LeaseNotFound, NotElected
from tests.client.cutting_proxy import CuttingProxy
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
QUICK = RetryPolicy(timeout_s=5.0, tries_max=20, backoff_min_s=0.02, backoff_max_s=0.2)
SECONDS = 30


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(RAFTKV, tmp_path_factory.mktemp("client")) as started:
        started.leader()
        yield started


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with Client(cluster.endpoints, policy=QUICK) as made:
        yield made


async def in_line(client: Client, prefix: str, count: int) -> None:
    """Until so many stand there."""
    async with asyncio.timeout(SECONDS):
        while len((await client.list(prefix)).kvs) != count:
            pass


async def test_a_lock_has_one_holder_and_tokens_that_grow(client: Client) -> None:
    """Ten tasks count up without a compare of their own: no update is lost."""
    await client.put("lock/count", "0")
    tokens: list[int] = []

    async def add_one() -> None:
        async with client.lock("lock/it", ttl_s=30) as held:
            tokens.append(held.token)
            found = await client.get("lock/count")
            assert found is not None
            raised = t.put("lock/count", str(int(found.value) + 1))
            assert (await client.txn(Txn().when(held.is_mine).then(raised))).succeeded

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(add_one() for _ in range(10)))
    found = await client.get("lock/count")
    assert found is not None
    assert found.value == b"10"
    assert tokens == sorted(set(tokens))
    assert not (await client.list("lock/it/")).kvs


async def test_a_holder_whose_lease_is_lost_is_stopped(client: Client) -> None:
    """Its body is cancelled, LeaseLost says why, its fenced write would fail."""
    entered = asyncio.Event()
    held_at: list[bytes] = []

    async def hold() -> None:
        async with client.lock("lost/it", ttl_s=2) as held:
            held_at.append(held.key)
            entered.set()
            await asyncio.get_running_loop().create_future()

    holding = asyncio.ensure_future(hold())
    async with asyncio.timeout(SECONDS):
        await entered.wait()
        await client.revoke(int(held_at[0].rpartition(b"/")[2], 16))
        with pytest.raises(LeaseLost, match="has ended"):
            await holding


async def test_who_gives_up_waiting_leaves_no_key(client: Client) -> None:
    """Cancelled in line: gone from it, and the lease too."""

    async def wait() -> None:
        async with client.lock("given-up", ttl_s=30):
            raise AssertionError("it is held by another")

    async with client.lock("given-up", ttl_s=30) as held:
        waiting = asyncio.ensure_future(wait())
        await in_line(client, "given-up/", 2)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert [kv.key for kv in (await client.list("given-up/")).kvs] == [held.key]


async def test_an_election(client: Client) -> None:
    """Observers see the leader, what it proclaims and its heir; a past leader cannot proclaim."""
    election = client.election("head")
    seen: list[bytes] = []

    async def observe() -> None:
        async for kv in election.observe():
            seen.append(kv.value)

    async def stand() -> None:
        async with election.campaign("two", ttl_s=30):
            await until_seen(client, seen, 3)

    observing = asyncio.ensure_future(observe())
    assert await election.leader() is None
    async with asyncio.timeout(SECONDS):
        async with election.campaign("one", ttl_s=30) as leadership:
            await until_seen(client, seen, 1)
            await leadership.proclaim("uno")
            standing = asyncio.ensure_future(stand())
            await until_seen(client, seen, 2)
            await in_line(client, "head/", 2)
            leader = await election.leader()
            assert leader is not None
            assert leader.value == b"uno"
        await standing
        with pytest.raises(NotElected):
            await leadership.proclaim("still me")
    assert seen == [b"one", b"uno", b"two"]
    observing.cancel()


async def until_seen(client: Client, seen: list[bytes], count: int) -> None:
    while len(seen) < count:
        await client.get("head")


async def test_many_leases_are_renewed_on_one_stream(cluster: Cluster, client: Client) -> None:
    """Also over a cut; one that is revoked is lost alone."""
    async with (
        CuttingProxy(cluster.endpoints[0]) as proxy,
        Client([proxy.endpoint, cluster.endpoints[1]], policy=QUICK) as keeping,
    ):
        kept = [keeping.keep_alive(await client.grant(3)) for _ in range(20)]
        for lease in kept:
            await lease.__aenter__()
        proxy.cut()
        await client.revoke(kept[0].id)
        async with asyncio.timeout(SECONDS):
            assert isinstance(await kept[0].lost(), LeaseNotFound)
        until = asyncio.get_running_loop().time() + 4
        while asyncio.get_running_loop().time() < until:
            assert (await client.time_to_live(kept[1].id)).TTL >= 0
        assert [lease.is_lost for lease in kept] == [True] + [False] * 19
        for lease in kept:
            await lease.__aexit__(None, None, None)


async def test_a_watch_may_skip_what_is_compacted(client: Client) -> None:
    """It tells which revisions are lost, and goes on with the first that is there."""
    first = (await client.put("skip", "1")).header.revision
    for number in range(2, 5):
        last = (await client.put("skip", str(number))).header.revision
    await client.compact(last)
    gaps: list[Gap] = []
    watch = client.watch("skip", start_revision=first, when_compacted=gaps.append)
    async with asyncio.timeout(SECONDS):
        async for event in watch.events():
            assert (event.kv.value, event.kv.mod_revision) == (b"4", last)
            break
    assert gaps == [Gap(first, last - 1)]
