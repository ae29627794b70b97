"""Sending the log: MsgApp, MsgSnap and MsgHeartbeat from a leader to one member or to all.

Owns: what goes into a message given a member's progress. Must never do: decide what was
acknowledged; ``leader`` does. Paper, 5.3; pipelining as in etcd's raft.
"""

from __future__ import annotations

from raftkv.raft.core import Core
from raftkv.raft.message import MessageType
from raftkv.raft.progress import Progress, ProgressState

APPENDS_PER_ANSWER_MAX = 64
"""How many MsgApps one acknowledgement may let out: a bound on one step's work."""


def broadcast_append(core: Core) -> None:
    """What each lacks, and to all how far we have committed."""
    core.has_commit_news = False
    for node in core.progress:
        if node != core.id:
            send_append(core, node)


def broadcast_heartbeat(core: Core, context: bytes) -> None:
    for node, progress in core.progress.items():
        if node != core.id:
            # Never beyond what the member acknowledged: the rest of its log may be another's.
            commit = min(progress.match, core.log.committed)
            core.send(MessageType.HEARTBEAT, node, commit=commit, context=context)


def send_all_it_may(core: Core, to: int) -> None:
    """Fill the member's window with what it lacks."""
    for _ in range(APPENDS_PER_ANSWER_MAX):
        if not send_append(core, to, even_if_empty=False):
            return


def send_append(core: Core, to: int, *, even_if_empty: bool = True) -> bool:
    """Send the entries that come next, or the snapshot in their place. False if nothing left."""
    progress = core.progress[to]
    if progress.is_paused:
        return False
    previous = progress.next - 1
    previous_term = core.log.term(previous)
    if previous_term is None:
        return _send_snapshot(core, to, progress)
    entries = core.log.slice(progress.next, core.config.message_bytes_max)
    if not entries and not even_if_empty:
        return False
    core.send(
        MessageType.APP,
        to,
        index=previous,
        log_term=previous_term,
        entries=entries,
        commit=core.log.committed,
    )
    size = sum(len(entry.data) for entry in entries)
    progress.sent(previous + len(entries), len(entries), size)
    return True


def _send_snapshot(core: Core, to: int, progress: Progress) -> bool:
    if not progress.recent_active:
        return False  # nobody is there to take it
    snapshot = core.snapshot_source()
    if snapshot is None:
        return False  # being made; the next heartbeat's answer asks again
    assert snapshot.meta.index > 0, "a snapshot of nothing"
    progress.become_snapshot(snapshot.meta.index)
    core.send(MessageType.SNAP, to, snapshot=snapshot)
    return True


def report_snapshot(core: Core, to: int, *, ok: bool) -> None:
    """The snapshot has arrived, or was lost on the way."""
    progress = core.progress.get(to)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    if not ok:
        progress.pending_snapshot = 0
    progress.become_probe()
    # Wait for its answer, or for a heartbeat's if that is lost, before the next message.
    progress.paused = True


def report_unreachable(core: Core, to: int) -> None:
    """A message may be lost: find out again where that member's log ends."""
    progress = core.progress.get(to)
    if progress is not None and progress.state is ProgressState.REPLICATE:
        progress.become_probe()
