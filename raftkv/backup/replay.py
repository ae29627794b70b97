"""What happened after a base, done again with its own revisions.

Owns: applying a chain's log to an image. Must never do: accept a step that does not fit: every
revision follows the one before, and every version that is made must be byte for byte the one that
the member sent, with its create_revision, mod_revision and version.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from raftkv.backend.environment import Backend
from raftkv.backup.directory import Chain, Segment
from raftkv.backup.record import Change, Kind, Record, decode_changes, decode_lease
from raftkv.backup.segment import SegmentReader
from raftkv.errors import Corrupt
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.codec import decode_key_value, key_of, lease_of, row_body
from raftkv.mvcc.store import Store
from raftkv.wal.disk import Disk

COMMIT_BYTES = 64 << 20
"""What a transaction may hold before it is committed: it is held in memory until then."""
LEASE_LOOKAHEAD_MS = 15_000
"""A lease is written down when the follower has asked for it, a little after its first key."""

Told = Callable[[int], None]


class LogReader:
    """The records of a chain's segments, in order. ``torn_bytes`` is what the last one ends with
    that is no record. Raises Corrupt where the segments do not fit together."""

    def __init__(self, disk: Disk, segments: Sequence[Segment]) -> None:
        self._disk = disk
        self._segments = segments
        self.torn_bytes = 0

    def __iter__(self) -> Iterator[Record]:
        previous: SegmentReader | None = None
        for segment in self._segments:
            is_last = segment is self._segments[-1]
            reader = SegmentReader(self._disk, segment.path)
            if previous is not None:
                _check_link(previous, reader)
            yield from reader
            if reader.torn_bytes and not is_last:
                raise Corrupt(
                    f"{segment.path} is damaged at byte {reader.size}, {reader.torn_bytes} bytes "
                    "before its end: only what came before can be restored from this chain"
                )
            self.torn_bytes = reader.torn_bytes
            previous = reader


def _check_link(previous: SegmentReader, reader: SegmentReader) -> None:
    if reader.head.number != previous.head.number + 1:
        raise Corrupt(
            f"segment {previous.head.number + 1} is missing between {previous.path} and "
            f"{reader.path}"
        )
    if reader.head.previous != previous.digest:
        raise Corrupt(f"{reader.path} does not follow {previous.path}: one of them was changed")


@dataclass(slots=True)
class Replayed:
    """``lost_leases`` have keys, and nobody has told their time to live."""

    revision: int
    revisions: int = 0
    torn_bytes: int = 0
    lost_leases: set[int] = field(default_factory=set)


def replay(
    backend: Backend, disk: Disk, chain: Chain, to_revision: int, told: Told = lambda revision: None
) -> Replayed:
    """Bring the image to ``to_revision`` (or to the log's end, if that comes first)."""
    replaying = _Replaying(backend)
    done = Replayed(replaying.store.current_revision)
    end_ms = 0
    log = LogReader(disk, chain.segments_after(done.revision))
    for record in log:
        if record.kind is Kind.LEASE:
            replaying.grant(*decode_lease(record.body))
        elif record.kind is Kind.REVISION and record.revision > done.revision:
            if done.revision >= to_revision:
                if record.time_ms > end_ms + LEASE_LOOKAHEAD_MS:
                    break
                continue
            replaying.apply(record)
            done.revision, done.revisions = record.revision, done.revisions + 1
            end_ms = record.time_ms
            told(done.revision)
    done.torn_bytes = log.torn_bytes
    done.lost_leases = set(replaying.hanging)
    replaying.store.flush_meta()
    backend.commit()
    return done


class _Replaying:
    """``hanging`` are the keys that were put on a lease that is not known yet."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.store = Store(backend)
        self._leases = LeaseBook(backend)
        self.hanging: defaultdict[int, set[bytes]] = defaultdict(set)

    def grant(self, lease_id: int, ttl_s: int) -> None:
        if not self._leases.exists(lease_id):
            self._leases.grant(lease_id, ttl_s)
        for key in self.hanging.pop(lease_id, ()):
            row = self.store.latest.get(key)
            if row is not None and lease_of(row_body(row)) == lease_id:
                self._leases.put(key, None, lease_id)

    def apply(self, record: Record) -> None:
        current = self.store.current_revision
        if record.revision != current + 1:
            raise Corrupt(f"the log goes from revision {current} to {record.revision}")
        txn = self.store.begin()
        for change in decode_changes(record.body):
            if change.is_delete:
                self._leases.deleted(txn.delete_range(key_of(change.key_value), b""))
            else:
                self._put(txn.put, change)
        revision = txn.end()
        if revision != record.revision:
            raise Corrupt(f"revision {record.revision} deletes what the base does not hold")
        if self._backend.dirty_bytes > COMMIT_BYTES:
            self.store.flush_meta()
            self._backend.commit()

    def _put(self, put: Callable[[bytes, bytes, int], bytes | None], change: Change) -> None:
        kv = decode_key_value(change.key_value)
        previous = put(kv.key, kv.value, kv.lease)
        if not kv.lease or self._leases.exists(kv.lease):
            self._leases.put(kv.key, previous, kv.lease)
        else:
            self._leases.put(kv.key, previous, 0)
            self.hanging[kv.lease].add(kv.key)
        row = self.store.latest.get(kv.key)
        assert row is not None, f"{kv.key!r} is gone as soon as it was put"
        if row_body(row) != change.key_value:
            made = decode_key_value(row_body(row))
            raise Corrupt(
                f"key {kv.key!r} at revision {kv.mod_revision}: version {made.version} created at "
                f"{made.create_revision} was made again, version {kv.version} created at "
                f"{kv.create_revision} was recorded: base and log are not of one cluster"
            )
