"""A cluster that was restored behind its clients' backs: nobody keeps a state that never was."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from raftkv.backend.environment import LmdbBackend
from raftkv.client import Client, RetryPolicy
from raftkv.client.snapshot import SaveOptions
from raftkv.errors import Compacted
from raftkv.server.config import ServerConfig
from raftkv.server.restore import RestoreOptions, restore
from raftkv.wal.disk import OsDisk
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV
from tests.e2e.waiting import wait_until

PATIENT = RetryPolicy(tries_max=10_000, backoff_max_s=0.1)
BUMP = 1_000_000_000


@pytest.mark.slow
async def test_watchers_of_before_are_told(tmp_path: Path) -> None:
    """Our client and etcdctl have seen a revision that the snapshot has not. The member comes back
    from the snapshot, under a new id: our watch raises Compacted, the running etcdctl is cancelled,
    and one that goes on at the next revision is told that it is compacted. What is listed then is
    the restored state, at a revision beyond all that were seen."""
    with Cluster(RAFTKV, tmp_path, members=1) as cluster:
        async with Client(cluster.endpoints, policy=PATIENT) as client:
            saved = (await client.put("k", "saved")).header.revision
            old_cluster = (await client.maintenance.status()).header.cluster_id
            await client.maintenance.snapshot(str(tmp_path / "saved.db"), SaveOptions())
            seen: asyncio.Queue[bytes] = asyncio.Queue()
            watching = asyncio.ensure_future(follow(client, saved + 1, seen))
            with cluster.ctl().watch("k", f"--rev={saved + 1}") as theirs:
                await client.put("k", "lost")
                assert await seen.get() == b"lost"
                assert await asyncio.to_thread(theirs.lines, 3) == ["PUT", "k", "lost"]
                await asyncio.to_thread(go_back, cluster, tmp_path / "saved.db")
                with pytest.raises(Compacted) as told:
                    await watching
                (line,) = await asyncio.to_thread(theirs.lines, 1)
                assert "watch was canceled" in line
            assert told.value.compact_revision == saved + BUMP
            with cluster.ctl().watch("k", f"--rev={saved + 2}") as late:
                (line,) = await asyncio.to_thread(late.lines, 1)
            assert "required revision has been compacted" in line
            listed = await client.list("k")
            assert [(kv.value, kv.mod_revision) for kv in listed.kvs] == [(b"saved", saved)]
            assert listed.header.revision == saved + BUMP
            assert listed.header.cluster_id != old_cluster
            assert (await client.put("k", "after")).header.revision == saved + BUMP + 1


async def follow(client: Client, start: int, seen: asyncio.Queue[bytes]) -> None:
    async for event in client.watch("k", start_revision=start).events():
        await seen.put(event.kv.value)


def go_back(cluster: Cluster, path: Path) -> None:
    (member,) = cluster.members
    member.kill()
    shutil.rmtree(member.data_dir)
    url = member.addresses.peer_url
    config = ServerConfig(
        name=member.name,
        data_dir=str(member.data_dir),
        initial_cluster={member.name: (url,)},
        initial_cluster_token="e2e",
        initial_advertise_peer_urls=(url,),
    )
    restore(str(path), config, RestoreOptions(), OsDisk(), LmdbBackend)
    cluster.start()
    wait_until(lambda: cluster.leader() is member, "it leads")
