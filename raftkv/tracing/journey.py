"""One traced call: when it was where.

Owns: Journey, and the spans that its times make. Must never do: know OpenTelemetry; it is handed a
``Telling``, and tells all spans of a call at once when the answer has left.

    etcdserverpb.KV/Put   the call, from the request to the answer
      propose             in the queue, until Raft has it
      wal                 written to this member's log, and synced
      commit              from Raft's hands to a quorum's disks, as this member learns of it
      apply               the entry that holds it
      reply               until the answer is written to the socket

    etcdserverpb.KV/Range
      linearize           the read round, which requests share
      range               the read itself
      reply
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from raftkv.wire.service import Status

Attributes = dict[str, str | int]


class Telling(Protocol):
    """Where the spans of one call go. Times are seconds of the loop's clock."""

    def child(self, name: str, began: float, ended: float, attributes: Attributes) -> None: ...

    def end(self, ended: float, status: Status, attributes: Attributes) -> None: ...


@dataclass(slots=True, eq=False)
class Journey:
    """A time is None where the call has not been, or not yet."""

    telling: Telling
    began: float
    proposed: float | None = None
    sequence: int = 0
    index: int = 0
    term: int = 0
    wal_began: float | None = None
    wal_ended: float | None = None
    committed: float | None = None
    apply_began: float | None = None
    applied: float | None = None
    round_began: float | None = None
    round_ended: float | None = None
    answered: float | None = None

    def tell(self, ended: float, status: Status) -> None:
        """The answer, or the refusal, has left."""
        entry: Attributes = {"raft.index": self.index, "raft.term": self.term} if self.index else {}
        self._span("propose", self.began, self.proposed, {})
        self._span("wal", self.wal_began, self.wal_ended, entry)
        self._span("commit", self.proposed, self.committed, entry)
        self._span("apply", self.apply_began, self.applied, entry)
        self._span("linearize", self.round_began, self.round_ended, {})
        if self.proposed is None:
            read_began = self.began if self.round_began is None else self.round_ended
            self._span("range", read_began, self.answered, {})
        self._span("reply", self.answered, ended, {})
        self.telling.end(ended, status, entry)

    def _span(
        self, name: str, began: float | None, ended: float | None, attributes: Attributes
    ) -> None:
        if began is not None and ended is not None:
            self.telling.child(name, began, ended, attributes)
