"""Snapshots of the key space: made for a follower that is behind, installed from a leader.

Owns: the one snapshot file that is ready to be sent, its making off the loop, the streams that
carry it, and the swap of the database for a received one. Must never do: name a position that
the file does not hold: it is read back out of the file itself.
A snapshot is a consistent copy of the LMDB file (Raft paper, section 7). Raft is told "not yet"
until one is ready and asks again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from raftkv.log_fields import fields, hex_id
from raftkv.raft.message import ConfState, Message, Ready, Snapshot
from raftkv.scheduler import Worker
from raftkv.server.committer import Committer

log = logging.getLogger("raftkv.server")


class SnapshotStore(Protocol):
    """The files. All calls block and run on a worker."""

    def make(self) -> Snapshot:
        """Copy the last commit to a snapshot file; ``data`` of the result is the file's path."""

    def install(self, index: int) -> None:
        """Replace the database by the received snapshot file at ``index``, durably."""

    def purge(self, keep_index: int) -> None:
        """Remove snapshot files older than ``keep_index``."""


class SnapshotSender(Protocol):
    def send_snapshot(
        self, message: Message, path: str, done: Callable[[BaseException | None], None]
    ) -> None: ...


class SnapshotKeeper:
    """``first_index`` is where the log begins, ``conf_state`` the configuration in force: a
    snapshot older than either is of no use, the second because a new member is not in it."""

    def __init__(
        self,
        *,
        store: SnapshotStore,
        worker: Worker,
        committer: Committer,
        sender: SnapshotSender,
        first_index: Callable[[], int],
        conf_state: Callable[[], ConfState],
        report: Callable[[int, bool], None],
        installed: Callable[[], ConfState],
    ) -> None:
        self._store = store
        self._worker = worker
        self._committer = committer
        self._sender = sender
        self._first_index = first_index
        self._conf_state = conf_state
        self._report = report
        self._installed = installed
        self._ready: Snapshot | None = None
        self._making = False
        self._sending = 0
        self.may_make: Callable[[], bool] = lambda: True
        """Whether what the database was committed as can be read by all members."""
        self.was_installed: Callable[[ConfState], None] = lambda conf_state: None
        """Called when the database is another member's, after everybody else knows."""

    def source(self) -> Snapshot | None:
        """What Raft asks for when a follower needs entries that the log has no more."""
        ready, members = self._ready, self._conf_state()
        if not self.may_make():
            return None
        if (
            ready is not None
            and ready.meta.index + 1 >= self._first_index()
            and ready.meta.conf_state == members
        ):
            return ready
        if self._committer.committed.conf_state != members:
            self._committer.demand()
        elif not self._making and not self._sending:
            self._making = True
            self._worker.run(self._make, self._made)
        return None

    def forget(self) -> None:
        """The one that is ready is of no more use."""
        self._ready = None

    def at_least(self, index: int) -> Snapshot | None:
        """One that holds what is applied up to ``index``. None: it is being made, ask again."""
        ready = self._ready
        if ready is not None and ready.meta.index >= index and self.source() is ready:
            return ready
        if self._committer.committed.index < index:
            self._committer.demand()
        elif not self._making and not self._sending:
            self._making = True
            self._worker.run(self._make, self._made)
        return None

    def send(self, message: Message, then: Callable[[], None] | None = None) -> None:
        """``then`` instead of a report to Raft, for a snapshot that Raft has not asked for."""
        assert message.snapshot is not None, message.type
        path = message.snapshot.data.decode()
        self._sending += 1
        told = {"to": hex_id(message.to), "index": message.snapshot.meta.index}
        log.info("sending a snapshot", extra=fields(**told))

        def done(error: BaseException | None) -> None:
            self._sending -= 1
            if error is not None:
                failed = fields(**told, error=str(error))
                log.warning("failed to send a snapshot", extra=failed)
            if then is None:
                self._report(message.to, error is None)
            else:
                then()

        self._sender.send_snapshot(message, path, done)

    def install(self, ready: Ready, then: Callable[[], None]) -> None:
        """Swap the database for the snapshot of ``ready``, then call ``then``."""
        assert ready.snapshot is not None, "nothing to install"
        index = ready.snapshot.meta.index
        self._committer.when_open(lambda: self.put_in_place(index, then))

    def put_in_place(self, index: int, then: Callable[[], None] = lambda: None) -> None:
        """The same, now: nothing else may use the database."""

        def swap() -> None:
            self._store.install(index)

        def swapped() -> None:
            log.info("installed a snapshot", extra=fields(index=index))
            conf_state = self._installed()
            then()
            self.was_installed(conf_state)

        self._committer.exclusive(swap, swapped)

    def purge(self) -> None:
        """Let go of files that nobody will ask for any more."""
        if self._sending or self._making:
            return
        keep = self._ready.meta.index if self._ready is not None else 0
        self._worker.run(lambda: self._store.purge(keep), _log_failure)

    def _make(self) -> None:
        self._ready = self._store.make()
        log.info("made a snapshot", extra=fields(index=self._ready.meta.index))

    def _made(self, error: BaseException | None) -> None:
        self._making = False
        if error is not None:
            log.error("cannot make a snapshot", extra=fields(error=str(error)))


def _log_failure(error: BaseException | None) -> None:
    if error is not None:
        log.warning("cannot remove old snapshot files", extra=fields(error=str(error)))
