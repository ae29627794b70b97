"""A member whose disk was full waits for room, and no other failure is taken for that."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import lmdb
import pytest

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Table
from raftkv.cli.disk_room import LOOK_S, is_full, wait_for_room
from raftkv.errors import Corrupt


def test_what_a_full_disk_is() -> None:
    """No space, or no more of a user's quota, however it is told of; a damaged disk is another
    matter."""
    told = Corrupt("cannot write")
    told.__cause__ = OSError(errno.ENOSPC, "no space")
    assert is_full(told)
    assert is_full(OSError(errno.ENOSPC, "no space"))
    assert is_full(OSError(errno.EDQUOT, "quota"))
    assert not is_full(OSError(errno.EIO, "broken"))
    assert not is_full(None)
    assert not is_full(ValueError("28"))


def test_it_goes_on_once_every_directory_has_room(caplog: pytest.LogCaptureFixture) -> None:
    """Asked once a second; told once that it waits, naming the directory and the bytes."""
    rooms = {"data": 10, "wal": 900}
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        rooms.update([("data", 500), ("wal", 20)] if len(pauses) == 2 else [("wal", 900)])

    caplog.set_level("INFO", "raftkv.server")
    wait_for_room(("data", "wal"), 100, free=rooms.__getitem__, pause=pause)
    assert pauses == [LOOK_S] * 3
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "INFO"]


def test_with_room_it_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody was quicker: no pause, no alarm."""
    wait_for_room(("data",), 100, free=lambda path: 100, pause=lambda seconds: pytest.fail("waits"))
    assert not [record for record in caplog.records if record.levelname == "CRITICAL"]


@pytest.mark.parametrize(("free", "is_for_want_of_room"), [(0, True), (1 << 40, False)])
def test_a_commit_that_does_not_fit_is_told_from_a_broken_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, is_for_want_of_room: bool
) -> None:
    """LMDB says "input/output error" of both."""
    backend = LmdbBackend(str(tmp_path / "db"))
    backend.put(Table.LATEST, b"k", b"v")
    usage = type(shutil.disk_usage(tmp_path))(1 << 40, (1 << 40) - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    file = backend._raw
    monkeypatch.setattr(file, "_txn", FailingTxn(file._txn))
    with pytest.raises((OSError, lmdb.Error)) as failed:
        backend.commit()
    assert is_full(failed.value) is is_for_want_of_room
    backend.close()


class FailingTxn:
    """All but its end is the real one's."""

    def __init__(self, txn: lmdb.Transaction) -> None:
        self._txn = txn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._txn, name)

    def commit(self) -> None:
        raise lmdb.Error("mdb_txn_commit: Input/output error")
