"""A node of the core as others may look at it.

Owns: Status. Must never do: give away anything that could be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raftkv.raft.core import Core
from raftkv.raft.message import ConfState, Role
from raftkv.raft.progress import ProgressState


@dataclass(frozen=True, slots=True)
class MemberProgress:
    match: int
    next: int
    state: ProgressState
    recent_active: bool
    is_learner: bool


@dataclass(frozen=True, slots=True)
class Status:
    """``progress`` is empty on all but a leader."""

    id: int
    term: int
    vote: int
    commit: int
    applied: int
    first_index: int
    last_index: int
    leader_id: int
    role: Role
    conf_state: ConfState
    progress: Mapping[int, MemberProgress]


def status_of(core: Core) -> Status:
    progress = {}
    if core.role is Role.LEADER:
        progress = {
            node: MemberProgress(p.match, p.next, p.state, p.recent_active, p.is_learner)
            for node, p in core.progress.items()
        }
    return Status(
        id=core.id,
        term=core.term,
        vote=core.vote,
        commit=core.log.committed,
        applied=core.log.applied,
        first_index=core.log.first_index,
        last_index=core.log.last_index,
        leader_id=core.leader_id,
        role=core.role,
        conf_state=core.membership.state,
        progress=progress,
    )
