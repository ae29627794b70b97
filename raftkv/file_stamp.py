"""Whether files have changed, without reading them.

Owns: Stamp. Must never do: read a file. It blocks, as any look at a disk can: never on a loop.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

Stamp = tuple[tuple[int, int, int, int, int] | None, ...]


def stamp_of(paths: Iterable[str]) -> Stamp:
    """What changes when a file is written, replaced or linked anew; None for one that is away."""
    return tuple(_stat(path) for path in paths)


def _stat(path: str) -> tuple[int, int, int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev
