"""How long a member waits for a leader before it says so to streams that ask for one."""

from __future__ import annotations

from pathlib import Path

from raftkv.server.leader_loss import ELECTION_TIMEOUTS, LeaderLoss
from raftkv.simulation.cluster import SimulatedCluster


def test_a_member_cut_off_tells_after_three_election_timeouts(tmp_path: Path) -> None:
    """From the moment that it knows of no leader; one that stays connected tells nobody."""
    cluster = SimulatedCluster(tmp_path, seed=7)
    cluster.start_all()
    leader = cluster.wait_for_leader()
    cluster.settle()
    alone, other = [each for each in cluster.machines if each is not leader]
    told: list[str] = []
    alone.running.member.leader_loss.tell(lambda: told.append("alone"))
    other.running.member.leader_loss.tell(lambda: told.append("other"))
    cluster.network.isolate(alone.running.member.member_id)
    member = alone.running.member
    assert cluster.scheduler.run_until(lambda: member.leader_id == 0, within_s=20)
    lost_at = cluster.scheduler.now()
    assert cluster.scheduler.run_until(lambda: bool(told), within_s=20)
    patience_s = ELECTION_TIMEOUTS * member.config.election_timeout_ms / 1000
    tick_s = member.config.heartbeat_interval_ms / 1000
    assert abs(cluster.scheduler.now() - lost_at - patience_s) <= tick_s
    assert told == ["alone"]
    cluster.stop_all()


def test_who_is_told_is_told_once_and_may_be_forgotten() -> None:
    """Being told does not wait for another loss, and a leader in between starts the count anew."""
    loss = LeaderLoss(2)
    told: list[int] = []
    first, second = (lambda: told.append(1)), (lambda: told.append(2))
    loss.tell(first)
    loss.tell(second)
    loss.forget(second)
    for leader_id in (0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0):
        loss.tick(leader_id)
    assert told == []
    for _ in range(5):
        loss.tick(0)
    assert told == [1]
    assert not loss.waiting
