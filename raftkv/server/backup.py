"""A copy of the database for an operator to keep: made, read piece by piece, removed.

Owns: the file behind Maintenance.Snapshot. Must never do: hold more than one piece in memory, or
leave out what was applied before it was asked for: a commit comes first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from raftkv.backend.environment import Backend
from raftkv.errors import RaftKVError, TooManyRequests, Unavailable
from raftkv.scheduler import Worker
from raftkv.server.committer import Committer
from raftkv.wal.disk import Disk

BACKUPS_MAX = 4
"""Each is a file of the database's size."""

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
    ) -> None:
        self._backend = backend
        self._committer = committer
        self._worker = worker
        self._disk = disk
        self._image_path = image_path
        self._open = 0

    def open(self, done: Opened) -> None:
        """Raises TooManyRequests."""
        if self._open >= BACKUPS_MAX:
            raise TooManyRequests(f"{self._open} snapshots are being read, the limit is as many")
        self._open += 1
        self._committer.commit_now(lambda: self._copy(done))

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
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> bytes:
        return self._digest.digest()

    def read(self, done: Piece) -> None:
        """The next piece; empty at the end."""
        pieces: list[bytes] = []

        def read() -> None:
            piece = next(self._pieces, b"")
            self._digest.update(piece)
            pieces.append(piece)

        def was_read(error: BaseException | None) -> None:
            if error is None:
                done(pieces[0])
            else:
                done(Unavailable(f"cannot read the copy of the database: {error}"))

        self._worker.run(read, was_read)

    def close(self) -> None:
        """The file goes once what is being read has been."""
        self._worker.run(lambda: self._disk.remove(self._path), lambda error: self._closed())
