"""Majorities, of one configuration or of two at once.

Owns: the two questions that a quorum answers: up to which index do enough members agree, and is
a vote won, lost or open. Must never do: hold state. Joint consensus asks both halves (paper, 6).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum

UNLIMITED = 2**63 - 1
"""What an empty configuration agrees to: it must not hold back the other half of a joint one."""


class VoteResult(Enum):
    PENDING = 0
    LOST = 1
    WON = 2


def majority_index(voters: Collection[int], acked: Callable[[int], int]) -> int:
    """The highest index that a majority of ``voters`` has acknowledged."""
    if not voters:
        return UNLIMITED
    indexes = sorted((acked(voter) for voter in voters), reverse=True)
    return indexes[len(indexes) // 2]


def majority_vote(voters: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    if not voters:
        return VoteResult.WON
    granted = sum(votes.get(voter) is True for voter in voters)
    refused = sum(votes.get(voter) is False for voter in voters)
    needed = len(voters) // 2 + 1
    if granted >= needed:
        return VoteResult.WON
    return VoteResult.LOST if len(voters) - refused < needed else VoteResult.PENDING


@dataclass(frozen=True, slots=True)
class JointConfig:
    """``outgoing`` is empty except while one set of voters hands over to the next."""

    incoming: frozenset[int] = frozenset()
    outgoing: frozenset[int] = frozenset()

    @property
    def voters(self) -> frozenset[int]:
        return self.incoming | self.outgoing

    def committed_index(self, acked: Callable[[int], int]) -> int:
        return min(majority_index(self.incoming, acked), majority_index(self.outgoing, acked))

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        halves = (majority_vote(self.incoming, votes), majority_vote(self.outgoing, votes))
        if VoteResult.LOST in halves:
            return VoteResult.LOST
        return VoteResult.PENDING if VoteResult.PENDING in halves else VoteResult.WON

    def has_quorum(self, members: Collection[int]) -> bool:
        return self.vote_result(dict.fromkeys(members, True)) is VoteResult.WON
