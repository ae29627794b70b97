"""Compaction without anybody asking: --auto-compaction-mode and -retention, as etcd has them.

Owns: which revision is due. Must never do: compact by itself: the request goes through the log.
Every member notes revisions, the leader alone asks, so that a new leader goes on where the old one
was. ``periodic`` keeps a period of history: it notes the revision ten times an interval (an hour,
or the period if that is shorter) and, after the first full period, compacts once an interval to
the revision of a period ago. ``revision`` keeps that many revisions, and looks every five minutes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from raftkv.api.rpc_pb2 import CompactionRequest
from raftkv.apply.batch import RequestKind
from raftkv.errors import Compacted, RaftKVError
from raftkv.log_fields import fields
from raftkv.scheduler import Scheduler

log = logging.getLogger("raftkv.server")

INTERVAL_MAX_S = 3600.0
LOOKS_PER_INTERVAL = 10
REVISION_INTERVAL_S = 300.0

Propose = Callable[[int, bytes, Callable[[bytes | RaftKVError], None]], None]


class AutoCompactor:
    """``period_s`` or ``revisions`` is what to keep; the other is 0."""

    def __init__(
        self,
        *,
        period_s: float,
        revisions: int,
        scheduler: Scheduler,
        revision: Callable[[], int],
        is_leader: Callable[[], bool],
        is_stopped: Callable[[], bool],
        propose: Propose,
    ) -> None:
        self._keep_revisions = revisions
        self._scheduler = scheduler
        self._revision = revision
        self._is_leader = is_leader
        self._is_stopped = is_stopped
        self._propose = propose
        self._interval_s = min(period_s, INTERVAL_MAX_S)
        self._look_s = self._interval_s / LOOKS_PER_INTERVAL if period_s else REVISION_INTERVAL_S
        noted_max = round(period_s / self._look_s) + 1
        self._noted: deque[int] = deque(maxlen=noted_max)
        self._wait_s = period_s
        self._compacted_at = scheduler.now()
        self._last = 0

    def start(self) -> None:
        if self._interval_s or self._keep_revisions:
            self._noted.append(self._revision())
            self._scheduler.call_later(self._look_s, self._look)

    def _look(self) -> None:
        if self._is_stopped():
            return
        if self._is_leader():
            due = self._due()
            if due > self._last:
                self._compact(due)
        self._noted.append(self._revision())
        self._scheduler.call_later(self._look_s, self._look)

    def _due(self) -> int:
        """The revision to compact to; 0 for none."""
        if self._keep_revisions:
            return max(self._revision() - self._keep_revisions, 0)
        # Timers are late by a little, never early: half a look is no difference.
        waited_s = self._scheduler.now() - self._compacted_at + self._look_s / 2
        return self._noted[0] if waited_s >= self._wait_s else 0

    def _compact(self, revision: int) -> None:
        payload = CompactionRequest(revision=revision).SerializeToString()
        started = self._scheduler.now()

        def compacted(outcome: bytes | RaftKVError) -> None:
            if isinstance(outcome, RaftKVError) and not isinstance(outcome, Compacted):
                told = fields(revision=revision, error=str(outcome))
                log.warning("cannot compact, trying later", extra=told)
                return
            log.info("completed auto compaction", extra=fields(revision=revision))
            self._last = revision
            self._compacted_at = started
            self._wait_s = self._interval_s

        self._propose(RequestKind.COMPACT, payload, compacted)
