"""Slow and broken clients by the hundred: a member's memory stays bounded and others are served."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.broken_client import call, connected, hello, vanish
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess
from tests.e2e.program import RAFTKV
from tests.e2e.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.raftkv_only]  # its own bounds, by itself

MiB = 1024 * 1024
VALUE = b"v" * 128 * 1024
EVENTS = 96
"""12 MiB for each watcher that stops reading, three times what a stream may hold back."""

STOPPED_BYTES_MAX = 300 * MiB
"""What all stopped watchers together may cost a member: the bound of what waits for slow readers
(raftkv's watch_backlogs_bytes_max, 256 MiB), and what the writes beside them cost."""
STOPPED_WATCHER_BYTES_MAX = 2 * len(VALUE)
"""What comes on top for each: the response that crossed its share, and what its socket holds."""
CONNECTION_BYTES_MAX = 48 * 1024
"""What an idle connection may cost a member."""
FILES = 19_000


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemberProcess]:
    """One member that may have as many connections as the tests make."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= FILES, f"ulimit -Hn is {hard}, {FILES} are needed"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    with Cluster(RAFTKV, tmp_path_factory.mktemp("load"), members=1) as cluster:
        yield cluster.members[0]
        assert not cluster.broken_log_lines()


def resident_bytes(member: MemberProcess) -> int:
    for line in Path(f"/proc/{member.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):  # LMDB's pages are the kernel's to take back
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon in /proc")


def open_files(member: MemberProcess) -> int:
    return len(list(Path(f"/proc/{member.pid}/fd").iterdir()))


def stopped_watchers(member: MemberProcess, count: int) -> list[socket.socket]:
    """Each on a connection of its own; it has seen that it was created, and reads no more."""
    create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"slow/", range_end=b"slow0"))
    first = hello() + call("/etcdserverpb.Watch/Watch", create)
    watchers = [connected(member.endpoint, first) for _ in range(count)]
    for watcher in watchers:
        assert watcher.recv(1), "the member closed the connection"
    return watchers


def watchers_that_stop_reading(member: MemberProcess, count: int) -> None:
    api = Api(member.endpoint)
    watchers = stopped_watchers(member, count)
    reading = api.watch(key=b"slow/", range_end=b"slow0")
    reading.created()
    before = resident_bytes(member)
    grown, bound = 0, STOPPED_BYTES_MAX + count * STOPPED_WATCHER_BYTES_MAX
    for number in range(EVENTS):
        api.put(b"slow/%d" % (number % 4), VALUE)
        grown = max(grown, resident_bytes(member) - before)
        assert grown <= bound, f"{count} stopped watchers: {grown / MiB:.0f} MiB"
    print(f"{count} stopped watchers: {grown / MiB:.0f} MiB")
    seen = reading.responses_with_events()
    assert sum(len(next(seen).events) for _ in range(EVENTS)) == EVENTS, "who reads gets all"
    for watcher in watchers:
        vanish(watcher)
    reading.close()
    api.close()


def clients_that_vanish(member: MemberProcess, count: int) -> None:
    """Half of a request, then RST; the other half of them amid their answer."""
    api = Api(member.endpoint)
    api.put(b"large", b"v" * MiB)
    before = open_files(member)
    put = hello() + call("/etcdserverpb.KV/Put", pb.PutRequest(key=b"half", value=VALUE[:9000]))
    get = hello() + call("/etcdserverpb.KV/Range", pb.RangeRequest(key=b"large"))
    for number in range(count):
        if number % 2:
            vanish(connected(member.endpoint, put[: len(put) - 1 - number % 9000]))
        else:
            client = connected(member.endpoint, get)
            vanish(client)
    assert api.range(b"half").count == 0, "half a request is none"
    wait_until(lambda: open_files(member) <= before, "the connections are forgotten")
    api.close()


def idle_connections(member: MemberProcess, count: int) -> None:
    api = Api(member.endpoint)
    revision = api.revision()
    before = resident_bytes(member)
    idle = [connected(member.endpoint, hello()) for _ in range(count)]
    for client in idle:
        assert client.recv(1), "the member closed the connection"
    grown = resident_bytes(member) - before
    print(f"{count} idle connections: {grown / MiB:.0f} MiB")
    assert grown <= count * CONNECTION_BYTES_MAX, f"{grown // count} bytes a connection"
    for _ in range(50):
        revision += 1
        assert api.put(b"beside", b"idle").header.revision == revision
    files = open_files(member)
    assert files >= count
    for client in idle:
        client.close()
    wait_until(lambda: open_files(member) <= files - count, "the connections are forgotten")
    api.close()


@pytest.mark.parametrize(
    ("clients", "count"),
    [
        (watchers_that_stop_reading, 100),
        (clients_that_vanish, 200),
        (idle_connections, 500),
    ],
)
def test_broken_clients(
    member: MemberProcess, clients: Callable[[MemberProcess, int], None], count: int
) -> None:
    """A hundred of each; the member holds its bound, and who behaves is served."""
    clients(member, count)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("clients", "count"),
    [
        (watchers_that_stop_reading, 1_000),
        (clients_that_vanish, 5_000),
        (idle_connections, 10_000),
    ],
)
def test_many_broken_clients(
    member: MemberProcess, clients: Callable[[MemberProcess, int], None], count: int
) -> None:
    """The same by the thousand."""
    clients(member, count)
