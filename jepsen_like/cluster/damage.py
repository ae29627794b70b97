"""One flipped bit in a file of a member that does not run.

Owns: which byte. Must never do: touch what the member may rightly lose: of a log only the older
half of what was written is changed, and of a database only pages that hold something.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

PIECE_BYTES = 1 << 20
UNIT_BYTES = 4096


class NothingToDamage(Exception):
    """No file is there, or none holds a byte."""


def flip_in_log(files: list[Path], random: Random) -> str:
    """Change one bit of one segment; where, in words. Zeros at its end were not written yet."""
    used = {path: used_bytes(path) for path in files}
    held = [path for path in files if used[path] > 1]
    if not held:
        raise NothingToDamage(f"no log among {len(files)} files")
    path = random.choices(held, [used[path] for path in held])[0]
    return _flip(path, random.randrange(used[path] // 2), random)


def flip_in_database(path: Path, random: Random) -> str:
    """Change one bit of one page that is not all zeros; where, in words."""
    if not path.exists() or not used_bytes(path):
        raise NothingToDamage(f"{path} holds nothing")
    size = path.stat().st_size
    with path.open("rb") as file:
        while True:
            start = random.randrange(size) // UNIT_BYTES * UNIT_BYTES
            file.seek(start)
            page = file.read(UNIT_BYTES)
            if any(page):
                return _flip(path, start + random.randrange(len(page)), random)


def used_bytes(path: Path) -> int:
    """Up to and with the last byte that is not zero."""
    used = offset = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            content = piece.rstrip(b"\0")
            used = offset + len(content) if content else used
            offset += len(piece)
    return used


def _flip(path: Path, offset: int, random: Random) -> str:
    bit = random.randrange(8)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))
    return f"{path.name}, byte {offset}, bit {bit}"
