"""A simulated cluster whose members come and go, and what an operator asks of it.

Owns: the requests, as the services make them, and the waits. Must never do: judge.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.apply.level import OWN_LEVEL
from raftkv.errors import RaftKVError
from raftkv.server.change_request import ChangeKind, ChangeRequest, Review
from raftkv.server.config import Limits
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine

Changed = Callable[[object], None]
LIMITS = Limits(catchup_entries=5, backend_commit_interval_s=0.2, wal_segment_bytes=1 << 18)
"""Small: what is written is in memory."""


def cluster_of(size: int, seed: int = 1, *, auto_promote: str = "added") -> SimulatedCluster:
    """All started, and at this version's level."""
    cluster = SimulatedCluster(size=size, seed=seed, snapshot_count=10, limits=LIMITS)
    cluster.reconfigure(auto_promote_learners=auto_promote)
    cluster.start_all()
    cluster.wait_for_leader()
    members = cluster.running[0].member.members
    assert cluster.scheduler.run_until(
        lambda: all(row.has_started for row in members()), within_s=20
    )
    assert cluster.scheduler.run_until(
        lambda: all(p.member.level == OWN_LEVEL for p in cluster.running), within_s=20
    )
    return cluster


def outcome_of(
    cluster: SimulatedCluster, ask: Callable[[Callable[[object], None]], None]
) -> object:
    """What became of a change; a refusal at once is raised."""
    got: list[object] = []
    ask(got.append)
    assert cluster.scheduler.run_until(lambda: bool(got), within_s=20)
    return got[0]


def ask(cluster: SimulatedCluster, request: ChangeRequest, *, at: Machine | None = None) -> object:
    """The outcome of a change of members, a refusal at once included."""
    desk = (at or leader_of(cluster)).running.member.membership
    try:
        return outcome_of(cluster, lambda done: desk.change(request, done))
    except RaftKVError as refusal:
        return refusal


def look(cluster: SimulatedCluster, request: ChangeRequest, *, at: Machine | None = None) -> Review:
    """The dry run."""
    desk = (at or leader_of(cluster)).running.member.membership
    review = outcome_of(cluster, lambda done: desk.review(request, done))
    assert isinstance(review, Review), review
    return review


def urls_of(machine: Machine) -> tuple[str, ...]:
    return machine.config.initial_advertise_peer_urls


def add(
    cluster: SimulatedCluster, machine: Machine, *, at: Machine, is_learner: bool = False
) -> MemberInfo:
    """By a plain `member add`, or with --learner."""
    kind = at.running.member.membership.kind_of_addition(is_learner=is_learner)
    row = ask(cluster, ChangeRequest(kind, peer_urls=urls_of(machine)), at=at)
    assert isinstance(row, MemberInfo), row
    return row


def remove(
    cluster: SimulatedCluster, member_id: int, *, at: Machine | None = None, unsafe: bool = False
) -> object:
    request = ChangeRequest(ChangeKind.REMOVE, member_id, is_unsafe=unsafe)
    return ask(cluster, request, at=at)


def leader_of(cluster: SimulatedCluster) -> Machine:
    return cluster.wait_for_leader()


def follower_of(cluster: SimulatedCluster) -> Machine:
    leader = leader_of(cluster)
    return next(m for m in cluster.machines if m is not leader and m.process is not None)


def start_added(cluster: SimulatedCluster, machine: Machine) -> None:
    """As the settings that `member add` printed say; returns once it has published itself."""
    members = leader_of(cluster).running.member.members()
    assert cluster.let_join(machine, members), machine.failure

    def started() -> bool:
        return any(
            row.id == machine.member_id and row.has_started
            for row in leader_of(cluster).running.member.members()
        )

    assert cluster.scheduler.run_until(started, within_s=20)


def wait_for_vote(cluster: SimulatedCluster, machine: Machine, *, within_s: float = 20) -> None:
    def votes() -> bool:
        return machine.process is not None and not machine.running.member.is_learner

    assert cluster.scheduler.run_until(votes, within_s=within_s), machine.name


def join(cluster: SimulatedCluster, *, is_learner: bool = False) -> Machine:
    """A new machine, added through a follower where there is one, started, and with its vote
    unless it is to stay a learner."""
    at = follower_of(cluster) if len(cluster.running) > 1 else leader_of(cluster)
    machine = cluster.add_machine()
    add(cluster, machine, at=at, is_learner=is_learner)
    start_added(cluster, machine)
    if not is_learner:
        wait_for_vote(cluster, machine)
    return machine


def write(cluster: SimulatedCluster, count: int) -> None:
    """So many acknowledged puts through the leader."""
    member = leader_of(cluster).running.member
    answers: list[object] = []
    for number in range(count):
        put = PutRequest(key=b"k%d" % number, value=b"v").SerializeToString()
        member.propose(RequestKind.PUT, put, answers.append)
        assert cluster.scheduler.run_until(lambda n=number: len(answers) > n, within_s=20)
    assert not any(isinstance(answer, RaftKVError) for answer in answers), answers


def voters_of(cluster: SimulatedCluster) -> set[int]:
    return set(leader_of(cluster).running.member.node.status().conf_state.voters)


def same_everywhere(cluster: SimulatedCluster) -> None:
    cluster.settle(within_s=60)
    assert len({m.member.store.hash_kv(0) for m in cluster.running}) == 1
    assert len({tuple(m.member.members()) for m in cluster.running}) == 1
