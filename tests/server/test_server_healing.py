"""Damage and divergence under virtual time: found, never served, repaired without an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.apply.batch import RequestKind
from raftkv.apply.level import LEVEL_0_2
from raftkv.backend.checked import CheckedBackend
from raftkv.backend.inline_checks import MARK
from raftkv.backend.schema import CHECKED_FORMAT_VERSION, FORMAT_VERSION, Meta, Table
from raftkv.errors import Damaged, Quarantined, RaftKVError
from raftkv.mvcc.codec import encode_row, row_body
from raftkv.mvcc.query import RangeQuery
from raftkv.server.config import Limits
from raftkv.server.corruption import NOBODY_KNOWS
from raftkv.server.operations import HealingSettings, Operations
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine

KEYS = 40


def value_of(number: int) -> bytes:
    return b"value %d" % number


def make(size: int, limits: Limits | None = None, **settings: float) -> SimulatedCluster:
    healing = HealingSettings(**settings)  # type: ignore[arg-type]
    operations = Operations(healing=healing)
    cluster = SimulatedCluster(size=size, seed=11, operations=operations, limits=limits)
    cluster.start_all()
    cluster.wait_for_leader()
    levels = [p.member.maintenance.upgrade.level for p in cluster.running]
    assert cluster.scheduler.run_until(
        lambda: all(level.current >= LEVEL_0_2 for level in levels), within_s=30
    )
    for number in range(KEYS):
        assert isinstance(put(cluster, number), bytes)
    cluster.settle()
    backends = [p.foundation.backend for p in cluster.running]
    assert cluster.scheduler.run_until(lambda: all(b.is_complete for b in backends), within_s=5)
    checks = [p.member.maintenance.state_check for p in cluster.running]
    assert cluster.scheduler.run_until(lambda: any(c.rounds for c in checks), within_s=5)
    return cluster


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    cluster = make(3)
    yield cluster
    cluster.stop_all()


def put(cluster: SimulatedCluster, number: int) -> bytes | RaftKVError:
    done: list[bytes | RaftKVError] = []
    request = PutRequest(key=b"k%02d" % number, value=value_of(number))
    leader = cluster.wait_for_leader()
    leader.running.member.propose(RequestKind.PUT, request.SerializeToString(), done.append)
    assert cluster.scheduler.run_until(lambda: bool(done), within_s=30)
    return done[0]


def read(machine: Machine, number: int) -> bytes | RaftKVError:
    """A serializable read of one key, as the service makes it."""
    found: list[bytes | RaftKVError] = []
    member = machine.running.member

    def proceed(error: RaftKVError | None) -> None:
        if error is not None:
            found.append(error)
            return
        try:
            result = member.store.range(RangeQuery(b"k%02d" % number))
        except RaftKVError as damage:
            found.append(damage)
        else:
            found.append(b"".join(result.pieces))

    member.read_local(proceed)
    assert found, "the database commits at this moment"
    return found[0]


def found(machine: Machine, number: int) -> bytes:
    answer = read(machine, number)
    assert isinstance(answer, bytes), answer
    return answer


def follower(cluster: SimulatedCluster) -> Machine:
    return next(m for m in cluster.machines if m is not cluster.leader())


def tables(machine: Machine) -> list[dict[bytes, bytes]]:
    backend = machine.running.foundation.backend
    assert isinstance(backend, CheckedBackend)
    return backend._raw._tables  # type: ignore[attr-defined, no-any-return]


def flip(machine: Machine, table: Table, content: bytes) -> None:
    """One bit of the newest row with ``content`` is not what it was."""
    rows = tables(machine)[table]
    key = max(key for key, row in rows.items() if content in row)
    at = rows[key].index(content)
    row = bytearray(rows[key])
    row[at] ^= 4
    rows[key] = bytes(row)


def is_quarantined(machine: Machine) -> bool:
    return machine.running.member.quarantine.is_on


def repairs(machine: Machine) -> int:
    return machine.running.member.maintenance.healing.repairs


def wait_for(cluster: SimulatedCluster, what: Callable[[], bool], within_s: float = 60.0) -> None:
    assert cluster.scheduler.run_until(what, within_s=within_s), [
        (m.name, m.running.member.quarantine.reason, repairs(m)) for m in cluster.machines
    ]


def alarms(cluster: SimulatedCluster) -> list[Alarm]:
    return cluster.running[0].member.maintenance.alarms(AlarmKind.CORRUPT)


def test_healthy_members_are_left_in_peace(cluster: SimulatedCluster) -> None:
    """Digests are compared and rows walked through, under writes, and nothing comes of it."""
    for number in range(KEYS):
        put(cluster, number)
        cluster.scheduler.run_for(0.3)
    leader = cluster.wait_for_leader().running.member
    assert leader.maintenance.state_check.rounds >= 5
    for machine in cluster.machines:
        assert machine.running.member.maintenance.healing.scrub.passes >= 1
        assert not is_quarantined(machine)
        assert repairs(machine) == 0
    assert alarms(cluster) == []


@pytest.mark.parametrize("leads", [False, True])
def test_a_read_that_meets_damage_fails_and_the_member_is_repaired(
    cluster: SimulatedCluster, leads: bool
) -> None:
    """The wrong bytes are never returned; later the right ones are, by the same member."""
    machine = cluster.wait_for_leader() if leads else follower(cluster)
    flip(machine, Table.LATEST, value_of(7))
    assert isinstance(read(machine, 7), Damaged)
    assert isinstance(read(machine, 8), Quarantined)
    wait_for(cluster, lambda: repairs(machine) == 1)
    assert not is_quarantined(machine)
    answer = read(machine, 7)
    assert isinstance(answer, bytes)
    assert value_of(7) in answer
    assert isinstance(put(cluster, 7), bytes)
    cluster.settle()
    assert alarms(cluster) == []


@pytest.mark.parametrize("table", [Table.LATEST, Table.REVISIONS])
def test_damage_that_nobody_reads_is_found_by_the_scrub(table: Table) -> None:
    """Of the newest rows as of the history."""
    cluster = make(3, scrub_interval_s=2.0)
    machine = follower(cluster)
    flip(machine, table, value_of(9))
    wait_for(cluster, lambda: repairs(machine) == 1, within_s=20)
    assert value_of(9) in found(machine, 9)
    cluster.stop_all()


def test_a_key_that_changed_is_missed(cluster: SimulatedCluster) -> None:
    """Its row is not found under the right key, nor given out under the wrong one."""
    machine = follower(cluster)
    file: Any = machine.running.foundation.backend._raw
    rows, keys = file._tables[Table.LATEST], file._keys[Table.LATEST]
    rows[b"k0w"] = rows.pop(b"k07")
    keys[keys.index(b"k07")] = b"k0w"
    assert isinstance(read(machine, 7), Damaged)
    wait_for(cluster, lambda: repairs(machine) == 1)
    assert value_of(7) in found(machine, 7)


@pytest.mark.parametrize("leads", [False, True])
def test_who_applies_an_entry_differently_is_found_at_the_next_position(
    cluster: SimulatedCluster, leads: bool
) -> None:
    """A planted bug: one member writes another value, with a check that fits."""
    machine = cluster.wait_for_leader() if leads else follower(cluster)
    store = machine.running.member.store
    begin, real = store.begin, b"k03"

    def planted() -> object:
        txn = begin()
        put_right = txn.put

        class Wrong:
            revision = txn.revision

            def put(self, key: bytes, value: bytes, lease: int) -> bytes | None:
                return put_right(key, value + b"!" if key == real else value, lease)

            def end(self) -> int:
                return txn.end()

            def get(self, key: bytes) -> object:
                return txn.get(key)

        return Wrong()

    store.begin = planted  # type: ignore[method-assign, assignment]
    put(cluster, 3)
    cluster.settle()
    store.begin = begin  # type: ignore[method-assign]
    before = cluster.scheduler.now()
    wait_for(cluster, lambda: is_quarantined(machine), within_s=10)
    assert cluster.scheduler.now() - before < 3 * HealingSettings().state_check_interval_s
    wait_for(cluster, lambda: repairs(machine) == 1)
    answer = read(machine, 3)
    assert isinstance(answer, bytes)
    assert value_of(3) + b"!" not in answer
    assert all(repairs(m) == 0 for m in cluster.machines if m is not machine)
    assert alarms(cluster) == []


def test_without_a_majority_an_operator_decides(cluster: SimulatedCluster) -> None:
    """Two of three differ, each in its way: nobody is repaired from anybody."""
    for number, machine in enumerate(cluster.machines[:2]):
        machine.running.member.store.digest ^= number + 1
    put(cluster, 1)
    wait_for(cluster, lambda: bool(alarms(cluster)), within_s=20)
    assert alarms(cluster) == [Alarm(NOBODY_KNOWS, AlarmKind.CORRUPT)]
    assert not any(is_quarantined(machine) for machine in cluster.machines)


def test_a_member_alone_raises_the_alarm() -> None:
    """It has no peer: the read fails, the alarm is raised, and whole rows are served."""
    cluster = make(1)
    flip(cluster.machines[0], Table.LATEST, value_of(7))
    assert isinstance(read(cluster.machines[0], 7), Damaged)
    wait_for(cluster, lambda: bool(alarms(cluster)))
    assert alarms(cluster) == [Alarm(cluster.machines[0].member_id, AlarmKind.CORRUPT)]
    assert isinstance(read(cluster.machines[0], 8), bytes)
    cluster.stop_all()


def test_a_quarantined_member_serves_nothing(cluster: SimulatedCluster) -> None:
    """Neither by its own state nor by a read round, nor does it take writes or lead."""
    machine = follower(cluster)
    cluster.network.isolate(machine.member_id)
    member = machine.running.member
    member.maintenance.healing.begin("its digest differs")
    assert isinstance(read(machine, 7), Quarantined)
    told: list[object] = []
    member.linearize(told.append)
    member.propose(RequestKind.PUT, b"", told.append)
    assert [type(refusal) for refusal in told] == [Quarantined, Quarantined]
    assert any("is wrong" in text for text in member.status().errors)
    cluster.network.heal()
    leader = cluster.wait_for_leader()
    cluster.network.isolate(leader.member_id)
    for _ in range(40):
        cluster.scheduler.run_for(0.1)
        assert not (member.quarantine.is_on and member.node.is_leader)


def test_a_restart_does_not_end_a_quarantine(cluster: SimulatedCluster) -> None:
    """The next process knows of it by a file, and a repair removes that."""
    machine = follower(cluster)
    cluster.network.isolate(machine.member_id)
    machine.running.member.maintenance.healing.begin("its digest differs")
    cluster.scheduler.run_for(1.0)
    machine.kill()
    assert machine.start()
    assert is_quarantined(machine)
    assert isinstance(read(machine, 7), Quarantined)
    cluster.network.heal()
    wait_for(cluster, lambda: repairs(machine) == 1)
    cluster.scheduler.run_for(1.0)
    machine.kill()
    assert machine.start()
    assert not is_quarantined(machine)


def test_writes_go_on_while_a_member_is_repaired(cluster: SimulatedCluster) -> None:
    """What was committed meanwhile is applied on top of the peer's data."""
    machine = follower(cluster)
    machine.running.member.maintenance.healing.begin("its digest differs")
    for number in range(KEYS, KEYS + 30):
        assert isinstance(put(cluster, number), bytes)
    wait_for(cluster, lambda: repairs(machine) == 1)
    cluster.settle()
    for number in range(KEYS + 30):
        assert value_of(number) in found(machine, number)


def test_two_of_three_damaged_are_repaired_by_the_third(cluster: SimulatedCluster) -> None:
    """Each knows by itself that it is wrong; the third takes the lead."""
    for machine in cluster.machines[:2]:
        flip(machine, Table.LATEST, value_of(7))
        assert isinstance(read(machine, 7), Damaged)
    wait_for(cluster, lambda: all(repairs(m) == 1 for m in cluster.machines[:2]))
    assert isinstance(put(cluster, 7), bytes)
    cluster.settle()


def test_a_peer_whose_own_data_is_damaged_repairs_nobody(cluster: SimulatedCluster) -> None:
    """The copy is walked through before the member serves from it; the giver learns of it, too."""
    leader, machine = cluster.wait_for_leader(), follower(cluster)
    leader.running.foundation.backend.commit()
    flip(leader, Table.LATEST, value_of(5))
    disk = leader.storage.disk
    path = f"{leader.config.data_dir}/member/db"
    rows = disk.databases[path][Table.LATEST]  # type: ignore[attr-defined]
    rows[b"k05"] = tables(leader)[Table.LATEST][b"k05"]
    machine.running.member.maintenance.healing.begin("its digest differs")
    wait_for(cluster, lambda: repairs(machine) == 1 and repairs(leader) == 1)
    for each in cluster.machines:
        assert value_of(5) in found(each, 5)


def test_the_last_damaged_file_is_kept(cluster: SimulatedCluster) -> None:
    """Beside the database, for whoever wants to know what happened."""
    machine = follower(cluster)
    flip(machine, Table.LATEST, value_of(7))
    assert isinstance(read(machine, 7), Damaged)
    wait_for(cluster, lambda: repairs(machine) == 1)
    kept = f"{machine.config.data_dir}/member/db.damaged"
    assert kept in machine.storage.disk.databases  # type: ignore[attr-defined]


def test_what_is_wrong_is_never_committed_nor_copied(cluster: SimulatedCluster) -> None:
    """A backup and a defragmentation are refused, and those under way wait for the repair."""
    machine = follower(cluster)
    maintenance = machine.running.member.maintenance
    cluster.network.isolate(machine.member_id)
    machine.running.member.maintenance.healing.begin("its digest differs")
    before = machine.running.member._engine.committer.committed
    committed: list[bool] = []
    machine.running.member._engine.committer.commit_now(lambda: committed.append(True))
    refused: list[object] = []
    maintenance.defragment(refused.append)
    assert isinstance(refused[0], Quarantined)
    with pytest.raises(Quarantined):
        maintenance.open_backup(lambda backup: None)
    cluster.scheduler.run_for(10.0)
    assert machine.running.member._engine.committer.committed == before
    assert not committed
    cluster.network.heal()
    wait_for(cluster, lambda: repairs(machine) == 1 and bool(committed))


def test_a_downgrade_takes_the_checks_away(cluster: SimulatedCluster) -> None:
    """Version 0.1 reads neither rows with checks nor a file that has them; raised again, they come
    back. Rows read the same at each step."""
    machine = follower(cluster)
    backend = machine.running.foundation.backend
    assert tables(machine)[Table.META][Meta.FORMAT] == CHECKED_FORMAT_VERSION
    told: list[object] = []
    cluster.wait_for_leader().running.member.maintenance.upgrade.lower(told.append)
    assert cluster.scheduler.run_until(lambda: bool(told), within_s=20)
    wait_for(cluster, lambda: backend.is_plain, within_s=20)
    assert tables(machine)[Table.META][Meta.FORMAT] == FORMAT_VERSION
    for row in tables(machine)[Table.LATEST].values():
        assert encode_row(row_body(row)) == row
    assert all(not row[0] & MARK for row in tables(machine)[Table.REVISIONS].values())
    assert value_of(9) in found(machine, 9)
    cluster.wait_for_leader().running.member.maintenance.upgrade.cancel(told.append)
    wait_for(cluster, lambda: backend.is_complete, within_s=20)
    assert value_of(9) in found(machine, 9)
    flip(machine, Table.LATEST, value_of(9))
    assert isinstance(read(machine, 9), Damaged)


def test_a_database_that_cannot_be_opened_is_filled_by_a_peer(cluster: SimulatedCluster) -> None:
    """The log is whole, so the member starts, empty and in quarantine."""
    machine = follower(cluster)
    cluster.scheduler.run_for(2.0)
    machine.kill()
    path = f"{machine.config.data_dir}/member/db"
    disk: Any = machine.storage.disk
    disk.databases[path][Table.META][Meta.APPLIED] = b"garbage"
    assert machine.start(), machine.failure
    assert is_quarantined(machine)
    wait_for(cluster, lambda: repairs(machine) == 1)
    cluster.settle()
    assert value_of(3) in found(machine, 3)


def test_a_member_alone_does_not_begin_anew() -> None:
    """There is nobody to fill an empty database: it refuses to start, and says what to do."""
    cluster = make(1)
    machine = cluster.machines[0]
    cluster.scheduler.run_for(2.0)
    machine.kill()
    disk: Any = machine.storage.disk
    disk.databases[f"{machine.config.data_dir}/member/db"][Table.META][Meta.APPLIED] = b"garbage"
    assert not machine.start()
    assert "restore a backup" in str(machine.failure)
