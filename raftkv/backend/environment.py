"""The LMDB environment of one member.

Owns: the file, its growth, and the one write transaction that stays open from commit to commit.
Must never do: know what is stored. All reads of the loop go through the open write transaction, so
they see everything that was applied; ``commit`` makes it durable and begins the next.

LMDB's writer lock belongs to a thread, so a thread of our own begins and ends every write
transaction; in between the loop's thread uses it alone. While ``commit`` runs nobody else may
call anything but ``copy_to``. LMDB syncs the data pages, then writes the meta page that names them
through a descriptor that syncs it: a commit that returned is durable, and the log may be cut by it
(``docs/decisions/0003-lmdb-transactions.md``).
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import lmdb

from raftkv.backend.checked import CheckedBackend
from raftkv.backend.contract import Backend as Backend
from raftkv.backend.contract import Lookup as Lookup
from raftkv.backend.contract import RawBackend as RawBackend
from raftkv.backend.contract import Row as Row
from raftkv.backend.contract import Rows as Rows
from raftkv.backend.contract import View as View
from raftkv.backend.contract import Views as Views
from raftkv.backend.pieces import ROWS_PER_PIECE as ROWS_PER_PIECE
from raftkv.backend.schema import CHECKED_FORMAT_VERSION, FORMAT_VERSION, Meta, Table
from raftkv.errors import Corrupt, Damaged
from raftkv.log_fields import fields

log = logging.getLogger("raftkv.backend")

T = TypeVar("T")

MAP_BYTES_INITIAL = 16 << 30
"""Address space, not disk or memory: the file grows as it is used."""
MAP_HEADROOM_BYTES = 2 << 30
"""What must be free at every begin. A transaction is committed long before it dirties as much."""
META_PAGES = 2
FAULTS: tuple[type[Exception], ...] = (
    lmdb.BadRslotError,
    lmdb.BadTxnError,
    lmdb.BadValsizeError,
    lmdb.CorruptedError,
    lmdb.CursorFullError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.PageFullError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.ProblemError,
)
"""What LMDB says of a file whose pages are not what it wrote."""
CHANGES_MAX = 300_000
"""Rows that may change while a copy is made. Carrying one over takes about 8 microseconds, while
nobody is served."""
PAGE_BYTES_PER_WRITE = 2048
"""An estimate of the dirty pages that a small write causes, to bound a transaction by."""
LONG_READ_S = 1.0
"""A read transaction keeps pages from being used again: one that lives longer is told of."""


class LmdbFile:
    """``RawBackend`` on one LMDB file."""

    faults: tuple[type[Exception], ...] = FAULTS

    def __init__(
        self,
        path: str,
        *,
        map_bytes: int = MAP_BYTES_INITIAL,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._path = path
        self._map_bytes = map_bytes
        self._clock = clock
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lmdb-writer")
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="lmdb-remover")
        self._peak = 0
        self._changed: set[tuple[Table, bytes]] | None = None
        self._copying = threading.Lock()  # the map must not grow while a copy reads it
        self._on_writer(self._open)

    is_read_only = False

    # --- the open transaction -----------------------------------------------------------------

    @property
    def dirty_bytes(self) -> int:
        return self._dirty

    @property
    def size(self) -> int:
        self._peak = max(self._peak, self.size_in_use)
        return max(os.stat(self._path).st_size, self._peak)

    @property
    def size_in_use(self) -> int:
        pages = META_PAGES
        for database in (self._main, *self._db):
            stat = self._txn.stat(database)
            pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return pages * self._page_bytes

    def get(self, table: Table, key: bytes) -> bytes | None:
        value: memoryview | None = self._txn.get(key, None, self._db[table])
        return None if value is None else bytes(value)

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        self._dirty += len(value) + PAGE_BYTES_PER_WRITE
        if self._changed is not None:
            self._note(table, key)
        self._txn.put(key, value, True, True, False, self._db[table])

    def append(self, table: Table, key: bytes, value: bytes) -> None:
        self._dirty += len(value) + 64
        if self._changed is not None:
            self._note(table, key)
        done = self._txn.put(key, value, True, False, True, self._db[table])
        assert done, f"{key.hex()} is there already, in table {table.name}"

    def delete(self, table: Table, key: bytes) -> bool:
        self._dirty += PAGE_BYTES_PER_WRITE
        self._note(table, key)
        deleted: bool = self._txn.delete(key, b"", self._db[table])
        return deleted

    def cursor(self, table: Table, start: bytes = b"", end: bytes | None = None) -> Rows:
        with self._txn.cursor(self._db[table]) as cursor:
            if cursor.set_range(start):
                for key_view, value in cursor.iternext():
                    key = bytes(key_view)
                    if end is not None and key >= end:
                        return
                    yield key, bytes(value)

    def views(self, table: Table, start: bytes, end: bytes | None, most: int) -> Views:
        if end is not None and end <= start:
            return
        stop = self._row_at(table, end)
        with self._txn.cursor(self._db[table]) as cursor:
            if cursor.set_range(start):
                rows = cursor.iternext(False, True)
                if stop is not None:
                    rows = iter(rows.__next__, stop)
                while found := list(islice(rows, most)):
                    yield found

    def lookup(self, table: Table) -> Lookup:
        get: Lookup = self._txn.cursor(self._db[table]).get
        return get

    def neighbours(self, table: Table, key: bytes) -> list[tuple[View, View]]:
        found: list[tuple[View, View]] = []
        with self._txn.cursor(self._db[table]) as cursor:
            _stand_at(cursor, key, found)
        return found

    def entries(self, table: Table) -> int:
        return int(self._txn.stat(self._db[table])["entries"])

    def clear(self, table: Table) -> None:
        self._txn.drop(self._db[table], False)

    def count(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int = 0
    ) -> tuple[int, bytes]:
        return self.count_and_ends(table, start, end, rows_max)[:2]

    def count_and_ends(
        self, table: Table, start: bytes, end: bytes | None, rows_max: int
    ) -> tuple[int, bytes, list[tuple[View, View]]]:
        if end is not None and end <= start:
            return 0, b"", []
        return _count_and_ends(self._txn, self._db[table], start, end, rows_max)

    def first(self, table: Table) -> bytes | None:
        with self._txn.cursor(self._db[table]) as cursor:
            return bytes(cursor.key()) if cursor.first() else None

    def _row_at(self, table: Table, key: bytes | None) -> bytes | None:
        """The value of the first row at or after ``key``, None for none."""
        if key is None:
            return None
        with self._txn.cursor(self._db[table]) as cursor:
            return bytes(cursor.value()) if cursor.set_range(key) else None

    def _stop(self, table: Table, end: bytes | None) -> bytes | None:
        """The first key at or after ``end``: a scan may then compare for equality."""
        if end is None:
            return None
        with self._txn.cursor(self._db[table]) as cursor:
            return bytes(cursor.key()) if cursor.set_range(end) else None

    # --- commit, copy, replace ------------------------------------------------------------------

    def commit(self) -> None:
        self._on_writer(self._commit_and_begin)

    def copy_to(self, path: str) -> None:
        with self._copying:
            # Compacting walks the tree in a read transaction. A plain copy would wait for the
            # writer lock, which our open transaction holds.
            began, size = self._clock(), self._file_bytes()
            self._env.copy(path, compact=True)
            took, grown = self._clock() - began, self._file_bytes() - size
        if took > LONG_READ_S:
            told = fields(took=f"{took:.3f}s", bytes=os.stat(path).st_size, file_grown_bytes=grown)
            log.info("copied the database: freed pages were kept meanwhile", extra=told)
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def replace(self, path: str, aside: str = "") -> None:
        with self._copying:
            self._on_writer(lambda: self._swap(path, aside))

    @property
    def is_tracking(self) -> bool:
        return self._changed is not None

    def track_changes(self) -> None:
        self._changed = set()

    def forget_changes(self) -> None:
        self._changed = None

    def adopt_copy(self, path: str) -> None:
        def adopt() -> None:
            self._carry_over(path)
            self._swap(path)

        with self._copying:
            self._on_writer(adopt)

    def _note(self, table: Table, key: bytes) -> None:
        if self._changed is not None:
            self._changed.add((table, key))
            if len(self._changed) > CHANGES_MAX:
                self._changed = None

    def close(self) -> None:
        def close() -> None:
            self._txn.abort()
            self._env.close()

        with self._copying:
            self._on_writer(close)
        self._writer.shutdown()
        self._remover.shutdown()

    # --- on the writer's thread -------------------------------------------------------------------

    def _on_writer(self, job: Callable[[], T]) -> T:
        return self._writer.submit(job).result()

    def _open(self) -> None:
        try:
            self._env = lmdb.open(
                self._path,
                subdir=False,
                map_size=max(self._map_bytes, self._file_bytes() + 2 * MAP_HEADROOM_BYTES),
                max_dbs=2 * len(Table),
                mode=0o600,
            )
            self._db = [self._env.open_db(table.database) for table in Table]
            self._main = self._env.open_db(None)
            self._page_bytes: int = self._env.stat()["psize"]
            self._begin()
            self._check_format()
        except lmdb.Error as e:
            raise Damaged(f"{self._path} cannot be opened as a database: {e}") from e

    def _swap(self, path: str, aside: str = "") -> None:
        self._changed = None
        with suppress(lmdb.Error):  # a commit that met damage has ended it
            self._txn.abort()
        self._env.close()
        if aside:
            os.replace(self._path, aside)
            os.replace(path, self._path)
        else:
            self._remover.submit(os.close, _replaced(self._path, path))
        for directory in {os.path.dirname(path), os.path.dirname(self._path)}:
            _sync_dir(directory)
        self._open()

    def _carry_over(self, path: str) -> None:
        assert self._changed is not None, "not all changes since the copy are known"
        map_bytes = max(self._map_bytes, os.stat(path).st_size + 2 * MAP_HEADROOM_BYTES)
        env = lmdb.open(path, subdir=False, lock=False, map_size=map_bytes, max_dbs=2 * len(Table))
        try:
            tables = [env.open_db(table.database) for table in Table]
            with env.begin(write=True) as txn:
                for table, key in self._changed:
                    value = self._txn.get(key, None, self._db[table])
                    if value is None:
                        txn.delete(key, b"", tables[table])
                    else:
                        txn.put(key, value, db=tables[table])
        finally:
            env.close()

    def _file_bytes(self) -> int:
        return os.stat(self._path).st_size if os.path.exists(self._path) else 0

    def _check_format(self) -> None:
        found = self.get(Table.META, Meta.FORMAT)
        if found is None:
            self.put(Table.META, Meta.FORMAT, FORMAT_VERSION)
            self._commit_and_begin()
        elif found not in (FORMAT_VERSION, CHECKED_FORMAT_VERSION):
            raise _unknown_format(self._path, found)

    def _commit_and_begin(self) -> None:
        try:
            self._txn.commit()
        except lmdb.Error as e:
            # LMDB calls the write that only half fits an input/output error.
            if shutil.disk_usage(os.path.dirname(self._path) or ".").free < self._dirty:
                raise OSError(errno.ENOSPC, f"the database cannot be committed: {e}") from e
            raise
        self._begin()

    def _begin(self) -> None:
        info = self._env.info()
        used_bytes = (info["last_pgno"] + 1) * self._page_bytes
        if info["map_size"] - used_bytes < MAP_HEADROOM_BYTES:
            with self._copying:
                self._env.set_mapsize(2 * info["map_size"])
        self._txn = self._env.begin(write=True, buffers=True)
        self._dirty = 0
        self._peak = 0  # what the open transaction once needed, the commit may write


class LmdbBackend(CheckedBackend):
    """``Backend`` on one LMDB file, whose rows are checked."""

    def __init__(
        self,
        path: str,
        *,
        map_bytes: int = MAP_BYTES_INITIAL,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``clock`` is monotonic and in seconds; without one, no copy is long."""
        super().__init__(LmdbFile(path, map_bytes=map_bytes, clock=clock))


def _count_and_ends(
    txn: lmdb.Transaction,
    database: lmdb._Database,
    start: bytes,
    end: bytes | None,
    rows_max: int,
) -> tuple[int, bytes, list[tuple[View, View]]]:
    ends: list[tuple[View, View]] = []
    stop = None
    if end is not None:
        with txn.cursor(database) as cursor:
            if _stand_at(cursor, end, ends):
                stop = bytes(ends[0][0])
    with txn.cursor(database) as cursor:
        if not _stand_at(cursor, start, ends):
            return 0, b"", ends
        keys = cursor.iternext(True, False)
        if stop is not None:
            keys = iter(keys.__next__, stop)
        if rows_max:
            keys = islice(keys, rows_max)
        last = deque(enumerate(keys, 1), maxlen=1)  # the loop runs in C
    return (last[0][0], bytes(last[0][1]), ends) if last else (0, b"", ends)


def _stand_at(cursor: lmdb.Cursor, key: bytes, found: list[tuple[View, View]]) -> bool:
    """Stand at the first row at or after ``key``, and add it and the one before it; whether there
    is such a row. It is searched for once: in a damaged table another search could end elsewhere.
    """
    here = cursor.set_range(key)
    if here:
        found.append(cursor.item())
    if not (cursor.prev() if here else cursor.last()):
        return bool(here and cursor.first())
    found.append(cursor.item())
    return bool(here and cursor.next())


def _replaced(old: str, new: str) -> int:
    """Put ``new`` in the place of ``old``, which stays open: freeing a gigabyte's blocks takes a
    third of a second, so the descriptor is closed beside."""
    descriptor = os.open(old, os.O_RDONLY)
    try:
        os.replace(new, old)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unknown_format(path: str, found: bytes) -> Corrupt:
    known = f"{FORMAT_VERSION.decode()} and {CHECKED_FORMAT_VERSION.decode()}"
    return Corrupt(
        f"{path} has format {found.decode(errors='replace')}, this version reads {known}: start it "
        f"with the version that wrote it"
    )


def _sync_dir(path: str) -> None:
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
