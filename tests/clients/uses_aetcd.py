"""A user of PyPI's aetcd: keys, transactions, leases, watches, locks, auth on asyncio.

Prints "done" at the end.

Run by the libraries' own interpreter, with HOST:PORT of a member. Must never do: import raftkv.
"""

from __future__ import annotations

import asyncio
import sys

import aetcd
from aetcd import rpc


async def keys(client: aetcd.Client) -> None:
    await client.put(b"aio/a", b"1")
    await client.put(b"aio/b", b"2")
    assert (await client.get(b"aio/a")).value == b"1"
    assert [row.key async for row in _each(client.get_prefix(b"aio/"))] == [b"aio/a", b"aio/b"]
    assert (await client.put(b"aio/a", b"3", prev_kv=True)).prev_kv.value == b"1"
    assert await client.replace(b"aio/a", b"3", b"4") is True
    assert await client.replace(b"aio/a", b"3", b"5") is False
    assert await client.delete(b"aio/none") is None
    assert (await client.delete_prefix(b"aio/")).deleted == 2
    assert await client.get(b"aio/a") is None


async def _each(result):  # type: ignore[no-untyped-def]
    for row in await result:
        yield row


async def transactions(client: aetcd.Client) -> None:
    tx = client.transactions
    await client.put(b"atxn/a", b"old")
    done, answers = await client.transaction(
        compare=[tx.value(b"atxn/a") == b"old", tx.version(b"atxn/a") > 0],
        success=[tx.put(b"atxn/a", b"new"), tx.get(b"atxn/a")],
        failure=[tx.delete(b"atxn/a")],
    )
    assert done is True, answers
    assert (await client.get(b"atxn/a")).value == b"new"
    done, _ = await client.transaction(
        compare=[tx.mod(b"atxn/a") == 0], success=[], failure=[tx.delete(b"atxn/a")]
    )
    assert done is False
    assert await client.get(b"atxn/a") is None


async def leases(client: aetcd.Client) -> None:
    lease = await client.lease(600)
    await client.put(b"alease/a", b"1", lease=lease)
    assert (await lease.refresh()).TTL == 600
    assert await lease.granted_ttl() == 600
    assert await lease.keys() == [b"alease/a"]
    await lease.revoke()
    assert await client.get(b"alease/a") is None


async def watches(client: aetcd.Client) -> None:
    watch = await client.watch_prefix(b"awatch/", prev_kv=True)
    for value in (b"1", b"2"):
        await client.put(b"awatch/a", value)
    await client.delete(b"awatch/a")
    seen = []
    async for event in watch:
        seen.append((event.kind, event.kv.value))
        if len(seen) == 3:
            break
    assert seen == [("PUT", b"1"), ("PUT", b"2"), ("DELETE", b"")], seen
    await watch.cancel()


async def locks(client: aetcd.Client, other: aetcd.Client) -> None:
    async with client.lock(b"amutex", ttl=60) as held:
        assert await held.is_acquired()
        waiting = asyncio.ensure_future(other.lock(b"amutex", ttl=60).acquire(timeout=20))
        await asyncio.wait([waiting], timeout=0.5)
        assert not waiting.done()
    assert await waiting is True


async def users(client: aetcd.Client, host: str, port: int) -> None:
    """The library logs in, and leaves administration to its stub."""
    auth = rpc.AuthStub(client.channel)
    for name in ("root", "aio"):
        await auth.UserAdd(rpc.AuthUserAddRequest(name=name, password=f"{name}'s"))
        await auth.RoleAdd(rpc.AuthRoleAddRequest(name=name))
        await auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user=name, role=name))
    for key in (b"aioauth/", b"aioauth0"):
        await client.put(key, b"0")
    grant = rpc.AuthRoleGrantPermissionRequest(name="aio")
    grant.perm.permType, grant.perm.key, grant.perm.range_end = 2, b"aioauth/", b"aioauth0"
    await auth.RoleGrantPermission(grant)
    await auth.AuthEnable(rpc.AuthEnableRequest())
    await refused(client.get(b"aioauth/"), "user name is empty")
    wrong = aetcd.Client(host, port, timeout=20, username="aio", password="no")
    await refused(wrong.connect(), "authentication failed")
    await wrong.close()
    async with aetcd.Client(host, port, timeout=20, username="aio", password="aio's") as aio:
        await aio.put(b"aioauth/a", b"1")
        assert (await aio.get(b"aioauth/a")).value == b"1"
        await refused(aio.put(b"aioauth0", b"1"), "permission denied")
        await refused(aio.get(b"aioauth0"), "permission denied")
    async with aetcd.Client(host, port, timeout=20, username="root", password="root's") as root:
        assert (await root.get(b"aioauth0")).value == b"0"
        disable = rpc.AuthStub(root.channel).AuthDisable
        await disable(rpc.AuthDisableRequest(), metadata=root.metadata)
    assert (await client.delete_prefix(b"aioauth")).deleted == 3
    for name in ("root", "aio"):
        await auth.UserDelete(rpc.AuthUserDeleteRequest(name=name))
        await auth.RoleDelete(rpc.AuthRoleDeleteRequest(role=name))


async def refused(call, text: str) -> None:  # type: ignore[no-untyped-def]
    try:
        await call
    except aetcd.exceptions.ClientError as error:
        found = str(error)
    else:
        raise AssertionError(f"not refused: {text}")
    assert text in found, found


async def main() -> None:
    host, port = sys.argv[1].split(":")
    async with (
        aetcd.Client(host, int(port), timeout=20) as client,
        aetcd.Client(host, int(port), timeout=20) as other,
    ):
        await keys(client)
        await transactions(client)
        await leases(client)
        await watches(client)
        await locks(client, other)
        await users(client, host, int(port))
        assert (await client.status()).db_size > 0
        assert len([member async for member in client.members()]) == 3
    print("done")


asyncio.run(main())
