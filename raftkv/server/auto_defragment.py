"""When a member gives room back to its file system without being asked.

Owns: whether that is worth while, and whose turn it is. Must never do: the copying, which is
``defragment``'s; or fill the disk that it wants to relieve.

LMDB uses free pages again, so a file does not need this to take new rows: it is worth while when
most of a large file has stayed free for a time. Copying loads the disk, so members take turns by
the log's position, which they all see alike: no two copy at once unless one takes longer than a
turn. The pause is that of a commit, so that a leader need not hand over first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from raftkv.log_fields import fields

log = logging.getLogger("raftkv.server")

PATIENCE_S = 60.0
"""So long most of the file must have been free: it may be about to be filled again."""
RETRY_S = 600.0
"""After a try, whatever became of it."""
FREE_RATIO_MIN = 0.5


class AutoDefragmenter:
    """``turn_entries`` is how many log entries a turn takes; ``members`` are the ids of all."""

    def __init__(
        self,
        *,
        me: int,
        members: Callable[[], Sequence[int]],
        applied_index: Callable[[], int],
        disk_free: Callable[[], int],
        run: Callable[[], None],
        bytes_min: int,
        turn_entries: int,
    ) -> None:
        self._me = me
        self._members = members
        self._applied_index = applied_index
        self._disk_free = disk_free
        self._run = run
        self._bytes_min = bytes_min
        self._turn_entries = turn_entries
        self._worth_since: float | None = None
        self._tried_at = float("-inf")

    def look(self, now: float, size: int, in_use: int) -> None:
        """Called a few times a second with the sizes of the file."""
        if size < self._bytes_min or size - in_use < size * FREE_RATIO_MIN:
            self._worth_since = None
            return
        if self._worth_since is None:
            self._worth_since = now
        waited = now - self._worth_since >= PATIENCE_S and now - self._tried_at >= RETRY_S
        if not waited or not self._is_my_turn():
            return
        self._tried_at = now
        free = self._disk_free()
        told = fields(bytes=size, bytes_in_use=in_use, disk_bytes_free=free)
        if free < 2 * in_use:
            log.warning("cannot defragment: no room for the copy and as much again", extra=told)
            return
        log.info("defragmenting: most of the file is free", extra=told)
        self._run()

    def _is_my_turn(self) -> bool:
        members = sorted(self._members())
        if self._me not in members:
            return False
        turn = self._applied_index() // self._turn_entries
        return members[turn % len(members)] == self._me
