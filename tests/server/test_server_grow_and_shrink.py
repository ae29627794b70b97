"""1 -> 3 -> 5 -> 3 -> 1 online, without a flag, under writes and a watch, and under power cuts."""

from __future__ import annotations

import pytest

from raftkv.api.rpc_pb2 import PutRequest, RangeResponse, WatchResponse
from raftkv.apply.batch import RequestKind
from raftkv.errors import RaftKVError
from raftkv.mvcc.cohort import Cohort
from raftkv.mvcc.query import RangeQuery
from raftkv.mvcc.watch_events import EventBatch
from raftkv.mvcc.watcher import Watcher, WatchSpec
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine, MemberProcess
from tests.server.growing_cluster import cluster_of, join, leader_of, remove, voters_of

PAUSE_S = 0.02
GIVE_UP_S = 10.0


class Client:
    """Writes a new key through its member, one at a time, and watches all of them there. When the
    member's process is another one it goes on from the revision that it saw last."""

    def __init__(self, cluster: SimulatedCluster, home: Machine) -> None:
        self._cluster = cluster
        self._home = home
        self._process: MemberProcess | None = None
        self._number = 0
        self._waiting_since: float | None = None
        self.acknowledged: set[bytes] = set()
        self.revisions: list[int] = []
        self.streams = 0
        self._go_on()

    def deliver(self, cohort: Cohort, batch: EventBatch) -> None:
        events = WatchResponse.FromString(batch.body).events
        self.revisions += [event.kv.mod_revision for event in events]

    def compacted(self, watcher: Watcher, compact_revision: int) -> None:
        raise AssertionError(f"the watch ended at {compact_revision}")

    def _go_on(self) -> None:
        now, process = self._cluster.scheduler.now(), self._home.process
        if process is not None and process is not self._process:
            self._process, self._waiting_since = process, None
            self.streams += 1
            last = self.revisions[-1] if self.revisions else 1
            spec = WatchSpec(b"k", b"l", start_revision=last + 1)
            process.member.hub.watch(spec, self)
        is_free = self._waiting_since is None or now - self._waiting_since > GIVE_UP_S
        if process is not None and is_free:
            self._write(process, now)
        self._cluster.scheduler.call_later(PAUSE_S, self._go_on)

    def _write(self, process: MemberProcess, now: float) -> None:
        self._number += 1
        self._waiting_since = now
        key = b"k%06d" % self._number

        def answered(outcome: bytes | RaftKVError) -> None:
            self._waiting_since = None
            if isinstance(outcome, bytes):
                self.acknowledged.add(key)

        put = PutRequest(key=key, value=b"v").SerializeToString()
        process.clock.enter(lambda: process.member.propose(RequestKind.PUT, put, answered))


def cut_power(cluster: SimulatedCluster, client: Client) -> None:
    """Of all at once; then they start again, and take writes."""
    for machine in cluster.machines:
        if machine.process is not None:
            machine.kill(power=True)
            assert machine.start(), machine.failure
    before = len(client.acknowledged)
    more = cluster.scheduler.run_until(lambda: len(client.acknowledged) > before + 5, within_s=60)
    assert more, "no writes after the power was back"


def shrink(cluster: SimulatedCluster, home: Machine) -> None:
    """The leader goes, if it is another one; else whoever comes first."""
    leader = leader_of(cluster)
    gone = (
        leader
        if leader is not home
        else next(m for m in cluster.machines if m is not home and m.process is not None)
    )
    assert isinstance(remove(cluster, gone.member_id), MemberInfo)
    assert cluster.scheduler.run_until(lambda: gone.process is None, within_s=20)


@pytest.mark.parametrize("cuts", [False, True], ids=["calm", "power cuts"])
@pytest.mark.parametrize("seed", [1, 2])
def test_one_three_five_three_one(seed: int, *, cuts: bool) -> None:
    """No acknowledged write is lost, no revision is left out or told twice, and without power cuts
    one watch lives through all of it."""
    cluster = cluster_of(1, seed)
    home = cluster.machines[0]
    client = Client(cluster, home)
    for size in (3, 5, 3, 1):
        while len(voters_of(cluster)) != size:
            if len(voters_of(cluster)) < size:
                join(cluster)
            else:
                shrink(cluster, home)
            if cuts:
                cut_power(cluster, client)
        before = len(client.acknowledged)
        assert cluster.scheduler.run_until(
            lambda least=before + 20: len(client.acknowledged) > least, within_s=60
        )
    store = home.running.member.store
    cluster.scheduler.run_for(1.0)
    rows = RangeResponse.FromString(b"".join(store.range(RangeQuery(b"k", b"l")).pieces))
    assert client.acknowledged <= {row.key for row in rows.kvs}
    assert len(client.acknowledged) > 200
    assert client.revisions[0] == 2
    assert client.revisions == list(range(2, client.revisions[-1] + 1))
    assert store.current_revision - client.revisions[-1] <= 1
    assert (client.streams == 1) is not cuts
    assert [row.id for row in home.running.member.members()] == [home.member_id]
