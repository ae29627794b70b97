"""Making a Ready durable: the WAL's worker, one Ready at a time.

Owns: the hand-over to the worker, and the hard state that may wait for the next write.
A small write to a disk that has been quick is done on the loop's own thread (``Worker.run_brief``).
Must never do: acknowledge before fdatasync returned, or go on after it failed once: the kernel
may have dropped the pages, and a second call would succeed without them (RELIABILITY: fsyncgate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raftkv.raft.message import Entry, HardState, Ready, SnapshotMeta
from raftkv.scheduler import Scheduler, Worker
from raftkv.server.entry_trace import EntryTrace
from raftkv.wal.log import WriteAheadLog

BRIEF_BYTES_MAX = 256 * 1024
"""More than this is written by the worker's thread, however quick the disk has been."""


class Persister:
    """``fatal`` gets what the disk said; the owner stops the member then."""

    def __init__(
        self,
        *,
        wal: WriteAheadLog,
        worker: Worker,
        scheduler: Scheduler,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._wal = wal
        self._worker = worker
        self._scheduler = scheduler
        self._fatal = fatal
        self._unsaved: HardState | None = None
        self.in_progress = False
        self.writing_since: float | None = None
        """When the write in progress was given to the disk; None while there is none."""
        self._sealed = True
        self.trace: EntryTrace | None = None
        self.fsync_seconds: Callable[[float], None] = lambda seconds: None

    def save(self, ready: Ready, then: Callable[[], None]) -> None:
        """Make ``ready`` durable, then call ``then``: at once when only the commit index moved,
        which a restart can do without and the next write carries along."""
        assert not self.in_progress, "a Ready to persist while another is in flight"
        hard_state = ready.hard_state or self._unsaved
        self._unsaved = None
        if not ready.must_sync and ready.snapshot is None and not ready.entries:
            self._unsaved = hard_state
            then()
            return
        self.in_progress = True
        self._sealed = False
        meta = ready.snapshot.meta if ready.snapshot is not None else None
        self.writing_since = started = self._scheduler.now()

        if self.trace is not None:
            self.trace.writing(ready.entries)

        def write() -> None:
            self._wal.append(hard_state, ready.entries, meta)
            self._wal.sync()

        def written(error: BaseException | None) -> None:
            self.in_progress = False
            self.writing_since = None
            if error is not None:
                self._fatal(error)
                return
            self.fsync_seconds(self._scheduler.now() - started)
            if self.trace is not None:
                self.trace.written(ready.entries)
            then()

        if self._wal.is_at_cut or _size_of(ready.entries) > BRIEF_BYTES_MAX:
            self._worker.run(write, written)
        else:
            self._worker.run_brief(write, written)

    def mark(self, marker: SnapshotMeta) -> None:
        """The backend holds everything up to ``marker``: say so in the WAL, drop older segments."""

        def write() -> None:
            self._wal.mark(marker)
            self._wal.sync()
            self._wal.release_to(marker.index)

        self._worker.run(write, lambda error: self._fatal(error) if error is not None else None)

    def seal_when_idle(self) -> None:
        """Called once a tick: after the last write of a burst, note in the log that it is durable,
        so that later damage to it is known from a torn write."""
        if self.in_progress or self._sealed:
            return
        self._sealed = True
        self._worker.run(
            self._wal.seal, lambda error: self._fatal(error) if error is not None else None
        )


def _size_of(entries: Sequence[Entry]) -> int:
    """Bytes of data in ``entries``."""
    return sum(len(entry.data) for entry in entries)
