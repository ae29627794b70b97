"""A count reads keys alone: with a bit of a key that is not what it was it is right, or fails."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Table
from raftkv.errors import Damaged
from raftkv.mvcc.query import RangeQuery
from raftkv.mvcc.store import Store

KEYS = [b"key%03d" % number for number in range(0, 240, 2)]
RANGES = [
    *pairwise((b"key010", b"key011", b"key077", b"key100", b"key190", b"key900")),
    (b"\0", b"\0"),
]
FLIPS = (0x01, 0x20, 0x80)


def make(path: Path) -> None:
    backend = LmdbBackend(str(path))
    backend.write_checks(True)
    assert backend.is_complete
    store = Store(backend)
    write = store.begin()
    for key in KEYS:
        write.put(key, b"value", 0)
    write.end()
    store.flush_meta()
    backend.commit()
    backend.close()


def places(content: bytes) -> list[int]:
    """Where a key stands as LMDB's own, before its row: the row has it once more, soon after."""
    found = []
    for key in KEYS:
        at = content.find(key)
        while at != -1:
            again = content.find(key, at + 1, at + 40)
            if again != -1:
                found.append(at)
            at = content.find(key, at + 1)
    return found


def true_count(start: bytes, end: bytes) -> int:
    return sum(start <= key and (end == b"\0" or key < end) for key in KEYS)


def test_a_count_beside_a_damaged_key(tmp_path: Path) -> None:
    """Every key in its turn, in several ranges. Unchecked, some of the counts are wrong."""
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    make(whole)
    content = whole.read_bytes()
    at_keys = places(content)
    assert len(at_keys) >= len(KEYS)
    wrong = found = 0
    for number, at in enumerate(at_keys):
        flipped = bytearray(content)
        flipped[at + 3 + number % 3] ^= FLIPS[number % len(FLIPS)]
        damaged.write_bytes(flipped)
        backend = LmdbBackend(str(damaged))
        store = Store(backend)
        for start, end in RANGES:
            stop = None if end == b"\0" else end
            wrong += backend._raw.count(Table.LATEST, start, stop)[0] != true_count(start, end)
            try:
                counted = store.range(RangeQuery(start, end, count_only=True)).count
            except Damaged:
                found += 1
            else:
                assert counted == true_count(start, end), (at, start, end)
        backend.close()
    assert wrong > 0, "the flips led no search astray"
    assert wrong <= found < len(at_keys) * len(RANGES), (wrong, found)


def test_a_count_of_what_is_not_damaged(tmp_path: Path) -> None:
    """Also at the ends of all keys, and of nothing."""
    make(tmp_path / "whole")
    backend = LmdbBackend(str(tmp_path / "whole"))
    store = Store(backend)
    for start, end in (*RANGES, (b"a", b"b"), (b"x", b"y"), (b"key238", b"key2380"), (b"z", b"\0")):
        counted = store.range(RangeQuery(start, end, count_only=True)).count
        assert counted == true_count(start, end)
    backend.close()


@pytest.mark.parametrize("end", [b"key100", b"\0"])
def test_a_count_says_who_is_damaged(tmp_path: Path, end: bytes) -> None:
    """As every read does: the member is told, and repairs itself from a peer."""
    make(tmp_path / "db")
    content = bytearray((tmp_path / "db").read_bytes())
    for at in places(bytes(content)):
        if content[at : at + 6] == b"key050":
            content[at + 5] ^= 8
    (tmp_path / "db").write_bytes(content)
    backend = LmdbBackend(str(tmp_path / "db"))
    told: list[Damaged] = []
    backend.damaged = told.append
    with pytest.raises(Damaged, match="is another key's"):
        Store(backend).range(RangeQuery(b"key050", end, count_only=True))
    assert len(told) == 1
    backend.close()
