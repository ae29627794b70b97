"""What a follower does: believes its leader's log, and passes on what only a leader can do.

Owns: MsgApp, MsgHeartbeat, MsgSnap and forwarding. Must never do: commit beyond what was checked
against the leader's log, or answer before the answer's entries are durable (``Core.send`` holds
the answers back). Paper, 5.3 and 7.
"""

from __future__ import annotations

from raftkv.raft.confchange import Membership
from raftkv.raft.core import Core
from raftkv.raft.message import NO_NODE, Message, MessageType, ReadState, SnapshotMeta


def step(core: Core, message: Message) -> None:
    """A message of our term to a follower."""
    match message.type:
        case MessageType.APP:
            _hear(core, message.sender)
            _append(core, message)
        case MessageType.HEARTBEAT:
            _hear(core, message.sender)
            _heartbeat(core, message)
        case MessageType.SNAP:
            _hear(core, message.sender)
            _restore(core, message)
        case MessageType.READ_INDEX_RESP:
            core.read_states.append(ReadState(message.index, message.context))
        case MessageType.PROP | MessageType.READ_INDEX | MessageType.TRANSFER_LEADER:
            _forward(core, message)
        case _:
            pass


def _hear(core: Core, leader: int) -> None:
    core.election_elapsed = 0
    core.leader_id = leader


def _append(core: Core, message: Message) -> None:
    log = core.log
    if message.index < log.committed:
        core.send(MessageType.APP_RESP, message.sender, index=log.committed)
        return
    last = log.maybe_append(message.index, message.log_term, message.entries)
    if last is not None:
        log.commit_to(min(message.commit, last))
        core.send(MessageType.APP_RESP, message.sender, index=last)
        return
    hint, hint_term = log.find_conflict_by_term(
        min(message.index, log.last_index), message.log_term
    )
    core.send(
        MessageType.APP_RESP,
        message.sender,
        index=message.index,
        reject=True,
        reject_hint=hint,
        log_term=hint_term,
    )


def _heartbeat(core: Core, message: Message) -> None:
    # The leader names no more than we acknowledged; a member that lost its disk may have less,
    # and must not call committed what it does not have.
    if message.commit <= core.log.last_index:
        core.log.commit_to(message.commit)
    core.send(MessageType.HEARTBEAT_RESP, message.sender, context=message.context)


def _restore(core: Core, message: Message) -> None:
    snapshot = message.snapshot
    if snapshot is None or not _wants(core, snapshot.meta):
        core.send(MessageType.APP_RESP, message.sender, index=core.log.committed)
        return
    core.log.restore(snapshot)
    core.membership = Membership.of(snapshot.meta.conf_state)
    core.progress = {}
    core.sync_progress()
    core.send(MessageType.APP_RESP, message.sender, index=core.log.last_index)


def _wants(core: Core, meta: SnapshotMeta) -> bool:
    """Whether the snapshot is ahead of what we have and can reach by entries."""
    if meta.index <= core.log.committed:
        return False
    conf = meta.conf_state
    if core.id not in {*conf.voters, *conf.voters_outgoing, *conf.learners}:
        return False
    if core.log.term(meta.index) == meta.term:
        core.log.commit_to(meta.index)  # we have these very entries: only the commit is news
        return False
    return True


def _forward(core: Core, message: Message) -> None:
    """Requests of this node go to the leader; a forwarded one is not forwarded again."""
    if core.leader_id == NO_NODE or message.sender not in (NO_NODE, core.id):
        return
    core.send(
        message.type,
        core.leader_id,
        index=message.index,
        context=message.context,
        entries=message.entries,
    )
