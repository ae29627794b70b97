"""Two apiservers on three members: what one writes the other one's watches tell, once and in order,
while the store's leader and one of the two are killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure, Kind
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV
from tests.shim.plain_apiserver import PlainApiserver

pytestmark = pytest.mark.e2e
CONFIG_MAPS = Kind("", "v1", "configmaps")
WRITES = 60
LEADER_DIES_AT, APISERVER_DIES_AT = 20, 40
SECONDS = 90


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(RAFTKV, tmp_path) as cluster:
        yield cluster


@pytest.fixture
def pair(store: Cluster, tmp_path: Path) -> Iterator[tuple[PlainApiserver, PlainApiserver]]:
    made = [PlainApiserver(tmp_path, store.endpoints) for _ in range(2)]
    yield made[0], made[1]
    for each in made:
        each.kill()


async def write_until_done(client: ApiClient, number: int) -> None:
    """Set the count to ``number``. An answer that got lost is made up for by a look."""
    while True:
        try:
            now = await client.get(CONFIG_MAPS, "default", "n")
            if now is not None and now["data"]["n"] == str(number):
                return
            assert now is not None, "it is gone"
            assert now["data"]["n"] == str(number - 1), now
            await client.update(CONFIG_MAPS, {**now, "data": {"n": str(number)}})
        except ApiFailure as e:
            if e.code not in (409, 500, 503, 504):
                raise
        except UNREACHABLE:
            continue
        else:
            return


async def follow(client: ApiClient, revision: str, seen: list[tuple[str, int, int]]) -> None:
    """Every event after ``revision``, over streams that break, until the last write."""
    while not seen or seen[-1][1] < WRITES:
        try:
            async for kind, obj in client.watch(CONFIG_MAPS, "default", revision):
                revision = obj["metadata"]["resourceVersion"]
                if kind != "BOOKMARK" and obj["metadata"]["name"] == "n":
                    seen.append((kind, int(obj["data"]["n"]), int(revision)))
                    if seen[-1][1] == WRITES:
                        return
        except UNREACHABLE:
            continue


async def test_nothing_is_lost_or_repeated(
    store: Cluster, pair: tuple[PlainApiserver, PlainApiserver]
) -> None:
    """The watch at the one that lives sees each write of either, whoever dies in between."""
    mortal, other = pair
    seen: list[tuple[str, int, int]] = []
    async with ApiClient(mortal.server) as first, ApiClient(other.server) as second:
        listed = await second.list(CONFIG_MAPS, "default")
        body = {"metadata": {"name": "n"}, "data": {"n": "0"}}
        await first.create(CONFIG_MAPS, "default", body)
        following = asyncio.ensure_future(
            follow(second, listed["metadata"]["resourceVersion"], seen)
        )
        async with asyncio.timeout(SECONDS):
            for number in range(1, WRITES + 1):
                if number == LEADER_DIES_AT:
                    leader = await asyncio.to_thread(store.leader)
                    leader.kill()
                if number == APISERVER_DIES_AT:
                    mortal.kill()
                await write_until_done(first if number < APISERVER_DIES_AT else second, number)
            await following
    assert [(kind, count) for kind, count, _ in seen] == [
        ("ADDED", 0),
        *(("MODIFIED", number) for number in range(1, WRITES + 1)),
    ]
    revisions = [revision for _, _, revision in seen]
    assert revisions == sorted(set(revisions)), "resourceVersions grow"
