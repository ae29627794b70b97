"""Who is told how far a request has come on its way through the log.

Owns: EntryTrace, which the parts of a member ask where one is set. Must never do: anything: what is
made of it is ``raftkv.tracing``'s. Without tracing each part makes one comparison with None, per
batch where it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from raftkv.errors import RaftKVError
from raftkv.raft.message import Entry

Done = Callable[[bytes | RaftKVError], None]
Proceed = Callable[[RaftKVError | None], None]


class EntryTrace(Protocol):
    """All calls are made on the loop's thread, and none may raise."""

    def proposed(self, done: Done) -> Done:
        """A request is queued; what this returns is asked for its answer instead."""

    def reading(self, proceed: Proceed) -> Proceed:
        """The same for a read that waits for its round."""

    def taken(self, sequence: int, dones: Sequence[Done]) -> None:
        """They are one batch, and were handed to Raft."""

    def writing(self, entries: Sequence[Entry]) -> None:
        """This member's log is about to hold them."""

    def written(self, entries: Sequence[Entry]) -> None:
        """They are on its disk."""

    def committed(self, entries: Sequence[Entry]) -> None:
        """They are on a quorum's."""

    def applying(self, sequence: int) -> None:
        """A batch of ours begins to be applied."""
