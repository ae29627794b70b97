"""What the key space holds up to a revision, counted from its records in steps.

Owns: Measurement, by which a cluster that began to count (``ledger``) learns what was there before.
Must never do: run on while a compaction is removing records, or has been scheduled since.
"""

from __future__ import annotations

from itertools import islice

from raftkv.mvcc.history import History
from raftkv.mvcc.ledger import charge
from raftkv.mvcc.record import NOWHERE, Position


class Measurement:
    """``compacted`` is that of a store that has removed all it has given up."""

    def __init__(self, history: History, revision: int, compacted: int) -> None:
        self._history = history
        self.revision = revision
        self.compacted = compacted
        self._next: Position = NOWHERE
        self._written = 0
        self.superseded = 0

    @property
    def live(self) -> int:
        return 2 * self._written - self.superseded

    def step(self, records_max: int) -> bool:
        """Look at up to ``records_max`` records; True when done."""
        walk = self._history.scan_from(self._next, self.revision + 1)
        batch = list(islice(walk, records_max))
        for position, record in batch:
            if record.is_tombstone and position[0] <= self.compacted:
                continue  # given up; it is there for watchers that start at the compaction
            size = charge(len(record.key_value))
            self._written += size
            if record.is_tombstone:
                self.superseded += size
            before = self._history.get(record.previous) if record.previous != NOWHERE else None
            if before is not None and not before.is_tombstone:
                self.superseded += charge(len(before.key_value))
        if len(batch) < records_max:
            return True
        main, sub = batch[-1][0]
        self._next = (main, sub + 1)
        return False
