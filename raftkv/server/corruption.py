"""Whether all members hold the same: the leader compares their hashes, now and then.

Owns: --corrupt-check-time (all that is readable, at the leader's newest revision) and
--compact-hash-check-time (at the last compaction), one round at a time, and whom a difference
accuses: who differs from a majority of all members, or, where no hash has one, the member 0, which
says that nobody knows (as in etcd's CompactHashCheck). Must never do: refuse anything itself: the
accused is healed (``healing``), and for nobody it asks for the alarm CORRUPT through the log.
Questions are peer messages, so a simulated network can lose them; who does not answer in
ROUND_MAX_S is left out of the round.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.errors import RaftKVError
from raftkv.log_fields import fields, hex_id
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.store import Store
from raftkv.raft.message import Message, MessageType
from raftkv.scheduler import Scheduler
from raftkv.server.hashing import Hashing
from raftkv.server.peer_hashes import HashQuestion, PeerHashes, decode_answer, encode_answer

HASH_CALLS = frozenset((MessageType.HASH_ASK, MessageType.HASH_ANSWER))
RETRY_S = 0.5
ROUND_MAX_S = 60.0
NOBODY_KNOWS = 0

log = logging.getLogger("raftkv.server")


class Transport(Protocol):
    def send(self, messages: Sequence[Message]) -> None: ...


@dataclass(slots=True)
class _Round:
    number: int
    question: HashQuestion
    waiting: set[int]
    deadline: float
    found: dict[int, HashResult] = field(default_factory=dict)


class CorruptionCheck:
    """``members`` gives the ids of all members, this one's too."""

    def __init__(
        self,
        *,
        me: int,
        first_number: int,
        store: Store,
        hashing: Hashing,
        background: Callable[[], None],
        members: Callable[[], Sequence[int]],
        is_leader: Callable[[], bool],
        is_stopped: Callable[[], bool],
        raise_alarm: Callable[[Alarm], None],
        accuse: Callable[[int, str], None],
        scheduler: Scheduler,
        transport: Transport,
        interval_s: float,
        compact_interval_s: float,
    ) -> None:
        self._me = me
        self._next_number = first_number
        self._store = store
        self._hashing = hashing
        self._background = background
        self._members = members
        self._is_leader = is_leader
        self._is_stopped = is_stopped
        self._raise_alarm = raise_alarm
        self._accuse = accuse
        self._scheduler = scheduler
        self._transport = transport
        self._interval_s = interval_s
        self._compact_interval_s = compact_interval_s
        self._round: _Round | None = None
        self._compaction_compared = 0
        self.peer_hashes = PeerHashes(store, hashing)
        hashing.unreadable = self._accuse_myself
        self.rounds = 0
        """Comparisons that were finished, whatever they found."""

    def start(self) -> None:
        if self._interval_s > 0:
            self._scheduler.call_later(self._interval_s, self._compare_newest)
        if self._compact_interval_s > 0:
            self._scheduler.call_later(self._compact_interval_s, self._compare_compaction)

    def _accuse_myself(self, error: RaftKVError) -> None:
        log.warning("cannot hash the history", extra=fields(error=str(error)))
        self._accuse(self._me, str(error))

    # --- when ---------------------------------------------------------------------------------

    def _compare_newest(self) -> None:
        if not self._is_stopped():
            self._begin(HashQuestion(self._store.current_revision, self._store.compact_revision))
            self._scheduler.call_later(self._interval_s, self._compare_newest)

    def _compare_compaction(self) -> None:
        if not self._is_stopped():
            revision = self._store.compact_revision
            if revision > self._compaction_compared:
                self._begin(HashQuestion(revision, revision))
            self._scheduler.call_later(self._compact_interval_s, self._compare_compaction)

    # --- a round ------------------------------------------------------------------------------

    def _begin(self, question: HashQuestion) -> None:
        if self._round is not None or not self._is_leader():
            return
        number, self._next_number = self._next_number, self._next_number + 1
        deadline = self._scheduler.now() + ROUND_MAX_S
        round_ = self._round = _Round(number, question, set(self._members()), deadline)

        def made(outcome: HashResult | RaftKVError) -> None:
            if isinstance(outcome, HashResult):
                self._take(round_, self._me, outcome)
            elif self._round is round_:
                self._round = None  # compacted meanwhile, or stopping: the next round finds out

        try:
            self._hashing.hash_kv(question.revision, made, question.compact_revision)
        except RaftKVError as error:
            made(error)
            return
        self._background()
        self._ask(round_)

    def _ask(self, round_: _Round) -> None:
        """Again and again, until all have answered or the time is over."""
        if self._round is not round_ or self._is_stopped():
            return
        if self._scheduler.now() >= round_.deadline or not self._is_leader():
            self._finish(round_)
            return
        question = round_.question.encode()
        self._transport.send(
            [
                Message(MessageType.HASH_ASK, to, self._me, index=round_.number, context=question)
                for to in sorted(round_.waiting - {self._me})
            ]
        )
        self._scheduler.call_later(RETRY_S, lambda: self._ask(round_))

    def receive(self, message: Message) -> None:
        """One of HASH_CALLS. What makes no sense is dropped, like a message that got lost."""
        if message.type is MessageType.HASH_ASK:
            self._answer(message)
            return
        round_, result = self._round, decode_answer(message.context)
        if round_ is not None and result is not None and message.index == round_.number:
            self._take(round_, message.sender, result)

    def _answer(self, message: Message) -> None:
        question = HashQuestion.decode(message.context)
        if question is None or question.revision > self._store.current_revision:
            return  # not there yet: the leader asks again
        made = self.peer_hashes.look(question)
        self._background()
        if made is not None:
            answer = Message(
                MessageType.HASH_ANSWER,
                message.sender,
                self._me,
                index=message.index,
                context=encode_answer(made),
            )
            self._transport.send([answer])

    def _take(self, round_: _Round, member: int, result: HashResult) -> None:
        if self._round is round_ and member in round_.waiting:
            round_.waiting.remove(member)
            round_.found[member] = result
            if not round_.waiting:
                self._finish(round_)

    def _finish(self, round_: _Round) -> None:
        self._round = None
        mine = round_.found.get(self._me)
        if mine is None or not self._is_leader():
            return
        self.rounds += 1
        comparable = {
            member: result.hash
            for member, result in round_.found.items()
            if (result.hash_revision, result.compact_revision)
            == (mine.hash_revision, mine.compact_revision)
        }
        size = len(round_.found) + len(round_.waiting)
        if len(comparable) == size and mine.hash_revision == mine.compact_revision:
            self._compaction_compared = max(self._compaction_compared, mine.compact_revision)
        for member in accused(comparable, size):
            log.warning(
                "found hash mismatch",
                extra=fields(
                    revision=mine.hash_revision,
                    compact_revision=mine.compact_revision,
                    hashes={hex_id(m): crc for m, crc in comparable.items()},
                    corrupt_member_id=hex_id(member),
                ),
            )
            if member == NOBODY_KNOWS:
                self._raise_alarm(Alarm(member, AlarmKind.CORRUPT))
            else:
                self._accuse(member, f"its hash at revision {mine.hash_revision} is no majority's")


def accused(hashes: Mapping[int, int], size: int) -> list[int]:
    """Who is corrupt in a cluster of ``size`` members, by their hashes at one revision."""
    counts = Counter(hashes.values())
    if len(counts) <= 1:
        return []
    right, votes = counts.most_common(1)[0]
    if votes <= size // 2:
        return [NOBODY_KNOWS]
    return sorted(member for member, crc in hashes.items() if crc != right)
