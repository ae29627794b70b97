"""Changing who is a member: from the steps of a change to an applied entry, and what follows.

Owns: the changes that wait for their entry, the configuration that is applied, and who is removed.
Must never do: let rows and Raft part: an entry changes both or neither. Whether a change is wise is
judged before: see ``membership_desk``.

A change that its leader drops (another is pending, it has committed nothing yet) is proposed again
until its deadline. That it may then be committed twice does no harm: see apply.member_change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from raftkv.apply.member_change import (
    MemberAction,
    MemberChange,
    MemberStep,
    apply_member_change,
    check_member_steps,
)
from raftkv.apply.membership import MemberInfo, read_members, read_removed
from raftkv.backend.environment import Backend
from raftkv.errors import (
    NotEnoughStartedMembers,
    RaftKVError,
    RequestTimeout,
)
from raftkv.log_fields import fields, hex_id
from raftkv.peer.finding import Finding
from raftkv.raft.confchange import decode_conf_change
from raftkv.raft.errors import ProposalDropped
from raftkv.raft.message import ConfChange, ConfChangeType, ConfState, Entry
from raftkv.raft.raw_node import RawNode
from raftkv.scheduler import Scheduler
from raftkv.server.config import ServerConfig

log = logging.getLogger("raftkv.server")

REMOVED_GRACE_S = 1.0
"""A member that was removed goes on for so long: the others may hear of it from it alone."""

Changed = Callable[[RaftKVError | None], None]

_TYPES = {
    MemberAction.ADD: ConfChangeType.ADD_VOTER,
    MemberAction.ADD_LEARNER: ConfChangeType.ADD_LEARNER,
    MemberAction.JOIN: ConfChangeType.ADD_LEARNER,
    MemberAction.PROMOTE: ConfChangeType.ADD_VOTER,
    MemberAction.REMOVE: ConfChangeType.REMOVE,
}


class PeerLinks(Protocol):
    """What reconfiguration asks of the network."""

    def set_peers(self, urls_of: Mapping[int, Sequence[str]]) -> None:
        """Link to exactly these members."""

    def connected_for(self, peer: int) -> float | None:
        """For how many seconds the link has been up; None while it is down."""

    def probe(self, urls: Sequence[str], done: Callable[[Sequence[Finding]], None]) -> None:
        """What answers at each of ``urls``, in a bounded time."""

    def ask_promotion(self, leader: int, learner: int, done: Changed) -> None:
        """Have the leader promote ``learner``: only it knows how far the learner is."""


@dataclass(slots=True)
class _Waiting:
    change: ConfChange
    done: Changed
    deadline: float
    next_try: float


class Reconfiguration:
    """``removed`` is called a moment after this member is none any more. ``first_number``: above
    all that an earlier life of this member used."""

    def __init__(
        self,
        *,
        config: ServerConfig,
        member_id: int,
        first_number: int,
        backend: Backend,
        node: RawNode,
        scheduler: Scheduler,
        links: PeerLinks,
        conf_state: ConfState,
        removed: Callable[[], None],
    ) -> None:
        self._config = config
        self._me = member_id
        self._number = first_number
        self._backend = backend
        self._node = node
        self._scheduler = scheduler
        self._links = links
        self._removed = removed
        self._waiting: dict[int, _Waiting] = {}
        self.conf_state = conf_state
        self.removed_ids: frozenset[int] = frozenset()
        self._rows: list[MemberInfo] = []
        self._gone: list[MemberInfo] = []
        self.is_learner = False
        self.serves_as_learner = False
        """A learner that is to vote soon serves as the voter that it would be elsewhere; so does an
        observer."""
        self._note()

    def start(self) -> None:
        """One that was removed stays for a moment at each start: of two members, the other may not
        know yet that it is alone, and need this one to find out."""
        self.link()
        if self.is_out:
            self._scheduler.call_later(REMOVED_GRACE_S, self._removed)

    def members(self) -> list[MemberInfo]:
        """From memory: a commit may have the database at this moment."""
        return list(self._rows)

    # --- requests ---------------------------------------------------------------------------

    def change(self, steps: Sequence[MemberStep], done: Changed) -> None:
        """Several steps at once go through a joint configuration. Raises what the rows refuse."""
        check_member_steps(self._rows, steps, self._config.learners_max)
        number, now = self.next_number(), self._scheduler.now()
        # Who is to vote soon is no learner by the limit; the entry's counts all, as 0.1.0 does.
        joining = sum(row.is_joining for row in self._rows)
        joining += sum(step.action is MemberAction.JOIN for step in steps)
        learners_max = self._config.learners_max + joining
        context = MemberChange(self._me, number, tuple(steps), learners_max)
        change = ConfChange(
            tuple((_TYPES[step.action], step.member_id) for step in steps), context.encode()
        )
        waiting = _Waiting(change, done, now + self._config.request_timeout_s, now)
        self._waiting[number] = waiting
        self._propose(waiting, now)

    def next_number(self) -> int:
        """Used once in the lives of this member."""
        self._number += 1
        return self._number

    def tick(self, now: float) -> None:
        """Propose again what may be lost, and answer what has waited too long."""
        for number, waiting in list(self._waiting.items()):
            if now >= waiting.deadline:
                self._resolve(number, RequestTimeout("the change of members was not committed"))
            elif now >= waiting.next_try:
                self._propose(waiting, now)

    def fail_all(self, error: RaftKVError) -> None:
        for number in list(self._waiting):
            self._resolve(number, error)

    def told_removed(self) -> None:
        """Others have applied our removal, which our own log may never show."""
        for number, waiting in list(self._waiting.items()):
            if (ConfChangeType.REMOVE, self._me) in waiting.change.steps:
                self._resolve(number, None)
        self._removed()

    # --- what was decided -------------------------------------------------------------------

    def apply(self, entry: Entry) -> None:
        """A CONF_CHANGE entry's turn has come."""
        change = decode_conf_change(entry.data)
        if not change.context:
            self.conf_state = self._node.apply_conf_change(change)
            self._changed()
            return
        asked = MemberChange.decode(change.context)
        outcome = self._apply(change, asked)
        if asked.origin == self._me:
            self._resolve(asked.number, outcome)

    def restored(self, conf_state: ConfState) -> None:
        """A snapshot has replaced rows and configuration."""
        self.conf_state = conf_state
        self._changed()

    def rows_changed(self) -> None:
        """A request has changed a row: a name, client URLs, peer URLs."""
        self._note()
        self.link()

    def link(self) -> None:
        """Have links to all whom the rows, or a configuration that is being left, name."""
        conf = self.conf_state
        voting = {*conf.voters, *conf.voters_outgoing}
        leaving = [row for row in self._gone if row.id in voting]
        rows = [*self.members(), *leaving]
        self._links.set_peers({row.id: row.peer_urls for row in rows if row.id != self._me})

    @property
    def is_out(self) -> bool:
        """Whether this member was removed. One that has just joined is in no configuration yet."""
        return self._me in self.removed_ids

    def _apply(self, change: ConfChange, asked: MemberChange) -> RaftKVError | None:
        if not self._node.allows(change):
            return NotEnoughStartedMembers("the change does not follow from the one in force")
        try:
            apply_member_change(self._backend, asked)
        except RaftKVError as e:
            log.warning("a change of members is refused", extra=fields(error=str(e)))
            return e
        self.conf_state = self._node.apply_conf_change(change)
        for step in asked.steps:
            told = fields(action=step.action.value, member_id=hex_id(step.member_id))
            log.info("applied a change of members", extra=told)
        self._changed()
        return None

    def _changed(self) -> None:
        was_out = self.is_out
        self._note()
        self.link()
        if self.is_out and not was_out:
            self._scheduler.call_later(REMOVED_GRACE_S, self._removed)

    def _note(self) -> None:
        conf = self.conf_state
        here = {*conf.voters, *conf.voters_outgoing, *conf.learners}
        self._rows = read_members(self._backend)
        self._gone = read_removed(self._backend)
        self.removed_ids = frozenset({row.id for row in self._gone} - here)
        # Before its first snapshot a member that joins knows of no configuration: it serves as
        # little as a learner does.
        self.is_learner = self._me in conf.learners or not conf.voters
        is_joining = any(row.id == self._me and row.is_joining for row in self._rows)
        serves_all = bool(conf.voters) and (is_joining or self._config.observer)
        self.serves_as_learner = self.is_learner and not serves_all

    # --- inside -----------------------------------------------------------------------------

    def _propose(self, waiting: _Waiting, now: float) -> None:
        try:
            self._node.propose_conf_change(waiting.change)
        except ProposalDropped as e:
            log.debug("a change of members has to wait", extra=fields(reason=str(e)))
            return  # the next tick tries again
        waiting.next_try = now + self._config.election_timeout_ms / 1000

    def _resolve(self, number: int, outcome: RaftKVError | None) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.done(outcome)
