"""What a leader knows of one other member, and how much it may send it.

Owns: match and next index, the three ways of sending (probe, replicate, snapshot), and the
bounded window of unacknowledged messages. Must never do: send, or let match go back: messages
are reordered and repeated (paper, 5.3; etcd's raft names the states).
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum


class ProgressState(IntEnum):
    PROBE = 0  # one message at a time until we know where the logs agree
    REPLICATE = 1  # a window of messages, sent ahead
    SNAPSHOT = 2  # nothing until the snapshot has arrived or failed


class Inflights:
    """MsgApps sent and not acknowledged, as (last index, bytes), oldest first."""

    __slots__ = ("_bytes", "_bytes_max", "_messages", "_messages_max")

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._messages: deque[tuple[int, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        return len(self._messages) >= self._messages_max or self._bytes >= self._bytes_max

    def add(self, last_index: int, size: int) -> None:
        assert not self.is_full, (len(self._messages), self._messages_max, self._bytes)
        self._messages.append((last_index, size))
        self._bytes += size

    def free_to(self, index: int) -> None:
        """Everything up to ``index`` was acknowledged."""
        while self._messages and self._messages[0][0] <= index:
            self._bytes -= self._messages.popleft()[1]

    def free_first(self) -> None:
        if self._messages:
            self.free_to(self._messages[0][0])

    def clear(self) -> None:
        self._messages.clear()
        self._bytes = 0


class Progress:
    """Invariant: match < next. ``match`` is durable there; ``next`` is what we would send."""

    __slots__ = (
        "inflights",
        "is_learner",
        "match",
        "next",
        "paused",
        "pending_snapshot",
        "recent_active",
        "state",
    )

    def __init__(
        self, *, match: int, next_index: int, inflights: Inflights, is_learner: bool
    ) -> None:
        self.match = match
        self.next = next_index
        self.state = ProgressState.PROBE
        self.pending_snapshot = 0
        self.paused = False  # in PROBE: a message is out; in REPLICATE: the window is full
        self.recent_active = False
        self.is_learner = is_learner
        self.inflights = inflights

    @property
    def is_paused(self) -> bool:
        return self.state is ProgressState.SNAPSHOT or self.paused

    def become_probe(self) -> None:
        # After a snapshot the follower has at least its index, whatever it acknowledged before.
        floor = self.pending_snapshot if self.state is ProgressState.SNAPSHOT else 0
        self._enter(ProgressState.PROBE)
        self.next = max(self.match, floor) + 1

    def become_replicate(self) -> None:
        self._enter(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        self._enter(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        self.next = max(self.match, index) + 1

    def sent(self, last_index: int, count: int, size: int) -> None:
        """A MsgApp of ``count`` entries up to ``last_index`` left."""
        if self.state is ProgressState.REPLICATE:
            if count:
                self.next = last_index + 1
                self.inflights.add(last_index, size)
            self.paused = self.inflights.is_full
        else:
            assert self.state is ProgressState.PROBE, self.state
            self.paused = True

    def acknowledged(self, index: int) -> bool:
        """The member has everything up to ``index``; False if that is no news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.paused = False
        return True

    def rejected(self, index: int, hint: int) -> bool:
        """The member does not agree at ``index`` and would at ``hint``; False if that is old."""
        if self.state is ProgressState.REPLICATE:
            if index <= self.match:
                return False
            self.next = self.match + 1
            return True
        if self.next - 1 != index:
            return False
        self.next = max(min(index, hint + 1), self.match + 1)
        self.paused = False
        return True

    def _enter(self, state: ProgressState) -> None:
        self.paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.clear()
