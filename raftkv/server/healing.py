"""A member whose data is wrong is found, set apart, and given a peer's data.

Owns: what begins a quarantine and what ends it, and the way between. Must never do: believe data
that was not compared: a repaired member walks through every row before it serves again.

    Damaged (a read, the scrub, LMDB itself) --\
    StateCheck: the majority's digest differs ---> begin -> HEAL_ASK -> the leader: a snapshot at an
    CorruptionCheck: the majority's hash  ------/              index not before ours -> HEAL_SNAP ->
        swap the database (the old file stays, as db.damaged) -> Scrub -> end

A leader gives up its place first. The entries up to the snapshot's index are in our log already;
those behind it are applied as ever. An ordinary snapshot of Raft's, to a member that has fallen
behind, heals as well. Where nobody has data to give (a single member, all in quarantine), an
operator decides: docs/space-and-backups.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.apply.level import LEVEL_0_2
from raftkv.apply.membership import MemberInfo
from raftkv.errors import Damaged
from raftkv.log_fields import fields, hex_id
from raftkv.raft.message import NO_NODE, ConfState, Message, MessageType, Snapshot
from raftkv.scheduler import Scheduler
from raftkv.server.engine import Engine
from raftkv.server.quarantine_backlog import QuarantineBacklog
from raftkv.server.scrub import Scrub

HEALING_CALLS = frozenset((MessageType.HEAL_ASK, MessageType.HEAL_SNAP, MessageType.HEAL_ACCUSE))
ASK_AGAIN_S = 0.5
NOTE_PEERS_S = 1.0
LEADERLESS_ELECTIONS = 5
"""After so many election timeouts without a leader a member stands even in quarantine: its log may
be the one that the others need. It serves nothing then, and hands over at once."""

log = logging.getLogger("raftkv.server")


class Healing:
    """``raise_alarm`` is for what no member can repair by itself."""

    def __init__(
        self, engine: Engine, scheduler: Scheduler, raise_alarm: Callable[[Alarm], None]
    ) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._raise_alarm = raise_alarm
        self._me = engine.foundation.member_id
        self._settings = engine.config.operations.healing
        self._quarantine = engine.quarantine
        self.backlog = QuarantineBacklog(engine)
        self._waiting: Snapshot | None = None
        self._is_installing = False
        self._is_proving = False
        self._is_proved = False
        self._copy_was_bad = False
        self._giving: set[int] = set()
        self._began_at = 0.0
        self._leaderless_since = 0.0
        self._peers: list[MemberInfo] = []
        self.repairs = 0
        """How often this member was given a peer's data since it started."""
        self.scrub = Scrub(
            backend=engine.foundation.backend,
            level=engine.applier.level,
            scheduler=scheduler,
            rest_s=self._settings.scrub_interval_s,
            may_run=self._may_scrub,
            is_stopped=lambda: engine.stopped,
            converted=self._converted,
        )
        engine.snapshots.may_make = self._may_give
        engine.foundation.backend.damaged = self._damaged
        engine.committer.damaged = self._damaged
        engine.snapshots.was_installed = self._replaced

    def start(self) -> None:
        if self._engine.foundation.quarantined:
            self._set_apart(self._engine.foundation.quarantined)
        self.scrub.start()
        self._note_peers()

    def _note_peers(self) -> None:
        """So that the other members are known without the database."""
        engine = self._engine
        if engine.stopped:
            return
        self._scheduler.call_later(NOTE_PEERS_S, self._note_peers)
        members = engine.reconfiguration.members()
        if members != self._peers and not self._quarantine.is_on:
            self._peers = members
            engine.workers.snapshot.run(lambda: engine.foundation.note_peers(members), self._noted)

    # --- into quarantine ----------------------------------------------------------------------

    def begin(self, reason: str) -> None:
        """This member's data is wrong, by what it found itself or by a majority's word."""
        if self._quarantine.is_on or self._engine.stopped:
            return
        if not self._can_be_healed:
            told = fields(local_member_id=hex_id(self._me), reason=reason)
            log.critical("this member's data is wrong, and no peer can repair it", extra=told)
            self._raise_alarm(Alarm(self._me, AlarmKind.CORRUPT))
            return
        self._set_apart(reason)
        foundation = self._engine.foundation
        self._engine.workers.snapshot.run(lambda: foundation.note_quarantine(reason), self._noted)

    def accuse(self, member: int, reason: str) -> None:
        """A majority has found that the data of ``member`` is wrong, and which is right."""
        if member == self._me:
            self.begin(reason)
        elif self._settings.is_on and self._engine.applier.level.current >= LEVEL_0_2:
            told = reason.encode()
            self._send(Message(MessageType.HEAL_ACCUSE, member, self._me, context=told))
        else:
            self._raise_alarm(Alarm(member, AlarmKind.CORRUPT))

    @property
    def _can_be_healed(self) -> bool:
        """A member of version 0.1 would not know what it is asked for."""
        others = {*self._engine.reconfiguration.conf_state.voters} - {self._me}
        is_known = self._engine.applier.level.current >= LEVEL_0_2
        return self._settings.is_on and bool(others) and is_known

    def _set_apart(self, reason: str) -> None:
        engine = self._engine
        log.critical(
            "this member's data is wrong: it serves nothing until it has a peer's",
            extra=fields(local_member_id=hex_id(self._me), reason=reason),
        )
        self._began_at = self._leaderless_since = self._scheduler.now()
        self._waiting = None
        self._is_installing = self._is_proving = self._is_proved = False
        self._copy_was_bad = False
        engine.queue.is_held = True
        engine.node.set_electable(False)
        self._quarantine.begin(reason)
        engine.reads.fail_all(self._quarantine.refusal)
        self._scheduler.call_soon(self._pursue)

    def _damaged(self, error: Damaged) -> None:
        if self._quarantine.is_on and (self._is_proving or self._is_proved):
            log.error("a peer's data is damaged, too", extra=fields(reason=str(error)))
            self._is_proving = self._is_proved = False
            self._copy_was_bad = True
        self.begin(str(error))

    # --- being healed -------------------------------------------------------------------------

    def _pursue(self) -> None:
        """Again and again, until it is over."""
        if not self._quarantine.is_on or self._engine.stopped:
            return
        self._scheduler.call_later(ASK_AGAIN_S, self._pursue)
        node = self._engine.node
        self._stand_if_nobody_does()
        self.backlog.limit()
        if node.is_leader:
            self._hand_over()
        elif self._waiting is not None:
            self._install_when_due()
        elif self._is_proved:
            self._end_when_whole()
        elif not self._is_installing and not self._is_proving:
            leader = node.status().leader_id
            if leader != NO_NODE:
                self._send(
                    Message(
                        MessageType.HEAL_ASK,
                        leader,
                        self._me,
                        index=self.backlog.wanted_index,
                        reject=self._copy_was_bad,
                    )
                )

    def _stand_if_nobody_does(self) -> None:
        node, now = self._engine.node, self._scheduler.now()
        if node.memory.hears_leader:
            self._leaderless_since = now
        patience_s = LEADERLESS_ELECTIONS * self._engine.config.election_timeout_ms / 1000
        is_due = now - self._leaderless_since > patience_s
        if is_due:
            self.backlog.take_back(self._engine.foundation.wal.marker)
        node.set_electable(is_due and self.backlog.is_whole)

    def _hand_over(self) -> None:
        """To one that answers, another at each try: it may be in quarantine itself."""
        engine = self._engine
        status = engine.node.status()
        voters = sorted(
            member
            for member, progress in status.progress.items()
            if member != self._me and progress.recent_active and not progress.is_learner
        )
        if voters:
            tries = int((self._scheduler.now() - self._began_at) / ASK_AGAIN_S)
            patience = max(1, engine.config.election_timeout_ms // int(1000 * ASK_AGAIN_S))
            engine.node.transfer_leader(voters[tries // patience % len(voters)])
            engine.loop.schedule()

    def _install_when_due(self) -> None:
        """Our log has to reach the snapshot: what follows it is applied from there."""
        engine, snapshot = self._engine, self._waiting
        assert snapshot is not None, "nothing waits"
        index = snapshot.meta.index
        if index < engine.queue.applied_index:
            self._waiting = None  # Raft has given us a later one meanwhile
        elif index <= engine.queue.queued_index:
            self._waiting = None
            self._is_installing = True
            engine.committer.when_open(lambda: engine.snapshots.put_in_place(index))

    def _replaced(self, conf_state: ConfState) -> None:
        """The database is a peer's now, by our asking or by Raft's."""
        if not self._quarantine.is_on:
            return
        engine = self._engine
        engine.node.set_membership(conf_state)
        engine.node.advance_applied(engine.queue.applied_index)
        self._waiting = None
        self._is_installing, self._is_proving, self._is_proved = False, True, False
        self.scrub.now(self._proved)

    def _proved(self) -> None:
        """Every row of it is as its check says."""
        if self._is_proving and self._quarantine.is_on:
            self._is_proving, self._is_proved = False, True
            self._end_when_whole()

    def _end_when_whole(self) -> None:
        """With all entries that follow the copy."""
        engine = self._engine
        if not self._is_proved or not self._quarantine.is_on:
            return
        if not self.backlog.is_whole:
            self.backlog.take_back(engine.queue.position, self._end_when_whole)
            return
        self._is_proved = False
        self.repairs += 1
        seconds = self._scheduler.now() - self._began_at
        told = fields(
            local_member_id=hex_id(self._me),
            reason=self._quarantine.reason,
            index=engine.queue.applied_index,
            took=f"{seconds:.3f}s",
        )
        log.warning("this member was given a peer's data and serves again", extra=told)
        self._quarantine.end()
        engine.queue.is_held = False
        engine.node.set_electable(True)
        engine.workers.snapshot.run(engine.foundation.end_quarantine, self._noted)
        engine.committer.reopen()

    def _noted(self, error: BaseException | None) -> None:
        """What is not on the disk, the next start would not know; and a disk that fails once is
        believed no more, as everywhere."""
        if error is not None and not self._engine.stopped:
            self._engine.fail(error)

    def _converted(self) -> None:
        """Snapshots of the other form may be of no use any more."""
        self._engine.snapshots.forget()
        self._engine.committer.demand()

    def _may_give(self) -> bool:
        """What is wrong is given to nobody, also by one that leads for want of another. A member of
        version 0.1 has to be able to read it, where there may be one."""
        if self._quarantine.is_on:
            return False
        is_new = self._engine.applier.level.current >= LEVEL_0_2
        return is_new or self._engine.foundation.backend.is_plain

    def _may_scrub(self) -> bool:
        is_open = self._engine.queue.is_open
        return is_open and (not self._quarantine.is_on or self._is_proving)

    # --- healing others -----------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """One of HEALING_CALLS. What makes no sense is dropped, like a message that got lost."""
        if message.type is MessageType.HEAL_ASK:
            self._give(message)
            return
        if message.type is MessageType.HEAL_ACCUSE:
            self.begin(message.context.decode(errors="replace"))
            return
        snapshot, applied = message.snapshot, self._engine.queue.applied_index
        is_here = self._is_installing or self._is_proving or self._is_proved
        is_wanted = self._quarantine.is_on and not is_here
        if snapshot is not None and is_wanted and snapshot.meta.index >= applied:
            self._waiting = snapshot
            self._install_when_due()

    def _give(self, ask: Message) -> None:
        """By the leader alone, and only while its own data is believed to be right."""
        engine, peer = self._engine, ask.sender
        if self._quarantine.is_on or not engine.node.is_leader or peer in self._giving:
            return
        if ask.reject:
            self.scrub.now(None)
        snapshot = engine.snapshots.at_least(ask.index)
        if snapshot is None:
            engine.loop.schedule()  # it is being made: we shall be asked again
            return
        log.warning("giving a damaged member our data", extra=fields(to=hex_id(peer)))
        self._giving.add(peer)
        term = engine.node.term
        message = Message(MessageType.HEAL_SNAP, peer, self._me, term=term, snapshot=snapshot)
        engine.snapshots.send(message, lambda: self._giving.discard(peer))

    def _send(self, message: Message) -> None:
        self._engine.transport.send([message])
