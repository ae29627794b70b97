"""Whether the cluster can bear a change of its members: etcd's strict reconfiguration check.

Owns: the arithmetic of etcd's --strict-reconfig-check (etcdserver: mayAddMember, mayRemoveMember,
mayPromoteMember). Must never do: change anything, or know how members are connected: it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raftkv.errors import NotEnoughStartedMembers, UnhealthyCluster
from raftkv.server.status import MemberInfo

HEALTH_INTERVAL_S = 5.0
"""For so long a member must have been connected to count as one that will be there."""

ConnectedFor = Callable[[int], float | None]
"""For how many seconds a member has been connected; None if it is not."""


def check_add(
    members: Sequence[MemberInfo], me: int, connected_for: ConnectedFor, *, is_learner: bool
) -> None:
    """Raises NotEnoughStartedMembers, UnhealthyCluster."""
    voters = _voters(members)
    if not is_learner:
        check_started_for_add(members)
    if len(voters) > 1:
        needed = _quorum(len(voters) + 1)
        connected = _connected(voters, me, connected_for)
        if connected < needed:
            raise UnhealthyCluster(f"{connected} voters are connected, {needed} are needed")


def check_remove(
    members: Sequence[MemberInfo], leaving: int, me: int, connected_for: ConnectedFor
) -> None:
    """Raises NotEnoughStartedMembers, UnhealthyCluster. A learner, or who is away, may go."""
    voters = _voters(members)
    if leaving not in {voter.id for voter in voters}:
        return
    check_started_for_remove(members, leaving)
    rest = [voter for voter in voters if voter.id != leaving]
    if leaving != me and connected_for(leaving) is None:
        return  # it is no part of the quorum that is at work
    connected = _connected(voters, me, connected_for)
    if connected - 1 < _quorum(len(rest)):
        raise UnhealthyCluster(f"{connected} of {len(voters)} voters are connected")


def check_started_for_add(members: Sequence[MemberInfo]) -> None:
    """Raises NotEnoughStartedMembers. Who is joining counts as the voter that it will be, so that
    it is refused when etcd refuses it, and not for longer."""
    voters = [member for member in members if not member.is_learner or member.is_joining]
    started = sum(voter.has_started for voter in voters)
    grows_from_one = len(voters) == 1 and started == 1
    if not grows_from_one and started < _quorum(len(voters) + 1):
        raise NotEnoughStartedMembers(
            f"{started} of {len(voters)} voters have started, one more needs "
            f"{_quorum(len(voters) + 1)}"
        )


def check_started_for_remove(members: Sequence[MemberInfo], leaving: int) -> None:
    """Raises NotEnoughStartedMembers, for a voter."""
    rest = [voter for voter in _voters(members) if voter.id != leaving]
    started = sum(voter.has_started for voter in rest)
    if started < _quorum(len(rest)):
        raise NotEnoughStartedMembers(
            f"without {leaving:x}, {started} of {len(rest)} voters have started"
        )


def check_promote(members: Sequence[MemberInfo], learner: int) -> None:
    """Raises NotEnoughStartedMembers. The learner itself counts as started: it keeps up."""
    voters = [voter for voter in _voters(members) if voter.id != learner]
    started = 1 + sum(voter.has_started for voter in voters)
    if started < _quorum(len(voters) + 1):
        raise NotEnoughStartedMembers(f"{started} of {len(voters) + 1} voters have started")


def _voters(members: Sequence[MemberInfo]) -> list[MemberInfo]:
    return [member for member in members if not member.is_learner]


def _quorum(voters: int) -> int:
    return voters // 2 + 1


def _connected(voters: Sequence[MemberInfo], me: int, connected_for: ConnectedFor) -> int:
    times = (connected_for(voter.id) for voter in voters if voter.id != me)
    long_enough = sum(seconds is not None and seconds >= HEALTH_INTERVAL_S for seconds in times)
    return long_enough + any(voter.id == me for voter in voters)
