"""A database image that nobody writes to: a saved snapshot, looked into where it lies.

Owns: opening it without a lock and without a write, so that its bytes stay those of its checksum.
Must never do: write. What follows the pages in the file (a checksum) is not looked at.
"""

from __future__ import annotations

import os
import struct

import lmdb

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import FORMAT_VERSION, Meta, Table
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


class LmdbImage(LmdbBackend):
    """The reading half of ``Backend``. Raises Corrupt for what is no raftkv database."""

    def _open(self) -> None:
        if is_bbolt(self._path):
            raise Corrupt(f"{self._path} is a database of etcd's, not of raftkv's")
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
            self._db = [self._env.open_db(table.database, create=False) for table in Table]
            self._main = self._env.open_db(None)
            self._page_bytes: int = self._env.stat()["psize"]
            self._begin()
        except lmdb.Error as e:
            raise Corrupt(f"{self._path} cannot be read as a database: {e}") from e
        found = self.get(Table.META, Meta.FORMAT)
        if found != FORMAT_VERSION:
            raise Corrupt(f"{self._path} has format {found!r}, {FORMAT_VERSION!r} is known")

    def _begin(self) -> None:
        self._txn = self._env.begin(write=False, buffers=True)
        self._dirty = 0
        self._peak = 0
