"""What a Kubernetes control plane asks of its store, all at once: updates, gets, lists, watches.

Owns: the work of the group mix. Must never do: share an object's updates between clients.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from benchmarks.http2_client import Http2Client
from benchmarks.measurement import Better, Measurement, Metric, NotProven, latencies
from benchmarks.message_stream import MessageStreams, read_until
from benchmarks.rows import Rows
from benchmarks.scripts import UpdateScript, numbered
from benchmarks.unary_client import RANGE, Call, ClosedLoop, Script
from benchmarks.watch_work import WATCH, watch_request
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster

OBJECTS = Rows(b"mix/", 1_000, 1024)
NAMESPACE_ROWS = 50
PAGE_ROWS = 500
WATCHERS = 10
# Of 100 calls; the rest are updates.
GETS, NAMESPACE_LISTS, PAGES = 45, 9, 1


class _Get:
    """One object of all."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._key = b""

    def request(self) -> Call:
        self._key = numbered(OBJECTS.prefix, self._chance.randrange(OBJECTS.count))
        return Call(RANGE, pb.RangeRequest(key=self._key).SerializeToString(), "get")

    def answered(self, message: bytes) -> None:
        kvs = pb.RangeResponse.FromString(message).kvs
        if len(kvs) != 1 or kvs[0].key != self._key:
            raise NotProven(f"a get of {self._key!r} gave {kvs}")


class _List:
    """``rows`` objects that stand together: a namespace, or a page of all."""

    def __init__(self, chance: Random, rows: int) -> None:
        self._chance = chance
        self._rows = rows

    def request(self) -> Call:
        start = self._chance.randrange(OBJECTS.count // self._rows) * self._rows
        request = pb.RangeRequest(
            key=numbered(OBJECTS.prefix, start), range_end=OBJECTS.end, limit=self._rows
        )
        return Call(RANGE, request.SerializeToString(), f"list of {self._rows}")

    def answered(self, message: bytes) -> None:
        rows = len(pb.RangeResponse.FromString(message).kvs)
        if rows != self._rows:
            raise NotProven(f"a list of {self._rows} has {rows} rows")


class MixScript:
    """One client: by chance, an update of its own object, a get or a list of any."""

    def __init__(self, update: UpdateScript, chance: Random) -> None:
        self.update = update
        self._chance = chance
        self._choices: list[Script] = [
            *[_Get(chance)] * GETS,
            *[_List(chance, NAMESPACE_ROWS)] * NAMESPACE_LISTS,
            *[_List(chance, PAGE_ROWS)] * PAGES,
        ]
        self._choices += [update] * (100 - len(self._choices))
        self._now: Script = update

    def request(self) -> Call | None:
        self._now = self._chance.choice(self._choices)
        return self._now.request()

    def answered(self, message: bytes) -> None:
        self._now.answered(message)


class _Watcher:
    """A watch of all objects, as an apiserver's cache keeps one; counts revisions."""

    def __init__(self, endpoint: str, start_revision: int) -> None:
        self.revisions: Counter[int] = Counter()
        self._connection = MessageStreams(endpoint, WATCH, self._message)
        create = watch_request(
            key=OBJECTS.prefix, range_end=OBJECTS.end, start_revision=start_revision
        )
        self._connection.http.socket.sendall(self._connection.open(create)[1])

    @property
    def http(self) -> Http2Client:
        return self._connection.http

    def _message(self, _: int, message: bytes) -> None:
        events = pb.WatchResponse.FromString(message).events
        self.revisions.update(event.kv.mod_revision for event in events)


@dataclass(frozen=True, slots=True)
class MixWork:
    """Clients in a closed loop on the leader while ten watches get every update."""

    seconds: float
    clients: int = 100
    group: str = "mix"

    @property
    def name(self) -> str:
        return (
            f"Kubernetes mix, {self.clients} clients and {WATCHERS} watches "
            f"({100 - GETS - NAMESPACE_LISTS - PAGES} % updates, {GETS} % gets, "
            f"{NAMESPACE_LISTS + PAGES} % lists)"
        )

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        api = cluster.api(leader)
        scripts = self._scripts(api)
        before = api.revision()
        watchers = [_Watcher(leader.endpoint, before + 1) for _ in range(WATCHERS)]
        result = ClosedLoop(leader.endpoint, scripts, sources=watchers).run(self.seconds)
        updates = sum(script.update.updates for script in scripts)
        after = api.revision()
        if after - before != updates:
            raise NotProven(f"{updates} updates, but {after - before} new revisions")
        expected = Counter(range(before + 1, after + 1))
        read_until(
            [watcher.http for watcher in watchers],
            lambda: all(len(watcher.revisions) >= updates for watcher in watchers),
            lambda: f"watches have {[len(one.revisions) for one in watchers]} of {updates} events",
        )
        for watcher in watchers:
            watcher.http.close()
            if watcher.revisions != expected:
                raise NotProven("a watch has not every update once")
        load = result.load
        figures = {Metric("throughput", "1/s", Better.HIGHER): load.per_second}
        for kind, times in sorted(result.kinds.items(), reverse=True):
            figures |= latencies(times, what=kind)
        return Measurement(figures, load.facts() | {"updates": updates, "watches": WATCHERS})

    def _scripts(self, api: Api) -> list[MixScript]:
        if not OBJECTS.exist(api):
            OBJECTS.put(api)
        found = api.range(OBJECTS.prefix, OBJECTS.end, keys_only=True)
        objects = found.kvs[: self.clients]
        return [
            MixScript(UpdateScript(kv.key, OBJECTS.value_bytes, kv.mod_revision), Random(number))
            for number, kv in enumerate(objects)
        ]
