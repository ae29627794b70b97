"""Planted storage bugs: what the judge must find, or it proves nothing.

Owns: the mutants of this tier, each a patch of one production function in the recorded process.
Must never do: be planted in the process that judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import lmdb

from raftkv.wal import disk


@dataclass(frozen=True, slots=True)
class Mutant:
    """``what`` is broken, in words."""

    what: str
    plant: Callable[[], None]


def _no_file_sync() -> None:
    def sync(self: disk.OsFile) -> None:
        """Nothing: the pages stay in the cache."""

    disk.OsFile.sync = sync  # type: ignore[method-assign]


def _no_directory_sync() -> None:
    def sync_dir(self: disk.OsDisk, path: str) -> None:
        """Nothing: names stay in the cache."""

    disk.OsDisk.sync_dir = sync_dir  # type: ignore[method-assign]


def _lmdb_opened_with(**flags: bool) -> None:
    opened = lmdb.open

    def forceful(path: str, **chosen: Any) -> lmdb.Environment:
        return opened(path, **(chosen | flags))

    lmdb.open = forceful  # type: ignore[assignment]


MUTANTS = {
    "no-file-sync": Mutant("log and snapshot files are never synced", _no_file_sync),
    "no-directory-sync": Mutant("directories are never synced", _no_directory_sync),
    "lmdb-no-sync": Mutant(
        "the database is opened with sync=False", partial(_lmdb_opened_with, sync=False)
    ),
    "lmdb-no-meta-sync": Mutant(
        "the database is opened with metasync=False",
        partial(_lmdb_opened_with, metasync=False),
    ),
}
