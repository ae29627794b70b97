"""Pieces of a list that are kept: the next list is as right as one that reads everything anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftkv.backend.environment import ROWS_PER_PIECE, LmdbBackend, Views
from raftkv.backend.kept_pieces import KeptPieces
from raftkv.errors import Damaged
from raftkv.mvcc.codec import encode_key_value, encode_row, key_of_row, rows_of
from raftkv.mvcc.query import RangeQuery
from raftkv.mvcc.store import Store

KEYS = [b"%03d" % number for number in range(60)]
ROWS = 4 * ROWS_PER_PIECE
ALL = RangeQuery(b"list/", b"list0")


def row_of(key: bytes, version: int) -> bytes:
    return encode_row(encode_key_value(key, 1, version, version, b"v" * (version % 5), 0))


class Rows:
    """Rows in memory, which count how many were read."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.read = 0

    def views(self, start: bytes, end: bytes | None, most: int) -> Views:
        keys = [key for key in sorted(self.rows) if key >= start and (end is None or key < end)]
        for at in range(0, len(keys), most):
            found = [self.rows[key] for key in keys[at : at + most]]
            self.read += len(found)
            yield found


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("bytes_kept_max", [200, 1_000_000])
def test_any_order_of_writes_and_lists(seed: int, bytes_kept_max: int) -> None:
    """Any bounds, limits and writes: what is answered is what is there."""
    chance = random.Random(seed)
    table = Rows()
    pieces = KeptPieces(table.views, rows_per_piece=5, rows_min=2, bytes_max=bytes_kept_max)
    for version in range(1, 400):
        key = chance.choice(KEYS)
        match chance.choice(("put", "delete", "list", "list", "list")):
            case "put":
                pieces.drop(key)
                table.rows[key] = row_of(key, version)
            case "delete":
                pieces.drop(key)
                table.rows.pop(key, None)
            case _:
                end = chance.choice([None, chance.choice(KEYS), KEYS[-1]])
                limit, bytes_max = chance.choice([0, 0, 1, 5, 7]), chance.choice([0, 0, 1, 60])
                got, count = pieces.joined(key, end, limit, bytes_max)
                expected = list(expected_rows(table, key, end, limit, bytes_max))
                assert (b"".join(got), count) == (b"".join(expected), len(expected)), seed
        assert pieces.starts == sorted(set(pieces.starts))


def expected_rows(
    table: Rows, start: bytes, end: bytes | None, limit: int, bytes_max: int
) -> Iterator[bytes]:
    size = count = 0
    for key in sorted(table.rows):
        if key < start or (end is not None and key >= end):
            continue
        yield table.rows[key]
        size, count = size + len(table.rows[key]), count + 1
        if count == limit or (bytes_max and size >= bytes_max):
            return


def test_one_write_costs_the_next_list_one_piece() -> None:
    """What no write touched is not read again, and a list within it reads its edges alone."""
    table = Rows()
    table.rows = {key: row_of(key, 1) for key in KEYS}
    pieces = KeptPieces(table.views, rows_per_piece=10, rows_min=2)
    pieces.joined(b"", None, 0, 0)
    table.read = 0
    pieces.joined(b"", None, 0, 0)
    assert table.read == 0
    pieces.drop(KEYS[33])
    pieces.joined(b"", None, 0, 0)
    assert table.read == 10
    table.read = 0
    pieces.joined(KEYS[15], KEYS[45], 0, 0)
    assert table.read == 10, "five rows before the first whole piece, and five behind the last"


def test_what_is_kept_is_bounded() -> None:
    """Beyond the bound what was kept before goes; the answer is whole."""
    table = Rows()
    table.rows = {key: row_of(key, 5) for key in KEYS}
    size = len(table.rows[KEYS[0]])
    pieces = KeptPieces(table.views, rows_per_piece=10, rows_min=2, bytes_max=25 * size)
    assert pieces.joined(b"", None, 0, 0)[1] == len(KEYS)
    assert len(pieces.starts) <= 2


# --- in a store -------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    backend = LmdbBackend(str(tmp_path / "db"))
    backend.write_checks(True)
    store = Store(backend)
    for number in range(ROWS):
        put(store, b"list/%05d" % number, b"first")
    backend.commit()
    yield store
    backend.close()


def put(store: Store, key: bytes, value: bytes) -> None:
    txn = store.begin()
    txn.put(key, value, 0)
    txn.end()


def keys_of(store: Store) -> list[bytes]:
    return [key_of_row(row) for row in rows_of(store.range(ALL).pieces)]


def test_a_list_sees_every_write_before_it(store: Store) -> None:
    """Of other txns and of its own: puts, new keys, deletions of ranges."""
    before = keys_of(store)
    put(store, b"list/00300", b"second")
    assert b"second" in b"".join(store.range(ALL).pieces)
    put(store, b"list/00300x", b"new")
    txn = store.begin()
    txn.delete_range(b"list/00500", b"list/00900")
    assert len(list(rows_of(txn.range(ALL).pieces))) == len(before) + 1 - 400, "its own, too"
    txn.end()
    assert keys_of(store) == sorted(
        {key for key in before if not b"list/00500" <= key < b"list/00900"} | {b"list/00300x"}
    )


def test_a_list_is_of_the_database_that_took_this_ones_place(store: Store, tmp_path: Path) -> None:
    """Nothing is kept over a snapshot."""
    assert len(keys_of(store)) == ROWS
    backend = store._backend
    other = LmdbBackend(str(tmp_path / "other"))
    put(Store(other), b"list/only", b"")
    other.commit()
    other.close()
    backend.replace(str(tmp_path / "other"))
    store.reload()
    assert keys_of(store) == [b"list/only"]


def test_a_byte_that_flips_in_the_file_is_in_no_list(store: Store, tmp_path: Path) -> None:
    """What was kept before is sound; what is read after fails its check, and is not given out."""
    sound = b"".join(store.range(ALL).pieces)
    path = tmp_path / "db"
    content = path.read_bytes()
    with path.open("r+b") as file:
        at = content.find(b"first", content.find(b"list/00300"))
        while at >= 0:  # in both tables
            file.seek(at)
            file.write(b"wrong")
            at = content.find(b"first", at + 1)
    assert b"".join(store.range(ALL).pieces) == sound
    store.latest.delete(b"list/00001")
    with pytest.raises(Damaged):
        store.range(ALL)
    with pytest.raises(Damaged):
        store.range(RangeQuery(b"list/00300", b"list/00310"))
