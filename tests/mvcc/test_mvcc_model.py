"""The store against a dictionary of versions, under any order of writes, reads and compactions."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from raftkv.backend.environment import LmdbBackend
from raftkv.errors import Compacted, FutureRevision
from raftkv.mvcc.codec import decode_key_value, decode_row, rows_of
from raftkv.mvcc.query import RangeQuery, SortOrder, SortTarget
from raftkv.mvcc.range_steps import may_be_long
from raftkv.mvcc.store import Store
from tests.mvcc.model_store import ModelStore
from tests.mvcc.range_in_steps import STEP_SIZES, in_steps

LONG = b"L" * 499
# Few, so that keys meet often: single bytes, prefixes of each other, and both sides of 500 bytes.
KEYS = (b"\0", b"a", b"a\0", b"b", LONG + b"x", LONG + b"xy", LONG + b"xz" * 400, b"\xff")
SHORTENED = {KEYS[4]: b"L", KEYS[5]: b"Lx", KEYS[6]: b"L" * 200}
keys = st.sampled_from(KEYS)
ends = st.sampled_from((b"", b"\0", *KEYS))
values = st.sampled_from((b"", b"v", b"w" * 300))
puts = st.tuples(st.just("put"), keys, values)
deletes = st.tuples(st.just("delete"), keys, ends)
revisions = st.integers(-2, 12)
queries = st.builds(
    RangeQuery,
    key=keys,
    range_end=ends,
    limit=st.integers(0, 5),
    revision=st.just(0),
    sort_order=st.sampled_from(SortOrder),
    sort_target=st.sampled_from(SortTarget),
    keys_only=st.booleans(),
    count_only=st.booleans(),
    min_mod_revision=st.just(0) | st.integers(0, 20),
    max_mod_revision=st.just(0) | st.integers(0, 20),
    min_create_revision=st.just(0) | st.integers(0, 20),
    max_create_revision=st.just(0) | st.integers(0, 20),
)
plain = st.tuples(keys, ends, st.integers(0, 4)).map(lambda t: RangeQuery(*t))


class StoreMachine(RuleBasedStateMachine):
    """Two stores get the same writes; only one is compacted in small steps and reopened."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = str(self.directory / "one")
        self.store = self.open(self.path)
        self.other = self.open(str(self.directory / "other"))
        self.model = ModelStore()

    @initialize(has_long_keys=st.booleans())
    def choose(self, has_long_keys: bool) -> None:
        """A table without a key of more than 500 bytes is read in other ways."""
        self.names = {} if has_long_keys else SHORTENED

    def open(self, path: str) -> Store:
        self.backend = LmdbBackend(path)
        store = Store(self.backend)
        store.observer = lambda happened: None
        return store

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    @rule(ops=st.lists(puts | deletes, min_size=1, max_size=4))
    def write(self, ops: list[tuple[str, bytes, bytes]]) -> None:
        """One txn on all three. A key is put once at most, as the API has it."""
        seen: set[bytes] = set()
        once = []
        for kind, name, argument in ops:
            key = self.names.get(name, name)
            if kind == "put" and key in seen:
                continue
            seen.add(key)
            once.append((kind, key, self.names.get(argument, argument)))
        self.model.apply(once)
        for store in (self.store, self.other):
            txn = store.begin()
            for kind, key, argument in once:
                if kind == "put":
                    txn.put(key, argument, 0)
                else:
                    txn.delete_range(key, argument)
            assert txn.end() == self.model.revision

    @rule(query=queries | plain)
    def read_latest(self, query: RangeQuery) -> None:
        self.compare(query)

    @rule(query=queries | plain, back=st.integers(0, 12))
    def read_past(self, query: RangeQuery, back: int) -> None:
        revision = self.model.revision - back
        if revision > 0:
            self.compare(query._replace(revision=revision))

    @rule(
        key=st.sampled_from((b"\0", b"a", LONG)),
        end=st.sampled_from((b"\0", b"\xff", LONG + b"xz")),
        limit=st.integers(-1, 4),
        shown=st.sampled_from(("rows", "keys_only", "count_only")),
        step_size=st.sampled_from((1, 2, 3, 1_000)),
    )
    def list_the_past(self, key: bytes, end: bytes, limit: int, shown: str, step_size: int) -> None:
        """A list in steps, and its pages, at each revision that is readable."""
        query = RangeQuery(key, end, limit)
        if shown != "rows":
            query = query._replace(**{shown: True})
        for revision in range(max(self.model.compacted, 1), self.model.revision + 1):
            for store in (self.store, self.other):
                self.compare_steps(store, query._replace(revision=revision), step_size)

    @rule(ahead=st.integers(1, 3))
    def read_future(self, ahead: int) -> None:
        with pytest.raises(FutureRevision):
            self.store.range(RangeQuery(b"a", revision=self.model.revision + ahead))

    @rule(
        again=st.booleans(),
        key=st.sampled_from((b"a", b"b")),
        other=st.sampled_from((b"a", b"b", LONG + b"xy")),
    )
    def delete_and_compact(self, again: bool, key: bytes, other: bytes) -> None:
        """Compaction at a deletion's very revision, and a key that comes and goes."""
        for op in (("put", key, b"v"), ("delete", key, b""), ("put", other, b"v")):
            self.write([op])
        self.compact(1)
        self.events(1, 5)
        self.compare(RangeQuery(key, revision=self.model.revision))
        if again:
            self.write([("put", key, b"again")])
            self.compare(RangeQuery(key, revision=self.model.revision - 1))
        else:
            self.write([("delete", other, b"")])
            self.compact(0)
            self.reopen()

    @rule(key=keys)
    def come_and_go(self, key: bytes) -> None:
        """A key that is deleted and made anew has its whole past."""
        for op in (("put", key, b"v"), ("delete", key, b""), ("put", key, b"w")):
            self.write([op])
        for back in range(4):
            self.read_past(RangeQuery(key), back)

    @rule(ops=st.lists(puts, min_size=3, max_size=5))
    def compact_record_by_record(self, ops: list[tuple[str, bytes, bytes]]) -> None:
        """Steps of one record remove what one big step does, within a revision too."""
        self.write(ops)
        self.write(ops)
        self.compact(0)
        while not self.store.compact_step(1):
            pass
        self.hashes(0)

    @rule(back=st.integers(0, 8))
    def compact(self, back: int) -> None:
        """Both know of the compaction at once; ``other`` removes its data at once, too."""
        revision = self.model.revision - back
        for store in (self.store, self.other):
            if revision <= self.model.compacted:
                with pytest.raises(Compacted):
                    store.compact(revision)
            else:
                store.compact(revision)
        self.model.compacted = max(self.model.compacted, revision)
        while not self.other.compact_step(100):
            pass

    @rule(records=st.integers(1, 3))
    def compact_a_bit(self, records: int) -> None:
        self.store.compact_step(records)

    @rule(start=st.integers(0, 12), most=st.integers(1, 5))
    def events(self, start: int, most: int) -> None:
        """History from a revision on equals the model's, with the previous values."""
        revision = max(self.model.revision - start, 0)
        changes = [c for c in self.model.changes if c.revision >= revision]
        wanted = sorted({c.revision for c in changes})[:most]
        for store in (self.store, self.other):
            if revision < self.model.compacted:
                with pytest.raises(Compacted):
                    store.events_since(revision, most)
                continue
            got = [
                (e.key, e.revision, e.sub, e.is_delete, e.prev_kv and decode_key_value(e.prev_kv))
                for happened in store.events_since(revision, most)
                for e in happened.events
            ]
            assert got == [
                (
                    c.key,
                    c.revision,
                    c.sub,
                    c.kv is None,
                    c.prev if c.revision - 1 >= self.model.compacted else None,
                )
                for c in changes
                if c.revision in wanted
            ]

    @rule()
    def reopen(self) -> None:
        """A committed store is found as it was."""
        for store in (self.store, self.other):
            store.flush_meta()
            store._backend.commit()
            store._backend.close()
        self.store = self.open(self.path)
        self.other = self.open(str(self.directory / "other"))

    @precondition(lambda self: self.model.revision > 1)
    @rule(back=st.integers(0, 5))
    def hashes(self, back: int) -> None:
        """However far each has come with removing, both answer the same."""
        revision = max(self.model.revision - back, self.model.compacted, 1)
        assert self.store.hash_kv(revision) == self.other.hash_kv(revision)

    @invariant()
    def numbers(self) -> None:
        for store in (self.store, self.other):
            assert store.current_revision == self.model.revision
            assert store.compact_revision == self.model.compacted

    def compare(self, query: RangeQuery) -> None:
        key, end = (self.names.get(name, name) for name in query[:2])
        query = query._replace(key=key, range_end=end)
        for store in (self.store, self.other):
            if 0 < query.revision < self.model.compacted:
                with pytest.raises(Compacted):
                    store.range(query)
                continue
            rows, count, more = self.model.range(query)
            self.compare_steps(store, query, 2)
            got = store.range(query)
            decoded = [decode_row(row) for row in rows_of(got.pieces)]
            assert (got.count, got.more, got.revision) == (count, more, self.model.revision)
            if query.sort_target is SortTarget.KEY:
                assert decoded == rows
            else:
                # Sorts are not stable in etcd: compare what is sorted by, and the set if whole.
                assert len(decoded) == len(rows)
                if not more:
                    assert sorted(map(repr, decoded)) == sorted(map(repr, rows))

    def compare_steps(self, store: Store, query: RangeQuery, step_size: int) -> None:
        """In steps of every size the answer is the same, and so is the page that follows it."""
        rows, count, more = self.model.range(query)
        with pytest.MonkeyPatch.context() as patch:
            for name in STEP_SIZES:
                patch.setattr(name, step_size)
            got = in_steps(store, query)
        for (at, key, end), counted in store._tails._counts.items():
            if at >= self.model.compacted:
                rest = RangeQuery(key, end, revision=at, count_only=True)
                assert counted == self.model.range(rest)[1], (at, key, end)
        assert (got.count, got.more, got.revision) == (count, more, self.model.revision)
        assert list(map(decode_row, rows_of(got.pieces))) == rows or not may_be_long(query)
        if got.more and may_be_long(query):
            at = query.revision or got.revision
            following = rows[-1].key + b"\0"
            self.compare_steps(store, query._replace(key=following, revision=at), step_size)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)


def test_uncommitted_writes_are_gone_after_a_crash(tmp_path: Path) -> None:
    """Without a commit the store is as it was at the last one: nothing is half there."""
    path = str(tmp_path / "db")
    backend = LmdbBackend(path)
    store = Store(backend)
    for number in range(5):
        txn = store.begin()
        txn.put(b"k%d" % number, b"v", 0)
        txn.end()
    store.flush_meta()
    backend.commit()
    txn = store.begin()
    txn.put(b"late", b"v", 0)
    txn.delete_range(b"k", b"l")
    txn.end()
    backend.close()
    again = Store(LmdbBackend(path))
    assert again.current_revision == 6
    assert again.range(RangeQuery(b"\0", b"\0")).count == 5
    assert again.get(b"late") is None


def test_walking_back_a_hot_key_is_sublinear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read far back in a key's history takes O(log n) look-ups, counted, also after reopening."""
    backend = LmdbBackend(str(tmp_path / "db"))
    store = Store(backend)
    for _ in range(5_000):
        txn = store.begin()
        txn.put(b"hot", b"v", 0)
        txn.end()
    reads = 0
    get = backend.get

    def counted(table: object, key: bytes) -> bytes | None:
        nonlocal reads
        reads += 1
        return get(table, key)  # type: ignore[arg-type]

    monkeypatch.setattr(backend, "get", counted)
    for revision in (2, 3, 17, 2_500, 4_999):
        reads = 0
        row = store.range(RangeQuery(b"hot", revision=revision)).pieces[0]
        assert decode_row(row).version == revision - 1
        assert reads < 40, (revision, reads)


def test_the_map_grows_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map that starts far too small never refuses a write."""
    monkeypatch.setattr("raftkv.backend.environment.MAP_HEADROOM_BYTES", 1 << 20)
    backend = LmdbBackend(str(tmp_path / "db"), map_bytes=1 << 20)
    store = Store(backend)
    for number in range(400):
        txn = store.begin()
        txn.put(b"k%d" % number, bytes(20_000), 0)
        txn.end()
        if number % 20 == 0:
            store.flush_meta()
            backend.commit()
    assert backend.size > 8_000_000
    assert store.range(RangeQuery(b"k", b"l", count_only=True)).count == 400
