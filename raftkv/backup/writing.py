"""The end of a backup's log: where the next revision goes.

Owns: the open segment, when it is synced and when another one begins; taking the log of an earlier
run up again. Must never do: leave a revision out, or count one as kept before it was synced.

``add_*`` and ``take`` belong to one thread, ``write`` to another: it blocks. After an OSError
nothing more is written: what is on disk is found again by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raftkv.backup.directory import BackupDirectory
from raftkv.backup.record import (
    Change,
    Kind,
    Record,
    SegmentHead,
    encode,
    encode_changes,
    encode_lease,
)
from raftkv.backup.segment import SegmentReader, SegmentWriter, cut_tail
from raftkv.errors import Corrupt

SEGMENT_BYTES = 64 << 20
"""A segment is whole once it has as many; the next one begins."""

NowMs = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Batch:
    data: bytes
    last_revision: int


class LogWriter:
    """``last_revision`` was added, ``kept_revision`` is durable."""

    def __init__(
        self,
        directory: BackupDirectory,
        now_ms: NowMs,
        head: SegmentHead,
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._directory = directory
        self._now_ms = now_ms
        self._segment_bytes = segment_bytes
        self._head = head
        self._added: list[bytes] = []
        self._last_ms = 0
        self._failure: OSError | None = None
        self.waiting_bytes = 0
        self.first_revision = head.first_revision
        self.last_revision = self.kept_revision = head.first_revision - 1
        self._writer = self._open(head)

    @property
    def chain(self) -> int:
        return self._head.chain

    @property
    def cluster_id(self) -> int:
        return self._head.cluster_id

    def add_revision(self, revision: int, changes: Sequence[Change]) -> None:
        """Raises Corrupt for a revision that does not follow."""
        if revision != self.last_revision + 1:
            raise Corrupt(
                f"revision {revision} came after {self.last_revision}: what is in between is lost"
            )
        self._add(Kind.REVISION, revision, encode_changes(changes))
        self.last_revision = revision

    def add_lease(self, lease_id: int, ttl_s: int) -> None:
        self._add(Kind.LEASE, 0, encode_lease(lease_id, ttl_s))

    def take(self) -> Batch:
        """What was added since the last time."""
        batch = Batch(b"".join(self._added), self.last_revision)
        self._added.clear()
        self.waiting_bytes = 0
        return batch

    def write(self, batch: Batch) -> None:
        """Durably, in the order in which batches were taken. Raises OSError, and again for all
        batches after one that failed."""
        if self._failure is not None:
            raise self._failure
        if not batch.data:
            return
        try:
            self._writer.append(batch.data)
            self._writer.sync()
            self.kept_revision = batch.last_revision
            if self._writer.size >= self._segment_bytes:
                self._next()
        except OSError as e:
            self._failure = e
            raise

    def close(self) -> None:
        self._writer.close()

    def _next(self) -> None:
        self._writer.close()
        self._head = SegmentHead(
            self._head.chain,
            self._head.number + 1,
            self._head.cluster_id,
            self.kept_revision + 1,
            self._writer.digest,
        )
        self._writer = self._open(self._head)

    def _open(self, head: SegmentHead) -> SegmentWriter:
        path = self._directory.segment_path(head.chain, head.number, head.first_revision)
        return SegmentWriter(self._directory.disk, path, head, self._time_ms())

    def _add(self, kind: Kind, revision: int, body: bytes) -> None:
        data = encode(Record(kind, self._time_ms(), revision, body))
        self._added.append(data)
        self.waiting_bytes += len(data)

    def _time_ms(self) -> int:
        """Never backwards, whatever the clock does."""
        self._last_ms = max(self._last_ms, self._now_ms())
        return self._last_ms


def taken_up(directory: BackupDirectory) -> tuple[SegmentHead, int] | None:
    """Where the log that an earlier run left goes on, and the bytes that had to be cut off its
    end; None when there is none. Raises Corrupt for an end that cannot be read at all."""
    chains = directory.chains()
    if not chains or not chains[-1].segments:
        return None
    last = chains[-1].segments[-1]
    head = SegmentReader(directory.disk, last.path).head
    digest, revision, cut = cut_tail(directory.disk, last.path)
    going_on = SegmentHead(head.chain, head.number + 1, head.cluster_id, revision + 1, digest)
    return going_on, cut
