"""Which part of a follower's log is in memory: for an owner that cannot apply entries for long.

Owns: letting go of entries that the disk has, and taking them back. Must never do: let go of what
others may ask a node for, which is to say on any but a follower that may not stand.
"""

from __future__ import annotations

from collections.abc import Sequence

from raftkv.raft.core import Core
from raftkv.raft.message import NO_NODE, Entry, Role, SnapshotMeta


class LogMemory:
    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def hears_leader(self) -> bool:
        """Whether another node leads and was heard within the election timeout. Who may not stand
        knows a dead leader by this alone: it keeps its id."""
        core = self._core
        is_recent = core.election_elapsed < core.config.election_timeout_ticks
        return core.leader_id not in (NO_NODE, core.id) and is_recent

    def shed(self, index: int) -> None:
        """Forget log entries up to ``index``, which were handed out and are durable, although they
        are not applied. The node must not be electable until ``take_back``, or until they are."""
        core = self._core
        assert core.role is Role.FOLLOWER, (core.role, index)
        assert not core.is_electable, "a leader needs what others may ask it for"
        core.log.shed(index)

    def take_back(self, after: SnapshotMeta, entries: Sequence[Entry]) -> None:
        """The entries that were shed, as far as they come behind ``after``."""
        self._core.log.take_back(after, entries)
