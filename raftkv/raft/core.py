"""The state of one Raft node, and the rules that hold in every role.

Owns: term, vote, role, leader, timers, and the routing of outgoing messages into the two lists of
Ready. Must never do: IO, or let a message that depends on the disk leave before the disk has it.
What a role does with a message is in ``follower``, ``election`` and ``leader``; this file knows
the paper's "rules for all servers" (figure 2) and terms (5.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raftkv.raft.confchange import Membership
from raftkv.raft.config import Config, RandomSource
from raftkv.raft.log import RaftLog
from raftkv.raft.message import (
    NO_NODE,
    Entry,
    HardState,
    Message,
    MessageType,
    ReadState,
    Role,
    Snapshot,
    SoftState,
)
from raftkv.raft.progress import Inflights, Progress, ProgressState
from raftkv.raft.read_only import ReadOnly

TRANSFER_CONTEXT = b"transfer"
"""Marks vote requests of a leadership transfer, which may interrupt a healthy leader's lease."""

_SENT_AT_ONCE_BY_LEADER = frozenset(
    {
        MessageType.APP,
        MessageType.HEARTBEAT,
        MessageType.SNAP,
        MessageType.TIMEOUT_NOW,
        MessageType.READ_INDEX_RESP,
    }
)
"""A leader's term and vote are durable since its candidacy, and it counts its own entries only
once they are: these may leave while the disk works (thesis, 10.2.1)."""

_FORWARDED = frozenset({MessageType.PROP, MessageType.READ_INDEX, MessageType.TRANSFER_LEADER})
"""Local requests passed on to the leader: they promise nothing, and carry no term."""

_SENT_AT_ONCE = _FORWARDED | {MessageType.HEARTBEAT_RESP}
"""A heartbeat's answer says that no later term was known when it left. No crash makes that untrue,
for a vote in a later term is durable before it leaves. So a slow disk looks like no silence."""


class Core:
    """Everything a role's functions read and write."""

    def __init__(
        self,
        config: Config,
        log: RaftLog,
        membership: Membership,
        hard_state: HardState,
        random: RandomSource,
        snapshot_source: Callable[[], Snapshot | None],
    ) -> None:
        self.config = config
        self.id = config.id
        self.log = log
        self.membership = membership
        self.random = random
        self.snapshot_source = snapshot_source
        self.term = hard_state.term
        self.vote = hard_state.vote
        self.is_electable = True
        self.role = Role.FOLLOWER
        self.leader_id = NO_NODE
        self.progress: dict[int, Progress] = {}
        self.votes: dict[int, bool] = {}
        self.read_only = ReadOnly()
        self.early_reads: list[Message] = []  # arrived before this term committed anything
        self.read_states: list[ReadState] = []
        self.messages: list[Message] = []
        self.messages_after_persist: list[Message] = []
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.election_deadline = 0
        self.transferee = NO_NODE
        self.pending_conf_index = 0  # no new change until this index is applied
        self.uncommitted_bytes = 0
        self.has_commit_news = False  # the members were not told yet how far we have committed
        self.reset(self.term)

    # --- facts ----------------------------------------------------------------------------

    @property
    def soft_state(self) -> SoftState:
        return SoftState(self.leader_id, self.role)

    @property
    def hard_state(self) -> HardState:
        return HardState(self.term, self.vote, self.log.committed)

    @property
    def is_promotable(self) -> bool:
        """Whether this node may stand for election: a voter, with its state machine in place."""
        return (
            self.is_electable
            and self.id in self.membership.config.voters
            and self.log.pending_snapshot is None
        )

    @property
    def has_committed_in_term(self) -> bool:
        return self.log.term(self.log.committed) == self.term

    @property
    def in_leader_lease(self) -> bool:
        """A leader was heard within the minimum election timeout (thesis, 4.2.3)."""
        return (
            self.config.check_quorum
            and self.leader_id != NO_NODE
            and self.election_elapsed < self.config.election_timeout_ticks
        )

    # --- changing role ----------------------------------------------------------------------

    def reset(self, term: int) -> None:
        """A fresh start in ``term``: nothing known of others, no vote if the term is new."""
        assert term >= self.term, (term, self.term)
        if term != self.term:
            self.term = term
            self.vote = NO_NODE
        self.leader_id = NO_NODE
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.draw_election_deadline()
        self.transferee = NO_NODE
        self.votes = {}
        self.pending_conf_index = 0
        self.uncommitted_bytes = 0
        self.has_commit_news = False
        self.read_only = ReadOnly()
        self.early_reads = []
        self.progress = {}
        self.sync_progress()

    def become_follower(self, term: int, leader: int) -> None:
        self.reset(term)
        self.role = Role.FOLLOWER
        self.leader_id = leader

    def draw_election_deadline(self) -> None:
        ticks = self.config.election_timeout_ticks
        self.election_deadline = ticks + self.random.randrange(ticks)

    def sync_progress(self) -> None:
        """One progress per member of the configuration in force; known ones are kept."""
        config = self.config
        learners = self.membership.learners
        kept: dict[int, Progress] = {}
        for node in sorted(self.membership.members):
            progress = self.progress.get(node)
            if progress is None:
                progress = Progress(
                    match=self.log.stable if node == self.id else 0,
                    next_index=self.log.last_index + 1,
                    inflights=Inflights(config.inflight_messages_max, config.inflight_bytes_max),
                    is_learner=node in learners,
                )
                # A member that a leader just added gets one election timeout to answer.
                progress.recent_active = self.role is Role.LEADER
            progress.is_learner = node in learners
            kept[node] = progress
        self.progress = kept
        if self.id in kept:
            kept[self.id].state = ProgressState.REPLICATE

    # --- sending ------------------------------------------------------------------------------

    def send(
        self,
        type: MessageType,  # noqa: A002 - the message's own name for it
        to: int,
        *,
        term: int | None = None,
        index: int = 0,
        log_term: int = 0,
        commit: int = 0,
        reject: bool = False,
        reject_hint: int = 0,
        context: bytes = b"",
        entries: Sequence[Entry] = (),
        snapshot: Snapshot | None = None,
    ) -> None:
        """Put one message into the list from which it may leave."""
        assert to != self.id, f"{type.name} to oneself"
        message = Message(
            type=type,
            to=to,
            sender=self.id,
            term=0 if type in _FORWARDED else (self.term if term is None else term),
            index=index,
            log_term=log_term,
            commit=commit,
            reject=reject,
            reject_hint=reject_hint,
            context=context,
            entries=tuple(entries),
            snapshot=snapshot,
        )
        at_once = type in _SENT_AT_ONCE or (
            self.role is Role.LEADER and type in _SENT_AT_ONCE_BY_LEADER
        )
        (self.messages if at_once else self.messages_after_persist).append(message)

    def answer_read(self, requester: int, index: int, context: bytes) -> None:
        """A read is confirmed at ``index``: to ourselves as a read state, to others by message."""
        if requester in (NO_NODE, self.id):
            self.read_states.append(ReadState(index, context))
        else:
            self.send(MessageType.READ_INDEX_RESP, requester, index=index, context=context)
