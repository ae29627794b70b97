"""When the Raft log is cut short, and how much of it stays for followers that are a bit behind.

Owns: the bytes and entries applied since the last cut. Must never do: cut what is not durable in
the backend, or what the WAL has no snapshot marker for.
etcd's --snapshot-count and --snapshot-catchup-entries; here with bounds in bytes too, because one
entry carries a whole turn's requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from raftkv.raft.message import Entry
from raftkv.server.config import Limits


class LogCompactor:
    """``due`` tells that a commit and a cut would pay; ``cut_index`` where to cut."""

    def __init__(self, *, snapshot_count: int, limits: Limits, marker_index: int) -> None:
        self._snapshot_count = snapshot_count
        self._limits = limits
        self._sizes: deque[tuple[int, int]] = deque()
        self._bytes = 0
        self.marker_index = marker_index

    def note(self, entries: Sequence[Entry]) -> None:
        """These entries were committed and will be applied."""
        for entry in entries:
            self._sizes.append((entry.index, len(entry.data)))
            self._bytes += len(entry.data)

    def is_due(self, applied_index: int) -> bool:
        return (
            applied_index - self.marker_index >= self._snapshot_count
            or self._bytes >= self._limits.snapshot_bytes_max
        )

    def cut_index(self, committed_index: int) -> int:
        """The newest index to drop, given that everything up to ``committed_index`` is durable in
        the backend: keeps catchup_entries and catchup_bytes_max, whichever is less."""
        keep_entries = self._limits.catchup_entries
        keep_bytes = self._limits.catchup_bytes_max
        cut = committed_index
        for index, size in reversed(self._sizes):
            if index > committed_index:
                continue
            keep_entries -= 1
            keep_bytes -= size
            if keep_entries < 0 or keep_bytes < 0:
                break
            cut = index - 1
        return cut

    def cut(self, cut_index: int, marker_index: int) -> None:
        """The log now begins after ``cut_index``."""
        self.marker_index = marker_index
        self.forget(cut_index)

    def forget(self, cut_index: int) -> None:
        """Entries up to ``cut_index`` are not in memory any more."""
        while self._sizes and self._sizes[0][0] <= cut_index:
            _, size = self._sizes.popleft()
            self._bytes -= size
