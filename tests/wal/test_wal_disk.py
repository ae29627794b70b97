"""The operating system's disk: what is synced, and what --unsafe-no-fsync leaves out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftkv.wal.disk import OsDisk


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of fsync and fdatasync, which still happen."""
    calls: list[str] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def call(fd: int, name: str = name, real: object = real) -> None:
            calls.append(name)
            real(fd)  # type: ignore[operator]

        monkeypatch.setattr(os, name, call)
    return calls


@pytest.mark.parametrize("fsync", [True, False])
def test_nothing_is_synced_without_fsync(tmp_path: Path, synced: list[str], fsync: bool) -> None:
    """Files and directories are written all the same; only the waiting is left out."""
    disk = OsDisk(fsync=fsync)
    disk.make_dir(str(tmp_path / "wal"))
    path = str(tmp_path / "wal" / "0")
    file = disk.create(path)
    file.write(b"entry")
    file.sync()
    file.close()
    again = disk.open(path, 5)
    again.write(b" two")
    again.sync()
    again.close()
    assert disk.read(path) == b"entry two"
    assert synced == (["fsync", "fdatasync", "fdatasync"] if fsync else [])
