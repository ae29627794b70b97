"""Rolling upgrades and downgrades: when the cluster's level changes, and when it must not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from raftkv.apply.level import LEVEL_0_1, LEVEL_0_2, LevelRow
from raftkv.errors import DowngradeInProcess, NotCapable, RaftKVError, Unavailable
from raftkv.peer.offer import HEADER, SILENCE, Offer
from raftkv.server.config import ServerConfig
from raftkv.server.introduction import ClusterView, judge_existing
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine, MemberProcess

LONG_S = 30.0


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    cluster = SimulatedCluster(seed=3)
    yield cluster
    cluster.stop_all()


def rows(cluster: SimulatedCluster) -> set[LevelRow]:
    """Without the entries' positions, which the tests do not choose."""
    found = {process.member.maintenance.upgrade.level.row for process in cluster.running}
    return {LevelRow(row.level, row.held) for row in found}


def is_at(cluster: SimulatedCluster, level: int, *, held: bool = False) -> bool:
    return rows(cluster) == {LevelRow(level, held)}


def run_until_at(cluster: SimulatedCluster, level: int, *, held: bool = False) -> None:
    assert cluster.scheduler.run_until(lambda: is_at(cluster, level, held=held), within_s=LONG_S), (
        rows(cluster)
    )


def replace_by_0_1(machine: Machine) -> None:
    """The member of 0.1 that answers GET /members without our header, and knows no levels."""
    process: MemberProcess = machine.running
    process.offer = lambda: SILENCE  # type: ignore[method-assign]
    process.member.maintenance.upgrade._asking = True  # as a leader it asks nobody, either


def ask(cluster: SimulatedCluster, what: str) -> RaftKVError | None:
    told: list[RaftKVError | None] = []
    upgrade = cluster.wait_for_leader().running.member.maintenance.upgrade
    getattr(upgrade, what)(told.append)
    assert cluster.scheduler.run_until(lambda: bool(told), within_s=LONG_S)
    return told[0]


def may_be_replaced(cluster: SimulatedCluster) -> bool:
    """By 0.1: the lowering entry is durable in every database."""
    return all(p.member.status().downgrade_version == "0.1" for p in cluster.running)


def restart(machine: Machine) -> None:
    machine.kill()
    assert machine.start(), machine.failure


def test_a_new_cluster_rises_by_itself(cluster: SimulatedCluster) -> None:
    """All members run this version: nobody has to ask."""
    cluster.start_all()
    run_until_at(cluster, LEVEL_0_2)


def test_one_member_of_the_version_before_holds_it_down(cluster: SimulatedCluster) -> None:
    """It could not apply the entry. Once it runs this version too, the cluster rises."""
    cluster.start_all()
    replace_by_0_1(cluster.machines[2])
    cluster.wait_for_leader()
    cluster.scheduler.run_for(LONG_S)
    assert is_at(cluster, LEVEL_0_1)
    restart(cluster.machines[2])
    run_until_at(cluster, LEVEL_0_2)


def test_a_member_that_is_silent_holds_it_down(cluster: SimulatedCluster) -> None:
    """Nobody knows what it runs: silence is not agreement."""
    for machine in cluster.machines[:2]:
        assert machine.start()
    cluster.wait_for_leader()
    cluster.scheduler.run_for(LONG_S)
    assert is_at(cluster, LEVEL_0_1)
    assert cluster.machines[2].start()
    run_until_at(cluster, LEVEL_0_2)


def test_a_downgrade_is_held_until_every_member_was_restarted(cluster: SimulatedCluster) -> None:
    """Each member may be replaced once its database has the entry; nobody raises the level while
    one of them is what it was, and a cluster that was restarted as it was rises again."""
    cluster.start_all()
    run_until_at(cluster, LEVEL_0_2)
    assert ask(cluster, "lower") is None
    run_until_at(cluster, LEVEL_0_1, held=True)
    assert cluster.scheduler.run_until(lambda: may_be_replaced(cluster), within_s=LONG_S)
    cluster.scheduler.run_for(LONG_S)
    assert is_at(cluster, LEVEL_0_1, held=True)
    for machine in cluster.machines:
        assert is_at(cluster, LEVEL_0_1, held=True)
        restart(machine)
    run_until_at(cluster, LEVEL_0_2)


def test_the_way_down_and_up_again(cluster: SimulatedCluster) -> None:
    """All members become 0.1 and one after the other this version: only the last one raises."""
    cluster.start_all()
    run_until_at(cluster, LEVEL_0_2)
    assert ask(cluster, "lower") is None
    assert cluster.scheduler.run_until(lambda: may_be_replaced(cluster), within_s=LONG_S)
    for machine in cluster.machines:
        restart(machine)
        replace_by_0_1(machine)
    cluster.wait_for_leader()
    for machine in cluster.machines:
        cluster.scheduler.run_for(LONG_S / 3)
        assert is_at(cluster, LEVEL_0_1, held=True)
        restart(machine)
    run_until_at(cluster, LEVEL_0_2)


def test_a_downgrade_can_be_cancelled(cluster: SimulatedCluster) -> None:
    """The level rises again; a second one at once is refused, one without need is no error."""
    cluster.start_all()
    run_until_at(cluster, LEVEL_0_2)
    assert ask(cluster, "cancel") is None
    assert ask(cluster, "lower") is None
    run_until_at(cluster, LEVEL_0_1, held=True)
    with pytest.raises(DowngradeInProcess, match=r"0\.1"):
        ask(cluster, "lower")
    assert ask(cluster, "cancel") is None
    run_until_at(cluster, LEVEL_0_2)


def test_nothing_of_levels_enters_the_log_beside_0_1(cluster: SimulatedCluster) -> None:
    """It could not apply the entry that lowers the level, nor the one that cancels that."""
    cluster.start_all()
    run_until_at(cluster, LEVEL_0_2)
    other = next(each for each in cluster.machines if each is not cluster.leader())
    replace_by_0_1(other)
    assert isinstance(ask(cluster, "lower"), NotCapable)
    other.kill()
    assert isinstance(ask(cluster, "lower"), Unavailable)
    assert is_at(cluster, LEVEL_0_2)


def test_the_header_is_read_as_it_is_written() -> None:
    """And what makes no sense offers nothing."""
    assert Offer.decode(Offer(1, 0, 1).encode()) == Offer(1, 0, 1)
    for text in ("", "1", "1 1 1 1", "a b c", "-1 0 0", HEADER):
        assert Offer.decode(text) == SILENCE


def test_an_older_version_is_told_before_it_joins() -> None:
    """The cluster's level is one that this version does not know."""
    me, other = MemberInfo(1, "", ("http://a:1",), ()), MemberInfo(2, "b", ("http://b:1",), ())
    config = ServerConfig(
        name="a",
        initial_cluster={"a": ("http://a:1",), "b": ("http://b:1",)},
        initial_cluster_state="existing",
    )
    view = ClusterView(7, True, (me, other), frozenset({2}), Offer(9, 9, 9))
    with pytest.raises(Exception, match="not older"):
        judge_existing(config, {"b": view})
