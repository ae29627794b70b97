"""Our client with users: logging in, renewing what has ended, and its auth calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from raftkv.client import Client, RetryPolicy, Txn, prefix_end
from raftkv.client import txn as t
from raftkv.client.auth import READ, READWRITE
from raftkv.errors import (
    AuthFailed,
    InvalidAuthManagement,
    PermissionDenied,
    RoleNotGranted,
    UserEmpty,
    UserNotFound,
    WatchCanceled,
)
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
QUICK = RetryPolicy(timeout_s=5.0, tries_max=20, backoff_min_s=0.02, backoff_max_s=0.2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One member: a token that it forgot is known to nobody."""
    with Cluster(RAFTKV, tmp_path_factory.mktemp("users"), members=1) as started:
        started.leader()
        asyncio.run(set_up(started))
        yield started


async def set_up(cluster: Cluster) -> None:
    async with Client(cluster.endpoints, policy=QUICK) as client:
        for name in ("root", "ann"):
            await client.auth.user_add(name, f"{name}'s")
        await client.auth.user_grant_role("root", "root")
        await client.auth.role_add("team")
        await client.auth.grant_permission("team", READWRITE, "team/", prefix_end(b"team/"))
        await client.auth.user_grant_role("ann", "team")
        await client.auth.enable()


@pytest.fixture
async def root(cluster: Cluster) -> AsyncIterator[Client]:
    async with Client(cluster.endpoints, policy=QUICK, user="root", password="root's") as client:
        yield client


@pytest.fixture
async def ann(cluster: Cluster) -> AsyncIterator[Client]:
    async with Client(cluster.endpoints, policy=QUICK, user="ann", password="ann's") as client:
        yield client


async def test_every_auth_call(root: Client) -> None:
    """Users and roles made, changed, listed and ended, with etcd's errors by their names."""
    before = (await root.auth.status()).authRevision
    await root.auth.user_add("eve", None)
    await root.auth.user_change_password("eve", "x")
    await root.auth.role_add("r")
    await root.auth.grant_permission("r", READ, "k")
    await root.auth.user_grant_role("eve", "r")
    assert list((await root.auth.user_get("eve")).roles) == ["r"]
    assert [p.key for p in (await root.auth.role_get("r")).perm] == [b"k"]
    assert list((await root.auth.user_list()).users) == ["ann", "eve", "root"]
    assert list((await root.auth.role_list()).roles) == ["r", "team"]
    await root.auth.revoke_permission("r", "k")
    await root.auth.user_revoke_role("eve", "r")
    with pytest.raises(RoleNotGranted):
        await root.auth.user_revoke_role("eve", "r")
    await root.auth.role_delete("r")
    await root.auth.user_delete("eve")
    with pytest.raises(UserNotFound):
        await root.auth.user_delete("eve")
    with pytest.raises(InvalidAuthManagement):
        await root.auth.user_delete("root")
    status = await root.auth.status()
    assert (status.enabled, status.authRevision) == (True, before + 9)


async def test_a_user_in_its_range(ann: Client, cluster: Cluster) -> None:
    """Reads, writes, watches and keeps leases there, and nowhere else."""
    put = await ann.put("team/a", "1")
    watch = ann.watch("team/", range_end="team0", start_revision=put.header.revision)
    async with asyncio.timeout(10):
        async for event in watch.events():
            assert event.kv.key == b"team/a"
            break
    async with ann.keep_alive(await ann.grant(60)) as lease:
        await ann.put("team/b", "2", lease=lease.id)
        assert not lease.is_lost
    with pytest.raises(PermissionDenied):
        await ann.put("else", "1")
    with pytest.raises(PermissionDenied):
        await ann.txn(Txn().when(t.version("else") == 0).then(t.put("team/c", "1")))
    with pytest.raises(WatchCanceled, match="permission denied"):
        await anext(aiter(ann.watch("team/", range_end=b"\0")))
    async with Client(cluster.endpoints, policy=QUICK) as nobody:
        with pytest.raises(UserEmpty):
            await nobody.get("team/a")
    async with Client(cluster.endpoints, policy=QUICK, user="ann", password="x") as wrong:
        with pytest.raises(AuthFailed):
            await wrong.get("team/a")


async def test_what_ended_the_token_ends_no_client(
    ann: Client, root: Client, cluster: Cluster, tmp_path: Path
) -> None:
    """The member forgets all tokens when it is stopped and started; each kind of call finds out,
    logs in and goes on, and a write is executed once."""
    before = (await ann.put("team/n", "0")).header.revision
    await root.maintenance.status()
    cluster.members[0].stop()
    await asyncio.to_thread(cluster.start)
    written = await ann.put("team/n", "1", prev_kv=True)
    assert (written.prev_kv.value, written.header.revision) == (b"0", before + 1)
    assert (await root.maintenance.snapshot(str(tmp_path / "saved"))) > 0
    cluster.members[0].stop()
    await asyncio.to_thread(cluster.start)
    watch = ann.watch("team/n", start_revision=before)
    async with asyncio.timeout(20):
        async for response in watch:
            assert response.events[0].kv.value == b"0"
            break
