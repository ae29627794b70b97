"""The small disk of one member: full when it was filled, and gone from its place in the end."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from jepsen_like.cluster.small_disk import DiskError, SmallDisk


def _may_mount() -> bool:
    """CAP_SYS_ADMIN: root in a container may lack it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (effective,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")]
    return bool(int(effective, 16) >> 21 & 1)


async def test_a_full_disk_takes_no_byte_until_it_is_freed(tmp_path: Path) -> None:
    """ENOSPC for a new file's first block; after ``free`` the same write is done, and after
    ``close`` the directory is an empty one of the file system below. Who may not mount is told."""
    disk = SmallDisk(tmp_path / "m0.disk")
    if not _may_mount():
        with pytest.raises(DiskError, match="mount"):
            await disk.open()
        return
    await disk.open()
    try:
        data = disk.mount_point / "data"
        disk.fill()
        with pytest.raises(OSError) as full:
            data.write_bytes(bytes(8192))
        assert full.value.errno == errno.ENOSPC
        disk.free()
        data.write_bytes(bytes(1 << 20))
    finally:
        await disk.close()
    assert not list(disk.mount_point.iterdir())
