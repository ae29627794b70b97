"""Questions that only the leader can answer, asked of whoever leads.

Owns: this member's open questions, their way to the leader and back, and their deadlines. Must
never do: know what is asked. A question is asked again while it is open, so it must do no harm
to be answered twice; a leader that cannot answer says nothing. etcd forwards keep-alives by HTTP to
the leader's peer URL; here they are peer messages, so a simulated network can lose them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from raftkv.errors import (
    LeaderChanged,
    NotLeader,
    RaftKVError,
    RequestTimeout,
    TooManyRequests,
)
from raftkv.raft.message import NO_NODE, Message, MessageType
from raftkv.scheduler import Scheduler

LEADER_CALLS = frozenset((MessageType.ASK, MessageType.ANSWER))
REVIEW_CALLS = frozenset((MessageType.REVIEW_ASK, MessageType.REVIEW_ANSWER))
"""Of changes of members: see ``membership_desk``."""
RETRY_S = 0.5
"""A question without an answer is asked anew after this."""
AT_ONCE = float("-inf")
NEVER = float("inf")

Answered = Callable[[bytes | RaftKVError], None]


class Transport(Protocol):
    def send(self, messages: Sequence[Message]) -> None: ...


@dataclass(slots=True)
class _Call:
    question: bytes
    answered: Answered
    deadline: float
    asked_at: float = AT_ONCE


class LeaderCalls:
    """``answer`` answers a question as the leader; NotLeader and LeaderChanged mean that another
    has to. ``leader`` is who leads as far as this member knows."""

    def __init__(
        self,
        *,
        me: int,
        first_number: int,
        calls_max: int,
        timeout_s: float,
        leader: Callable[[], int],
        answer: Callable[[bytes, Answered], None],
        scheduler: Scheduler,
        transport: Transport,
        types: tuple[MessageType, MessageType] = (MessageType.ASK, MessageType.ANSWER),
    ) -> None:
        self._ask_type, self._answer_type = types
        self._me = me
        self._next_number = first_number
        self._calls_max = calls_max
        self._timeout_s = timeout_s
        self._leader = leader
        self._answer = answer
        self._scheduler = scheduler
        self._transport = transport
        self._calls: dict[int, _Call] = {}
        self._outgoing: list[Message] = []

    def ask(self, question: bytes, answered: Answered) -> None:
        if len(self._calls) >= self._calls_max:
            answered(TooManyRequests(f"{len(self._calls)} questions to the leader are open"))
            return
        number = self._next_number
        self._next_number += 1
        now = self._scheduler.now()
        call = self._calls[number] = _Call(question, answered, now + self._timeout_s)
        self._put_forward(number, call, now)

    def receive(self, message: Message) -> None:
        """A message from another member."""
        if message.type is self._answer_type:
            self._resolve(message.index, message.context)
        elif self._leader() == self._me:
            sender, number = message.sender, message.index

            def answered(outcome: bytes | RaftKVError) -> None:
                if isinstance(outcome, bytes):
                    self._post(self._answer_type, sender, number, outcome)

            self._answer(message.context, answered)

    def retry(self, now: float) -> None:
        """Called every tick: ask again what was not answered, give up what waited too long."""
        for number, call in list(self._calls.items()):
            if call.deadline <= now:
                self._resolve(number, RequestTimeout("the leader gave no answer in time"))
            elif call.asked_at + RETRY_S <= now:
                self._put_forward(number, call, now)

    def fail_all(self, error: RaftKVError) -> None:
        for number in list(self._calls):
            self._resolve(number, error)

    def _put_forward(self, number: int, call: _Call, now: float) -> None:
        leader = self._leader()
        if leader == self._me:
            call.asked_at = NEVER
            self._answer(call.question, lambda outcome: self._answered_here(number, outcome))
        elif leader != NO_NODE:
            call.asked_at = now
            self._post(self._ask_type, leader, number, call.question)

    def _answered_here(self, number: int, outcome: bytes | RaftKVError) -> None:
        call = self._calls.get(number)
        if call is not None and isinstance(outcome, NotLeader | LeaderChanged):
            call.asked_at = AT_ONCE
        else:
            self._resolve(number, outcome)

    def _resolve(self, number: int, outcome: bytes | RaftKVError) -> None:
        call = self._calls.pop(number, None)
        if call is not None:
            call.answered(outcome)

    def _post(self, kind: MessageType, to: int, number: int, content: bytes) -> None:
        """All of one turn of the loop leave together."""
        if not self._outgoing:
            self._scheduler.call_soon(self._flush)
        self._outgoing.append(Message(kind, to, self._me, index=number, context=content))

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        self._transport.send(outgoing)
