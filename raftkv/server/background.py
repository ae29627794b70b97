"""Work that is never urgent, in bounded steps beside traffic: catching up, compaction, hashes.

Owns: the order of that work and the pause between steps. Must never do: run while the backend
commits, or more than one step of each kind per turn of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from raftkv.errors import Stopped
from raftkv.mvcc.store import Store
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.scheduler import Scheduler
from raftkv.server.committer import Committer
from raftkv.server.config import Limits
from raftkv.server.hashing import Hashing


class Steps(Protocol):
    """Other work in steps."""

    @property
    def is_waiting(self) -> bool: ...

    def step(self, records_max: int) -> None: ...


class Background:
    def __init__(
        self,
        *,
        store: Store,
        hub: WatchHub,
        committer: Committer,
        hashing: Hashing,
        scheduler: Scheduler,
        limits: Limits,
    ) -> None:
        self._store = store
        self._hub = hub
        self._committer = committer
        self._scheduler = scheduler
        self._limits = limits
        self._scheduled = False
        self._stopped = False
        self._compaction_waiters: list[Callable[[], None]] = []
        self.hashing = hashing
        self.measuring: Steps | None = None

    def schedule(self) -> None:
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            self._scheduler.call_soon(self._step)

    def stop(self) -> None:
        self._stopped = True
        self.hashing.fail_all(Stopped("the member is stopping"))

    def when_compacted(self, done: Callable[[], None]) -> None:
        """Call ``done`` once no scheduled compaction is left to do."""
        if self._store.compacting:
            self._compaction_waiters.append(done)
            self.schedule()
        else:
            done()

    def _step(self) -> None:
        self._scheduled = False
        if self._stopped or self._committer.in_progress:
            return  # the committer asks for a turn when it is done
        if self._hub.needs_catch_up:
            self._hub.catch_up(self._limits.catch_up_revisions_per_step)
        if self._store.compacting:
            self._store.compact_step(self._limits.compaction_records_per_step)
        self.hashing.step(self._limits.hash_records_per_step)
        if self.measuring is not None:
            self.measuring.step(self._limits.measured_records_per_step)
        if not self._store.compacting:
            self._tell_compacted()
        if self._hub.needs_catch_up or self._store.compacting or self._is_asked:
            self.schedule()

    @property
    def _is_asked(self) -> bool:
        measures = self.measuring is not None and self.measuring.is_waiting
        return self.hashing.is_waiting or measures

    def _tell_compacted(self) -> None:
        waiting, self._compaction_waiters = self._compaction_waiters, []
        for done in waiting:
            done()
