"""A database image that nobody writes to: a saved snapshot, looked into where it lies.

Owns: opening it without a lock and without a write, so that its bytes stay those of its checksum.
Must never do: write. What follows the pages in the file (a checksum) is not looked at.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import lmdb

from raftkv.backend.checked import CheckedBackend
from raftkv.backend.environment import LmdbFile, Rows
from raftkv.backend.schema import Meta, Table
from raftkv.errors import Corrupt

_MAGIC_AT = 16
"""LMDB and bbolt both begin with a page header of 16 bytes."""
_MAGIC = struct.Struct("=I")
_LMDB_MAGIC = 0xBEEFC0DE
_BBOLT_MAGIC = 0xED0CDAED


def is_bbolt(path: str) -> bool:
    """Whether the file is etcd's."""
    return _magic(path) == _BBOLT_MAGIC


def _magic(path: str) -> int:
    with open(path, "rb") as file:
        file.seek(_MAGIC_AT)
        data = file.read(_MAGIC.size)
    return int(_MAGIC.unpack(data)[0]) if len(data) == _MAGIC.size else 0


class LmdbImageFile(LmdbFile):
    """The reading half of ``RawBackend``, as far as the key space needs it. A table that the
    version which wrote the file did not know is empty. Raises Corrupt for any other file."""

    is_read_only = True

    def _open(self) -> None:
        self._missing: set[Table] = set()
        if is_bbolt(self._path):
            raise Corrupt(f"{self._path} is a database of etcd's: `raftkv ctl import snapshot`")
        if _magic(self._path) != _LMDB_MAGIC:
            raise Corrupt(f"{self._path} is not a raftkv database")
        try:
            self._env = lmdb.open(
                self._path,
                subdir=False,
                readonly=True,
                lock=False,
                map_size=os.stat(self._path).st_size,
                max_dbs=2 * len(Table),
            )
            self._main = self._env.open_db(None)
            self._db = [self._table(table) for table in Table]
            self._page_bytes = self._env.stat()["psize"]
            self._begin()
        except lmdb.Error as e:
            raise Corrupt(f"{self._path} cannot be read as a database: {e}") from e
        if self.get(Table.META, Meta.FORMAT) is None:
            raise Corrupt(f"{self._path} names no format: it is not a raftkv database")

    def _table(self, table: Table) -> Any:
        try:
            return self._env.open_db(table.database, create=False)
        except lmdb.NotFoundError:
            self._missing.add(table)
            return self._main  # never read

    def get(self, table: Table, key: bytes) -> bytes | None:
        return None if table in self._missing else super().get(table, key)

    def cursor(self, table: Table, start: bytes = b"", end: bytes | None = None) -> Rows:
        return iter(()) if table in self._missing else super().cursor(table, start, end)

    def count(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int = 0
    ) -> tuple[int, bytes]:
        return (0, b"") if table in self._missing else super().count(table, start, end, rows_max)

    def first(self, table: Table) -> bytes | None:
        return None if table in self._missing else super().first(table)

    def _begin(self) -> None:
        self._txn = self._env.begin(write=False, buffers=True)
        self._dirty = 0
        self._peak = 0


class LmdbImage(CheckedBackend):
    """``Backend`` on such a file, whose rows are checked where they have checks."""

    def __init__(self, path: str) -> None:
        super().__init__(LmdbImageFile(path))
