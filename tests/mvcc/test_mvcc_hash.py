"""The hash in steps: equal to the hash in one go, whatever compaction removes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from raftkv.backend.environment import LmdbBackend
from raftkv.mvcc.store import Store


def filled(path: Path, writes: int) -> tuple[LmdbBackend, Store]:
    """A store with ``writes`` revisions of a few keys, a fifth of them deletions."""
    backend = LmdbBackend(str(path))
    store = Store(backend)
    random = Random(7)
    for number in range(writes):
        key = b"key%d" % random.randrange(20)
        txn = store.begin()
        if random.random() < 0.2:
            txn.delete_range(key, b"")
        else:
            txn.put(key, b"%d" % number, 0)
        txn.end()
    return backend, store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    backend, store = filled(tmp_path / "db", 400)
    yield store
    backend.close()


@pytest.mark.parametrize("removed_between", [0, 7, 50])
def test_steps_and_removal_interleave(store: Store, removed_between: int) -> None:
    """Hash a few records, remove a few, and so on: the hash is that before the removal, and that
    of after it."""
    revision = store.current_revision
    store.compact(150)
    while not store.compact_step(10):
        pass
    store.compact(300)
    before = store.hash_kv(revision)
    running = store.begin_hash(revision)
    while not running.step(13):
        if removed_between:
            store.compact_step(removed_between)
    assert running.result == before
    while not store.compact_step(100):
        pass
    assert store.hash_kv(revision) == before
    assert before.compact_revision == 300


def test_every_step_size_gives_the_same(store: Store) -> None:
    """One record at a time or all at once, at the newest and at an old revision."""
    for revision in (store.current_revision, 60):
        whole = store.hash_kv(revision)
        for records in (1, 7, 1000):
            running = store.begin_hash(revision)
            while not running.step(records):
                pass
            assert running.result == whole
