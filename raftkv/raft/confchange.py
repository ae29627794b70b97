"""Who votes, who learns, and how that changes.

Owns: Membership (the configuration in force) and the rules of changing it: one step at a time, or
several through joint consensus (paper, 6; thesis, 4.3; etcd's confchange). Must never do: know of
progress, elections or the network. A change that makes no sense raises InvalidConfChange and
changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from raftkv.raft.message import NO_NODE, ConfChange, ConfChangeType, ConfState
from raftkv.raft.quorum import JointConfig

_HEAD = struct.Struct(">BHI")
_STEP = struct.Struct(">BQ")


class InvalidConfChange(Exception):
    """The change cannot follow from the configuration in force."""


@dataclass(frozen=True, slots=True)
class Membership:
    """``learners_next`` are outgoing voters that become learners when the joint state is left."""

    config: JointConfig = field(default_factory=JointConfig)
    learners: frozenset[int] = frozenset()
    learners_next: frozenset[int] = frozenset()
    auto_leave: bool = False

    @staticmethod
    def of(state: ConfState) -> Membership:
        return Membership(
            JointConfig(frozenset(state.voters), frozenset(state.voters_outgoing)),
            frozenset(state.learners),
            frozenset(state.learners_next),
            state.auto_leave,
        )

    @property
    def state(self) -> ConfState:
        return ConfState(
            voters=tuple(sorted(self.config.incoming)),
            learners=tuple(sorted(self.learners)),
            voters_outgoing=tuple(sorted(self.config.outgoing)),
            learners_next=tuple(sorted(self.learners_next)),
            auto_leave=self.auto_leave,
        )

    @property
    def is_joint(self) -> bool:
        return bool(self.config.outgoing)

    @property
    def members(self) -> frozenset[int]:
        return self.config.voters | self.learners

    def changed(self, change: ConfChange) -> Membership:
        """The configuration after ``change``. Raises InvalidConfChange."""
        if not change.steps:
            return self._leave_joint()
        if self.is_joint:
            raise InvalidConfChange("a joint configuration must be left first")
        if len(change.steps) == 1 and not change.explicit_joint:
            return self._checked(self._stepped(change.steps))
        joint = replace(
            self,
            config=JointConfig(self.config.incoming, self.config.incoming),
            auto_leave=not change.explicit_joint,
        )
        return self._checked(joint._stepped(change.steps))

    def _leave_joint(self) -> Membership:
        if not self.is_joint:
            raise InvalidConfChange("there is no joint configuration to leave")
        return self._checked(
            Membership(
                JointConfig(self.config.incoming, frozenset()), self.learners | self.learners_next
            )
        )

    def _stepped(self, steps: Sequence[tuple[ConfChangeType, int]]) -> Membership:
        voters, learners = set(self.config.incoming), set(self.learners)
        learners_next = set(self.learners_next)
        for kind, node in steps:
            if node == NO_NODE:
                raise InvalidConfChange("id 0 means nobody")
            voters.discard(node)
            learners.discard(node)
            learners_next.discard(node)
            if kind is ConfChangeType.ADD_VOTER:
                voters.add(node)
            elif kind is ConfChangeType.ADD_LEARNER:
                # Who still votes in the outgoing half cannot be a learner yet.
                (learners_next if node in self.config.outgoing else learners).add(node)
        return replace(
            self,
            config=JointConfig(frozenset(voters), self.config.outgoing),
            learners=frozenset(learners),
            learners_next=frozenset(learners_next),
        )

    @staticmethod
    def _checked(after: Membership) -> Membership:
        if not after.config.incoming:
            raise InvalidConfChange("the change would leave no voter")
        assert not after.config.voters & after.learners, after
        assert after.learners_next <= after.config.outgoing, after
        return after


def encode_conf_change(change: ConfChange) -> bytes:
    """The data of a CONF_CHANGE entry."""
    head = _HEAD.pack(change.explicit_joint, len(change.steps), len(change.context))
    steps = b"".join(_STEP.pack(kind, node) for kind, node in change.steps)
    return head + steps + change.context


def decode_conf_change(data: bytes) -> ConfChange:
    """Raises InvalidConfChange for bytes that ``encode_conf_change`` did not make."""
    try:
        explicit, count, context_size = _HEAD.unpack_from(data)
        at = _HEAD.size
        steps = []
        for _ in range(count):
            kind, node = _STEP.unpack_from(data, at)
            at += _STEP.size
            steps.append((ConfChangeType(kind), node))
    except (struct.error, ValueError) as e:
        raise InvalidConfChange(f"not a membership change: {e}") from e
    if at + context_size != len(data):
        raise InvalidConfChange(f"{len(data)} bytes, but its fields take {at + context_size}")
    return ConfChange(tuple(steps), data[at:], explicit_joint=bool(explicit))
