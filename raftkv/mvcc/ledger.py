"""How many bytes the key space holds, counted so that all members agree at every log index.

Owns: the count, its row of META, and the samples by which a compaction knows what it gives up. Must
never do: look at a file, or at how far this member has come with removing what was given up.

    live = current versions, twice (LATEST and REVISIONS), and the history that can be read

Each write adds what it wrote, and notes what it superseded: from the next compaction on nobody may
read that. A compaction at C gives up all that was superseded up to C. How much that is stands in
samples, one per SAMPLE_RECORDS records, and the few records from there to C are looked at: the
count is right at once, however long the removal takes (docs/decisions/0006-quota-in-the-log.md).

``begin`` counts from zero; what was there before is measured by the leader (``measurement``) and
added by ``add_base``. A compaction before ``began`` gives up nothing, by our reckoning: the next
one that reaches it does.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Final

from raftkv.backend.environment import Backend
from raftkv.backend.schema import Meta, Table
from raftkv.errors import Corrupt
from raftkv.mvcc.history import History
from raftkv.mvcc.record import NOWHERE

ROW_BYTES: Final = 64
"""What a row takes beside its KeyValue: LMDB's header, our pointers, its part of a page's room."""
INLINE_BYTES_MAX: Final = 1_960
"""A larger KeyValue has pages of its own."""
PAGE_BYTES: Final = 4_096
"""By which is reckoned, whatever this machine's are."""
SAMPLE_RECORDS: Final = 256
SAMPLES_FORGOTTEN_PER_STEP: Final = 64
UNBOUNDED: Final = 1 << 62
CAREFUL_BYTES: Final = 8 << 20
"""So near to the quota each request is looked at."""
RELIEF_PERCENT: Final = 90
"""A full cluster takes writes again below so much of its quota."""
_REVISION_MAX = (1 << 64) - 1


def charge(size: int) -> int:
    """What a row with a KeyValue of ``size`` bytes is reckoned at."""
    if size <= INLINE_BYTES_MAX:
        return size + ROW_BYTES
    return -(-(size + ROW_BYTES) // PAGE_BYTES) * PAGE_BYTES


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What is stored. ``began`` and ``compacted`` are the revisions at which counting began, and
    ``quota`` is what the cluster agreed on (0: none). ``superseded`` counts from ``began`` on;
    ``given_up`` is so much of it as compactions took, ``base_superseded`` what the next one that
    reaches ``began`` takes of what was there before."""

    began: int
    compacted: int
    quota: int
    is_based: bool = False
    live: int = 0
    superseded: int = 0
    given_up: int = 0
    given_up_at: int = 0
    base_superseded: int = 0
    unsampled: int = 0


class Ledger:
    """``is_on`` while counting; ``full_at`` and ``careful_at`` are out of reach while there is no
    quota, or no complete count to hold against it. Attributes are those of ``LedgerRow``, here to
    be added to by every write."""

    is_on: bool
    began: int
    compacted: int
    quota: int
    is_based: bool
    live: int
    superseded: int
    given_up: int
    given_up_at: int
    base_superseded: int
    unsampled: int
    full_at: int
    careful_at: int

    def __init__(self, backend: Backend, history: History) -> None:
        self._backend = backend
        self._history = history
        self.sample_records = SAMPLE_RECORDS
        self.reload()

    def reload(self) -> None:
        """Read the row of a database that was opened or replaced. Raises Corrupt."""
        data = self._backend.get(Table.META, Meta.SPACE)
        try:
            row = None if data is None else LedgerRow(**json.loads(data))
        except (ValueError, TypeError) as e:
            raise Corrupt(f"the row of the space in use is unreadable: {e!r}") from e
        self._set(row)

    def flush(self) -> None:
        """Write the row down; called before each commit, in the same transaction."""
        if self.is_on:
            self._backend.put(Table.META, Meta.SPACE, json.dumps(asdict(self.row)).encode())

    @property
    def row(self) -> LedgerRow:
        return LedgerRow(
            self.began,
            self.compacted,
            self.quota,
            self.is_based,
            self.live,
            self.superseded,
            self.given_up,
            self.given_up_at,
            self.base_superseded,
            self.unsampled,
        )

    @property
    def is_complete(self) -> bool:
        return self.is_on and self.is_based

    @property
    def is_relieved(self) -> bool:
        """Whether there is room again, by a margin, so that an alarm does not flap."""
        return self.live <= self._relieved_at

    # --- by entries -------------------------------------------------------------------------------

    def begin(self, revision: int, compacted: int, quota: int) -> None:
        """Count anew, from what comes after ``revision`` on."""
        self._set(LedgerRow(revision, compacted, quota))

    def add_base(self, live: int, superseded: int) -> None:
        """What was there when counting began: the count is complete."""
        self.live += live
        self.base_superseded = superseded
        self.is_based = True
        self._set_bounds()

    def set_quota(self, quota: int) -> None:
        self.quota = quota
        self._set_bounds()

    def drop(self) -> None:
        """Count no longer: other versions write, which do not."""
        self._backend.delete(Table.META, Meta.SPACE)
        self._set(None)

    def note_put(self, size: int, before: bytes | None) -> None:
        """A version whose KeyValue has ``size`` bytes, over the one ``before``."""
        charged = size + ROW_BYTES if size <= INLINE_BYTES_MAX else charge(size)
        if before is None:
            self.live += 2 * charged
            return
        size = len(before)
        freed = size + ROW_BYTES if size <= INLINE_BYTES_MAX else charge(size)
        self.live += 2 * charged - freed
        self.superseded += freed

    def note_delete(self, size: int, before: bytes) -> None:
        """A deletion is superseded by itself: the next compaction takes it."""
        deletion, freed = charge(size), charge(len(before))
        self.live += deletion - freed
        self.superseded += deletion + freed

    def note_end(self, revision: int, records: int) -> None:
        """A txn of ``records`` records ended."""
        self.unsampled += records
        if self.unsampled >= self.sample_records:
            self.unsampled = 0
            self._backend.put(Table.META, self._sample_key(revision), b"%d" % self.superseded)

    def compact(self, revision: int, current: int) -> None:
        """History before ``revision`` is given up; the store is at ``current``."""
        if revision < self.began:
            return
        superseded = self.superseded if revision == current else self._superseded_at(revision)
        freed = superseded - self.given_up + self.base_superseded
        assert freed >= 0, f"compaction at {revision} gives up {freed} bytes"
        self.given_up, self.given_up_at, self.base_superseded = superseded, revision, 0
        self.live -= freed

    # --- samples ----------------------------------------------------------------------------------

    def forget_samples(self) -> None:
        """Remove some that no compaction asks for any more. When is of no consequence."""
        if not self.is_on:
            return
        mine = self._sample_key(self.given_up_at)
        old = self._keys(Meta.SPACE_AT, self._sample_key(_REVISION_MAX))
        old = old or self._keys(mine, Meta.SPACE_AT + b"\xff" * 17)
        for key in old:
            self._backend.delete(Table.META, key)

    def _keys(self, start: bytes, end: bytes) -> list[bytes]:
        rows = self._backend.cursor(Table.META, start, end)
        return [key for key, _ in islice(rows, SAMPLES_FORGOTTEN_PER_STEP)]

    def _superseded_at(self, revision: int) -> int:
        """What was superseded from ``began`` up to ``revision``: by the nearest number known
        before, and the records since. What those name is there: no compaction came so far."""
        known, total = self.began, 0
        if self.given_up_at:
            known, total = self.given_up_at, self.given_up
        end = Meta.SPACE_AT + self.began.to_bytes(8, "big") + b"\xff" * 9
        for key, value in self._backend.cursor(Table.META, self._sample_key(revision), end):
            sampled = _REVISION_MAX - int.from_bytes(key[-8:], "big")
            if sampled >= known:
                known, total = sampled, int(value)
            break
        for _, record in self._history.scan(known + 1, revision + 1):
            if record.is_tombstone:
                total += charge(len(record.key_value))
            before = self._history.get(record.previous) if record.previous != NOWHERE else None
            if before is not None and not before.is_tombstone:
                total += charge(len(before.key_value))
        return total

    def _sample_key(self, revision: int) -> bytes:
        """The newest come first, so that a cursor finds the one before a revision."""
        descending = _REVISION_MAX - revision
        return Meta.SPACE_AT + self.began.to_bytes(8, "big") + descending.to_bytes(8, "big")

    def _set(self, row: LedgerRow | None) -> None:
        self.is_on = row is not None
        row = row or LedgerRow(0, 0, 0)
        self.began, self.compacted, self.quota = row.began, row.compacted, row.quota
        self.is_based, self.live, self.superseded = row.is_based, row.live, row.superseded
        self.given_up, self.given_up_at = row.given_up, row.given_up_at
        self.base_superseded, self.unsampled = row.base_superseded, row.unsampled
        self._set_bounds()

    def _set_bounds(self) -> None:
        self.full_at = self.quota if self.is_complete and self.quota else UNBOUNDED
        self.careful_at = self.full_at - CAREFUL_BYTES
        self._relieved_at = self.full_at * RELIEF_PERCENT // 100
