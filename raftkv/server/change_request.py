"""What is asked for when members change, and what the leader finds when it looks at it.

Owns: ChangeRequest and Review, and their bytes in REVIEW_ASK and REVIEW_ANSWER. Must never do:
judge (``reviewer``) or carry out (``membership_desk``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from raftkv.errors import (
    ChangePending,
    MemberNotFound,
    NotEnoughStartedMembers,
    PeerUrlRefused,
    RaftKVError,
    UnhealthyCluster,
)


class ChangeKind(Enum):
    """Values travel between members."""

    ADD = "add"
    """A voter at once, as etcd adds one."""
    JOIN = "join"
    """A learner that gets its vote once it has caught up."""
    ADD_LEARNER = "add learner"
    REMOVE = "remove"
    REPLACE = "replace"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """``member_id``: who is removed, replaced or updated. ``is_unsafe``: the operator has said that
    neither the quorum nor what answers at the URLs is to be looked at. ``number``: of whoever will
    make the change at once if it may, 0 for who only wants to know."""

    kind: ChangeKind
    member_id: int = 0
    peer_urls: tuple[str, ...] = ()
    is_unsafe: bool = False
    number: int = 0

    def encode(self) -> bytes:
        urls = list(self.peer_urls)
        fields = [self.kind.value, self.member_id, urls, self.is_unsafe, self.number]
        return json.dumps(fields).encode()

    @staticmethod
    def decode(data: bytes) -> ChangeRequest | None:
        """None for what no member asks."""
        try:
            kind, member_id, urls, is_unsafe, number = json.loads(data)
            urls = tuple(map(str, urls))
            numbers = int(member_id), int(number)
            return ChangeRequest(ChangeKind(kind), numbers[0], urls, bool(is_unsafe), numbers[1])
        except (ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Quorum:
    """Ids of the voters, and of those among them that answer. 0 is a member that has no id yet."""

    voters: tuple[int, ...]
    reachable: tuple[int, ...]

    @property
    def needed(self) -> int:
        return len(self.voters) // 2 + 1

    @property
    def is_there(self) -> bool:
        return len(self.reachable) >= self.needed


_REFUSALS: dict[str, type[RaftKVError]] = {
    kind.__name__: kind
    for kind in (
        ChangePending,
        MemberNotFound,
        NotEnoughStartedMembers,
        PeerUrlRefused,
        UnhealthyCluster,
    )
}


@dataclass(frozen=True, slots=True)
class Review:
    """``refusal`` is None for a change that may be made. ``notes``: what was found, in words."""

    before: Quorum
    after: Quorum
    notes: tuple[str, ...] = ()
    refusal: RaftKVError | None = None

    def encode(self) -> bytes:
        refusal = self.refusal
        fields = {
            "before": [self.before.voters, self.before.reachable],
            "after": [self.after.voters, self.after.reachable],
            "notes": self.notes,
            "refusal": None if refusal is None else [type(refusal).__name__, str(refusal)],
        }
        return json.dumps(fields).encode()

    @staticmethod
    def decode(data: bytes) -> Review | None:
        """None for what no leader says."""
        try:
            fields = json.loads(data)
            refusal = None
            if fields["refusal"] is not None:
                name, text = fields["refusal"]
                refusal = _REFUSALS.get(str(name), RaftKVError)(str(text))
            notes = tuple(map(str, fields["notes"]))
            return Review(_quorum(fields["before"]), _quorum(fields["after"]), notes, refusal)
        except (ValueError, KeyError, TypeError):
            return None


def _quorum(pair: Sequence[Sequence[int]]) -> Quorum:
    voters, reachable = pair
    return Quorum(tuple(map(int, voters)), tuple(map(int, reachable)))
