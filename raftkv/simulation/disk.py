"""A file system in memory that forgets what was not synced when its power is cut.

Owns: SimulatedDisk, a ``raftkv.wal.disk.Disk``. Must never do: be kinder than a real disk: at a
power cut every un-synced 512-byte sector is kept or lost by chance, one by one; a name that its
directory was not synced for may be gone; an injected error leaves the file in doubt; and after a
failed sync the pages may be clean and their content gone ("fsyncgate").
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from raftkv.errors import ConfigError

SECTOR = 512
Tables = list[dict[bytes, bytes]]


class Crash(BaseException):
    """The process or the machine dies at this very call. No production code may catch it."""


@dataclass(slots=True)
class _Inode:
    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)  # sectors written since the last sync


FREE_BYTES = 1 << 40


class SimulatedDisk:
    """``fail_sync`` and ``fail_write`` make every later such call raise that errno, ``dies_in`` the
    n-th call from now raise Crash. ``databases`` are what MemoryFiles have committed."""

    def __init__(self, random: Random | None = None) -> None:
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._dirs: set[str] = set()
        self._locks: set[str] = set()
        self._random = random or Random(0)
        self.databases: dict[str, Tables] = {}
        self.fail_sync = 0
        self.fail_write = 0
        self.dies_in: int | None = None
        self.calls = 0

    # --- Disk ---------------------------------------------------------------------------------

    def make_dir(self, path: str) -> None:
        self._dirs.add(path)

    def list_dir(self, path: str) -> list[str]:
        prefix = path + "/"
        return sorted(n.removeprefix(prefix) for n in self._names if n.startswith(prefix))

    def exists(self, path: str) -> bool:
        return path in self._names or path in self._dirs

    def free_bytes(self, path: str) -> int:
        return 0 if self.fail_write else FREE_BYTES

    def size(self, path: str) -> int:
        return len(self._inode(path).content)

    def read(self, path: str) -> bytes:
        return bytes(self._inode(path).content)

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        content = self.read(path)
        for at in range(start, len(content), SECTOR):
            yield content[at : at + SECTOR]

    def create(self, path: str, *, allocate: int = 0) -> SimulatedFile:
        self._call(self.fail_write)
        inode = _Inode(bytearray(allocate), bytearray(allocate))
        self._names[path] = inode
        return SimulatedFile(self, inode, 0)

    def open(self, path: str, position: int) -> SimulatedFile:
        return SimulatedFile(self, self._inode(path), position)

    def rename(self, old: str, new: str) -> None:
        self._call(self.fail_write)
        if old in self.databases:
            self.databases[new] = self.databases.pop(old)
            return
        self._names[new] = self._names.pop(old)

    def remove(self, path: str) -> None:
        self._call(0)
        self._names.pop(path, None)

    def sync_dir(self, path: str) -> None:
        self._call(self.fail_sync)
        prefix = path + "/"
        kept = {n: i for n, i in self._durable_names.items() if not n.startswith(prefix)}
        self._durable_names = kept | {n: i for n, i in self._names.items() if n.startswith(prefix)}

    def lock(self, path: str) -> SimulatedLock:
        if path in self._locks:
            raise ConfigError(f"{path} is in use by another process")
        self._locks.add(path)
        return SimulatedLock(self, path)

    @property
    def fails(self) -> bool:
        """Whether it is made to refuse calls."""
        return bool(self.fail_sync or self.fail_write)

    # --- what files and databases ask ----------------------------------------------------------

    def write(self, inode: _Inode, position: int, data: bytes) -> None:
        self._call(self.fail_write)
        end = position + len(data)
        content = inode.content
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[position:end] = data
        inode.dirty.update(range(position // SECTOR, -(-end // SECTOR)))

    def sync(self, inode: _Inode) -> None:
        try:
            self._call(self.fail_sync)
        except OSError:
            self._forget_pages(inode)
            raise
        if len(inode.durable) != len(inode.content):
            inode.durable = bytearray(inode.content)
        for sector in inode.dirty:
            here = slice(sector * SECTOR, (sector + 1) * SECTOR)
            inode.durable[here] = inode.content[here]
        inode.dirty.clear()

    def truncate_file(self, inode: _Inode, size: int) -> None:
        self._call(self.fail_write)
        del inode.content[size:]

    def commit_database(self) -> None:
        """A database writes and syncs: it fails as files do, and leaves what was before."""
        self._call(self.fail_write or self.fail_sync)

    def _call(self, error: int) -> None:
        """One system call, at which the process may die or the disk refuse."""
        self.calls += 1
        if self.dies_in is not None:
            if self.dies_in == 0:
                raise Crash(f"at call {self.calls} of the disk")
            self.dies_in -= 1
        if error:
            raise OSError(error, f"injected: {os.strerror(error)}")

    def _forget_pages(self, inode: _Inode) -> None:
        """A failed sync: pages are marked clean, and some were never written."""
        for sector in sorted(inode.dirty):
            if self._random.random() < 0.5:
                here = slice(sector * SECTOR, (sector + 1) * SECTOR)
                inode.content[here] = inode.durable[here].ljust(len(inode.content[here]), b"\0")
        inode.dirty.clear()

    # --- faults -----------------------------------------------------------------------------------

    def process_died(self) -> None:
        """What was written stays, locks are gone."""
        self._locks.clear()
        self.dies_in = None

    def power_cut(self, random: Random) -> None:
        """Everything that no sync covers is lost, kept or torn by chance; locks are gone."""
        names = dict(self._durable_names)
        for name, inode in self._names.items():
            if self._durable_names.get(name) is not inode and random.random() < 0.5:
                names[name] = inode
        for name in list(names):
            if name not in self._names and random.random() < 0.5:
                del names[name]
        for inode in {id(i): i for i in names.values()}.values():
            _lose(inode, random)
        self._names = names
        self._durable_names = dict(names)
        self.process_died()

    def flip(self, path: str, bit: int) -> None:
        """Rot: one bit of a file changes, on the platter."""
        inode = self._inode(path)
        inode.content[bit // 8] ^= 1 << bit % 8
        inode.durable = bytearray(inode.content)

    def truncate(self, path: str, size: int) -> None:
        inode = self._inode(path)
        del inode.content[size:]
        inode.durable = bytearray(inode.content)

    def _inode(self, path: str) -> _Inode:
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return self._names[path]


class SimulatedFile:
    def __init__(self, disk: SimulatedDisk, inode: _Inode, position: int) -> None:
        self._disk = disk
        self._inode = inode
        self._position = position

    def write(self, data: bytes) -> None:
        self._disk.write(self._inode, self._position, data)
        self._position += len(data)

    def sync(self) -> None:
        self._disk.sync(self._inode)

    def truncate(self, size: int) -> None:
        self._disk.truncate_file(self._inode, size)
        self._position = size

    def close(self) -> None:
        """Closing makes nothing durable."""


class SimulatedLock(SimulatedFile):
    def __init__(self, disk: SimulatedDisk, path: str) -> None:
        super().__init__(disk, _Inode(), 0)
        self._path = path

    def close(self) -> None:
        self._disk._locks.discard(self._path)


def _lose(inode: _Inode, random: Random) -> None:
    """What a file holds after the cut: durable sectors, and of the dirty ones some."""
    survived = bytearray(inode.durable)
    if len(inode.content) > len(survived):
        survived.extend(bytes(len(inode.content) - len(survived)))
    for sector in sorted(inode.dirty):
        if random.random() < 0.5:
            start = sector * SECTOR
            chunk = inode.content[start : start + SECTOR]
            survived[start : start + len(chunk)] = chunk
    inode.content = survived
    inode.durable = bytearray(survived)
    inode.dirty.clear()
