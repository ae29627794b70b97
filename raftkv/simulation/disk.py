"""A file system in memory that forgets what was not synced when its power is cut.

Owns: SimulatedDisk, a ``raftkv.wal.disk.Disk``. Must never do: be kinder than a real disk: at a
power cut every un-synced 512-byte sector is kept or lost by chance, one by one; a name that its
directory was not synced for may be gone; and an injected error leaves the file in doubt.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from raftkv.errors import ConfigError

SECTOR = 512


@dataclass(slots=True)
class _Inode:
    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)  # sectors written since the last sync


class SimulatedDisk:
    """``fail_sync`` and ``fail_write`` make every later such call raise that errno."""

    def __init__(self) -> None:
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._dirs: set[str] = set()
        self._locks: set[str] = set()
        self.fail_sync = 0
        self.fail_write = 0
        self.calls = 0

    # --- Disk ---------------------------------------------------------------------------------

    def make_dir(self, path: str) -> None:
        self._dirs.add(path)

    def list_dir(self, path: str) -> list[str]:
        prefix = path + "/"
        return sorted(n.removeprefix(prefix) for n in self._names if n.startswith(prefix))

    def exists(self, path: str) -> bool:
        return path in self._names or path in self._dirs

    def size(self, path: str) -> int:
        return len(self._inode(path).content)

    def read(self, path: str) -> bytes:
        return bytes(self._inode(path).content)

    def chunks(self, path: str) -> Iterator[bytes]:
        content = self.read(path)
        for start in range(0, len(content), SECTOR):
            yield content[start : start + SECTOR]

    def create(self, path: str, *, allocate: int = 0) -> SimulatedFile:
        inode = _Inode(bytearray(allocate), bytearray(allocate))
        self._names[path] = inode
        return SimulatedFile(self, inode, 0)

    def open(self, path: str, position: int) -> SimulatedFile:
        return SimulatedFile(self, self._inode(path), position)

    def rename(self, old: str, new: str) -> None:
        self.calls += 1
        self._names[new] = self._names.pop(old)

    def remove(self, path: str) -> None:
        self.calls += 1
        self._names.pop(path, None)

    def sync_dir(self, path: str) -> None:
        self.calls += 1
        prefix = path + "/"
        kept = {n: i for n, i in self._durable_names.items() if not n.startswith(prefix)}
        self._durable_names = kept | {n: i for n, i in self._names.items() if n.startswith(prefix)}

    def lock(self, path: str) -> SimulatedLock:
        if path in self._locks:
            raise ConfigError(f"{path} is in use by another process")
        self._locks.add(path)
        return SimulatedLock(self, path)

    # --- faults -----------------------------------------------------------------------------------

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
        self._locks.clear()

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
        self._disk.calls += 1
        if self._disk.fail_write:
            raise OSError(self._disk.fail_write, "injected")
        end = self._position + len(data)
        content = self._inode.content
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[self._position : end] = data
        self._inode.dirty.update(range(self._position // SECTOR, -(-end // SECTOR)))
        self._position = end

    def sync(self) -> None:
        self._disk.calls += 1
        if self._disk.fail_sync:
            raise OSError(self._disk.fail_sync, "injected")
        self._inode.durable = bytearray(self._inode.content)
        self._inode.dirty.clear()

    def truncate(self, size: int) -> None:
        self._disk.calls += 1
        del self._inode.content[size:]
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
