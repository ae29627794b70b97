"""What is committed while this member's data is wrong, and how much of it is kept in memory.

Owns: the bound. Beyond it the entries leave the queue and Raft's log in memory; they are durable
in the log's files, whose marker stays. Must never do: let go of what others may ask this member
for: who has let go follows, and does not lead.

They are read back when they are needed: behind a peer's copy, to be applied, and before the member
stands for election where no leader is, for its log may be the one that the others need. A new
process reads them as ever. So nothing is lost, and since the queue takes entries in their order
alone, nothing is applied twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from raftkv.log_fields import fields
from raftkv.raft.message import Entry, SnapshotMeta
from raftkv.server.engine import Engine

log = logging.getLogger("raftkv.server")


class QuarantineBacklog:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_reading = False
        self.times_shed = 0
        """How often entries left the memory since the start."""

    @property
    def wanted_index(self) -> int:
        """A copy of this index or a later one spares reading entries back."""
        queue = self._engine.queue
        return max(queue.applied_index, queue.shed_index)

    @property
    def is_whole(self) -> bool:
        """Whether all entries that are not applied are in memory."""
        return not self._engine.queue.shed_index

    def limit(self) -> None:
        """Beyond the bound, let go of what waits; under another's lead alone."""
        engine = self._engine
        queue, node = engine.queue, engine.node
        bound = engine.config.limits.quarantine_backlog_bytes_max
        is_replaced = node.first_index > queue.queued_index + 1  # by a leader's snapshot, soon
        if (
            queue.held_bytes <= bound
            or not node.memory.hears_leader
            or self._is_reading
            or is_replaced
        ):
            return
        told = fields(bytes=queue.held_bytes, limit=bound, entries=queue.backlog)
        index = queue.shed()
        node.memory.shed(index)
        engine.log_compactor.forget(index)
        self.times_shed += 1
        log.warning("entries leave the memory, the log's files have them", extra=told)

    def take_back(self, after: SnapshotMeta, then: Callable[[], None] = lambda: None) -> None:
        """Read what was let go, as far as it comes behind ``after``, which is not behind what is
        applied. ``then`` is called when it is there, unless it is needed no more."""
        if self.is_whole or self._is_reading:
            return
        self._is_reading = True
        engine, found = self._engine, list[Entry]()

        def read(error: BaseException | None) -> None:
            self._is_reading = False
            if error is not None and not engine.stopped:
                engine.fail(error)
            elif not engine.stopped:
                self._take(after, found, then)

        wal = engine.foundation.wal
        engine.workers.wal.run(lambda: found.extend(wal.read_back(after.index)), read)

    def _take(self, after: SnapshotMeta, found: Sequence[Entry], then: Callable[[], None]) -> None:
        queue, node = self._engine.queue, self._engine.node
        if node.first_index != queue.shed_index + 1:
            return  # a leader's snapshot has come meanwhile
        entries = [entry for entry in found if entry.index <= queue.shed_index]
        node.memory.take_back(after, entries)
        queue.take_back(entries)
        told = fields(entries=len(entries), first=entries[0].index)
        log.info("entries were read back from the log's files", extra=told)
        then()
