"""When the backend's open transaction is committed, and what waits meanwhile.

Owns: the decision (age, size or demand), the shut gate while the worker commits, and the log's
compaction once a commit has made enough of it superfluous. Must never do: block the loop, or
compact the log beyond what is durable in the backend.
The log is the redo log of the backend: a write is durable before it is applied, so commits may be
rare; a crash replays what the last one lacks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from raftkv.backend.environment import Backend
from raftkv.errors import Damaged
from raftkv.scheduler import Scheduler, Worker
from raftkv.server.applied_state import AppliedState
from raftkv.server.apply_queue import ApplyQueue
from raftkv.server.config import Limits


class Committer:
    """``save_applied`` writes the AppliedState into the open transaction and returns it."""

    def __init__(
        self,
        *,
        backend: Backend,
        worker: Worker,
        scheduler: Scheduler,
        queue: ApplyQueue,
        limits: Limits,
        save_applied: Callable[[], AppliedState],
        reopened: Callable[[], None],
        fatal: Callable[[BaseException], None],
        committed: AppliedState,
    ) -> None:
        self._backend = backend
        self._worker = worker
        self._scheduler = scheduler
        self._queue = queue
        self._limits = limits
        self._save_applied = save_applied
        self._reopened = reopened
        self._fatal = fatal
        self._waiters: deque[Callable[[], None]] = deque()
        self._held_back: list[Callable[[], None]] = []
        self._demanded = False
        self._last_commit_at = scheduler.now()
        self.committed = committed
        self.shut_since: float | None = None
        """When the backend was given to the worker; None while it is open."""
        self.commit_seconds: Callable[[float], None] = lambda seconds: None
        self.damaged: Callable[[Damaged], None] = lambda error: None

    @property
    def in_progress(self) -> bool:
        """Whether nobody else may use the database: it commits, or holds what is wrong."""
        return not self._queue.is_open or self._queue.is_held

    def demand(self) -> None:
        """Commit at the next chance, whatever the age and the size."""
        self._demanded = True

    def when_open(self, proceed: Callable[[], None]) -> None:
        """Run ``proceed`` now, or when the commit in progress is over."""
        if self._queue.is_open:
            proceed()
        else:
            self._waiters.append(proceed)

    def maybe_commit(self) -> None:
        """Called once a turn."""
        if not self.in_progress and self._is_due():
            self._commit()

    def commit_now(self, then: Callable[[], None]) -> None:
        """Commit what was applied so far; ``then`` runs before anything else is applied."""
        self.when_open(lambda: self._commit(then))

    def exclusive(self, job: Callable[[], None], then: Callable[[], None]) -> None:
        """Run ``job`` on the worker with the gate shut, ``then`` on the loop before it opens."""
        assert self._queue.is_open, "two exclusive uses of the backend at once"
        self._queue.is_open = False
        self.shut_since = self._scheduler.now()

        def done(error: BaseException | None) -> None:
            if isinstance(error, Damaged):
                self.damaged(error)
            elif error is not None:
                self._fatal(error)
                return
            else:
                then()
            self._open()

        self._worker.run(job, done)

    def _is_due(self) -> bool:
        dirty = self._backend.dirty_bytes
        if not dirty and self._queue.applied_index == self.committed.index:
            self._demanded = False
            return False
        age = self._scheduler.now() - self._last_commit_at
        return (
            self._demanded
            or dirty >= self._limits.backend_commit_bytes_max
            or age >= self._limits.backend_commit_interval_s
        )

    def _commit(self, after: Callable[[], None] = lambda: None) -> None:
        if self._queue.is_held:  # what is wrong is never made durable: later, if at all
            self._held_back.append(after)
            return
        self._demanded = False
        started = self._scheduler.now()
        state = self._save_applied()

        def then() -> None:
            self.committed = state
            self._last_commit_at = self._scheduler.now()
            self.commit_seconds(self._last_commit_at - started)
            after()

        self.exclusive(self._backend.commit, then)

    def reopen(self) -> None:
        """The database is right again: go on with what waited."""
        held_back, self._held_back = self._held_back, []
        self._waiters.extend(partial(self._commit, after) for after in held_back)
        if self._queue.is_open:
            self._open()

    def _open(self) -> None:
        self._queue.is_open = True
        self.shut_since = None
        while self._waiters and self._queue.is_open:  # a waiter may shut the gate again
            self._waiters.popleft()()
        self._reopened()
