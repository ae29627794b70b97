"""The invariants: each speaks up when it is broken, in its own name, and not before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from raftkv.raft.message import Entry, Message, MessageType
from raftkv.server.quarantine import Quarantine
from raftkv.simulation.invariants import Invariants, InvariantViolated
from raftkv.simulation.machine import Machine


@dataclass
class Node:
    """What invariants read of a Raft node; ``log`` has an entry's term at each index from 1."""

    term: int = 1
    is_leader: bool = False
    log: list[int] = field(default_factory=list)
    commit_index: int = 0
    matches: dict[int, int] = field(default_factory=dict)

    @property
    def last_index(self) -> int:
        return len(self.log)

    def entry(self, index: int) -> Entry | None:
        return Entry(self.log[index - 1], index) if 0 < index <= len(self.log) else None


@dataclass
class Ledger:
    is_complete: bool = False
    live: int = 0


@dataclass
class Store:
    current_revision: int = 1
    compact_revision: int = 0
    ledger: Ledger = field(default_factory=Ledger)


@dataclass
class Member:
    node: Node = field(default_factory=Node)
    store: Store = field(default_factory=Store)
    applied_index: int = 0
    quarantine: Quarantine = field(default_factory=Quarantine)


@dataclass
class Process:
    member: Member = field(default_factory=Member)


@dataclass
class FakeMachine:
    name: str
    member_id: int
    process: Process | None = field(default_factory=Process)

    @property
    def node(self) -> Node:
        return self.member.node

    @property
    def member(self) -> Member:
        assert self.process is not None
        return self.process.member


class World:
    """Two machines under watch."""

    def __init__(self) -> None:
        self.invariants = Invariants()
        self.a, self.b = FakeMachine("a", 1), FakeMachine("b", 2)

    def look(self) -> None:
        for machine in (self.a, self.b):
            self.invariants.observe(cast(Machine, machine))

    def breaks(self, name: str) -> InvariantViolated:
        """One more look finds ``name`` broken."""
        with pytest.raises(InvariantViolated) as violated:
            self.look()
        assert violated.value.name == name, violated.value
        return violated.value


@pytest.fixture
def world() -> World:
    """Both have three entries of term 1; two are committed and applied; a leads."""
    world = World()
    for machine in (world.a, world.b):
        machine.node.log = [1, 1, 1]
        machine.node.commit_index = machine.member.applied_index = 2
    world.a.node.is_leader = True
    world.a.node.matches = {1: 3, 2: 3}
    world.look()
    return world


def _vote(sender: int, to: int, *, term: int = 2, reject: bool = False) -> Message:
    return Message(MessageType.VOTE_RESP, to, sender, term, reject=reject)


def test_progress_breaks_nothing(world: World) -> None:
    """Terms, commits and logs that grow, a new leader, and a machine that is down."""
    before = world.invariants.checks
    world.a.node.is_leader = False
    world.b.node.term, world.b.node.is_leader = 2, True
    world.b.node.log += [2, 2]
    world.look()
    world.b.node.commit_index = world.b.member.applied_index = 5
    world.a.process = None
    world.look()
    assert world.invariants.decided_index == 5
    assert world.invariants.checks > before


def test_terms_grow(world: World) -> None:
    """A member in an older term than before."""
    world.b.node.term = 0
    assert "b went from term 1 to 0" in str(world.breaks("terms grow"))


def test_election_safety(world: World) -> None:
    """Two leaders of one term, though the first leads no more."""
    world.a.node.is_leader = False
    world.look()
    world.b.node.is_leader = True
    assert "a and b both lead term 1" in str(world.breaks("election safety"))


def test_one_vote_a_term(world: World) -> None:
    """The same vote may be repeated and others refused; a second one may not be given."""
    for message in (_vote(2, 1), _vote(2, 1), _vote(2, 3, reject=True), _vote(2, 3, term=3)):
        world.invariants.observe_message(message)
    with pytest.raises(InvariantViolated, match="one vote a term: 2 voted for 1 and for 3"):
        world.invariants.observe_message(_vote(2, 3))


def test_leader_completeness_by_length(world: World) -> None:
    """A new leader whose log ends before what was committed."""
    world.b.node.log = [1]
    world.b.node.commit_index = world.b.member.applied_index = 1
    world.b.process = Process(world.b.member)  # a new life, so that nothing of it went back
    world.b.node.term, world.b.node.is_leader = 2, True
    assert "log up to 1, but 2 was committed" in str(world.breaks("leader completeness"))


def test_leader_completeness_by_content(world: World) -> None:
    """A new leader with another entry where one was committed."""
    world.b.node.log = [1, 2, 2]
    world.b.node.term, world.b.node.is_leader = 2, True
    assert "b has an entry of term 2 at index 2" in str(world.breaks("leader completeness"))


def test_state_machine_safety(world: World) -> None:
    """Two members commit different entries at one index."""
    world.a.node.commit_index = 3
    world.look()
    world.b.node.log[2] = 2
    world.b.node.commit_index = 3
    assert "where one of term 1 was committed" in str(world.breaks("state machine safety"))


def test_matches_grow(world: World) -> None:
    """Within a term a leader forgets what a member acknowledged; in a new one it may."""
    world.a.node.term = 2
    world.a.node.matches = {1: 3, 2: 0}
    world.look()
    world.a.node.matches = {1: 2, 2: 0}
    assert "takes back that 1 has 3" in str(world.breaks("matches grow"))


def test_commits_grow(world: World) -> None:
    """A commit index that goes back."""
    world.b.node.commit_index = 1
    world.breaks("commits grow")


def test_commits_are_in_the_log(world: World) -> None:
    """A commit index beyond the last entry."""
    world.b.node.commit_index = 4
    world.breaks("commits are in the log")


@pytest.mark.parametrize("applied", [1, 3])
def test_applied_is_committed(world: World, applied: int) -> None:
    """An applied index that goes back, or that is ahead of the commit index."""
    world.b.member.applied_index = applied
    world.breaks("applied is committed")


@pytest.mark.parametrize("store", [Store(2, 0), Store(1, 1), Store(1, 0, Ledger(True, 5))])
def test_equal_states(world: World, store: Store) -> None:
    """Two members at one applied index with another revision, compaction or count of bytes."""
    for machine in (world.a, world.b):
        machine.node.commit_index = machine.member.applied_index = 3
    world.b.member.store = store
    world.breaks("equal states")


@pytest.mark.parametrize(("index", "held"), [(2, True), (3, False)])
def test_acknowledged_entries_survive(world: World, index: int, held: bool) -> None:
    """A member that acknowledged a committed entry starts without it; what nobody had committed,
    or what was refused, it may have lost."""
    refusal = Message(MessageType.APP_RESP, 1, 2, 1, index=2, reject=True)
    acknowledged = Message(MessageType.APP_RESP, 1, 2, 1, index=index)
    world.invariants.observe_message(acknowledged if held else refusal)
    kept = index - 1 if held else 1
    node = Node(log=[1] * kept, commit_index=min(kept, 1))
    world.b.process = Process(Member(node, applied_index=node.commit_index))
    if held:
        assert "acknowledged committed entries up to 2" in str(
            world.breaks("acknowledged entries survive")
        )
    else:
        world.look()
