"""A full disk: the member ends in order, its process waits for room, and begins anew by itself.

Owns: what counts as a full disk, how much room is enough, and the wait. Must never do: go on with a
member whose write failed: what the kernel holds of it is unknown, and a new start reads what is
there. Meanwhile the others serve; a supervisor that prefers to restart the process may do so.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from raftkv.log_fields import fields

log = logging.getLogger("raftkv.server")

LOOK_S = 1.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: BaseException | None) -> bool:
    """Whether that is what ``error`` comes from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False


def wait_for_room(
    directories: tuple[str, ...],
    bytes_min: int,
    *,
    free: Callable[[str], int] = lambda path: shutil.disk_usage(path).free,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return once each directory's file system has ``bytes_min`` free, however long it takes."""
    short = _shortest(directories, free)
    if short[0] < bytes_min:
        told = fields(directory=short[1], bytes_free=short[0], bytes_needed=bytes_min)
        log.critical("the disk is full: make room, this member then goes on by itself", extra=told)
    while _shortest(directories, free)[0] < bytes_min:
        pause(LOOK_S)
    log.info("there is room on the disk again: starting anew")


def begin_anew() -> NoReturn:
    """This process once more, from its start, under the same id."""
    logging.shutdown()
    os.execv(sys.executable, sys.orig_argv)


def _shortest(directories: tuple[str, ...], free: Callable[[str], int]) -> tuple[int, str]:
    return min((free(path), path) for path in directories)
