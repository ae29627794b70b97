"""Snapshot files: written under a temporary name, checked, synced, renamed.

Owns: the directory's names and their durability. Must never do: leave a file under a final name
that is not whole. A finished file is ``INDEX.snap``: a database image, then a trailer of magic,
length and CRC32C over the image, which a reader checks before it trusts the file.
"""

from __future__ import annotations

import struct

import google_crc32c

from raftkv.errors import Corrupt
from raftkv.wal.disk import Disk, File

_TRAILER = struct.Struct("<8sQI")
_MAGIC = b"RKVSNAP1"
_SUFFIX = ".snap"
_TEMPORARY = ".tmp"


class IncomingSnapshot:
    """A file being received: chunks in, then ``commit`` or ``discard``. Worker threads only; so the
    file is made by the first of these, and a disk without room for it is an error of that one."""

    def __init__(self, disk: Disk, directory: str, name: str) -> None:
        self._disk = disk
        self._directory = directory
        self._temporary = f"{directory}/{name}{_TEMPORARY}"
        self._file: File | None = None
        self._is_closed = False

    def write(self, chunk: bytes) -> None:
        self._opened().write(chunk)

    def commit(self, index: int) -> None:
        """Check the trailer, make the file durable, give it its name. Raises Corrupt."""
        self._opened().sync()
        self._close()
        check_image(self._disk, self._temporary)
        self._disk.rename(self._temporary, snapshot_path(self._directory, index))
        self._disk.sync_dir(self._directory)

    def discard(self) -> None:
        """Also after a ``commit`` that failed."""
        self._close()
        self._disk.remove(self._temporary)

    def _opened(self) -> File:
        assert not self._is_closed, f"{self._temporary} was committed or discarded"
        if self._file is None:
            self._file = self._disk.create(self._temporary)
        return self._file

    def _close(self) -> None:
        if self._file is not None and not self._is_closed:
            self._file.close()
        self._is_closed = True


class SnapshotDir:
    """All files of one member. Leftovers of an unfinished write are removed on opening."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self.directory = directory
        self._incoming = 0
        self._copies = 0
        disk.make_dir(directory)
        for name in disk.list_dir(directory):
            if name.endswith(_TEMPORARY):
                disk.remove(f"{directory}/{name}")

    def incoming(self) -> IncomingSnapshot:
        self._incoming += 1
        return IncomingSnapshot(self._disk, self.directory, f"incoming-{self._incoming}")

    def path(self, index: int) -> str:
        return snapshot_path(self.directory, index)

    def fresh_image_path(self) -> str:
        """Where a database copy may be put before it is ``adopt``ed. What an earlier copy that
        failed has left there is removed: LMDB copies to a new file only."""
        path = f"{self.directory}/outgoing{_TEMPORARY}"
        self._disk.remove(path)
        return path

    def copy_path(self) -> str:
        """A free name for a copy of the database that no other member is to be sent. If the
        process dies, the next one removes the file."""
        self._copies += 1
        return f"{self.directory}/copy-{self._copies}{_TEMPORARY}"

    def adopt(self, image_path: str, index: int) -> str:
        """Turn the image at ``image_path`` into the snapshot at ``index``; return its path."""
        size, crc = 0, 0
        for chunk in self._disk.chunks(image_path):
            size += len(chunk)
            crc = google_crc32c.extend(crc, chunk)
        file = self._disk.open(image_path, size)
        file.write(_TRAILER.pack(_MAGIC, size, crc))
        file.sync()
        file.close()
        path = self.path(index)
        self._disk.rename(image_path, path)
        self._disk.sync_dir(self.directory)
        return path

    def indexes(self) -> list[int]:
        return [
            int(name.removesuffix(_SUFFIX), 16)
            for name in self._disk.list_dir(self.directory)
            if name.endswith(_SUFFIX)
        ]

    def purge(self, keep_index: int) -> None:
        """Remove every snapshot older than ``keep_index``."""
        for index in self.indexes():
            if index < keep_index:
                self._disk.remove(self.path(index))


def snapshot_path(directory: str, index: int) -> str:
    return f"{directory}/{index:016x}{_SUFFIX}"


def check_image(disk: Disk, path: str) -> None:
    """Raises Corrupt unless the snapshot file is whole, by its trailer; a piece at a time."""
    size, crc, held = 0, 0, b""
    for chunk in disk.chunks(path):
        held += chunk  # the last bytes may be the trailer: hold back as many
        done = max(len(held) - _TRAILER.size, 0)
        crc = google_crc32c.extend(crc, held[:done])
        size += done
        held = held[done:]
    if held != _TRAILER.pack(_MAGIC, size, crc):
        raise Corrupt(f"{path} is not a whole snapshot: remove it, the leader will send another")
