"""The simulated database beside LMDB: the same calls, the same answers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from raftkv.backend.environment import Backend, LmdbFile
from raftkv.backend.schema import DATA_TABLES, Table
from raftkv.errors import Corrupt
from raftkv.simulation.database import MemoryFile
from raftkv.simulation.disk import SimulatedDisk

TABLES = st.sampled_from((Table.LATEST, Table.REVISIONS))
KEYS = st.binary(min_size=1, max_size=2).map(lambda key: bytes(byte % 4 for byte in key))
ENDS = st.none() | KEYS
MAP_BYTES = 1 << 30


class Backends(RuleBasedStateMachine):
    """One call after another to both; whatever they tell is compared."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.root = Path(self.directory.name)
        self.disk = SimulatedDisk()
        self.values = 0
        self.lmdb: Backend = self.open_lmdb("db")
        self.memory: Backend = MemoryFile(self.disk, "d/db")

    def open_lmdb(self, name: str) -> LmdbFile:
        return LmdbFile(str(self.root / name), map_bytes=MAP_BYTES)

    def value(self) -> bytes:
        """A new one each time: ``values`` wants no two equal."""
        self.values += 1
        return b"v%d" % self.values

    @rule(table=TABLES, key=KEYS)
    def put(self, table: Table, key: bytes) -> None:
        value = self.value()
        self.lmdb.put(table, key, value)
        self.memory.put(table, key, value)

    @rule(table=TABLES)
    def append(self, table: Table) -> None:
        last = max((key for key, _ in self.memory.cursor(table)), default=b"")
        value = self.value()
        self.lmdb.append(table, last + b"\x01", value)
        self.memory.append(table, last + b"\x01", value)

    @rule(table=TABLES, key=KEYS)
    def delete(self, table: Table, key: bytes) -> None:
        assert self.lmdb.delete(table, key) == self.memory.delete(table, key)

    @rule(table=TABLES, start=KEYS, end=ENDS, limit=st.integers(0, 3))
    def read(self, table: Table, start: bytes, end: bytes | None, limit: int) -> None:
        """``end`` may lie before ``start``: then there is nothing."""
        assert self.lmdb.get(table, start) == self.memory.get(table, start)
        rows = list(self.lmdb.cursor(table, start, end))
        assert rows == list(self.memory.cursor(table, start, end))
        assert self.lmdb.count(table, start, end)[0] == len(rows)
        for rows_max in (0, limit):
            counted = self.lmdb.count(table, start, end, rows_max)
            assert counted == self.memory.count(table, start, end, rows_max)
        values = [value for _, value in rows]
        for backend in (self.lmdb, self.memory):
            found: list[bytes] = []
            for views in backend.views(table, start, end, limit or len(rows) + 1):
                found += map(bytes, views)
            assert found == values

    @rule()
    def commit(self) -> None:
        for backend in (self.lmdb, self.memory):
            backend.commit()
            assert backend.dirty_bytes == 0

    @rule(copied=st.booleans())
    def open_anew(self, copied: bool) -> None:
        """What was not committed is gone; a copy of the last commit may take the file's place."""
        if copied:
            self.lmdb.copy_to(str(self.root / "copy"))
            self.memory.copy_to("d/copy")
        for backend in (self.lmdb, self.memory):
            backend.close()
        self.lmdb = self.open_lmdb("db")
        self.memory = MemoryFile(self.disk, "d/db")
        if copied:
            self.look_into_copies()
            self.lmdb.replace(str(self.root / "copy"))
            self.memory.replace("d/copy")

    def look_into_copies(self) -> None:
        copies = (self.open_lmdb("copy"), MemoryFile(self.disk, "d/copy"))
        found = [[list(copy.cursor(table)) for table in DATA_TABLES] for copy in copies]
        for copy in copies:
            copy.close()
        assert found[0] == found[1]

    @invariant()
    def equal(self) -> None:
        for table in DATA_TABLES:
            assert list(self.lmdb.cursor(table)) == list(self.memory.cursor(table))
            assert self.lmdb.first(table) == self.memory.first(table)
        assert (self.lmdb.dirty_bytes > 0) == (self.memory.dirty_bytes > 0)

    def teardown(self) -> None:
        self.lmdb.close()
        self.directory.cleanup()


TestBackends = pytest.mark.slow(Backends.TestCase)
TestBackends.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    suppress_health_check=(HealthCheck.too_slow,),  # LMDB syncs real files
)


def test_a_power_cut_takes_the_open_transaction_and_no_commit() -> None:
    """Whatever the luck: the commit before it is whole, and nothing of what came after is there."""
    for luck in range(10):
        disk = SimulatedDisk()
        database = MemoryFile(disk, "d/db")
        database.put(Table.LATEST, b"a", b"1")
        database.commit()
        database.put(Table.LATEST, b"a", b"2")
        database.delete(Table.LATEST, b"a")
        database.put(Table.LATEST, b"b", b"3")
        disk.power_cut(Random(luck))
        assert list(MemoryFile(disk, "d/db").cursor(Table.LATEST)) == [(b"a", b"1")]


def test_a_commit_that_fails_changes_nothing() -> None:
    """The disk refuses it; the next life finds the commit before."""
    disk = SimulatedDisk()
    database = MemoryFile(disk, "d/db")
    database.put(Table.LATEST, b"a", b"1")
    disk.fail_sync = 5
    with pytest.raises(OSError, match="injected"):
        database.commit()
    assert MemoryFile(disk, "d/db").first(Table.LATEST) is None
    disk.fail_sync = 0
    database.commit()
    assert MemoryFile(disk, "d/db").first(Table.LATEST) == b"a"


def test_what_is_no_database_is_refused() -> None:
    """As LMDB refuses it, and a member then says that its data is unfit."""
    disk = SimulatedDisk()
    disk.create("d/db").write(b"nothing of the kind")
    with pytest.raises(Corrupt, match="cannot be opened"):
        MemoryFile(disk, "d/db")


def test_a_range_that_ends_before_it_starts_is_empty(tmp_path: Path) -> None:
    """For rows, for their number, and for the views of a list."""
    for backend in (LmdbFile(str(tmp_path / "db")), MemoryFile(SimulatedDisk(), "d/db")):
        for key in (b"a", b"b"):
            backend.put(Table.LATEST, key, b"value of " + key)
        for start, end in ((b"b", b"a"), (b"b", b"b"), (b"b", b"")):
            assert list(backend.cursor(Table.LATEST, start, end)) == []
            assert backend.count(Table.LATEST, start, end) == (0, b"")
            assert not any(backend.views(Table.LATEST, start, end, 2))
        backend.close()
