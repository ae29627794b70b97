"""What a leader does: replicates, commits, confirms reads, and steps down when it must.

Owns: everything of MsgApp's sending side. Must never do: commit by counting an entry of an older
term (paper, 5.4.2 and figure 8), count itself before its own disk has the entry, or serve a read
before this term has committed something (thesis, 6.4). ``replication`` has the sending itself.
"""

from __future__ import annotations

from contextlib import suppress

from raftkv.raft import replication
from raftkv.raft.confchange import InvalidConfChange, decode_conf_change, encode_conf_change
from raftkv.raft.core import Core
from raftkv.raft.errors import ProposalDropped
from raftkv.raft.message import (
    NO_NODE,
    ConfChange,
    Entry,
    EntryType,
    Message,
    MessageType,
    Role,
)
from raftkv.raft.progress import Progress, ProgressState


def take_office(core: Core) -> None:
    """Won: start the term with an empty entry of its own (paper, 8)."""
    assert core.role is Role.CANDIDATE, core.role
    core.reset(core.term)
    core.role = Role.LEADER
    core.leader_id = core.id
    # A change of membership may stand unapplied anywhere in the log we inherit.
    core.pending_conf_index = core.log.last_index
    core.log.append([Entry(core.term, core.log.last_index + 1)])
    replication.broadcast_append(core)


def tick(core: Core) -> None:
    core.heartbeat_elapsed += 1
    core.election_elapsed += 1
    if core.election_elapsed >= core.config.election_timeout_ticks:
        core.election_elapsed = 0
        core.transferee = NO_NODE  # the target did not take over in time
        if core.config.check_quorum and not _heard_from_quorum(core):
            core.become_follower(core.term, NO_NODE)
            return
    if core.heartbeat_elapsed >= core.config.heartbeat_timeout_ticks:
        core.heartbeat_elapsed = 0
        replication.broadcast_heartbeat(core, core.read_only.last_context)


def step(core: Core, message: Message) -> None:
    """A message of our term, or a request without one, to a leader."""
    if message.sender not in core.progress and message.sender not in (NO_NODE, core.id):
        return  # a stranger's request or answer
    match message.type:
        case MessageType.PROP:
            # One that was forwarded and is dropped here is waited for in vain until its deadline.
            with suppress(ProposalDropped):
                propose(core, message.entries)
        case MessageType.READ_INDEX:
            read_index(core, message)
        case MessageType.TRANSFER_LEADER:
            transfer(core, message.index)
        case _:
            progress = core.progress.get(message.sender)
            if progress is not None:
                _step_answer(core, progress, message)


def _step_answer(core: Core, progress: Progress, message: Message) -> None:
    if message.type is MessageType.APP_RESP:
        progress.recent_active = True
        if message.reject:
            _rejected(core, progress, message)
        elif message.index <= core.log.last_index:
            _acknowledged(core, progress, message)
    elif message.type is MessageType.HEARTBEAT_RESP:
        progress.recent_active = True
        _heartbeat_answered(core, progress, message)


# --- proposals -------------------------------------------------------------------------------


def propose(core: Core, entries: tuple[Entry, ...]) -> None:
    """Append to the log and send. Raises ProposalDropped."""
    if core.id not in core.progress:
        raise ProposalDropped("this leader is no member any more")
    if core.transferee != NO_NODE:
        raise ProposalDropped(f"leadership is moving to {core.transferee:x}")
    size = sum(len(entry.data) for entry in entries)
    if core.uncommitted_bytes and core.uncommitted_bytes + size > core.config.uncommitted_bytes_max:
        raise ProposalDropped(
            f"{core.uncommitted_bytes} bytes are uncommitted, "
            f"the limit is {core.config.uncommitted_bytes_max}"
        )
    for entry in entries:
        if entry.type is EntryType.CONF_CHANGE:
            _check_conf_change(core, entry)
            core.pending_conf_index = core.log.last_index + 1
        core.log.append([Entry(core.term, core.log.last_index + 1, entry.data, entry.type)])
    core.uncommitted_bytes += size
    replication.broadcast_append(core)


def _check_conf_change(core: Core, entry: Entry) -> None:
    """One change at a time, none before this term committed anything (thesis erratum, 2015)."""
    if core.pending_conf_index > core.log.applied:
        raise ProposalDropped(f"a membership change may be pending at {core.pending_conf_index}")
    if not core.has_committed_in_term:
        raise ProposalDropped(f"nothing of term {core.term} is committed yet")
    try:
        core.membership.changed(decode_conf_change(entry.data))
    except InvalidConfChange as e:
        raise ProposalDropped(f"the membership change is invalid: {e}") from e


def leave_joint_if_due(core: Core) -> None:
    """The joint configuration is in force here: propose to leave it, if that is automatic."""
    if (
        core.membership.auto_leave
        and core.log.applied >= core.pending_conf_index
        and core.has_committed_in_term
        and core.transferee == NO_NODE
    ):
        data = encode_conf_change(ConfChange())
        with suppress(ProposalDropped):  # too much is uncommitted: asked again at the next entry
            propose(core, (Entry(0, 0, data, EntryType.CONF_CHANGE),))


# --- acknowledgements --------------------------------------------------------------------------


def _rejected(core: Core, progress: Progress, message: Message) -> None:
    hint = message.reject_hint
    if message.log_term:
        hint, _ = core.log.find_conflict_by_term(hint, message.log_term)
    if progress.rejected(message.index, hint):
        if progress.state is ProgressState.REPLICATE:
            progress.become_probe()
        replication.send_append(core, message.sender)


def _acknowledged(core: Core, progress: Progress, message: Message) -> None:
    was_paused = progress.is_paused
    is_news = progress.acknowledged(message.index)
    if is_news or (progress.state is ProgressState.PROBE and message.index == progress.match):
        _advance_state(core, progress)
        if is_news:
            maybe_commit(core)
        if was_paused:
            replication.send_append(core, message.sender)
    replication.send_all_it_may(core, message.sender)
    if message.sender == core.transferee and progress.match == core.log.last_index:
        core.send(MessageType.TIMEOUT_NOW, message.sender)


def _advance_state(core: Core, progress: Progress) -> None:
    if progress.state is ProgressState.PROBE:
        progress.become_replicate()
    elif progress.state is ProgressState.SNAPSHOT:
        if progress.match + 1 >= core.log.first_index:
            progress.become_probe()
            progress.become_replicate()
    else:
        progress.inflights.free_to(progress.match)
        progress.paused = progress.inflights.is_full


def _heartbeat_answered(core: Core, progress: Progress, message: Message) -> None:
    if progress.state is ProgressState.PROBE:
        progress.paused = False
    elif progress.state is ProgressState.REPLICATE and progress.inflights.is_full:
        progress.inflights.free_first()  # its acknowledgement may be lost: let one more out
        progress.paused = False
    if progress.match < core.log.last_index or progress.state is ProgressState.PROBE:
        replication.send_append(core, message.sender)
    if message.context:
        config = core.membership.config
        for request in core.read_only.confirm(message.context, message.sender, config):
            core.answer_read(request.requester, request.index, request.context)


def persisted(core: Core) -> None:
    """Our own disk has the log up to ``stable``: count ourselves like any other member."""
    progress = core.progress.get(core.id)
    if progress is not None and progress.acknowledged(core.log.stable):
        maybe_commit(core)


def maybe_commit(core: Core) -> bool:
    """Commit what a quorum has, if it is of this term; older entries follow with it. The members
    learn of it with the next entries, or by ``tell_commit``, or by the next heartbeat."""
    progress = core.progress

    def match(node: int) -> int:
        return progress[node].match if node in progress else 0

    index = core.membership.config.committed_index(match)
    if core.log.term(index) != core.term:
        return False
    before = core.log.committed
    if not core.log.commit_to(index):
        return False
    core.has_commit_news = True
    newly = core.log.slice(before + 1, 1 << 62, end=index)
    core.uncommitted_bytes = max(0, core.uncommitted_bytes - sum(len(e.data) for e in newly))
    early, core.early_reads = core.early_reads, []
    for message in early:
        read_index(core, message)
    return True


# --- reads, transfer, check-quorum ---------------------------------------------------------------


def read_index(core: Core, message: Message) -> None:
    """Note the commit index now; answer once a quorum says that we still lead."""
    if not core.has_committed_in_term:
        if len(core.early_reads) < core.config.pending_reads_max:
            core.early_reads.append(message)
        return
    index = core.log.committed
    if core.membership.config.has_quorum({core.id}):
        core.answer_read(message.sender, index, message.context)
        return
    if len(core.read_only) >= core.config.pending_reads_max:
        return
    core.read_only.add(message.context, index, message.sender, core.id)
    replication.broadcast_heartbeat(core, message.context)


def transfer(core: Core, target: int) -> None:
    """Bring ``target`` up to date, then have it campaign at once (thesis, 3.10)."""
    progress = core.progress.get(target)
    if target == core.id or progress is None or target not in core.membership.config.voters:
        return
    if core.transferee == target:
        return
    core.election_elapsed = 0
    core.transferee = target
    if progress.match == core.log.last_index:
        core.send(MessageType.TIMEOUT_NOW, target)
    else:
        replication.send_append(core, target)


def _heard_from_quorum(core: Core) -> bool:
    """Who answered since the last check, ourselves included; and start counting anew."""
    active = {node for node, progress in core.progress.items() if progress.recent_active} | {
        core.id
    }
    for node, progress in core.progress.items():
        if node != core.id:
            progress.recent_active = False
    return core.membership.config.has_quorum(active)


def membership_changed(core: Core) -> None:
    """The configuration in force is new: leave office if we are out, or see what it commits."""
    if core.id not in core.membership.config.voters:
        replication.broadcast_append(core)  # nobody else may know yet that this is committed
        core.become_follower(core.term, NO_NODE)
        return
    if core.transferee != NO_NODE and core.transferee not in core.membership.config.voters:
        core.transferee = NO_NODE
    maybe_commit(core)
    replication.broadcast_append(core)
