"""The soft level: told at 80 % of the quota, with the prefixes that fill it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftkv.backend.environment import LmdbBackend
from raftkv.mvcc.store import Store
from raftkv.server.fullness import (
    PREFIXES_TOLD,
    SAMPLE_INTERVAL_S,
    Fullness,
    prefix_of,
    top_prefixes,
)

QUOTA = 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    backend = LmdbBackend(str(tmp_path / "db"))
    store = Store(backend)
    store.ledger.begin(store.current_revision, store.compact_revision, QUOTA)
    store.ledger.add_base(0, 0)
    yield store
    backend.close()


def put_until(store: Store, percent: int) -> None:
    """Nine of ten bytes below /registry/events/."""
    number = 0
    while store.ledger.live * 100 < QUOTA * percent:
        number += 1
        kind = b"pods" if number % 10 == 0 else b"events"
        txn = store.begin()
        txn.put(b"/registry/%s/%06d" % (kind, store.current_revision), b"v" * 500, 0)
        txn.end()


def test_it_is_told_once_with_the_largest_prefixes(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Below 80 % nothing; then one line, and the estimate for metrics, renewed each minute."""
    caplog.set_level("INFO", "raftkv.server")
    fullness = Fullness(store)
    put_until(store, 79)
    fullness.look(0.0, is_full=False)
    assert not fullness.top
    assert not caplog.records
    put_until(store, 81)
    for now in (1.0, 2.0, 3.0 + SAMPLE_INTERVAL_S):
        fullness.look(now, is_full=False)
    (name, size), (second, _) = fullness.top
    assert (name, second) == (b"/registry/events/", b"/registry/pods/")
    assert size == pytest.approx(0.9 * store.ledger.live, rel=0.1)
    assert [record.getMessage() for record in caplog.records] == ["the database is filling up"]


def test_it_is_over_below_the_lower_edge(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Around 80 % it is not told again and again."""
    caplog.set_level("INFO", "raftkv.server")
    fullness = Fullness(store)
    put_until(store, 81)
    fullness.look(0.0, is_full=False)
    store.ledger.set_quota(QUOTA * 105 // 100)
    fullness.look(1.0, is_full=False)
    assert fullness.top
    store.ledger.set_quota(QUOTA * 2)
    fullness.look(2.0, is_full=False)
    assert not fullness.top
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_full_cluster_and_its_relief_are_told(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each, on every member."""
    caplog.set_level("INFO", "raftkv.server")
    fullness = Fullness(store)
    for now, is_full in enumerate((False, True, True, False, False)):
        fullness.look(float(now), is_full=is_full)
    assert [record.getMessage() for record in caplog.records] == [
        "the cluster is full: puts are refused until there is room",
        "the cluster has room again",
    ]


def test_the_estimate_looks_at_few_records(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are; and an empty store has no prefixes."""
    assert top_prefixes(store) == []
    put_until(store, 90)
    monkeypatch.setattr("raftkv.server.fullness.SAMPLES", 16)
    seen: list[int] = []
    scan = store.history.scan

    def counting(start: int, end: int) -> object:
        seen.append(start)
        return scan(start, end)

    monkeypatch.setattr(store.history, "scan", counting)
    assert 1 <= len(top_prefixes(store)) <= PREFIXES_TOLD
    assert len(seen) == 16


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        (b"/registry/pods/default/web", b"/registry/pods/"),
        (b"app/users/1", b"app/users/"),
        (b"app/1", b"app/"),
        (b"/lonely", b"/lonely"),
        (b"plain-key-0001", b"plain-ke"),
        (b"/", b"/"),
    ],
)
def test_what_a_prefix_is(key: bytes, prefix: bytes) -> None:
    """Two segments where there are as many."""
    assert prefix_of(key) == prefix
