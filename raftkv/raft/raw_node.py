"""The core behind one door: tick, step, propose, ready, advance.

Owns: what is handed out in a Ready and what the owner has acknowledged. Must never do: IO, or hand
anything out twice. At most one Ready that needs the disk is out at a time; until ``advance``
for it, further ones carry no entries, no hard state and no message that depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raftkv.raft import election, follower, leader, replication
from raftkv.raft.confchange import InvalidConfChange, Membership, encode_conf_change
from raftkv.raft.config import Config, RandomSource
from raftkv.raft.core import TRANSFER_CONTEXT, Core
from raftkv.raft.errors import ProposalDropped
from raftkv.raft.impossible import check_possible
from raftkv.raft.log import RaftLog
from raftkv.raft.log_memory import LogMemory
from raftkv.raft.message import (
    NO_NODE,
    ConfChange,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Ready,
    Role,
    Snapshot,
    SnapshotMeta,
    SoftState,
)
from raftkv.raft.status import Status, status_of

_VOTE_REQUESTS = (MessageType.VOTE, MessageType.PRE_VOTE)
_FROM_LEADER = (MessageType.APP, MessageType.HEARTBEAT, MessageType.SNAP)


class RawNode:
    """One node, restored from what its disk held: hard state, compaction point and entries."""

    def __init__(
        self,
        config: Config,
        *,
        hard_state: HardState,
        snapshot: SnapshotMeta,
        entries: Sequence[Entry],
        applied: int,
        random: RandomSource,
        snapshot_source: Callable[[], Snapshot | None],
        conf_state: ConfState | None = None,
    ) -> None:
        """``conf_state`` is the configuration at ``applied``; by default the snapshot's."""
        config.validate()
        log = RaftLog(snapshot, entries, committed=hard_state.commit, applied=applied)
        membership = Membership.of(conf_state or snapshot.conf_state)
        self._core = Core(config, log, membership, hard_state, random, snapshot_source)
        self.memory = LogMemory(self._core)
        self._handed_soft = SoftState()
        self._handed_hard = self._core.hard_state
        self._in_flight = False
        self._snapshot_in_flight: Snapshot | None = None

    # --- in ---------------------------------------------------------------------------------

    def tick(self) -> None:
        """One unit of time passed."""
        if self._core.role is Role.LEADER:
            leader.tick(self._core)
        else:
            election.tick(self._core)

    def step(self, message: Message) -> None:
        """A message from another member. What makes no sense here is dropped. Raises
        ImpossibleMessage."""
        core = self._core
        check_possible(core, message)
        if message.term > core.term:
            if not self._accept_higher_term(message):
                return
        elif 0 < message.term < core.term:
            self._answer_lower_term(message)
            return
        if message.type in _VOTE_REQUESTS:
            election.answer_vote_request(core, message)
        elif message.type is MessageType.TIMEOUT_NOW:
            if core.is_promotable and core.role is Role.FOLLOWER:
                election.campaign(core, election.Campaign.TRANSFER)
        elif core.role is Role.LEADER:
            leader.step(core, message)
        elif core.role is Role.FOLLOWER:
            follower.step(core, message)
        else:
            election.step_candidate(core, message)

    def propose(self, data: bytes) -> None:
        """Have ``data`` appended, by us or by the leader. Raises ProposalDropped."""
        self._propose(Entry(0, 0, data))

    def propose_conf_change(self, change: ConfChange) -> None:
        """Raises ProposalDropped, also for a change that is invalid or comes too early."""
        self._propose(Entry(0, 0, encode_conf_change(change), EntryType.CONF_CHANGE))

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """A CONF_CHANGE entry was reached in applying. An invalid one changes nothing, alike on
        every member, for all are in the same configuration at that index."""
        core = self._core
        try:
            core.membership = core.membership.changed(change)
        except InvalidConfChange:
            return core.membership.state
        core.sync_progress()
        if core.role is Role.LEADER:
            leader.membership_changed(core)
        return core.membership.state

    def allows(self, change: ConfChange) -> bool:
        """Whether ``change`` can follow from the configuration in force."""
        try:
            self._core.membership.changed(change)
        except InvalidConfChange:
            return False
        return True

    def read_index(self, context: bytes) -> None:
        """Ask for a ReadState with ``context``, which must be unique for ever. May be lost."""
        self._request(MessageType.READ_INDEX, context=context)

    def transfer_leader(self, to: int) -> None:
        self._request(MessageType.TRANSFER_LEADER, index=to)

    def campaign(self) -> None:
        """Stand for election now."""
        election.stand(self._core)

    def set_electable(self, electable: bool) -> None:
        """Whether this node may stand for election, as far as its owner knows."""
        self._core.is_electable = electable

    def set_membership(self, conf_state: ConfState) -> None:
        """The owner's state is another node's now, of a later index that we have committed."""
        self._core.membership = Membership.of(conf_state)
        self._core.sync_progress()

    def report_unreachable(self, node: int) -> None:
        if self._core.role is Role.LEADER:
            replication.report_unreachable(self._core, node)

    def report_snapshot(self, node: int, *, ok: bool) -> None:
        if self._core.role is Role.LEADER:
            replication.report_snapshot(self._core, node, ok=ok)

    @property
    def has_commit_news(self) -> bool:
        """Whether followers wait to hear of a commit: the next entries carry the news for
        nothing, so the owner gives them a moment before it calls ``tell_commit``."""
        return self._core.role is Role.LEADER and self._core.has_commit_news

    def tell_commit(self) -> None:
        """Tell all members how far we have committed."""
        if self.has_commit_news:
            replication.broadcast_append(self._core)

    def compact(self, index: int) -> None:
        """Forget log entries up to ``index``, which must be applied and kept elsewhere."""
        self._core.log.compact(index)

    # --- out --------------------------------------------------------------------------------

    def has_ready(self) -> bool:
        core = self._core
        return (
            bool(core.messages or core.read_states)
            or core.soft_state != self._handed_soft
            or core.log.has_next_committed()
            or (not self._in_flight and self._wants_disk())
        )

    def ready(self) -> Ready:
        """Everything to do now. See Ready for the order; each thing is handed out once."""
        core = self._core
        soft = core.soft_state if core.soft_state != self._handed_soft else None
        self._handed_soft = core.soft_state
        messages, core.messages = tuple(core.messages), []
        read_states, core.read_states = tuple(core.read_states), []
        committed = core.log.next_committed(core.config.committed_bytes_max)
        ready = Ready(
            soft_state=soft,
            messages=messages,
            committed_entries=committed,
            read_states=read_states,
        )
        is_busy = self._in_flight or not self._wants_disk()
        return ready if is_busy else self._ready_for_disk(ready)

    def advance(self) -> None:
        """The Ready that needed the disk is durable, and its snapshot, if any, installed."""
        assert self._in_flight, "advance without a Ready that needed it"
        self._in_flight = False
        core = self._core
        core.log.persisted()
        if self._snapshot_in_flight is not None:
            core.log.installed(self._snapshot_in_flight)
            self._snapshot_in_flight = None
        if core.role is Role.LEADER:
            leader.persisted(core)

    def advance_applied(self, index: int) -> None:
        """The state machine has applied everything up to ``index``."""
        core = self._core
        core.log.applied_to(min(index, core.log.applying))
        if core.role is Role.LEADER:
            leader.leave_joint_if_due(core)

    @property
    def id(self) -> int:
        return self._core.id

    @property
    def first_index(self) -> int:
        return self._core.log.first_index

    @property
    def term(self) -> int:
        return self._core.term

    @property
    def is_leader(self) -> bool:
        return self._core.role is Role.LEADER

    @property
    def commit_index(self) -> int:
        return self._core.log.committed

    @property
    def last_index(self) -> int:
        return self._core.log.last_index

    @property
    def matches(self) -> dict[int, int]:
        """A leader's match index per member; empty on all but a leader."""
        core = self._core
        if core.role is not Role.LEADER:
            return {}
        return {node: progress.match for node, progress in core.progress.items()}

    def entry(self, index: int) -> Entry | None:
        """The entry at ``index``; None when it is compacted away or not there."""
        return self._core.log.entry(index)

    def status(self) -> Status:
        return status_of(self._core)

    # --- inside -----------------------------------------------------------------------------

    def _accept_higher_term(self, message: Message) -> bool:
        """Rules for a term above ours (paper, 5.1); False if the message is to be ignored."""
        core = self._core
        if message.type in _VOTE_REQUESTS:
            if core.in_leader_lease and message.context != TRANSFER_CONTEXT:
                return False  # a healthy leader is not to be disturbed (thesis, 4.2.3)
            if message.type is MessageType.PRE_VOTE:
                return True  # only a question: our term stays
        if message.type is MessageType.PRE_VOTE_RESP and not message.reject:
            return True  # the term that we asked about, not one that anybody is in
        from_leader = message.type in _FROM_LEADER
        core.become_follower(message.term, message.sender if from_leader else NO_NODE)
        return True

    def _answer_lower_term(self, message: Message) -> None:
        core = self._core
        if message.type in (MessageType.APP, MessageType.HEARTBEAT):
            # A leader of the past, or one that cannot win us back: tell it the term, so that it
            # steps down instead of waiting for an election that we never start.
            core.send(MessageType.APP_RESP, message.sender)
        elif message.type is MessageType.PRE_VOTE:
            core.send(MessageType.PRE_VOTE_RESP, message.sender, reject=True)

    def _propose(self, entry: Entry) -> None:
        core = self._core
        if core.role is Role.LEADER:
            leader.propose(core, (entry,))
        elif core.role is Role.FOLLOWER and core.leader_id != NO_NODE:
            core.send(MessageType.PROP, core.leader_id, entries=(entry,))
        else:
            raise ProposalDropped("no leader is known")

    def _request(self, type_: MessageType, *, context: bytes = b"", index: int = 0) -> None:
        core = self._core
        message = Message(type_, core.id, core.id, context=context, index=index)
        if core.role is Role.LEADER:
            leader.step(core, message)
        elif core.role is Role.FOLLOWER:
            follower.step(core, message)

    def _wants_disk(self) -> bool:
        core = self._core
        return (
            core.log.handed < core.log.last_index
            or core.hard_state != self._handed_hard
            or core.log.pending_snapshot is not None
            or bool(core.messages_after_persist)
        )

    def _ready_for_disk(self, base: Ready) -> Ready:
        core = self._core
        hard = core.hard_state if core.hard_state != self._handed_hard else None
        entries = core.log.unhanded()
        snapshot = core.log.pending_snapshot
        after, core.messages_after_persist = tuple(core.messages_after_persist), []
        durable_facts = (self._handed_hard.term, self._handed_hard.vote)
        must_sync = (
            bool(entries)
            or snapshot is not None
            or (hard is not None and (hard.term, hard.vote) != durable_facts)
        )
        core.log.hand()
        self._handed_hard = core.hard_state
        self._snapshot_in_flight = snapshot
        self._in_flight = True
        return Ready(
            soft_state=base.soft_state,
            hard_state=hard,
            entries=entries,
            snapshot=snapshot,
            committed_entries=base.committed_entries,
            messages=base.messages,
            messages_after_persist=after,
            read_states=base.read_states,
            must_sync=must_sync,
        )
