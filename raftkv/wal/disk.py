"""The file system, as the log and the snapshot files need it.

Owns: the protocols File and Disk, and OsDisk, the real ones. Must never do: retry, or hide an
error: a failed fdatasync may have lost pages that a second call would call safe (PostgreSQL's
"fsyncgate"). Every call blocks; callers run them on a worker's thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from typing import Protocol

from raftkv.errors import ConfigError

CHUNK_BYTES = 1 << 20


class File(Protocol):
    """An open file with a position to write at."""

    def write(self, data: bytes) -> None:
        """Append ``data`` at the position. All of it, or OSError."""

    def sync(self) -> None:
        """Return once all that was written is durable (fdatasync)."""

    def truncate(self, size: int) -> None:
        """Cut the file, and set the position to its new end."""

    def close(self) -> None: ...


class Disk(Protocol):
    """Paths and whole-file calls. Names are durable only after ``sync_dir`` of their directory."""

    def make_dir(self, path: str) -> None: ...

    def list_dir(self, path: str) -> list[str]:
        """Names, sorted; empty when there is no such directory."""

    def exists(self, path: str) -> bool: ...

    def size(self, path: str) -> int: ...

    def free_bytes(self, path: str) -> int:
        """What its file system has left."""

    def read(self, path: str) -> bytes: ...

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        """The file's bytes from ``start`` on, a bounded piece at a time."""

    def create(self, path: str, *, allocate: int = 0) -> File:
        """A new empty file with ``allocate`` bytes of zeros reserved; the position is 0."""

    def open(self, path: str, position: int) -> File: ...

    def rename(self, old: str, new: str) -> None: ...

    def remove(self, path: str) -> None: ...

    def sync_dir(self, path: str) -> None: ...

    def lock(self, path: str) -> File:
        """Hold ``path`` against other processes until closed. ConfigError if one has it."""


class OsFile:
    """``fsync`` is False where --unsafe-no-fsync gave the promise up."""

    def __init__(self, fd: int, position: int, *, fsync: bool = True) -> None:
        self._fd = fd
        self._position = position
        self._fsync = fsync

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, self._position)
            self._position += written
            view = view[written:]

    def sync(self) -> None:
        if self._fsync:
            os.fdatasync(self._fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self._position = size

    def close(self) -> None:
        os.close(self._fd)


class OsDisk:
    """``Disk`` on the operating system's file system."""

    def __init__(self, *, fsync: bool = True) -> None:
        self._fsync = fsync

    def make_dir(self, path: str) -> None:
        if os.path.isdir(path):
            return
        parent = os.path.dirname(os.path.abspath(path))
        self.make_dir(parent)
        os.mkdir(path, 0o700)
        self.sync_dir(parent)

    def list_dir(self, path: str) -> list[str]:
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def free_bytes(self, path: str) -> int:
        return shutil.disk_usage(path).free

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        with open(path, "rb") as file:
            file.seek(start)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def create(self, path: str, *, allocate: int = 0) -> OsFile:
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if allocate:
            os.posix_fallocate(fd, 0, allocate)
        return OsFile(fd, 0, fsync=self._fsync)

    def open(self, path: str, position: int) -> OsFile:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return OsFile(fd, position, fsync=self._fsync)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def remove(self, path: str) -> None:
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)

    def sync_dir(self, path: str) -> None:
        if not self._fsync:
            return
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, path: str) -> OsFile:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(fd)
            if e.errno in (errno.EAGAIN, errno.EACCES):
                raise ConfigError(
                    f"{os.path.dirname(path)} is in use by another process: stop it, "
                    f"or choose another --data-dir"
                ) from e
            raise
        return OsFile(fd, 0)
