"""The key space with its history.

Owns: the current and the compacted revision, and who may write. Must never do: know Raft, time or
the wire. Everything is in the backend; opening reads a few numbers, however many keys there are.
Revisions follow etcd: an empty store is at 1, every write that changes something adds 1.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.backend.environment import Backend
from raftkv.backend.ordered_keys import OrderedKeys
from raftkv.backend.schema import Meta, Table
from raftkv.errors import Compacted, FutureRevision
from raftkv.mvcc.codec import decode_row, row_body
from raftkv.mvcc.compaction import NEVER, Compaction
from raftkv.mvcc.hash import HashResult, HistoryHash
from raftkv.mvcc.heads import Heads
from raftkv.mvcc.history import History
from raftkv.mvcc.ledger import Ledger
from raftkv.mvcc.measurement import Measurement
from raftkv.mvcc.past_range import Part
from raftkv.mvcc.prefix_quota import PrefixQuotas
from raftkv.mvcc.query import Event, KeyValue, RangeQuery, RangeResult, RevisionEvents
from raftkv.mvcc.range_cursor import RangeCursor
from raftkv.mvcc.range_reader import RangeReader
from raftkv.mvcc.range_steps import RangeSteps, may_be_long
from raftkv.mvcc.range_tails import RangeTails
from raftkv.mvcc.write_txn import WriteTxn

EMPTY_REVISION = 1
EVENTS_BYTES_MAX = 64 << 20
HASH_RECORDS_PER_STEP = 1_000


class Store:
    """``observer`` gets the events of every revision as it is published."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.latest = OrderedKeys(backend, Table.LATEST)
        self.tombstones = OrderedKeys(backend, Table.TOMBSTONES)
        self.history = History(backend)
        self.heads = Heads()
        self._reader = RangeReader(self.latest, self.tombstones, self.history)
        self._tails = RangeTails()
        self._compaction = Compaction(backend, self.history, self.tombstones)
        self.digest = 0
        """CRC-32C over what was written, version by version (``apply.state_digest``)."""
        self.ledger = Ledger(backend, self.history)
        self.prefix_quotas = PrefixQuotas(backend, self.latest)
        self.generation = 0
        """How often another database took this one's place."""
        self.observer: Callable[[RevisionEvents], None] | None = None
        self.reload()

    def reload(self) -> None:
        """Read the numbers from the backend, which was opened or replaced."""
        self.generation += 1
        self.heads.clear()
        self._tails.clear()
        self.latest.reload()
        self.tombstones.reload()
        self._compaction.reload()
        self.ledger.reload()
        self.prefix_quotas.reload()
        data = self._backend.get(Table.META, Meta.CURRENT_REVISION)
        self.current_revision = EMPTY_REVISION if data is None else int(data)
        self.has_tombstones = not self.tombstones.is_empty

    def flush_meta(self) -> None:
        """Write down the numbers; called before each commit, in the same transaction."""
        self._backend.put(Table.META, Meta.CURRENT_REVISION, b"%d" % self.current_revision)
        self.ledger.flush()
        self.prefix_quotas.flush()

    # --- reading ----------------------------------------------------------------------------

    @property
    def compact_revision(self) -> int:
        return self._compaction.scheduled

    def get(self, key: bytes) -> KeyValue | None:
        """The newest version of ``key``."""
        row = self.latest.get(key)
        return None if row is None else decode_row(row)

    def key_value(self, key: bytes) -> bytes | None:
        """The same, encoded."""
        head = self.heads.get(key)
        if head is not None:
            return head.key_value
        row = self.latest.get(key)
        return None if row is None else row_body(row)

    def range(self, query: RangeQuery) -> RangeResult:
        """Raises Compacted and FutureRevision."""
        current, revision = self.current_revision, query.revision
        if revision <= 0:
            return self._reader.read(query, None, current)
        self.check_readable(revision)
        return self._reader.read(query, revision, current)

    def begin_range(self, query: RangeQuery) -> RangeResult | RangeSteps:
        """``range``, or where that takes too long at once, the rest of it. Raises Compacted and
        FutureRevision."""
        if not may_be_long(query):
            return self.range(query)
        steps = RangeSteps(self, self._reader, self._tails, query)
        result = steps.step()
        return steps if result is None else result

    def events_since(
        self,
        revision: int,
        revisions_max: int,
        *,
        bytes_max: int = EVENTS_BYTES_MAX,
        with_prev: bool = True,
    ) -> list[RevisionEvents]:
        """What happened from ``revision`` on: at most ``revisions_max`` revisions, and no further
        one after ``bytes_max``; without ``with_prev``, what was there before is not looked up.
        Raises Compacted."""
        if revision < self.compact_revision:
            raise Compacted(self.compact_revision)
        end = self.current_revision + 1
        prev_from = self.compact_revision if with_prev else end
        return self.history.events(revision, end, revisions_max, bytes_max, prev_from)

    def hash_kv(self, revision: int) -> HashResult:
        """A checksum of all that is readable up to ``revision`` (0: the current one), equal on
        members at equal revisions however far each has come with removing compacted data."""
        running = self.begin_hash(revision or self.current_revision)
        while not running.step(HASH_RECORDS_PER_STEP):
            pass
        return running.result

    def begin_hash(self, revision: int, compacted: int = NEVER) -> HistoryHash:
        """The same in steps, as if compacted at ``compacted`` at least, to compare with a store
        that is. Void once ``generation`` or the compacted revision change."""
        self.check_readable(revision)
        compacted = max(compacted, self.compact_revision)
        if revision < compacted:
            raise Compacted(compacted)
        return HistoryHash(self.history, revision, compacted, self._compaction.finished)

    def open_cursor(self, query: RangeQuery) -> RangeCursor:
        """The same in pages. Raises Compacted and FutureRevision."""
        return RangeCursor(self, self._reader, query)

    def read_part(
        self, start: bytes, end: bytes | None, revision: int, rows_max: int, bytes_max: int
    ) -> Part:
        """The first rows of [start, end) as they were at ``revision``: at most ``rows_max``, after
        looking at as many. Raises Compacted and FutureRevision."""
        self.check_readable(revision)
        past = self._reader.past(revision)
        return past.rows(start, end, rows_max, rows_max, bytes_max, keys_only=False)

    def begin_measurement(self, revision: int) -> Measurement:
        """What is live at ``revision``. Void once ``generation`` or the compacted revision
        change; while ``compacting`` there is none."""
        assert not self.compacting, "what is removed now would be missed"
        return Measurement(self.history, revision, self.compact_revision)

    def check_readable(self, revision: int) -> None:
        """Raises Compacted and FutureRevision."""
        if revision > self.current_revision:
            raise FutureRevision(
                f"revision {revision} has not happened: the store is at {self.current_revision}"
            )
        if revision < self.compact_revision:
            raise Compacted(self.compact_revision)

    # --- writing ------------------------------------------------------------------------------

    def begin(self) -> WriteTxn:
        """The one writer. Run it to its ``end`` before anything else touches the store."""
        return WriteTxn(self)

    def finish(self, revision: int, changes: int, events: list[Event]) -> int:
        """For ``WriteTxn.end``: make its revision the current one, if it changed anything."""
        assert revision == self.current_revision + 1, (revision, self.current_revision)
        if not changes:
            return self.current_revision
        self.current_revision = revision
        if self.ledger.is_on:
            self.ledger.note_end(revision, changes)
        if events and self.observer is not None:
            self.observer(RevisionEvents(revision, tuple(events)))
        return revision

    def skip_revisions(self, count: int) -> None:
        """Go on ``count`` revisions later: those in between may have been seen by clients of a
        store whose end a backup has not."""
        assert count > 0, f"{count} revisions to skip"
        self.current_revision += count

    # --- compaction -----------------------------------------------------------------------------

    @property
    def compacting(self) -> bool:
        return self._compaction.is_pending

    def compact(self, revision: int) -> None:
        """Give up what is older than ``revision``, at once for readers, step by step on disk.
        Raises Compacted when that is done already, FutureRevision when it cannot be."""
        if revision <= self.compact_revision:
            raise Compacted(self.compact_revision)
        if revision > self.current_revision:
            raise FutureRevision(
                f"cannot compact at {revision}: the store is at {self.current_revision}"
            )
        self._compaction.schedule(revision)
        if self.ledger.is_on:
            self.ledger.compact(revision, self.current_revision)

    def compact_step(self, records_max: int) -> bool:
        """One bounded piece of removal; True when nothing is left to remove."""
        done = self._compaction.step(records_max)
        self.ledger.forget_samples()
        if done:
            self.has_tombstones = not self.tombstones.is_empty
        return done
