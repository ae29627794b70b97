"""What scenarios of mistakes with members share: a cluster, what an operator does, what came of it.

A scenario makes a mistake on a cluster and asserts the refusal, or what came of it; then the
cluster has to take writes, and still has to when the mistake is undone, where it can be. Each of
mistakes_*.py has one noun, and test_server_membership_mistakes.py runs them all.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.errors import RaftKVError
from raftkv.server.change_request import ChangeKind, ChangeRequest
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine
from tests.server.growing_cluster import (
    ask,
    follower_of,
    leader_of,
    outcome_of,
    remove,
)

Scenario = Callable[[], SimulatedCluster]
NOWHERE = ("http://nowhere:2380",)
NOTICED_S = 2.0
"""Virtual: after it the leader knows who does not answer."""


class Mistakes:
    """The scenarios of one file: it decorates them."""

    def __init__(self) -> None:
        self.scenarios: list[Scenario] = []

    def __call__(self, scenario: Scenario) -> Scenario:
        self.scenarios.append(scenario)
        return scenario


def added(cluster: SimulatedCluster, urls: tuple[str, ...]) -> object:
    """The outcome of a plain `member add`."""
    return ask(cluster, ChangeRequest(ChangeKind.JOIN, peer_urls=urls))


def updated(cluster: SimulatedCluster, machine: Machine, urls: tuple[str, ...]) -> object:
    return ask(cluster, ChangeRequest(ChangeKind.UPDATE, machine.member_id, urls))


def withdrawn(cluster: SimulatedCluster, row: object) -> None:
    assert isinstance(row, MemberInfo), row
    assert isinstance(remove(cluster, row.id), MemberInfo)
    assert row.id not in {one.id for one in leader_of(cluster).running.member.members()}


def down(cluster: SimulatedCluster, count: int = 1) -> None:
    """So many followers lose their power, and the leader has noticed."""
    for _ in range(count):
        follower_of(cluster).kill()
    cluster.scheduler.run_for(NOTICED_S)


def promoted(cluster: SimulatedCluster, member_id: int) -> object:
    leader = leader_of(cluster).running.member
    try:
        return outcome_of(cluster, lambda done: leader.promote_member(member_id, done))
    except RaftKVError as refusal:
        return refusal
