"""The values that cross the boundary of the Raft core.

Owns: entries, hard state, configuration state, snapshot metadata, messages and Ready.
Must never do: hold behaviour, know bytes on the wire or on disk, or be changed after it is made.
Names follow the Raft paper where it has one and etcd's raft where it has not
(AppendEntries = MsgApp, RequestVote = MsgVote, InstallSnapshot = MsgSnap).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

NO_NODE = 0
"""The id that means "nobody": no leader known, no vote cast."""


class EntryType(IntEnum):
    NORMAL = 0
    CONF_CHANGE = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One slot of the replicated log. ``data`` is opaque to the core; empty in a leader's no-op."""

    term: int
    index: int
    data: bytes = b""
    type: EntryType = EntryType.NORMAL


@dataclass(frozen=True, slots=True)
class HardState:
    """What must be durable before a message that depends on it leaves (paper, figure 2)."""

    term: int = 0
    vote: int = NO_NODE
    commit: int = 0


@dataclass(frozen=True, slots=True)
class ConfState:
    """The voters and learners in force; ``voters_outgoing`` is empty outside joint consensus."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """The log position that a snapshot replaces, and the configuration in force there."""

    index: int = 0
    term: int = 0
    conf_state: ConfState = ConfState()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as the core sees it: the state itself travels as a file that the server streams.

    ``data`` is an opaque note from the snapshot's source to its installer (a file name, say).
    """

    meta: SnapshotMeta
    data: bytes = b""


class MessageType(IntEnum):
    """Wire values: never renumber."""

    HUP = 0  # local: start an election
    PROP = 1
    APP = 2
    APP_RESP = 3
    VOTE = 4
    VOTE_RESP = 5
    PRE_VOTE = 6
    PRE_VOTE_RESP = 7
    SNAP = 8
    HEARTBEAT = 9
    HEARTBEAT_RESP = 10
    READ_INDEX = 11
    READ_INDEX_RESP = 12
    TRANSFER_LEADER = 13
    TIMEOUT_NOW = 14
    ASK = 15  # of the servers around the core, which never sees these
    ANSWER = 16
    HASH_ASK = 17
    HASH_ANSWER = 18
    STATE_ASK = 19  # these too (server.state_check, server.healing)
    STATE_ANSWER = 20
    HEAL_ASK = 21
    HEAL_SNAP = 22
    HEAL_ACCUSE = 25
    REVIEW_ASK = 23  # of changes of members; 19 to 22 are of the repair of members
    REVIEW_ANSWER = 24


@dataclass(frozen=True, slots=True)
class Message:
    """One message between members. Fields that a type does not use keep their defaults.

    ``index``/``log_term`` name the entry before ``entries`` in APP, the last entry of the
    candidate in VOTE and PRE_VOTE, the acknowledged index in APP_RESP and the read index in
    READ_INDEX_RESP. ``context`` carries the read request of HEARTBEAT and READ_INDEX, and marks
    the vote requests of a leadership transfer.
    """

    type: MessageType
    to: int
    sender: int = NO_NODE
    term: int = 0
    index: int = 0
    log_term: int = 0
    commit: int = 0
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    entries: tuple[Entry, ...] = ()
    snapshot: Snapshot | None = None


class Role(IntEnum):
    FOLLOWER = 0
    PRE_CANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


@dataclass(frozen=True, slots=True)
class SoftState:
    """What is worth telling people, and is lost with the process."""

    leader_id: int = NO_NODE
    role: Role = Role.FOLLOWER


@dataclass(frozen=True, slots=True)
class ReadState:
    """A read request is safe to serve once the state machine has applied ``index``."""

    index: int
    context: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """All that the core asks of its owner after a step. What is empty asks for nothing.

    The owner (1) sends ``messages`` at once, (2) makes ``snapshot``, ``entries`` and
    ``hard_state`` durable together, (3) only then sends ``messages_after_persist`` and calls
    ``advance``, (4) applies ``committed_entries``, which are durable here already, in order, at
    any time, and calls ``advance_applied``.
    """

    soft_state: SoftState | None = None
    hard_state: HardState | None = None
    entries: tuple[Entry, ...] = ()
    snapshot: Snapshot | None = None
    committed_entries: tuple[Entry, ...] = ()
    messages: tuple[Message, ...] = ()
    messages_after_persist: tuple[Message, ...] = ()
    read_states: tuple[ReadState, ...] = ()
    must_sync: bool = False
    """False when only the commit index moved: losing it costs nothing but a little replay."""

    @property
    def needs_persist(self) -> bool:
        return bool(self.entries) or self.hard_state is not None or self.snapshot is not None


class ConfChangeType(IntEnum):
    ADD_VOTER = 0
    ADD_LEARNER = 1
    REMOVE = 2


@dataclass(frozen=True, slots=True)
class ConfChange:
    """A membership change: one or several steps, entered through joint consensus when several.

    An empty ``steps`` leaves a joint configuration. ``context`` is the server's own note.
    """

    steps: tuple[tuple[ConfChangeType, int], ...] = ()
    context: bytes = b""
    explicit_joint: bool = field(default=False, kw_only=True)
