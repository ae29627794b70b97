"""The quota: who notices that the database is full, and how the cluster learns of it."""

from __future__ import annotations

from pathlib import Path

from raftkv.api.rpc_pb2 import AlarmRequest, AlarmType, DeleteRangeRequest, PutRequest
from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.apply.batch import RequestKind
from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Table
from raftkv.errors import NoSpace, RaftKVError
from raftkv.peer.offer import SILENCE
from raftkv.server.space import QUOTA_DEFAULT_BYTES, Space
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import MemberProcess

QUOTA = 256 * 1024


def put(process: MemberProcess, number: int, outcomes: list[bytes | RaftKVError]) -> None:
    request = PutRequest(key=b"key%06d" % number, value=b"v" * 1000)
    payload = request.SerializeToString()
    process.member.propose(RequestKind.PUT, payload, outcomes.append)


def test_space_counts_what_it_admits(tmp_path: Path) -> None:
    """Between two looks at the file the costs add up; a request that costs nothing always fits."""
    backend = LmdbBackend(str(tmp_path / "db"))
    space = Space(backend, backend.size + 1000, lambda: True)
    assert space.admit(900)
    backend.put(Table.LATEST, b"k", b"v" * 500_000)
    assert not space.admit(500), "the file has grown beyond the quota since"
    assert space.admit(0)
    assert space.is_full
    assert (Space(backend, 0, lambda: True).quota, QUOTA_DEFAULT_BYTES) == (2**31, 2**31)
    assert Space(backend, -1, lambda: True).admit(1 << 60)
    backend.close()


def test_pages_that_are_free_are_not_in_use(tmp_path: Path) -> None:
    """Deleting rows lowers the size in use at once, and leaves the file as it is."""
    backend = LmdbBackend(str(tmp_path / "db"))
    for number in range(1000):
        backend.put(Table.LATEST, b"%06d" % number, b"v" * 1000)
    backend.commit()
    full, in_use = backend.size, backend.size_in_use
    assert 0.9 * full < in_use <= full
    for number in range(1000):
        backend.delete(Table.LATEST, b"%06d" % number)
    backend.commit()
    assert backend.size >= full
    assert backend.size_in_use < 100_000
    backend.close()


def test_a_full_member_raises_the_alarm_for_all(tmp_path: Path) -> None:
    """While a member of 0.1 is there: past the quota a write is refused where it is asked and,
    once NOSPACE is in the log, on every member at the same entry; deletes go on; lowered alarms
    let writes in again."""
    cluster = SimulatedCluster(seed=5, quota_backend_bytes=QUOTA)
    cluster.start_all()
    cluster.running[2].offer = lambda: SILENCE  # type: ignore[method-assign]
    cluster.wait_for_leader()
    writer, other = cluster.running[0], cluster.running[1]
    assert writer.member.has_room(1256)
    outcomes: list[bytes | RaftKVError] = []
    number = 0
    while not any(isinstance(outcome, NoSpace) for outcome in outcomes):
        number += 1
        assert number < 5000, "the quota was never noticed"
        put(writer, number, outcomes)
        cluster.scheduler.run_for(0.01)
    cluster.settle()
    raised = [process.member.maintenance.alarms() for process in cluster.running]
    assert raised[0]
    assert raised == [raised[0]] * 3
    assert {alarm.kind for alarm in raised[0]} == {AlarmKind.NOSPACE}
    assert not writer.member.has_room(1256)
    assert "alarm:NOSPACE" in writer.member.status().errors[0]
    delete = DeleteRangeRequest(key=b"\0", range_end=b"\0").SerializeToString()
    deleted: list[bytes | RaftKVError] = []
    other.member.propose(RequestKind.DELETE_RANGE, delete, deleted.append)
    assert cluster.scheduler.run_until(lambda: bool(deleted), within_s=20)
    assert isinstance(deleted[0], bytes)
    _lower_all(cluster, raised[0])
    outcomes.clear()
    put(other, 1, outcomes)
    assert cluster.scheduler.run_until(lambda: bool(outcomes), within_s=20)
    assert isinstance(outcomes[0], bytes)
    cluster.stop_all()


def test_an_alarm_survives_restarts(tmp_path: Path) -> None:
    """What was raised is refused by members that were all killed and started again."""
    cluster = SimulatedCluster(tmp_path, seed=6)
    cluster.start_all()
    cluster.wait_for_leader()
    done: list[bytes | RaftKVError] = []
    request = AlarmRequest(
        action=AlarmRequest.ACTIVATE, memberID=77, alarm=AlarmType.NOSPACE
    ).SerializeToString()
    cluster.running[1].member.propose(RequestKind.ALARM, request, done.append)
    assert cluster.scheduler.run_until(lambda: bool(done), within_s=20)
    cluster.stop_all()
    cluster.start_all()
    cluster.wait_for_leader()
    outcomes: list[bytes | RaftKVError] = []
    put(cluster.running[2], 1, outcomes)
    assert cluster.scheduler.run_until(lambda: bool(outcomes), within_s=20)
    assert isinstance(outcomes[0], NoSpace)
    cluster.settle()
    assert [p.member.maintenance.alarms() for p in cluster.running] == [
        [Alarm(77, AlarmKind.NOSPACE)]
    ] * 3
    cluster.stop_all()


def _lower_all(cluster: SimulatedCluster, alarms: list[Alarm]) -> None:
    done: list[bytes | RaftKVError] = []
    for alarm in alarms:
        request = AlarmRequest(
            action=AlarmRequest.DEACTIVATE, memberID=alarm.member_id, alarm=AlarmType.NOSPACE
        )
        member = cluster.running[0].member
        member.propose(RequestKind.ALARM, request.SerializeToString(), done.append)
    assert cluster.scheduler.run_until(lambda: len(done) == len(alarms), within_s=20)
