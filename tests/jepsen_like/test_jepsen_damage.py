"""Flipped bits: one of them, where the brief of the damage says, and a bound on where."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from jepsen_like.cluster.damage import (
    NothingToDamage,
    flip_in_database,
    flip_in_log,
    used_bytes,
)

WRITTEN = 5000
PREALLOCATED = 3 << 20


def _changed_bits(before: bytes, after: bytes) -> list[int]:
    """The offset of each bit that differs."""
    assert len(before) == len(after)
    return [
        8 * at + bit
        for at, (old, new) in enumerate(zip(before, after, strict=True))
        for bit in range(8)
        if (old ^ new) >> bit & 1
    ]


def test_one_bit_of_the_older_half_of_a_log_changes(tmp_path: Path) -> None:
    """Never in the zeros that were preallocated, nor in the newer half, which may be torn."""
    path = tmp_path / "1.wal"
    content = b"\x5a" * WRITTEN + bytes(PREALLOCATED)
    for seed in range(20):
        path.write_bytes(content)
        flip_in_log([path], Random(seed))
        (bit,) = _changed_bits(content[: 2 * WRITTEN], path.read_bytes()[: 2 * WRITTEN])
        assert bit // 8 < WRITTEN // 2


def test_one_bit_of_a_page_in_use_changes(tmp_path: Path) -> None:
    """A page of zeros holds nothing whose change could show."""
    path = tmp_path / "db"
    content = bytes(4096) + b"\x01" * 4096 + bytes(8192)
    for seed in range(20):
        path.write_bytes(content)
        flip_in_database(path, Random(seed))
        (bit,) = _changed_bits(content, path.read_bytes())
        assert 4096 <= bit // 8 < 8192


def test_nothing_to_damage_is_an_error(tmp_path: Path) -> None:
    """A run that was started for bit flips and makes none must not look as if it had."""
    empty = tmp_path / "empty"
    empty.write_bytes(bytes(8192))
    assert used_bytes(empty) == 0
    with pytest.raises(NothingToDamage):
        flip_in_log([empty], Random(1))
    with pytest.raises(NothingToDamage):
        flip_in_log([], Random(1))
    with pytest.raises(NothingToDamage):
        flip_in_database(empty, Random(1))
    with pytest.raises(NothingToDamage):
        flip_in_database(tmp_path / "missing", Random(1))
