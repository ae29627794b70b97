"""Whether all members came to the same by the same entries: digests compared at one log index.

Owns: the leader's rounds (at most one at a time, one question per member and INTERVAL, none while
nothing was applied), and whom a difference accuses: who differs from a majority of all members, or,
where no digest has one, the member 0: nobody knows, and an operator decides. Must never do: decide
over another member's data: the accused is told what the majority has, and quarantines itself.

Questions are peer messages, so they can be lost; who does not answer in ROUND_MAX_S is left out.
A member that is behind answers when it gets there. As etcd's issue 13839 has asked for since 2022.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.apply.batch import RequestKind
from raftkv.apply.level import LEVEL_0_2, ClusterLevel
from raftkv.apply.state_digest import StateDigest
from raftkv.log_fields import fields, hex_id
from raftkv.raft.message import Message, MessageType
from raftkv.scheduler import Scheduler
from raftkv.server.apply_queue import ApplyQueue
from raftkv.server.corruption import NOBODY_KNOWS, accused
from raftkv.server.proposals import Done

STATE_CALLS = frozenset((MessageType.STATE_ASK, MessageType.STATE_ANSWER))
ROUND_MAX_S = 10.0
SILENT_S = 60.0
"""After a difference that nobody can judge, the next comparison waits for so long."""
_DIGEST_BYTES = 4

log = logging.getLogger("raftkv.server")

Propose = Callable[[int, bytes, Done], None]


class Transport(Protocol):
    def send(self, messages: Sequence[Message]) -> None: ...


@dataclass(slots=True)
class _Round:
    index: int
    waiting: set[int]
    deadline: float
    found: dict[int, int] = field(default_factory=dict)


class StateCheck:
    """``members`` gives the ids of all members, this one's too; ``quarantine`` takes a reason."""

    def __init__(
        self,
        *,
        me: int,
        queue: ApplyQueue,
        digest: StateDigest,
        level: ClusterLevel,
        members: Callable[[], Sequence[int]],
        is_leader: Callable[[], bool],
        is_stopped: Callable[[], bool],
        raise_alarm: Callable[[Alarm], None],
        quarantine: Callable[[str], None],
        propose: Propose,
        scheduler: Scheduler,
        transport: Transport,
        interval_s: float,
    ) -> None:
        self._me = me
        self._queue = queue
        self._digest = digest
        self._level = level
        self._members = members
        self._is_leader = is_leader
        self._is_stopped = is_stopped
        self._raise_alarm = raise_alarm
        self._quarantine = quarantine
        self._propose = propose
        self._scheduler = scheduler
        self._transport = transport
        self._interval_s = interval_s
        self._round: _Round | None = None
        self._compared = 0
        self._silent_until = 0.0
        self._is_beginning = False
        self.rounds = 0
        """Comparisons that were finished, whatever they found."""

    def start(self) -> None:
        if self._interval_s > 0:
            self._scheduler.call_later(self._interval_s, self._look)

    # --- the leader's rounds ------------------------------------------------------------------

    def _look(self) -> None:
        if self._is_stopped():
            return
        self._scheduler.call_later(self._interval_s, self._look)
        now = self._scheduler.now()
        is_due = self._is_leader() and not self._queue.is_held and now >= self._silent_until
        if not is_due or self._level.current < LEVEL_0_2:
            self._round = None
            return
        round_ = self._round
        if round_ is not None and now >= round_.deadline:
            self._finish(round_)
        elif round_ is not None:
            self._ask(round_)
        elif not self._digest.is_known:
            self._begin_chain()
        elif self._queue.applied_index > self._compared:
            self._begin(now)

    def _begin_chain(self) -> None:
        """An older version has written the database, or a backup has made it."""
        if not self._is_beginning:
            self._is_beginning = True

            def done(outcome: object) -> None:
                self._is_beginning = False

            self._propose(RequestKind.STATE_ORIGIN, b"", done)

    def _begin(self, now: float) -> None:
        index = self._queue.applied_index
        mine = self._digest.at(index)
        if mine is None:
            return
        others = {*self._members()} - {self._me}
        round_ = self._round = _Round(index, others, now + ROUND_MAX_S, {self._me: mine})
        self._ask(round_)
        if not others:
            self._finish(round_)

    def _ask(self, round_: _Round) -> None:
        self._send([self._question(member, round_.index) for member in sorted(round_.waiting)])

    def _question(self, member: int, index: int) -> Message:
        return Message(MessageType.STATE_ASK, member, self._me, index=index)

    def _finish(self, round_: _Round) -> None:
        self._round = None
        self._compared = round_.index
        self.rounds += 1
        size = len(round_.found) + len(round_.waiting)
        wrong = accused(round_.found, size)
        if not wrong:
            return
        digests = {hex_id(member): f"{digest:08x}" for member, digest in round_.found.items()}
        log.error("the members' digests differ", extra=fields(index=round_.index, digests=digests))
        if wrong == [NOBODY_KNOWS]:
            self._silent_until = self._scheduler.now() + SILENT_S
            self._raise_alarm(Alarm(NOBODY_KNOWS, AlarmKind.CORRUPT))
            return
        right = next(d for member, d in round_.found.items() if member not in wrong)
        for member in wrong:
            self._accuse(member, round_.index, right)

    def _accuse(self, member: int, index: int, right: int) -> None:
        if member == self._me:
            self._judge_myself(index, right)
            return
        verdict = right.to_bytes(_DIGEST_BYTES, "big")
        self._send(
            [
                Message(
                    MessageType.STATE_ASK,
                    member,
                    self._me,
                    index=index,
                    reject=True,
                    context=verdict,
                )
            ]
        )

    # --- every member's answers -----------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """One of STATE_CALLS. What makes no sense is dropped, like a message that got lost."""
        said = message.context
        if message.type is MessageType.STATE_ANSWER:
            round_ = self._round
            if round_ is not None and message.index == round_.index and message.sender != self._me:
                self._take(round_, message.sender, said)
        elif message.reject and len(said) == _DIGEST_BYTES:
            self._judge_myself(message.index, int.from_bytes(said, "big"))
        elif not self._queue.is_held and message.index <= self._queue.applied_index:
            digest = self._digest.at(message.index)
            known = b"" if digest is None else digest.to_bytes(_DIGEST_BYTES, "big")
            answer = Message(
                MessageType.STATE_ANSWER,
                message.sender,
                self._me,
                index=message.index,
                context=known,
            )
            self._send([answer])  # one that is behind is asked again, and gets there

    def _take(self, round_: _Round, member: int, said: bytes) -> None:
        """Without a digest the member does not know it: it counts as one that was silent."""
        if member not in round_.waiting or len(said) != _DIGEST_BYTES:
            return
        round_.waiting.remove(member)
        round_.found[member] = int.from_bytes(said, "big")
        if not round_.waiting:
            self._finish(round_)

    def _judge_myself(self, index: int, right: int) -> None:
        mine = self._digest.at(index)
        if mine is not None and mine != right:
            self._quarantine(
                f"at log index {index} its digest is {mine:08x}, that of a majority {right:08x}"
            )

    def _send(self, messages: Sequence[Message]) -> None:
        self._transport.send(messages)
