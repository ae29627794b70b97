"""A copy of the database for an operator to keep: made, read piece by piece, removed.

Owns: the file behind Maintenance.Snapshot, and keeping it a while for a client that has lost its
connection. Must never do: hold more than one piece in memory, or leave out what was applied before
it was asked for: a commit comes first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from raftkv.backend.environment import Backend
from raftkv.errors import RaftKVError, TooManyRequests, Unavailable
from raftkv.scheduler import Scheduler, Timer, Worker
from raftkv.server.committer import Committer
from raftkv.wal.disk import Disk

BACKUPS_MAX = 4
"""Each is a file of the database's size; those that are kept count, and give way."""
KEEP_S = 120.0
"""How long a copy that has a name waits for its reader to come back."""
CHECKPOINT_BYTES = 16 << 20
"""Whoever goes on earlier has at most as much hashed again."""
_DIGEST_START = hashlib.sha256()

Opened = Callable[["Backup | RaftKVError"], None]
Piece = Callable[[bytes | RaftKVError], None]


class Backups:
    """``image_path`` gives a free name each time."""

    def __init__(
        self,
        *,
        backend: Backend,
        committer: Committer,
        worker: Worker,
        disk: Disk,
        image_path: Callable[[], str],
        scheduler: Scheduler,
    ) -> None:
        self._backend = backend
        self._committer = committer
        self._worker = worker
        self._disk = disk
        self._image_path = image_path
        self._scheduler = scheduler
        self._open = 0
        self._kept: dict[str, tuple[Backup, Timer]] = {}

    def open(self, done: Opened) -> None:
        """Raises TooManyRequests."""
        if self._open >= BACKUPS_MAX:
            if not self._kept:
                text = f"{self._open} snapshots are being read, the limit is {BACKUPS_MAX}"
                raise TooManyRequests(text)
            self._forget(next(iter(self._kept)))  # the worker removes it before it copies again
        self._open += 1
        self._committer.commit_now(lambda: self._copy(done))

    def keep(self, name: str, backup: Backup) -> None:
        """In place of closing it: until somebody takes it, or KEEP_S have passed."""
        if name in self._kept:
            self._forget(name)
        timer = self._scheduler.call_later(KEEP_S, lambda: self._forget(name))
        self._kept[name] = (backup, timer)

    def take(self, name: str) -> Backup | None:
        """The copy that was kept under this name; it is the caller's again."""
        backup, timer = self._kept.pop(name, (None, None))
        if timer is not None:
            timer.cancel()
        return backup

    def _forget(self, name: str) -> None:
        backup = self.take(name)
        if backup is not None:
            backup.close()

    def _copy(self, done: Opened) -> None:
        path = self._image_path()
        backup = Backup(path, self._disk, self._worker, self._closed)

        def copy() -> None:
            self._backend.copy_to(path)
            backup.size = self._disk.size(path)

        def copied(error: BaseException | None) -> None:
            if error is None:
                done(backup)
                return
            backup.close()
            done(Unavailable(f"cannot copy the database: {error}"))

        self._worker.run(copy, copied)

    def _closed(self) -> None:
        self._open -= 1


class Backup:
    """``size`` bytes, and the SHA-256 of what was read so far."""

    def __init__(self, path: str, disk: Disk, worker: Worker, closed: Callable[[], None]) -> None:
        self.size = 0
        self._path = path
        self._disk = disk
        self._worker = worker
        self._closed = closed
        self._pieces = disk.chunks(path)
        self._at = 0
        self._digest = hashlib.sha256()
        self._checkpoints = [(0, _DIGEST_START.copy())]

    @property
    def digest(self) -> bytes:
        return self._digest.digest()

    def read(self, done: Piece) -> None:
        """The next piece; empty at the end."""
        pieces: list[bytes] = []

        def was_read(error: BaseException | None) -> None:
            if error is None:
                done(pieces[0])
            else:
                done(Unavailable(f"cannot read the copy of the database: {error}"))

        self._worker.run(lambda: pieces.append(self._next()), was_read)

    def go_back(self, offset: int, done: Callable[[RaftKVError | None], None]) -> None:
        """Have ``read`` go on at ``offset``, which was read already."""
        assert offset <= self._at, f"byte {offset} is asked for and {self._at} were sent"

        def move() -> None:
            while self._checkpoints[-1][0] > offset:
                self._checkpoints.pop()
            self._at, digest = self._checkpoints[-1]
            self._digest = digest.copy()
            self._pieces = self._disk.chunks(self._path, self._at)
            while self._at < offset:
                piece = next(self._pieces)[: offset - self._at]
                self._digest.update(piece)
                self._at += len(piece)
            self._pieces = self._disk.chunks(self._path, offset)

        def moved(error: BaseException | None) -> None:
            text = f"cannot read the copy of the database: {error}"
            done(None if error is None else Unavailable(text))

        self._worker.run(move, moved)

    def close(self) -> None:
        """The file goes once what is being read has been."""
        self._worker.run(lambda: self._disk.remove(self._path), lambda error: self._closed())

    @property
    def position(self) -> int:
        """How many bytes were read."""
        return self._at

    def _next(self) -> bytes:
        piece = next(self._pieces, b"")
        self._digest.update(piece)
        self._at += len(piece)
        if self._at >= self._checkpoints[-1][0] + CHECKPOINT_BYTES:
            self._checkpoints.append((self._at, self._digest.copy()))
        return piece
