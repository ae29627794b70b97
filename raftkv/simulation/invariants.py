"""What must hold at every moment of a run, checked after every event.

Owns: Invariants, and the one record of what was ever decided: who led which term, who voted for
whom, which entry stands at which committed index, what state it led to. Must never do: change a
member. Names are those of the Raft paper's figure 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

from raftkv.raft.message import Entry, Message, MessageType
from raftkv.server.member import Member
from raftkv.simulation.machine import Machine, MemberProcess


class InvariantViolated(AssertionError):
    """``name`` is the invariant's, ``str`` says who broke it and how."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


@dataclass(slots=True)
class _Seen:
    """What one process showed last."""

    process: MemberProcess
    term: int = 0
    commit: int = 0
    applied: int = 0
    was_leader: bool = False
    matches: dict[int, int] = field(default_factory=dict)


_State = tuple[int, int, int | None]
"""By index: current and compact revision, and how many bytes are live, if that is counted."""


class Invariants:
    """``checks`` counts the comparisons that were made."""

    def __init__(self) -> None:
        self._leader_of: dict[int, str] = {}
        self._vote_of: dict[tuple[int, int], int] = {}
        self._decided: dict[int, tuple[int, int]] = {}  # index -> term and checksum of its entry
        self._decided_in: dict[int, int] = {}  # index -> term of who first saw it committed
        self._newest_decided = 0
        self._state_at: dict[int, _State] = {}
        self._held: dict[int, int] = {}  # member -> up to where it said to have what is decided
        self._seen: dict[str, _Seen] = {}
        self.checks = 0

    @property
    def decided_index(self) -> int:
        """The newest index that some member has committed."""
        return self._newest_decided

    def observe(self, machine: Machine) -> None:
        """Something happened on ``machine``."""
        process = machine.process
        if process is None:
            return
        seen = self._seen.get(machine.name)
        if seen is None or seen.process is not process:
            seen = self._seen[machine.name] = _Seen(process)
            self._observe_start(machine, process)
        node, member = process.member.node, process.member
        term, commit, applied = node.term, node.commit_index, member.applied_index
        if term != seen.term or node.is_leader != seen.was_leader:
            self._observe_term(machine, seen, term)
        if node.is_leader:
            self._observe_matches(machine, seen)
        if commit != seen.commit:
            self._observe_commit(machine, seen, commit)
        if applied != seen.applied and not member.quarantine.is_on:
            self._observe_applied(machine, seen, applied)

    def observe_message(self, message: Message) -> None:
        """Whatever a member forgot, the network has seen that it said it."""
        if message.type is MessageType.APP_RESP and not message.reject:
            self._held[message.sender] = max(
                self._held.get(message.sender, 0), min(message.index, self._newest_decided)
            )
        elif message.type is MessageType.VOTE_RESP and not message.reject:
            self.checks += 1
            voted = self._vote_of.setdefault((message.term, message.sender), message.to)
            if voted != message.to:
                raise InvariantViolated(
                    "one vote a term",
                    f"{message.sender:x} voted for {voted:x} and for {message.to:x} "
                    f"in term {message.term}",
                )

    def _observe_start(self, machine: Machine, process: MemberProcess) -> None:
        """A process begins: what it told a leader to have on disk, it still has."""
        self.checks += 1
        held = self._held.get(machine.member_id, 0)
        if process.member.node.last_index < held:
            raise InvariantViolated(
                "acknowledged entries survive",
                f"{machine.name} acknowledged committed entries up to {held}, and starts with a "
                f"log up to {process.member.node.last_index}",
            )

    def _observe_term(self, machine: Machine, seen: _Seen, term: int) -> None:
        self.checks += 1
        if term < seen.term:
            raise InvariantViolated(
                "terms grow", f"{machine.name} went from term {seen.term} to {term}"
            )
        node = seen.process.member.node
        if node.is_leader and not (seen.was_leader and term == seen.term):
            first = self._leader_of.setdefault(term, machine.name)
            if first != machine.name:
                raise InvariantViolated(
                    "election safety", f"{first} and {machine.name} both lead term {term}"
                )
            self._check_completeness(machine, seen.process.member)
        seen.term, seen.was_leader = term, node.is_leader
        seen.matches = {}

    def _check_completeness(self, machine: Machine, member: Member) -> None:
        """A leader's log holds every entry that was committed in an earlier term (paper, 5.4). One
        that slept may take office in a term that is over: later terms are none of its business."""
        last = self.decided_index
        while self._decided_in.get(last, 0) >= member.node.term:
            last -= 1
        if member.node.last_index < last:
            raise InvariantViolated(
                "leader completeness",
                f"{machine.name} leads term {member.node.term} with a log up to "
                f"{member.node.last_index}, but {last} was committed",
            )
        self._compare(machine, member.node.entry(last), "leader completeness")

    def _observe_matches(self, machine: Machine, seen: _Seen) -> None:
        """Within a term a member's log never gets shorter than it acknowledged."""
        matches = seen.process.member.node.matches
        for node, match in seen.matches.items():
            if matches.get(node, match) < match:
                raise InvariantViolated(
                    "matches grow",
                    f"{machine.name} takes back that {node:x} has {match}: now {matches[node]}",
                )
        seen.matches = matches

    def _observe_commit(self, machine: Machine, seen: _Seen, commit: int) -> None:
        node = seen.process.member.node
        if commit < seen.commit:
            raise InvariantViolated(
                "commits grow", f"{machine.name} went back from {seen.commit} to {commit}"
            )
        if commit > node.last_index:
            raise InvariantViolated(
                "commits are in the log",
                f"{machine.name} committed {commit}, its log ends at {node.last_index}",
            )
        for index in range(seen.commit + 1, commit + 1):
            self._compare(machine, node.entry(index), "state machine safety")
            self._decided_in.setdefault(index, node.term)
        seen.commit = commit
        self._newest_decided = max(self._newest_decided, commit)

    def _compare(self, machine: Machine, entry: Entry | None, name: str) -> None:
        if entry is None:
            return  # compacted: it was compared when it was committed
        self.checks += 1
        mine = (entry.term, crc32(entry.data))
        decided = self._decided.setdefault(entry.index, mine)
        if decided != mine:
            raise InvariantViolated(
                name,
                f"{machine.name} has an entry of term {entry.term} at index {entry.index}, where "
                f"one of term {decided[0]} was committed",
            )

    def _observe_applied(self, machine: Machine, seen: _Seen, applied: int) -> None:
        self.checks += 1
        member = seen.process.member
        if applied < seen.applied or applied > member.node.commit_index:
            raise InvariantViolated(
                "applied is committed",
                f"{machine.name} applied {applied} after {seen.applied}, "
                f"committed is {member.node.commit_index}",
            )
        store = member.store
        live = store.ledger.live if store.ledger.is_complete else None
        mine = (store.current_revision, store.compact_revision, live)
        known = self._state_at.setdefault(applied, mine)
        if known != mine:
            raise InvariantViolated(
                "equal states",
                f"at index {applied} {machine.name} is at revision {mine[0]} (compacted "
                f"{mine[1]}, {mine[2]} bytes live), another was at {known[0]} (compacted "
                f"{known[1]}, {known[2]} bytes live)",
            )
        seen.applied = applied
