"""What is counted below prefixes, against a full scan, under any order of writes and restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Meta, Table
from raftkv.errors import InvalidRequest
from raftkv.mvcc import prefix_quota
from raftkv.mvcc.prefix_quota import PREFIX_BYTES_MAX, QUOTAS_MAX, end_of
from raftkv.mvcc.query import RangeQuery
from raftkv.mvcc.store import Store
from raftkv.simulation.database import memory_backend
from raftkv.simulation.disk import SimulatedDisk

KEYS = (b"a", b"a/", b"a/1", b"a/1/x", b"a/2", b"b", b"\xff\xff1", b"a/" + b"c" * 700)
PREFIXES = (b"a", b"a/", b"a/1", b"\xff", b"\xff\xff", b"nothing/")
keys = st.sampled_from(KEYS)
values = st.sampled_from((b"", b"v", b"w" * 300, b"y" * 9_000))
puts = st.tuples(st.just("put"), keys, values)
deletes = st.tuples(st.just("delete"), keys, st.sampled_from((b"", b"a/2", b"\0")))


class Counts(RuleBasedStateMachine):
    """A store beside a dict of what is in it; the store is closed and opened, and compacted."""

    @initialize()
    def open(self) -> None:
        self.disk = SimulatedDisk()
        self.backend = memory_backend(self.disk, "db")
        self.store = Store(self.backend)
        self.there: dict[bytes, bytes] = {}
        self.bounds: dict[bytes, tuple[int, int]] = {}

    @rule(operations=st.lists(st.one_of(puts, deletes), min_size=1, max_size=4))
    def write(self, operations: list[tuple[str, bytes, bytes]]) -> None:
        txn = self.store.begin()
        for kind, key, other in operations:
            if kind == "put":
                txn.put(key, other, 0)
                self.there[key] = other
                continue
            txn.delete_range(key, other)
            for doomed in [each for each in self.there if _is_in(each, key, other)]:
                del self.there[doomed]
        txn.end()

    @rule(prefix=st.sampled_from(PREFIXES), size=st.integers(0, 1000), number=st.integers(1, 9))
    def set(self, prefix: bytes, size: int, number: int) -> None:
        """Before and after there is anything below it, and again with other bounds."""
        self.store.prefix_quotas.set(prefix, size, number)
        self.bounds[prefix] = (size, number)

    @rule(prefix=st.sampled_from(PREFIXES))
    def remove(self, prefix: bytes) -> None:
        if self.bounds.pop(prefix, None):
            self.store.prefix_quotas.remove(prefix)
        else:
            with pytest.raises(InvalidRequest, match="no quota for the prefix"):
                self.store.prefix_quotas.remove(prefix)

    @rule()
    def compact(self) -> None:
        if self.store.compact_revision < self.store.current_revision:
            self.store.compact(self.store.current_revision)

    @rule()
    def reopen(self) -> None:
        self.store.flush_meta()
        self.backend.commit()
        self.backend.close()
        self.backend = memory_backend(self.disk, "db")
        self.store = Store(self.backend)

    @rule()
    def lose_what_was_not_committed(self) -> None:
        """The process dies: the counts go back with what they count."""
        self.store.flush_meta()
        self.backend.commit()
        txn = self.store.begin()
        txn.put(b"a/1", b"lost", 0)
        txn.put(b"a/lost", b"lost", 0)
        txn.end()
        self.backend = memory_backend(self.disk, "db")
        self.store = Store(self.backend)

    @invariant()
    def counts_are_those_of_a_scan(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.range(RangeQuery(b"\0", b"\0", count_only=True)).count == len(self.there)
        rows = self.store.prefix_quotas.rows()
        assert [one.prefix for one in rows] == sorted(self.bounds)
        assert self.store.prefix_quotas.is_on == bool(self.bounds)
        for one in rows:
            below = {key: self.there[key] for key in self.there if key.startswith(one.prefix)}
            assert one.keys == len(below), one
            assert one.bytes == sum(len(key) + len(value) for key, value in below.items()), one
            assert (one.bytes_max, one.keys_max) == self.bounds[one.prefix]


def _is_in(key: bytes, start: bytes, end: bytes) -> bool:
    if not end:
        return key == start
    return key >= start and (end == b"\0" or key < end)


TestCounts = Counts.TestCase
TestCounts.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(LmdbBackend(str(tmp_path / "db")))


def test_without_a_quota_nothing_is_stored_or_counted(store: Store) -> None:
    """As in version 0.1, which may get this database back."""
    txn = store.begin()
    txn.put(b"k", b"v", 0)
    txn.end()
    store.prefix_quotas.set(b"k", 10, 0)
    store.flush_meta()
    store.prefix_quotas.drop()
    store.flush_meta()
    backend = store.latest._backend
    names = [key for key, _ in backend.cursor(Table.META)]
    assert not [name for name in names if name.startswith(Meta.PREFIX_QUOTA)]
    assert not store.prefix_quotas.is_on


def test_bad_prefixes_and_too_many_are_refused(store: Store) -> None:
    """With the limit and the value; nothing changes."""
    quotas = store.prefix_quotas
    for wrong in (b"", b"p" * (PREFIX_BYTES_MAX + 1)):
        with pytest.raises(
            InvalidRequest, match=f"1 to {PREFIX_BYTES_MAX} bytes, got {len(wrong)}"
        ):
            quotas.set(wrong, 1, 0)
    for number in range(QUOTAS_MAX):
        quotas.set(b"%d" % number, 1, 0)
    with pytest.raises(InvalidRequest, match=f"the limit is {QUOTAS_MAX}"):
        quotas.set(b"one more", 1, 0)
    quotas.set(b"0", 2, 0)
    assert len(quotas.rows()) == QUOTAS_MAX


def test_too_much_to_count_in_one_turn_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the limit it is counted."""
    monkeypatch.setattr(prefix_quota, "COUNTED_KEYS_MAX", 3)
    for name in (b"a/1", b"a/2", b"a/3", b"b/1", b"b/2", b"b/3", b"b/4"):
        txn = store.begin()
        txn.put(name, b"", 0)
        txn.end()
    store.prefix_quotas.set(b"a/", 1, 0)
    with pytest.raises(InvalidRequest, match="more than 3 keys"):
        store.prefix_quotas.set(b"b/", 1, 0)
    assert [one.keys for one in store.prefix_quotas.rows()] == [3]


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff", None), (b"a/", b"a0")]
)
def test_where_a_prefix_ends(prefix: bytes, end: bytes | None) -> None:
    """The first key that does not begin with it."""
    assert end_of(prefix) == end
