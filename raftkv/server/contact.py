"""Who answers the leader: the evidence that changes of members are judged by.

Owns: when each member's last answer came, as the leader's Raft has seen it. Must never do: count a
link that is merely open: a process that stands still keeps its connections, and gives no votes.
"""

from __future__ import annotations

from raftkv.raft.raw_node import RawNode


class Contact:
    """Raft notes that a member answered, and forgets it once in an election timeout. Who has not
    answered for half of one since is out of reach; a heartbeat asks all of them much more often."""

    def __init__(self, node: RawNode, election_timeout_s: float) -> None:
        self._node = node
        self._patience_s = election_timeout_s / 2
        self._term = 0
        self._heard: dict[int, float] = {}

    def note(self, now: float) -> None:
        """Once a tick of the member, whether it leads or not, and before a question."""
        status = self._node.status()
        if status.term != self._term or not status.progress:
            self._term, self._heard = status.term, {}
        for member, progress in status.progress.items():
            if progress.recent_active:
                self._heard[member] = now

    def silent_s(self, member: int, now: float) -> float | None:
        """For how long ``member`` has been out of reach; 0 while it answers, None if it never
        did in this term."""
        if member == self._node.id:
            return 0.0
        heard = self._heard.get(member)
        if heard is None:
            return None
        return 0.0 if now - heard <= self._patience_s else now - heard

    def reaches(self, member: int, now: float) -> bool:
        return self.silent_s(member, now) == 0.0
