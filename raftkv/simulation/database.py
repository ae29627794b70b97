"""An ordered key-value database in memory that is crash-atomic exactly when LMDB is.

Owns: MemoryFile, a ``raftkv.backend.environment.RawBackend`` over a SimulatedDisk. What was
committed is the disk's; the open transaction is the process's and dies with it. Must never do:
keep anything of an open transaction across a crash, or lose a commit that returned: LMDB syncs the
data, then the page that names it, so a crash leaves the commit before or the one after, whole.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, insort
from collections.abc import Sequence

from raftkv.backend.checked import CheckedBackend
from raftkv.backend.environment import PAGE_BYTES_PER_WRITE, Lookup, Rows, Views
from raftkv.backend.schema import FORMAT_VERSION, Meta, Table
from raftkv.errors import Damaged
from raftkv.simulation.disk import SimulatedDisk, Tables

_ROW = struct.Struct("<BII")
_MAGIC = b"SIMDB001"


class MemoryFile:
    """``RawBackend`` whose file is a set of tables on ``disk`` under ``path``, or an image."""

    faults: tuple[type[Exception], ...] = ()
    is_read_only = False

    def __init__(self, disk: SimulatedDisk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._open()

    def _open(self) -> None:
        committed = self._disk.databases.get(self._path)
        if self._disk.exists(self._path):  # a copy, to be looked into
            committed = _decode(self._disk.read(self._path), self._path)
        self._tables: Tables = [dict(t) for t in committed] if committed else _empty()
        self._keys: list[list[bytes]] = [sorted(table) for table in self._tables]
        self._changed: dict[tuple[Table, bytes], bytes | None] = {}
        self._dirty = 0
        self._tracking = False
        if committed is None:
            self.put(Table.META, Meta.FORMAT, FORMAT_VERSION)
            self.commit()

    # --- Backend ------------------------------------------------------------------------------

    @property
    def dirty_bytes(self) -> int:
        return self._dirty

    @property
    def size(self) -> int:
        return 4096 * (1 + sum(len(keys) for keys in self._keys) // 16)

    @property
    def size_in_use(self) -> int:
        return self.size

    def get(self, table: Table, key: bytes) -> bytes | None:
        return self._tables[table].get(key)

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        self._dirty += len(value) + PAGE_BYTES_PER_WRITE
        value = bytes(value)
        if key not in self._tables[table]:
            insort(self._keys[table], key)
        self._tables[table][key] = value
        self._changed[table, key] = value

    def append(self, table: Table, key: bytes, value: bytes) -> None:
        keys = self._keys[table]
        assert not keys or keys[-1] < key, f"{key.hex()} is not above {keys[-1].hex()}"
        self.put(table, key, value)

    def delete(self, table: Table, key: bytes) -> bool:
        self._dirty += PAGE_BYTES_PER_WRITE
        if key not in self._tables[table]:
            return False
        del self._tables[table][key]
        keys = self._keys[table]
        del keys[bisect_left(keys, key)]
        self._changed[table, key] = None
        return True

    def cursor(self, table: Table, start: bytes = b"", end: bytes | None = None) -> Rows:
        rows = self._tables[table]
        for key in self._between(table, start, end):
            yield key, rows[key]

    def views(self, table: Table, start: bytes, end: bytes | None, most: int) -> Views:
        keys = self._between(table, start, end)
        rows = self._tables[table]
        for at in range(0, len(keys), most):
            yield [rows[key] for key in keys[at : at + most]]

    def lookup(self, table: Table) -> Lookup:
        return self._tables[table].get

    def neighbours(self, table: Table, key: bytes) -> list[tuple[bytes, bytes]]:
        keys = self._keys[table]
        at = bisect_left(keys, key)
        rows = self._tables[table]
        near = keys[max(at - 1, 0) : at + 1]
        return [(key, rows[key]) for key in near]

    def count_and_ends(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        ends = self.neighbours(table, start)
        if end is not None:
            ends += self.neighbours(table, end)
        return (*self.count(table, start, end, rows_max), ends)

    def entries(self, table: Table) -> int:
        return len(self._keys[table])

    def clear(self, table: Table) -> None:
        for key in list(self._keys[table]):
            self.delete(table, key)

    def count(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int = 0
    ) -> tuple[int, bytes]:
        keys = self._between(table, start, end)
        if rows_max:
            keys = keys[:rows_max]
        return len(keys), keys[-1] if keys else b""

    def first(self, table: Table) -> bytes | None:
        return self._keys[table][0] if self._keys[table] else None

    def commit(self) -> None:
        """One call of the disk: a crash comes before it or after it."""
        self._disk.commit_database()
        committed = self._disk.databases.setdefault(self._path, _empty())
        for (table, key), value in self._changed.items():
            if value is None:
                committed[table].pop(key, None)
            else:
                committed[table][key] = value
        self._changed.clear()
        self._dirty = 0

    def copy_to(self, path: str) -> None:
        image = _encode(self._disk.databases[self._path])
        file = self._disk.create(path)
        file.write(image)
        file.sync()
        file.close()

    @property
    def is_tracking(self) -> bool:
        return self._tracking

    def track_changes(self) -> None:
        self._tracking = True

    def forget_changes(self) -> None:
        self._tracking = False

    def adopt_copy(self, path: str) -> None:
        """There are no free pages here: what is left is that the open transaction commits."""
        self._tracking = False
        self.commit()
        self._disk.remove(path)

    def replace(self, path: str, aside: str = "") -> None:
        self._disk.commit_database()
        if aside:
            self._disk.databases[aside] = self._disk.databases[self._path]
        self._disk.databases[self._path] = _decode(self._disk.read(path), path)
        self._disk.remove(path)
        self._open()

    def close(self) -> None:
        """The open transaction is dropped with the object."""

    def _between(self, table: Table, start: bytes, end: bytes | None) -> Sequence[bytes]:
        keys = self._keys[table]
        first = bisect_left(keys, start)
        return keys[first : len(keys) if end is None else bisect_left(keys, end)]


def memory_backend(disk: SimulatedDisk, path: str) -> CheckedBackend:
    """``Backend`` over such a file, whose rows are checked."""
    return CheckedBackend(MemoryFile(disk, path))


def _empty() -> Tables:
    return [{} for _ in Table]


def _encode(tables: Tables) -> bytes:
    parts = [_MAGIC, struct.pack("<I", sum(len(table) for table in tables))]
    for number, table in enumerate(tables):
        for key in sorted(table):
            parts += (_ROW.pack(number, len(key), len(table[key])), key, table[key])
    return b"".join(parts)


def _decode(image: bytes, path: str) -> Tables:
    """What follows the rows, a snapshot's trailer say, is not looked at, as LMDB does not."""
    if not image.startswith(_MAGIC):
        raise Damaged(f"{path} cannot be opened as a database")
    tables = _empty()
    (count,) = struct.unpack_from("<I", image, len(_MAGIC))
    at = len(_MAGIC) + 4
    for _ in range(count):
        number, key_size, value_size = _ROW.unpack_from(image, at)
        at += _ROW.size
        middle, end = at + key_size, at + key_size + value_size
        tables[number][image[at:middle]] = image[middle:end]
        at = end
    return tables
