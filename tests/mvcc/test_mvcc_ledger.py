"""The count of what is live, against a full scan, under any order of writes and compactions."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Meta, Table
from raftkv.mvcc.codec import encode_deletion, encode_key_value
from raftkv.mvcc.ledger import SAMPLE_RECORDS, charge
from raftkv.mvcc.query import RangeQuery
from raftkv.mvcc.store import Store
from tests.mvcc.model_store import ModelStore

KEYS = (b"a", b"b", b"b/1", b"b/2", b"c" * 700)
keys = st.sampled_from(KEYS)
values = st.sampled_from((b"", b"v", b"w" * 300, b"x" * 1_950, b"y" * 9_000))
puts = st.tuples(st.just("put"), keys, values)
deletes = st.tuples(st.just("delete"), keys, st.sampled_from((b"", b"b0", b"\0")))


def measured(model: ModelStore) -> int:
    """What is live by the model: each version that can be read, the newest ones twice, and each
    deletion since the compaction. Shares ``charge`` with what it checks, nothing else."""

    def size(change_key: bytes, revision: int) -> int:
        kv = model.at(revision)[change_key]
        encoded = encode_key_value(
            kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.value, kv.lease
        )
        return charge(len(encoded))

    newest = sum(size(key, model.revision) for key in model.at(model.revision))
    kept = {(kv.key, kv.mod_revision) for kv in model.at(model.compacted).values()}
    history = 0
    for change in model.changes:
        readable = change.revision > model.compacted or (change.key, change.revision) in kept
        if change.kv is None:
            if change.revision > model.compacted:
                history += charge(len(encode_deletion(change.key, change.revision)))
        elif readable:
            kv = change.kv
            encoded = encode_key_value(
                kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.value, kv.lease
            )
            history += charge(len(encoded))
    return newest + history


class LedgerMachine(RuleBasedStateMachine):
    """Two stores get the same writes and compactions; one removes what was given up in steps of a
    record, is closed and opened, and is copied to a third place, as a snapshot is."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.copies = 0
        self.store = self.open("one")
        self.slow_backend = self.backend
        self.quick = self.open("other")
        self.model = ModelStore()
        self.exact_from = 0

    def open(self, name: str) -> Store:
        self.path = str(self.directory / name)
        self.backend = LmdbBackend(self.path)
        return Store(self.backend)

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    @initialize(
        before=st.lists(puts | deletes, max_size=6),
        compacted=st.booleans(),
        sample_records=st.sampled_from((1, 2, 3, 256)),
    )
    def begin(
        self, before: list[tuple[str, bytes, bytes]], compacted: bool, sample_records: int
    ) -> None:
        """Some writes came when nobody counted, and one store measures them for both."""
        for store in (self.store, self.quick):
            store.ledger.sample_records = sample_records
        self.sample_records = sample_records
        for op in before:
            self.write([op])
        if compacted and before:
            self.compact(1)
            while not self.store.compact_step(1):
                pass
        self.exact_from = self.model.revision
        for store in (self.store, self.quick):
            store.ledger.begin(store.current_revision, store.compact_revision, 0)
        measurement = self.quick.begin_measurement(self.exact_from)
        self.write([("put", b"a", b"meanwhile"), ("delete", b"b", b"\0")])
        while not measurement.step(1):
            pass
        for store in (self.store, self.quick):
            store.ledger.add_base(measurement.live, measurement.superseded)

    @rule(ops=st.lists(puts | deletes, min_size=1, max_size=4))
    def write(self, ops: list[tuple[str, bytes, bytes]]) -> None:
        seen: set[bytes] = set()
        once = []
        for kind, key, argument in ops:
            if kind == "put" and key in seen:
                continue
            seen.add(key)
            once.append((kind, key, argument))
        self.model.apply(once)
        for store in (self.store, self.quick):
            txn = store.begin()
            for kind, key, argument in once:
                if kind == "put":
                    txn.put(key, argument, 0)
                else:
                    txn.delete_range(key, argument)
            assert txn.end() == self.model.revision

    @rule(back=st.integers(0, 6))
    def compact(self, back: int) -> None:
        """``quick`` removes the data at once, the other one does not."""
        revision = self.model.revision - back
        if revision <= max(self.model.compacted, 0):
            return
        for store in (self.store, self.quick):
            store.compact(revision)
        self.model.compacted = revision
        while not self.quick.compact_step(100):
            pass

    @rule(records=st.integers(1, 3))
    def remove_a_bit(self, records: int) -> None:
        self.store.compact_step(records)

    @rule()
    def restart(self) -> None:
        """Closed in order and opened again, a copy of it in its place: as after a snapshot."""
        self.store.flush_meta()
        self.slow_backend.commit()
        self.copies += 1
        copy = str(self.directory / f"copy{self.copies}")
        self.slow_backend.copy_to(copy)
        self.slow_backend.close()
        self.store = self.open(f"copy{self.copies}")
        self.store.ledger.sample_records = self.sample_records
        self.slow_backend = self.backend

    @invariant()
    def counts_what_is_there(self) -> None:
        slow, quick = self.store.ledger, self.quick.ledger
        if not quick.is_complete:
            return
        assert slow.row == quick.row
        live = measured(self.model)
        if self.model.compacted >= self.exact_from or not quick.base_superseded:
            assert quick.live == live
        else:
            assert quick.live >= live, "a compaction of what came before counting gives up nothing"


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLedger = LedgerMachine.TestCase


def many(tmp_path: Path, writes: int) -> tuple[LmdbBackend, Store]:
    backend = LmdbBackend(str(tmp_path / "db"))
    store = Store(backend)
    store.ledger.begin(store.current_revision, store.compact_revision, 0)
    store.ledger.add_base(0, 0)
    for number in range(writes):
        txn = store.begin()
        txn.put(b"k%d" % (number % 7), b"v" * (number % 50), 0)
        txn.end()
    return backend, store


def test_a_compaction_looks_at_few_records_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most SAMPLE_RECORDS of them, since the sample before it; and old samples go."""
    backend, store = many(tmp_path, 3_000)
    looked = 0
    get = store.history.get

    def counting(position: tuple[int, int]) -> object:
        nonlocal looked
        looked += 1
        return get(position)

    monkeypatch.setattr(store.history, "get", counting)
    store.compact(2_900)
    assert looked <= SAMPLE_RECORDS
    samples = list(backend.cursor(Table.META, Meta.SPACE_AT, Meta.SPACE_AT + b"\xff" * 17))
    assert len(samples) == 3_000 // SAMPLE_RECORDS
    while not store.compact_step(500):
        pass
    rows = store.range(RangeQuery(b"\0", b"\0")).pieces
    samples = list(backend.cursor(Table.META, Meta.SPACE_AT, Meta.SPACE_AT + b"\xff" * 17))
    assert len(samples) <= 1
    assert rows
    backend.close()


def test_deleting_everything_and_compacting_leaves_nothing(tmp_path: Path) -> None:
    """No error adds up: the count of an empty store is 0."""
    backend, store = many(tmp_path, 700)
    txn = store.begin()
    txn.delete_range(b"\0", b"\0")
    store.compact(txn.end())
    assert store.ledger.live == 0
    assert store.latest.is_empty
    backend.close()


def test_a_large_value_counts_whole_pages() -> None:
    """As LMDB stores it; a row of any size counts more than its bytes."""
    assert charge(100) == 164
    assert charge(1_960) == 2_024
    assert charge(1_961) == charge(4_032) == 4_096
    assert charge(4_033) == 8_192


def test_pages_that_are_freed_are_used_again(tmp_path: Path) -> None:
    """Twenty rounds of fill, delete and compact: the file stays as large as after the third, and
    within what the count says. Nobody defragments."""
    backend, store = many(tmp_path, 0)
    sizes, most_live = [], 0
    for round_number in range(20):
        for number in range(400):
            txn = store.begin()
            value = bytes(100 + 40 * ((number + round_number) % 120))
            txn.put(b"%d/key%06d" % (number % 9, number * (round_number + 1)), value, 0)
            txn.end()
            if number % 100 == 0:
                backend.commit()
        most_live = max(most_live, store.ledger.live)
        txn = store.begin()
        txn.delete_range(b"\0", b"\0")
        store.compact(txn.end())
        while not store.compact_step(50):
            backend.commit()
        backend.commit()
        sizes.append(backend.size)
    assert max(sizes[3:]) <= 1.25 * sizes[2], sizes
    assert max(sizes) <= 2 * most_live
    backend.close()
