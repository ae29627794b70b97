"""A small file system of a member's own, on a file that is mounted as a disk.

Owns: SmallDisk: making, mounting, filling, freeing and unmounting it. Must never do: leave it
mounted. A file system of its own and not a quota, because ENOSPC then comes from where it comes in
life: the block allocator, at a write, an fallocate or a new name. It needs root and a loop device,
nothing else. The image stays in the run's directory: ``mount -o loop`` shows it again.
"""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

SIZE_BYTES = 512 << 20
"""etcd keeps two log segments of 64 MB ahead; the image is sparse."""
BALLAST = "ballast"
SMALLEST_BYTES = 4096


class DiskError(Exception):
    """A command of the system failed; the text has its words."""


class SmallDisk:
    """``mount_point`` is a directory of the member's alone."""

    def __init__(self, mount_point: Path) -> None:
        self.mount_point = mount_point
        self._image = mount_point.with_suffix(".ext4")
        self._is_mounted = False

    async def open(self) -> None:
        self.mount_point.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(SIZE_BYTES)
        await _command("mkfs.ext4", "-q", "-m", "0", str(self._image))
        await _command("mount", "-o", "loop", str(self._image), str(self.mount_point))
        self._is_mounted = True

    async def close(self) -> None:
        """The member that used it has ended."""
        if self._is_mounted:
            await _command("umount", str(self.mount_point))
            self._is_mounted = False

    def fill(self) -> None:
        """Not a block is left, in pieces that get smaller where a big one does not fit."""
        piece, at = SIZE_BYTES, 0
        with (self.mount_point / BALLAST).open("wb") as ballast:
            while piece >= SMALLEST_BYTES:
                try:
                    os.posix_fallocate(ballast.fileno(), at, piece)
                    at += piece
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise
                    piece //= 2

    def free(self) -> None:
        (self.mount_point / BALLAST).unlink(missing_ok=True)


async def _command(*words: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise DiskError(f"no program {words[0]!r}") from None
    said, _ = await process.communicate()
    if process.returncode:
        raise DiskError(f"{' '.join(words)}: {said.decode(errors='replace').strip()}")
