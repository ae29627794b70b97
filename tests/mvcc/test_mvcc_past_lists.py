"""Lists of the past in steps and in pages, of more keys than a step reads and of which many are
deleted, made anew, and written in the midst of a txn since."""

from __future__ import annotations

from random import Random

import pytest

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.ordered_keys import PLAIN_KEY_BYTES_MAX
from raftkv.mvcc.codec import decode_row, rows_of
from raftkv.mvcc.query import RangeQuery
from raftkv.mvcc.store import Store
from tests.mvcc.model_store import ModelStore
from tests.mvcc.range_in_steps import STEP_SIZES, in_steps

REVISIONS = 300
"""More than fit one byte."""
WHOLE = RangeQuery(b"k", b"l")


def key_of(number: int, is_long: bool) -> bytes:
    tail = b"x" * PLAIN_KEY_BYTES_MAX if is_long and number % 5 == 0 else b""
    return b"k%02d" % number + tail


@pytest.fixture(scope="module", params=["short keys", "some long keys"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, ModelStore]:
    store = Store(LmdbBackend(str(tmp_path_factory.mktemp("past") / "db")))
    model, random = ModelStore(), Random(6)
    while model.revision < REVISIONS:
        numbers = random.sample(range(40), random.choice((1, 1, 1, 3)))
        ops = []
        for number in numbers:
            kind = random.choice(("put", "put", "delete"))
            value = bytes(random.choice((0, 1, 90, 200, 17_000))) if kind == "put" else b""
            ops.append((kind, key_of(number, request.param == "some long keys"), value))
        model.apply(ops)
        txn = store.begin()
        for kind, key, value in ops:
            if kind == "put":
                txn.put(key, value, 0)
            else:
                txn.delete_range(key, b"")
        assert txn.end() == model.revision
    return store, model


@pytest.mark.parametrize("step_size", [1, 2, 5, 1_000])
@pytest.mark.parametrize("bytes_max", [1, 1 << 24])
@pytest.mark.parametrize("limit", [0, 7])
@pytest.mark.parametrize("shown", ["rows", "keys_only", "count_only"])
def test_each_page_is_the_models(
    written: tuple[Store, ModelStore],
    monkeypatch: pytest.MonkeyPatch,
    step_size: int,
    bytes_max: int,
    limit: int,
    shown: str,
) -> None:
    """Rows, count and more, at revisions near and far."""
    store, model = written
    for name in STEP_SIZES:
        monkeypatch.setattr(name, step_size)
    monkeypatch.setattr("raftkv.mvcc.range_steps.BYTES_PER_STEP", bytes_max)
    query = WHOLE._replace(
        limit=limit, keys_only=shown == "keys_only", count_only=shown == "count_only"
    )
    for revision in (2, 50, 127, 128, 200, 256, REVISIONS - 2, model.revision):
        key = query.key
        while key:
            page = query._replace(key=key, revision=revision)
            rows, count, more = model.range(page)
            got = in_steps(store, page)
            assert [decode_row(row) for row in rows_of(got.pieces)] == rows
            assert (got.count, got.more, got.revision) == (count, more, model.revision)
            key = rows[-1].key + b"\0" if more else b""


def test_the_count_of_a_page_that_is_not_the_next_is_right(
    written: tuple[Store, ModelStore],
) -> None:
    """A page may begin and end anywhere: what is kept of others is not taken for it."""
    store, model = written
    for revision in (100, 250):
        for limit in (1, 3, 10):
            for start in (b"k", b"k05", b"k05\0", b"k2"):
                for end in (b"k3", b"l", b"\0"):
                    page = RangeQuery(start, end, limit, revision)
                    _, count, more = model.range(page)
                    got = in_steps(store, page)
                    assert (got.count, got.more) == (count, more), page
