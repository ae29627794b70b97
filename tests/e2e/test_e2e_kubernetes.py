"""What a Kubernetes apiserver asks of etcd, end to end, with the answers that etcd 3.5.1 gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import grpc
import pytest

from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.apiserver import COMPACT_KEY, Apiserver, ApiserverWatches, told
from tests.e2e.cluster import Cluster
from tests.e2e.program import ETCD_3_5, RAFTKV
from tests.e2e.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.raftkv_only]  # starts both programs by itself

PODS = b"/registry/pods/"
EVENTS = b"/registry/events/"
EVENT_KEYS = 1000
TOO_OLD = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
PROGRESS_INTERVAL = "watch-progress-notify-interval=1s"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """raftkv, three members; the tests of this file go on with each other's state."""
    with Cluster(
        RAFTKV, tmp_path_factory.mktemp("apiserver"), flags=[f"--{PROGRESS_INTERVAL}"]
    ) as cluster:
        yield cluster
        cluster.wait_alike()
        assert not cluster.broken_log_lines()


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The etcd whose answers are compared; it does all that ``cluster`` does until then."""
    with Cluster(ETCD_3_5, tmp_path_factory.mktemp("etcd"), members=1) as cluster:
        yield cluster


def objects(cluster: Cluster) -> list[str]:
    """Create, conflict, update, delete; get, list in pages, count, keys; each as answered."""
    server = Apiserver([cluster.api(member) for member in cluster.members])
    names = [PODS + f"pod-{number:02}".encode() for number in range(12)]
    for name in names:
        assert server.create(name, b"v1 of " + name).succeeded
    assert not server.create(names[3], b"again").succeeded
    first = server.get(names[3])
    updated = server.update(names[3], b"v2", first.kvs[0].mod_revision)
    assert updated.succeeded
    lost = server.update(names[3], b"v3", first.kvs[0].mod_revision)
    assert not lost.succeeded
    assert lost.responses[0].response_range.kvs[0].value == b"v2"
    page = server.page(PODS, limit=5)
    pinned = page.header.revision
    assert (page.more, page.count, len(page.kvs)) == (True, 12, 5)
    stale = server.delete(names[8], 1)
    assert not stale.succeeded
    there = stale.responses[0].response_range.kvs[0]
    assert server.delete(names[8], there.mod_revision).succeeded
    assert server.create(names[8] + b"-new", b"x").succeeded
    page = server.page(PODS, after=page.kvs[-1].key, limit=5, revision=pinned)
    assert (page.more, page.count, len(page.kvs)) == (True, 7, 5)
    assert names[8] in [row.key for row in page.kvs], "a page shows the pinned revision"
    page = server.page(PODS, after=page.kvs[-1].key, limit=5, revision=pinned)
    assert (page.more, page.count, len(page.kvs)) == (False, 2, 2)
    revision, pages = server.list(PODS, limit=5)
    assert revision == server.get(b"/registry/health").header.revision
    assert sum(len(each.kvs) for each in pages) == server.count(PODS) == len(server.keys(PODS))
    assert server.get(names[8], revision=pinned).kvs[0].value == b"v1 of " + names[8]
    return server.transcript


def informers(cluster: Cluster) -> list[str]:
    """Fifty watches on one stream from a list's revision on; updates and deletes bring prev_kv."""
    server = Apiserver([cluster.api(member) for member in cluster.members])
    prefixes = [f"/registry/kind{number:02}/".encode() for number in range(50)]
    for prefix in prefixes:
        server.create(prefix + b"old", b"0")
    revision, _ = server.list(b"/registry/", limit=500)
    api = cluster.api(cluster.members[-1])
    with closing(ApiserverWatches(api)) as watches:
        ids = [watches.create(prefix, revision + 1) for prefix in prefixes[:25]]
        for prefix in prefixes:
            made = server.create(prefix + b"new", b"1").header.revision
            changed = server.update(prefix + b"new", b"2", made).header.revision
            server.delete(prefix + b"new", changed)
        ids += [watches.create(prefix, revision + 1) for prefix in prefixes[25:]]
        watches.wait(lambda: all(len(watches.events(i)) == 3 for i in ids), "three events each")
        last = server.get(b"/registry/health").header.revision
        watches.request_progress()
        watches.wait(lambda: bool(watches.progress(-1)), "the stream's progress")
        assert watches.progress(-1) == [last]
        for response in watches.responses:
            for event in response.events:
                is_create = event.kv.create_revision == event.kv.mod_revision
                assert is_create != event.HasField("prev_kv"), told(event)
        return server.transcript + [text for i in ids for text in watches.events(i)]


def compactor(cluster: Cluster) -> list[str]:
    """Two apiservers race for the compaction; what is too old is refused in etcd's words."""
    api = cluster.api(cluster.members[-1])
    one, two = (Apiserver([cluster.api(member)]) for member in (cluster.members * 2)[:2])
    old = one.create(PODS + b"a", b"1").header.revision
    new = one.update(PODS + b"a", b"2", old).header.revision
    assert one.compact(0, new) == (True, 1)
    assert two.compact(0, new) == (False, 1)
    assert two.compact(1, new) == (True, 2)
    assert one.compact(1, new) == (False, 2)
    api.compact(new)
    with pytest.raises(grpc.RpcError) as refused:
        one.page(PODS, limit=5, revision=old)
    assert (refused.value.code().name, refused.value.details()) == TOO_OLD
    with closing(ApiserverWatches(api)) as watches:
        number = watches.create(PODS, old)
        watches.wait(lambda: watches.canceled(number) is not None, "the watch is canceled")
        end = watches.canceled(number)
        assert end is not None
        assert (end.compact_revision, end.events) == (new, [])
        number = watches.create(PODS, new)
        watches.wait(lambda: bool(watches.events(number)), "what the compacted revision did")
        return [*one.transcript, *two.transcript, told(end), *watches.events(number)]


def events_by_lease(cluster: Cluster) -> list[str]:
    """A thousand keys of one lease, never kept alive, go in one revision, seen with prev_kv."""
    server = Apiserver([cluster.api(member) for member in cluster.members])
    api = cluster.api(cluster.members[-1])
    grant = api.unary("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)
    lease = grant(pb.LeaseGrantRequest(TTL=600, ID=77), timeout=20)
    keys = [EVENTS + f"{number:04}".encode() for number in range(EVENT_KEYS)]
    for start in range(0, EVENT_KEYS, 100):
        api.txn(
            success=[
                pb.RequestOp(request_put=pb.PutRequest(key=key, value=key, lease=lease.ID))
                for key in keys[start : start + 100]
            ]
        )
    short = grant(pb.LeaseGrantRequest(TTL=2, ID=78), timeout=20)
    revision, _ = server.list(EVENTS, limit=500)
    with closing(ApiserverWatches(api)) as watches:
        number = watches.create(EVENTS, revision + 1)
        for start in range(0, EVENT_KEYS, 100):
            api.txn(
                success=[
                    pb.RequestOp(request_put=pb.PutRequest(key=key, value=b"2", lease=short.ID))
                    for key in keys[start : start + 100]
                ]
            )
        watches.wait(lambda: len(watches.events(number)) == 2 * EVENT_KEYS, "all have expired")
        gone = [e for r in watches.responses for e in r.events if e.type == e.DELETE]
        assert [event.kv.key for event in gone] == keys
        assert len({event.kv.mod_revision for event in gone}) == 1
        assert all(event.prev_kv.value == b"2" for event in gone)
        assert server.count(EVENTS) == 0
        return server.transcript + watches.events(number)


@pytest.mark.parametrize("script", [objects, informers, compactor, events_by_lease])
def test_the_same_answers_as_etcd(
    cluster: Cluster, etcd: Cluster, script: Callable[[Cluster], list[str]]
) -> None:
    """The script asserts the shapes; its transcripts, of all members and of etcd, are equal, with
    their revisions, since both stores have the same past."""
    assert script(cluster) == script(etcd)


def test_the_version_turns_watch_progress_on(cluster: Cluster) -> None:
    """Every member says a version from which on an apiserver relies on RequestProgress."""
    for member in cluster.members:
        parts = cluster.api(member).status().version.split(".")
        assert tuple(int(part) for part in parts) >= (3, 5, 13)


def test_bookmarks_come_by_themselves(cluster: Cluster) -> None:
    """A quiet watch is told the revision that others have written, on every member."""
    server = Apiserver([cluster.api(member) for member in cluster.members])
    for member in cluster.members:
        with closing(ApiserverWatches(cluster.api(member))) as watches:
            number = watches.create(b"/registry/quiet/", 0)
            written = server.create(b"/registry/other/" + member.name.encode(), b"1")
            revision = written.header.revision
            watches.wait(lambda w=watches, n=number, r=revision: r in w.progress(n), "a bookmark")


def test_objects_live_through_the_leaders_death(cluster: Cluster) -> None:
    """kill -9 of the leader: an update with a lost answer is read again; an informer on a
    follower, whose stream may end for want of a leader, resumes and ends with what a list says."""
    key = PODS + b"survivor"
    apis = [Api(member.endpoint, timeout_seconds=5) for member in cluster.members]
    made = Apiserver(apis).create(key, b"0").header.revision
    follower = cluster.follower()
    seen = _Informer(cluster.api(follower), key, made + 1)
    victim = cluster.leader()
    revision = made
    for number in range(1, 31):
        if number == 10:
            victim.kill()
        revision = _persist(cluster, key, str(number).encode(), revision)
        seen.resume_if_ended()
    wait_until(lambda: seen.resume_if_ended() or b"30" in seen.values(), "the last update")
    assert seen.values() == [str(number).encode() for number in range(1, 31)]
    assert seen.previous() == [str(number).encode() for number in range(30)]
    seen.close()
    victim.start()
    victim.wait_healthy()
    for member in cluster.members:
        row = cluster.api(member).range(key).kvs[0]
        assert (row.value, row.mod_revision, row.version) == (b"30", revision, 31)
    for api in apis:
        api.close()


def _persist(cluster: Cluster, key: bytes, value: bytes, revision: int) -> int:
    """Update ``key`` from ``revision`` on, at whichever member answers; the new revision."""
    turns = count()

    def attempt() -> int:
        running = cluster.running
        server = Apiserver([cluster.api(running[next(turns) % len(running)])])
        try:
            answer = server.update(key, value, revision)
        except grpc.RpcError:
            return 0
        if answer.succeeded:
            return int(answer.header.revision)
        row = answer.responses[0].response_range.kvs[0]
        assert row.value == value, f"nobody else writes {key!r}, and it is {row.value!r}"
        return int(row.mod_revision)

    return wait_until(attempt, f"{value!r} is written")


class _Informer:
    """Watches one key; takes its stream up again where it ended."""

    def __init__(self, api: Api, key: bytes, revision: int) -> None:
        self._api, self._key, self._next = api, key, revision
        self._streams: list[ApiserverWatches] = []
        self._open()

    def resume_if_ended(self) -> None:
        if self._streams[-1].error is not None:
            found = self._events()
            self._next = found[-1].kv.mod_revision + 1 if found else self._next
            self._open()

    def values(self) -> list[bytes]:
        return [event.kv.value for event in self._events()]

    def previous(self) -> list[bytes]:
        return [event.prev_kv.value for event in self._events()]

    def close(self) -> None:
        for stream in self._streams:
            stream.close()

    def _open(self) -> None:
        def opened() -> ApiserverWatches | None:
            stream = ApiserverWatches(self._api)
            try:
                stream.create(self._key, self._next)
            except AssertionError:
                stream.close()  # no leader yet: the next attempt finds one
                return None
            return stream

        self._streams.append(wait_until(opened, "the watch is open again"))

    def _events(self) -> list[pb.Event]:
        return [e for s in self._streams for r in list(s.responses) for e in r.events]


def test_compaction_key_counts_its_versions(cluster: Cluster) -> None:
    """Ten turns of the compactor over all members: each wins once, at the version it expects."""
    server = Apiserver([cluster.api(member) for member in cluster.members])
    _, first = server.compact(-1, 1)
    for version in range(first, first + 10):
        assert server.compact(version, 1) == (True, version + 1)
    assert server.get(COMPACT_KEY).kvs[0].version == first + 10


@pytest.mark.long
def test_pings_every_five_seconds_are_welcome(cluster: Cluster) -> None:
    """A channel that pings at etcd's --grpc-keepalive-min-time keeps a silent watch for 40 s: as
    long as a lease takes to expire, which the watch then tells."""
    options = [
        ("grpc.keepalive_time_ms", 5_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    member = cluster.members[0]
    api = cluster.api(member)
    grant = api.unary("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)
    lease = grant(pb.LeaseGrantRequest(TTL=40), timeout=20).ID
    key = b"/registry/masterleases/one"
    put = api.put(key, b"1", lease=lease).header.revision
    pinging = Api(member.endpoint)
    pinging.channel.close()
    pinging.channel = grpc.insecure_channel(member.endpoint, options=options)
    with closing(ApiserverWatches(pinging)) as watches:
        create = watches.create(key, put + 1)

        def expired() -> bool:
            assert watches.error is None, f"the stream was ended: {watches.error}"
            return bool(watches.events(create))

        wait_until(expired, "the lease has expired", seconds=90)
    pinging.channel.close()
