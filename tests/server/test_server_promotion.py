"""Learners that get their vote by themselves: when, and never before."""

from __future__ import annotations

from random import Random

import pytest

from raftkv.apply.membership import MemberInfo
from raftkv.errors import RaftKVError
from raftkv.raft.message import ConfState, Role
from raftkv.raft.progress import ProgressState
from raftkv.raft.status import MemberProgress, Status
from raftkv.server.change_request import ChangeKind, ChangeRequest, Quorum, Review
from raftkv.server.promotion import LAG_MAX_S, READY_SHARE, STEADY_S, Promotion
from raftkv.simulation.cluster import SimulatedCluster
from tests.server.growing_cluster import (
    LIMITS,
    add,
    ask,
    cluster_of,
    follower_of,
    join,
    leader_of,
    start_added,
    urls_of,
    voters_of,
    wait_for_vote,
    write,
)

CAUGHT_UP_TO_VOTE_S = 10.0
TICK_S = 0.1
ELECTION_TIMEOUT_S = 1.0


def test_a_member_votes_soon_after_it_has_caught_up() -> None:
    """Nobody does anything after the start; of this, the wait is the steady second."""
    cluster = cluster_of(3)
    write(cluster, 30)
    machine = cluster.add_machine()
    add(cluster, machine, at=follower_of(cluster))
    assert machine.member_id not in voters_of(cluster)
    start_added(cluster, machine)
    caught_up = cluster.scheduler.now()
    wait_for_vote(cluster, machine, within_s=CAUGHT_UP_TO_VOTE_S)
    assert STEADY_S <= cluster.scheduler.now() - caught_up <= CAUGHT_UP_TO_VOTE_S
    assert voters_of(cluster) == {m.member_id for m in cluster.machines}


def hindrance(cluster: SimulatedCluster, member_id: int) -> str:
    return leader_of(cluster).running.member.membership.promotion.hindrance(member_id)


@pytest.mark.parametrize(
    ("trouble", "pause_s", "reason"),
    [
        ("stands still", 0.1, "it does not answer"),
        ("is cut off", 0.1, "it does not answer"),
        ("has a slow disk", 0.1, "it acknowledges slowly"),
        ("has a slow disk", 4.0, "it acknowledges slowly"),
    ],
)
def test_a_learner_in_trouble_has_to_wait(trouble: str, pause_s: float, reason: str) -> None:
    """It has started; it is promoted when the trouble is over. With few writes a slow disk is in
    step most of the time, and gives itself away by how long it takes to be."""
    cluster = cluster_of(1)
    write(cluster, 100)
    machine = cluster.add_machine()
    add(cluster, machine, at=leader_of(cluster))
    start_added(cluster, machine)
    cluster.settle()
    network, me, leader = cluster.network, machine.member_id, leader_of(cluster).member_id
    if trouble == "stands still":
        machine.pause()
    elif trouble == "is cut off":
        network.cut |= {(me, leader), (leader, me)}
    else:
        machine.disk_latency_s = (1.6, 2.0)
    reasons = set()
    for _ in range(40):
        write(cluster, 1)
        for _ in range(max(1, int(pause_s / 0.5))):
            cluster.scheduler.run_for(min(pause_s, 0.5))
            reasons.add(hindrance(cluster, me).partition(":")[0])
            assert me not in voters_of(cluster)
    assert reason in reasons, reasons
    if trouble == "stands still":
        machine.resume()
    network.cut.clear()
    machine.disk_latency_s = (0.0001, 0.001)
    wait_for_vote(cluster, machine)


def test_who_asks_for_a_learner_has_one() -> None:
    """As of etcd: it waits for `member promote`, however long it has been in step."""
    cluster = cluster_of(1)
    learner = join(cluster, is_learner=True)
    cluster.scheduler.run_for(30.0)
    assert learner.running.member.is_learner


def test_all_learners_may_be_promoted_but_those_that_are_to_stay() -> None:
    """--auto-promote-learners=all, and --stay-learner."""
    cluster = cluster_of(1, auto_promote="all")
    learner = cluster.add_machine()
    add(cluster, learner, at=leader_of(cluster), is_learner=True)
    start_added(cluster, learner)
    wait_for_vote(cluster, learner)
    observer = cluster.add_machine()
    desk = leader_of(cluster).running.member.membership
    kind = desk.kind_of_addition(is_learner=True, stays=True)
    assert kind is ChangeKind.ADD_LEARNER
    assert isinstance(ask(cluster, ChangeRequest(kind, peer_urls=urls_of(observer))), MemberInfo)
    start_added(cluster, observer)
    cluster.scheduler.run_for(30.0)
    assert observer.running.member.is_learner


def test_before_all_members_know_it_an_add_is_a_vote_at_once() -> None:
    """A leader of version 0.1.0 would promote nobody."""
    cluster = SimulatedCluster(size=1, limits=LIMITS)
    cluster.start_all()
    desk = cluster.wait_for_leader().running.member.membership
    assert cluster.running[0].member.level == 0
    assert desk.kind_of_addition(is_learner=False) is ChangeKind.ADD


def test_a_new_leader_goes_on_with_the_promotion() -> None:
    """That somebody is joining stands in the row, not in a leader's memory."""
    cluster = cluster_of(3)
    machine = cluster.add_machine()
    add(cluster, machine, at=leader_of(cluster))
    leader_of(cluster).kill()
    cluster.wait_for_leader()
    cluster.settle()
    start_added(cluster, machine)
    wait_for_vote(cluster, machine)
    write(cluster, 3)


def test_a_member_is_replaced_in_the_change_that_gives_the_new_one_its_vote() -> None:
    """Even the only one, which leads: there are as many voters at any time."""
    cluster = cluster_of(1)
    write(cluster, 20)
    old = leader_of(cluster)
    new = cluster.add_machine()
    request = ChangeRequest(ChangeKind.REPLACE, old.member_id, urls_of(new))
    row = ask(cluster, request)
    assert isinstance(row, MemberInfo)
    assert row.replaces == old.member_id
    twice = ask(cluster, ChangeRequest(ChangeKind.REPLACE, old.member_id, ("http://other:1",)))
    assert isinstance(twice, RaftKVError)
    assert "is to replace" in str(twice)
    start_added(cluster, new)
    assert cluster.scheduler.run_until(lambda: old.process is None, within_s=20)
    assert voters_of(cluster) == {new.member_id}
    write(cluster, 3)
    assert new.running.member.store.current_revision == 24


# --- the rule alone, over any course of a learner -------------------------------------------------


class Leader:
    """What ``Promotion`` sees of a leader with one learner: the test moves it."""

    def __init__(self) -> None:
        self.last = 1
        self.match = 0
        self.answers = True
        self.promoted = False
        self.time = 0.0
        row = MemberInfo(2, "new", ("http://n:1",), (), is_learner=True, is_joining=True)
        self.promotion = Promotion(
            status=self.status,
            members=lambda: [row],
            contact=self,  # type: ignore[arg-type]
            reviewer=self,  # type: ignore[arg-type]
            promote=lambda row, done: setattr(self, "promoted", True),
            scheduler=self,  # type: ignore[arg-type]
            election_timeout_s=ELECTION_TIMEOUT_S,
        )

    def status(self) -> Status:
        replicate = ProgressState.REPLICATE
        progress = {
            1: MemberProgress(self.last, self.last + 1, replicate, True, False),
            2: MemberProgress(self.match, self.match + 1, replicate, True, True),
        }
        state = ConfState(voters=(1,), learners=(2,))
        return Status(1, 1, 1, self.last, self.last, 1, self.last, 1, Role.LEADER, state, progress)

    def reaches(self, member: int, now: float) -> bool:
        return self.answers

    def promotable(self, row: MemberInfo, now: float) -> Review:
        alone = Quorum((1,), (1,))
        return Review(alone, alone)


@pytest.mark.parametrize("seed", range(200))
def test_no_course_of_a_learner_gets_it_promoted_while_it_is_behind(seed: int) -> None:
    """Writes, acknowledgements and silences by chance: whenever it is promoted, it has had all
    that is older than a second for a second, and nine tenths of the log."""
    random, leader = Random(seed), Leader()
    rate, pace, breaks = random.choice((0, 3, 50)), random.uniform(0.5, 3.0), random.random() / 10
    past: list[tuple[float, int, int, bool]] = []
    for number in range(300):
        leader.time = number * TICK_S
        leader.last += random.randint(0, rate)
        if leader.answers:
            leader.match = min(leader.last, leader.match + int(rate * pace) + 1)
        leader.answers = leader.answers != (random.random() < breaks)
        past.append((leader.time, leader.last, leader.match, leader.answers))
        leader.promotion.tick(leader.time)
        if leader.promoted:
            break
    if not leader.promoted:
        return
    for time, last, match, answered in past:
        if time > leader.time - STEADY_S + TICK_S / 2:
            older = [end for at, end, _, _ in past if at <= time - LAG_MAX_S - TICK_S]
            assert match >= max(older, default=0), (time, match, older[-1:])
            assert match >= READY_SHARE * last
            assert answered


def test_most_courses_end_with_a_vote() -> None:
    """The test above would pass without any."""
    leader = Leader()
    for number in range(100):
        leader.last += 5
        leader.match = leader.last
        leader.promotion.tick(number * TICK_S)
        if leader.promoted:
            assert STEADY_S <= number * TICK_S <= LAG_MAX_S + STEADY_S + 3 * TICK_S
            return
    pytest.fail("never promoted")
