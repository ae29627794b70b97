"""A user of PyPI's etcd3: keys, transactions, leases, watches, locks, auth; prints "done".

Run by the libraries' own interpreter, with HOST:PORT of a member. Must never do: import raftkv.
"""

from __future__ import annotations

import io
import sys
import threading

import etcd3
import grpc
from etcd3 import etcdrpc


def keys(client: etcd3.Etcd3Client) -> None:
    client.put("py/a", "1")
    client.put("py/b", "2")
    value, metadata = client.get("py/a")
    assert (value, metadata.version) == (b"1", 1), (value, metadata.version)
    assert [value for value, _ in client.get_prefix("py/", sort_order="descend")] == [b"2", b"1"]
    assert [meta.key for _, meta in client.get_range("py/a", "py/b")] == [b"py/a"]
    assert client.put("py/a", "3", prev_kv=True).prev_kv.value == b"1"
    assert client.put_if_not_exists("py/a", "4") is False
    assert client.put_if_not_exists("py/new", "4") is True
    assert client.replace("py/a", "3", "5") is True
    assert client.replace("py/a", "3", "6") is False
    assert client.delete("py/none") is False
    assert client.delete("py/new") is True
    assert client.delete_prefix("py/").deleted == 2
    assert client.get("py/a") == (None, None)


def transactions(client: etcd3.Etcd3Client) -> None:
    tx = client.transactions
    client.put("txn/a", "old")
    done, answers = client.transaction(
        compare=[tx.value("txn/a") == "old", tx.version("txn/a") > 0, tx.create("txn/b") == 0],
        success=[
            tx.put("txn/a", "new"),
            tx.get("txn/a"),
            tx.txn(compare=[tx.mod("txn/a") > 0], success=[tx.put("txn/b", "nested")], failure=[]),
        ],
        failure=[tx.delete("txn/a")],
    )
    assert done is True
    assert answers[1][0][0] == b"new", answers
    assert client.get("txn/b")[0] == b"nested"
    done, _ = client.transaction(
        compare=[tx.value("txn/a") != "new"], success=[], failure=[tx.delete("txn/a")]
    )
    assert done is False
    assert client.get("txn/a")[0] is None


def leases(client: etcd3.Etcd3Client) -> None:
    lease = client.lease(600, lease_id=4242)
    client.put("lease/a", "1", lease=lease)
    assert [answer.TTL for answer in lease.refresh()] == [600]
    assert (lease.granted_ttl, list(lease.keys)) == (600, [b"lease/a"])
    assert lease.remaining_ttl <= 600
    lease.revoke()
    assert client.get("lease/a")[0] is None


def watches(client: etcd3.Etcd3Client) -> None:
    events, cancel = client.watch_prefix("watch/", prev_kv=True)
    client.put("watch/a", "1")
    client.put("watch/a", "2")
    client.delete("watch/a")
    first, second, third = (next(events) for _ in range(3))
    assert (first.value, second.value, second.prev_value) == (b"1", b"2", b"1")
    assert isinstance(third, etcd3.events.DeleteEvent)
    cancel()
    seen: list[bytes] = []
    called = threading.Event()

    def callback(response: etcd3.watch.WatchResponse) -> None:
        seen.extend(event.value for event in response.events)
        called.set()

    number = client.add_watch_callback("watch/b", callback)
    client.put("watch/b", "x")
    assert called.wait(20)
    assert seen == [b"x"]
    client.cancel_watch(number)


def locks(client: etcd3.Etcd3Client, other: etcd3.Etcd3Client) -> None:
    with client.lock("mutex", ttl=60) as held:
        assert held.is_acquired()
        assert other.lock("mutex", ttl=60).acquire(timeout=1) is False
    second = other.lock("mutex", ttl=60)
    assert second.acquire(timeout=20) is True
    assert second.release() is True


def maintenance(client: etcd3.Etcd3Client) -> None:
    status = client.status()
    assert status.leader is not None, status
    assert status.db_size > 0
    assert len(list(client.members)) == 3
    assert list(client.list_alarms()) == []
    assert client.hash() > 0
    saved = io.BytesIO()
    client.snapshot(saved)
    assert saved.tell() > 0
    client.put("old", "1")
    client.compact(client.get("old")[1].mod_revision)
    client.defragment()


def users(client: etcd3.Etcd3Client, host: str, port: int) -> None:
    """The library logs in, and leaves administration to its stub."""
    auth = etcdrpc.AuthStub(client.channel)
    for name in ("root", "py"):
        auth.UserAdd(etcdrpc.AuthUserAddRequest(name=name, password=f"{name}'s"))
        auth.RoleAdd(etcdrpc.AuthRoleAddRequest(name=name))
        auth.UserGrantRole(etcdrpc.AuthUserGrantRoleRequest(user=name, role=name))
    for key in (b"pyauth/", b"pyauth0"):
        client.put(key, "0")
    grant = etcdrpc.AuthRoleGrantPermissionRequest(name="py")
    grant.perm.permType, grant.perm.key, grant.perm.range_end = 2, b"pyauth/", b"pyauth0"
    auth.RoleGrantPermission(grant)
    auth.AuthEnable(etcdrpc.AuthEnableRequest())
    refused(grpc.StatusCode.INVALID_ARGUMENT, client.get, "pyauth/")
    refused(grpc.StatusCode.INVALID_ARGUMENT, etcd3.client, host, port, user="py", password="no")
    with logged_in(host, port, "py") as py:
        events, cancel = py.watch_prefix("pyauth/")
        py.put("pyauth/a", "1")
        assert py.get("pyauth/a")[0] == b"1"
        assert next(events).value == b"1"
        cancel()
        refused(grpc.StatusCode.PERMISSION_DENIED, py.put, "pyauth0", "1")
        refused(grpc.StatusCode.PERMISSION_DENIED, py.get, "pyauth0")
        refused(grpc.StatusCode.PERMISSION_DENIED, py.compact, 1)
    with logged_in(host, port, "root") as root:
        assert root.get("pyauth0")[0] == b"0"
        disable = etcdrpc.AuthStub(root.channel).AuthDisable
        disable(etcdrpc.AuthDisableRequest(), metadata=root.metadata)
    assert client.delete_prefix("pyauth").deleted == 3
    for name in ("root", "py"):
        auth.UserDelete(etcdrpc.AuthUserDeleteRequest(name=name))
        auth.RoleDelete(etcdrpc.AuthRoleDeleteRequest(role=name))


def logged_in(host: str, port: int, user: str) -> etcd3.Etcd3Client:
    """The library sends its token as metadata and as a call credential; the latter a newer grpcio
    does not let out without TLS."""
    client = etcd3.client(host, port, timeout=20, user=user, password=f"{user}'s")
    client.call_credentials = client.watcher._credentials = None
    return client


def refused(code, call, *args, **kwargs):  # type: ignore[no-untyped-def]
    try:
        call(*args, **kwargs)
    except grpc.RpcError as error:
        found = error.code()
    else:
        raise AssertionError(f"{args} was not refused")
    assert found == code, (args, found)


def main() -> None:
    host, port = sys.argv[1].split(":")
    with (
        etcd3.client(host, int(port), timeout=20) as client,
        etcd3.client(host, int(port)) as other,
    ):
        keys(client)
        transactions(client)
        leases(client)
        watches(client)
        locks(client, other)
        maintenance(client)
        users(client, host, int(port))
    print("done")


main()
