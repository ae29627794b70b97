"""A log file, and the files that came before it.

Owns: appending, and rotation: a file that would grow beyond its size is renamed after the moment
(NAME-2006-01-02T15-04-05.000.EXT, as lumberjack does for etcd) and followed by an empty one; old
ones go by number and age. Must never do: run on the event loop: ``log_writer``'s thread calls it.
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from raftkv.server.operations import Rotation

DAY_S = 86_400.0
_GZIP = ".gz"


class LogFile:
    """``clock`` gives seconds since 1970. Raises OSError."""

    def __init__(self, path: str, rotation: Rotation | None, clock: Callable[[], float]) -> None:
        self._path = Path(path)
        self._rotation = rotation
        self._clock = clock
        self._open()

    def write(self, line: bytes) -> None:
        rotation = self._rotation
        if rotation is not None and self._size and self._size + len(line) > rotation.bytes_max:
            self._rotate(rotation)
        self._size += len(line)
        while line:
            line = line[os.write(self._fd, line) :]

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self, rotation: Rotation) -> None:
        now = datetime.fromtimestamp(self._clock(), None if rotation.local_time else UTC)
        moment = now.strftime("%Y-%m-%dT%H-%M-%S.") + f"{now.microsecond // 1000:03d}"
        old = self._path.with_name(f"{self._path.stem}-{moment}{self._path.suffix}")
        os.rename(self._path, old)
        os.close(self._fd)
        self._open()
        if rotation.compress:
            _compress(old)
        self._remove_old(rotation)

    def _remove_old(self, rotation: Rotation) -> None:
        newest_first = sorted(self.backups(), key=lambda path: path.name, reverse=True)
        oldest = self._clock() - rotation.age_days_max * DAY_S
        for number, path in enumerate(newest_first):
            too_many = rotation.backups_max and number >= rotation.backups_max
            if too_many or (rotation.age_days_max and path.stat().st_mtime < oldest):
                path.unlink()

    def backups(self) -> list[Path]:
        pattern = f"{self._path.stem}-????-??-??T??-??-??.???{self._path.suffix}"
        parent = self._path.parent
        return [*parent.glob(pattern), *parent.glob(pattern + _GZIP)]


def _compress(path: Path) -> None:
    with path.open("rb") as plain, gzip.open(f"{path}{_GZIP}", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    path.unlink()
