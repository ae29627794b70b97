"""The data directory at its first start, and what a failed copy leaves in it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from raftkv.backend.environment import LmdbBackend
from raftkv.errors import Corrupt
from raftkv.server.config import Limits, ServerConfig
from raftkv.server.foundation import Foundation, open_foundation
from raftkv.simulation.disk import SimulatedDisk
from raftkv.wal.disk import OsDisk


class PowerCut(Exception):
    """The process is no more."""


class FadingDisk(SimulatedDisk):
    """Goes dark at call number ``last_call`` of those that change names."""

    def __init__(self, last_call: int) -> None:
        super().__init__()
        self.last_call = last_call
        self.named = 0

    def rename(self, old: str, new: str) -> None:
        self._count()
        super().rename(old, new)

    def sync_dir(self, path: str) -> None:
        self._count()
        super().sync_dir(path)

    def _count(self) -> None:
        self.named += 1
        if self.named == self.last_call:
            raise PowerCut


def opened(config: ServerConfig, disk: SimulatedDisk | OsDisk) -> Foundation:
    return open_foundation(config, disk, LmdbBackend)


def test_a_first_start_that_is_cut_can_be_started_again(tmp_path: Path) -> None:
    """The power goes at each change of a name and at each choice of what survives: the log exists
    with its first marker or not at all, so the next start goes on or begins anew."""
    finished = False
    last_call = 0
    while not finished:
        last_call += 1
        for seed in range(8):
            directory = tmp_path / f"{last_call}-{seed}"
            (directory / "member").mkdir(parents=True)  # for the database, which is on real files
            config = ServerConfig(data_dir=str(directory), limits=Limits(wal_segment_bytes=4096))
            disk = FadingDisk(last_call)
            try:
                opened(config, disk).abandon()
                finished = True
            except PowerCut:
                disk.power_cut(Random(seed))
            disk.last_call = 0
            again = opened(config, disk)
            assert again.applied.index == 1
            again.abandon()
    assert last_call > 4


def test_a_failed_copy_does_not_stand_in_the_way_of_the_next(tmp_path: Path) -> None:
    """What a snapshot that could not be finished left behind is removed before the next."""
    foundation = opened(ServerConfig(data_dir=str(tmp_path)), OsDisk())
    leftover = tmp_path / "member" / "snap" / "outgoing.tmp"
    leftover.write_bytes(b"half a copy")
    made = foundation.make()
    assert made.meta.index == 1
    assert not leftover.exists()
    foundation.close()


def test_a_database_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    """Damage that LMDB finds after it opened the file is said in words, not in a traceback."""
    config = ServerConfig(data_dir=str(tmp_path))
    opened(config, OsDisk()).close()
    path = tmp_path / "member" / "db"
    content = bytearray(path.read_bytes())
    content[2 * 4096 :] = b"\xff" * (len(content) - 2 * 4096)
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=str(path)):
        opened(config, OsDisk())
