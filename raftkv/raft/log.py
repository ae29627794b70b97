"""The replicated log in memory, from the last compaction on.

Owns: entries, terms by index, and four positions that only this file moves:

    compacted < ... applied <= applying <= committed      what the state machine has and was given
                    stable <= handed <= last              what the disk has and was given

Must never do: lose or replace a committed entry (asserted), or hand out for applying what is not
durable here. Follows the paper's figure 2 (log), 5.3 (conflicts) and 7 (compaction).
"""

from __future__ import annotations

from collections.abc import Sequence

from raftkv.raft.message import Entry, EntryType, Snapshot, SnapshotMeta


class RaftLog:
    """``stable`` never exceeds ``handed``, and a truncation lowers both: what is said to be
    durable is therefore always the entry that stands there now."""

    def __init__(
        self, snapshot: SnapshotMeta, entries: Sequence[Entry], *, committed: int, applied: int
    ) -> None:
        self._entries = list(entries)
        self._offset = snapshot.index + 1
        self._compacted_term = snapshot.term
        for position, entry in enumerate(self._entries):
            assert entry.index == self._offset + position, (entry.index, self._offset, position)
        assert snapshot.index <= applied <= self.last_index, (
            snapshot.index,
            applied,
            self.last_index,
        )
        self.committed = min(max(committed, applied), self.last_index)
        self.applied = applied
        self.applying = applied
        self.stable = self.last_index
        self.handed = self.last_index
        self.pending_snapshot: Snapshot | None = None

    # --- looking ------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        """The oldest entry still here; the one before it is known by its term only."""
        return self._offset

    @property
    def last_index(self) -> int:
        return self._offset + len(self._entries) - 1

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self._compacted_term

    def term(self, index: int) -> int | None:
        """The term of the entry at ``index``; None when it is compacted away or not there."""
        position = index - self._offset
        if 0 <= position < len(self._entries):
            return self._entries[position].term
        return self._compacted_term if position == -1 else None

    def entry(self, index: int) -> Entry | None:
        """The entry at ``index``; None when it is compacted away or not there."""
        position = index - self._offset
        return self._entries[position] if 0 <= position < len(self._entries) else None

    def slice(self, start: int, bytes_max: int, *, end: int | None = None) -> tuple[Entry, ...]:
        """Entries from ``start`` up to ``end`` (inclusive) or ``bytes_max``, and at least one."""
        stop = self.last_index if end is None else end
        if start > stop:
            return ()
        assert start >= self._offset, (start, self._offset)
        first = start - self._offset
        size = 0
        last = first
        for last in range(first, stop - self._offset + 1):
            size += len(self._entries[last].data)
            if size > bytes_max and last > first:
                last -= 1
                break
        return tuple(self._entries[first : last + 1])

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a candidate whose log ends there may lead us (paper, 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """The newest position at or before ``index`` whose term is not above ``term``: where two
        logs may agree at the latest. Lets a probe skip whole terms (paper, end of 5.3)."""
        index = min(index, self.last_index)
        while index >= self._offset:
            here = self._entries[index - self._offset].term
            if here <= term:
                return index, here
            index -= 1
        return index, self._compacted_term if index == self._offset - 1 else 0

    def has_conf_change(self, start: int, end: int) -> bool:
        """Whether a membership change stands in [start, end]."""
        first = max(start, self._offset) - self._offset
        chunk = self._entries[first : max(end - self._offset + 1, 0)]
        return any(entry.type is EntryType.CONF_CHANGE for entry in chunk)

    # --- growing --------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> None:
        """Entries right after the last one: a leader's own."""
        assert entries[0].index == self.last_index + 1, (entries[0].index, self.last_index)
        self._entries.extend(entries)

    def maybe_append(self, prev: int, prev_term: int, entries: Sequence[Entry]) -> int | None:
        """Take a leader's entries if we agree at ``prev``; return the last index that now agrees.

        Entries that are here already stay, and so does what follows them unless a term differs:
        an old, short message must not shorten the log (paper, 5.3).
        """
        if self.term(prev) != prev_term:
            return None
        for position, entry in enumerate(entries):
            if self.term(entry.index) != entry.term:
                self._replace_from(entries[position:])
                break
        return prev + len(entries)

    def _replace_from(self, entries: Sequence[Entry]) -> None:
        start = entries[0].index
        assert start > self.committed, f"entry {start} is committed (up to {self.committed})"
        del self._entries[start - self._offset :]
        self._entries.extend(entries)
        self.handed = min(self.handed, start - 1)
        self.stable = min(self.stable, start - 1)

    def commit_to(self, index: int) -> bool:
        """Move the commit index forward, never back; True if it moved."""
        if index <= self.committed:
            return False
        assert index <= self.last_index, (index, self.last_index)
        self.committed = index
        return True

    def restore(self, snapshot: Snapshot) -> None:
        """Everything here is superseded by ``snapshot``, which must be made durable first."""
        assert snapshot.meta.index > self.committed, (snapshot.meta.index, self.committed)
        self._entries.clear()
        self._offset = snapshot.meta.index + 1
        self._compacted_term = snapshot.meta.term
        self.committed = self.stable = self.handed = snapshot.meta.index
        self.pending_snapshot = snapshot

    def compact(self, index: int) -> None:
        """Forget entries up to ``index``, all of them applied."""
        assert index <= self.applied, (index, self.applied)
        if index < self._offset:
            return
        term = self.term(index)
        assert term is not None, (index, self._offset, self.last_index)
        del self._entries[: index - self._offset + 1]
        self._offset = index + 1
        self._compacted_term = term

    def shed(self, index: int) -> None:
        """Forget entries up to ``index`` that were given to the state machine, applied or not. Who
        has shed may follow, and no more: its disk has what another might ask it for."""
        assert self._offset - 1 <= index <= self.applying, (index, self._offset, self.applying)
        term = self.term(index)
        assert term is not None, (index, self._offset, self.last_index)
        del self._entries[: index - self._offset + 1]
        self._offset, self._compacted_term = index + 1, term

    def take_back(self, after: SnapshotMeta, entries: Sequence[Entry]) -> None:
        """Entries from ``after`` on to what was shed last are in memory again."""
        assert entries, "nothing was shed"
        assert (entries[0].index, entries[-1].index) == (after.index + 1, self._offset - 1), (
            after.index,
            entries[0].index,
            entries[-1].index,
            self._offset,
        )
        self._entries[:0] = entries
        self._offset, self._compacted_term = after.index + 1, after.term

    # --- handing out ----------------------------------------------------------------------

    def unhanded(self) -> tuple[Entry, ...]:
        """Entries that the disk was not given yet."""
        return tuple(self._entries[self.handed + 1 - self._offset :])

    def hand(self) -> None:
        self.handed = self.last_index

    def persisted(self) -> None:
        """What was handed, and still stands, is durable."""
        self.stable = self.handed

    def has_next_committed(self) -> bool:
        return self.pending_snapshot is None and self.applying < min(self.committed, self.stable)

    def next_committed(self, bytes_max: int) -> tuple[Entry, ...]:
        if not self.has_next_committed():
            return ()
        end = min(self.committed, self.stable)
        entries = self.slice(self.applying + 1, bytes_max, end=end)
        self.applying = entries[-1].index
        return entries

    def applied_to(self, index: int) -> None:
        assert index <= self.applying, (index, self.applying)
        self.applied = max(self.applied, index)

    def installed(self, snapshot: Snapshot) -> None:
        """``snapshot`` is durable and is the state machine now."""
        self.applied = self.applying = max(self.applied, snapshot.meta.index)
        if self.pending_snapshot is snapshot:
            self.pending_snapshot = None
