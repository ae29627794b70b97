"""Lists longer than a piece: every row once, in order, whatever the limit cuts."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftkv.backend.environment import ROWS_PER_PIECE, LmdbBackend
from raftkv.mvcc.codec import decode_row, rows_of
from raftkv.mvcc.query import RangeQuery, SortOrder, SortTarget
from raftkv.mvcc.store import Store

KEYS = [b"list/%04d" % number for number in range(2 * ROWS_PER_PIECE + 7)]
ENDS = [b"list0", b"\0", KEYS[-1], KEYS[ROWS_PER_PIECE]]
LIMITS = [0, 1, ROWS_PER_PIECE - 1, ROWS_PER_PIECE, ROWS_PER_PIECE + 1, len(KEYS), len(KEYS) + 1]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path: Path = tmp_path_factory.mktemp("list") / "db"
    store = Store(LmdbBackend(str(path)))
    for key in KEYS:
        txn = store.begin()
        txn.put(key, b"value of " + key, 0)
        txn.end()
    return store


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("keys_only", [False, True])
def test_limits(store: Store, end: bytes, limit: int, keys_only: bool) -> None:
    """Rows, count and more are right on both sides of a piece's end; so are both ways to read."""
    expected = [key for key in KEYS if end == b"\0" or key < end]
    shown = expected[:limit] if limit else expected
    result = store.range(RangeQuery(b"list/", end, limit=limit, keys_only=keys_only))
    found = [decode_row(row) for row in rows_of(result.pieces)]
    assert [row.key for row in found] == shown
    assert [row.value for row in found] == [b"" if keys_only else b"value of " + k for k in shown]
    assert (result.count, result.more) == (len(expected), len(shown) < len(expected))


@pytest.mark.parametrize("revision", [0, len(KEYS) + 1])
@pytest.mark.parametrize("order", list(SortOrder))
def test_the_largest_limit_limits_nothing(store: Store, order: SortOrder, revision: int) -> None:
    """2^63-1 is a limit like any other, in each way to read."""
    query = RangeQuery(b"list/", b"list0", limit=2**63 - 1, sort_order=order, revision=revision)
    result = store.range(query)
    assert (result.count, result.more) == (len(KEYS), False)


@pytest.mark.parametrize("order", list(SortOrder))
@pytest.mark.parametrize("target", list(SortTarget))
@pytest.mark.parametrize("revision", [0, len(KEYS)])
def test_orders(store: Store, order: SortOrder, target: SortTarget, revision: int) -> None:
    """An order reads rows one by one: they are the same rows, at any revision. Here all orders
    agree, since keys, revisions and values were made together; only all versions are 1."""
    query = RangeQuery(b"list/", b"list0", sort_order=order, sort_target=target, revision=revision)
    found = [decode_row(row).key for row in rows_of(store.range(query).pieces)]
    expected = KEYS[: revision - 1] if revision else KEYS
    if order is SortOrder.DESCEND and target is not SortTarget.VERSION:
        expected = expected[::-1]
    assert found == expected


@pytest.mark.parametrize("order", list(SortOrder))
@pytest.mark.parametrize("target", list(SortTarget))
def test_keys_only_shows_a_lease_only_when_values_are_looked_at(
    tmp_path: Path, order: SortOrder, target: SortTarget
) -> None:
    """etcd 3.7 answers from its index, which knows no lease, unless it sorts by the values."""
    store = Store(LmdbBackend(str(tmp_path / "db")))
    txn = store.begin()
    txn.put(b"k", b"v", 7)
    txn.end()
    query = RangeQuery(b"k", sort_order=order, sort_target=target, keys_only=True)
    (row,) = rows_of(store.range(query).pieces)
    lease = 7 if target is SortTarget.VALUE else 0
    assert (decode_row(row).value, decode_row(row).lease) == (b"", lease)
