"""Defragment: the database's file without its free pages, made while the member serves.

Owns: the order of the steps. Must never do: hold the gate for longer than what changed meanwhile
takes to be copied.

    1 commit, and from there on note which rows change
    2 on a worker: copy the last commit without its free pages, beside all traffic
    3 gate shut: carry the noted rows over into the copy, commit it, put it in the file's place

LMDB uses free pages again for new rows, so that a file does not need this to take new writes; it
is for giving room back to the file system, and for getting below the quota.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from raftkv.backend.environment import Backend
from raftkv.errors import RaftKVError, Unavailable
from raftkv.log_fields import fields
from raftkv.scheduler import Worker
from raftkv.server.applied_state import AppliedState
from raftkv.server.committer import Committer
from raftkv.wal.disk import Disk

log = logging.getLogger("raftkv.server")

Defragmented = Callable[[RaftKVError | None], None]


class Defragmenter:
    """One at a time: who asks meanwhile gets the answer of the one that runs. ``image_path`` is
    a free name for the copy."""

    def __init__(
        self,
        *,
        backend: Backend,
        committer: Committer,
        worker: Worker,
        disk: Disk,
        image_path: Callable[[], str],
        save_applied: Callable[[], AppliedState],
        now: Callable[[], float],
    ) -> None:
        self._backend = backend
        self._committer = committer
        self._worker = worker
        self._disk = disk
        self._image_path = image_path
        self._save_applied = save_applied
        self._now = now
        self._waiters: list[Defragmented] = []

    def run(self, done: Defragmented) -> None:
        self._waiters.append(done)
        if len(self._waiters) == 1:
            self._committer.commit_now(self._copy)

    def _copy(self) -> None:
        """Runs before the gate opens: nothing has changed since the commit."""
        self._backend.track_changes()
        self._before, self._began = self._backend.size, self._now()
        path = self._image_path()

        def copied(error: BaseException | None) -> None:
            if error is not None:
                self._give_up(path, f"cannot copy the database: {error}")
            else:
                self._committer.when_open(lambda: self._swap(path))

        self._worker.run(lambda: self._backend.copy_to(path), copied)

    def _swap(self, path: str) -> None:
        if not self._backend.is_tracking or self._committer.in_progress:
            self._give_up(path, "the database was replaced or changed too much meanwhile")
            return
        state, shut_at = self._save_applied(), self._now()

        def swapped() -> None:
            self._committer.committed = state
            now = self._now()
            log.info(
                "finished defragmenting",
                extra=fields(
                    bytes_before=self._before,
                    bytes_after=self._backend.size,
                    took=f"{now - self._began:.3f}s",
                    paused=f"{now - shut_at:.3f}s",
                ),
            )
            self._answer(None)

        self._committer.exclusive(lambda: self._backend.adopt_copy(path), swapped)

    def _give_up(self, path: str, reason: str) -> None:
        log.error("cannot defragment", extra=fields(error=reason))
        self._backend.forget_changes()
        answer = Unavailable(reason)
        self._worker.run(lambda: self._disk.remove(path), lambda error: self._answer(answer))

    def _answer(self, error: RaftKVError | None) -> None:
        waiters, self._waiters = self._waiters, []
        for done in waiters:
            done(error)
