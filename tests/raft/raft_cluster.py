"""A handful of nodes, their disks and a network, with the safety properties checked at every step.

Owns: RaftCluster. The disk keeps the Ready contract to the letter: what was not persisted is gone
at a crash, promises leave only after a persist, and a persist may complete late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from raftkv.raft.confchange import decode_conf_change
from raftkv.raft.config import Config
from raftkv.raft.errors import ProposalDropped
from raftkv.raft.message import (
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    Ready,
    Role,
    Snapshot,
    SnapshotMeta,
)
from raftkv.raft.raw_node import RawNode

START = 1


@dataclass
class Disk:
    """What survives a crash. ``applied`` is the state machine: every applied entry by index."""

    hard_state: HardState
    snapshot: SnapshotMeta
    conf_state: ConfState
    applied_index: int
    entries: list[Entry] = field(default_factory=list)
    applied: dict[int, Entry] = field(default_factory=dict)

    def save(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.snapshot = ready.snapshot.meta
            self.entries = []
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        for entry in ready.entries:
            keep = entry.index - self.snapshot.index - 1
            assert 0 <= keep <= len(self.entries), (entry.index, self.snapshot, len(self.entries))
            self.entries = [*self.entries[:keep], entry]


@dataclass
class Node:
    id: int
    disk: Disk
    raw: RawNode
    in_flight: Ready | None = None


class RaftCluster:
    """``ids`` vote from the start; others may be added. ``cut`` holds directed dead links."""

    def __init__(self, ids: tuple[int, ...], seed: int = 0, **config: int | bool) -> None:
        self.random = Random(seed)
        self.config = config
        self.conf_state = ConfState(voters=ids)
        self.nodes: dict[int, Node] = {}
        self.messages: list[Message] = []
        self.cut: set[tuple[int, int]] = set()
        self.committed: dict[int, Entry] = {}
        self.leaders: dict[int, int] = {}
        self.reads: dict[bytes, int] = {}
        self.answered_reads = 0
        self.proposed = 0
        self._commits: dict[int, int] = {}
        for node in ids:
            self.add(node)

    # --- nodes --------------------------------------------------------------------------------

    def add(self, node: int) -> None:
        """A node with an empty disk; a member of the first configuration knows it."""
        conf = self.conf_state
        if node in conf.voters:
            meta = SnapshotMeta(START, START, conf)
            disk = Disk(HardState(START, 0, START), meta, conf, START)
        else:
            disk = Disk(HardState(), SnapshotMeta(), ConfState(), 0)
        self.nodes[node] = Node(node, disk, self._boot(node, disk))

    def restart(self, node: int) -> None:
        """Crash, and come back with what the disk holds."""
        old = self.nodes[node]
        self.nodes[node] = Node(node, old.disk, self._boot(node, old.disk))

    def _boot(self, node: int, disk: Disk) -> RawNode:
        return RawNode(
            Config(node, **self.config),
            hard_state=disk.hard_state,
            snapshot=disk.snapshot,
            entries=disk.entries,
            applied=disk.applied_index,
            random=self.random,
            snapshot_source=lambda: Snapshot(
                SnapshotMeta(
                    disk.applied_index,
                    disk.applied[disk.applied_index].term if disk.applied else START,
                    disk.conf_state,
                ),
                repr(node).encode(),
            ),
            conf_state=disk.conf_state,
        )

    # --- steps --------------------------------------------------------------------------------

    def tick(self, node: int) -> None:
        self.nodes[node].raw.tick()
        self.pump(node)

    def propose(self, node: int) -> bool:
        try:
            self.nodes[node].raw.propose(b"p%d" % self.proposed)
        except ProposalDropped:
            return False
        self.proposed += 1
        self.pump(node)
        return True

    def read(self, node: int) -> None:
        """A read asked now must see all that is committed anywhere now."""
        context = b"r%d" % len(self.reads)
        self.reads[context] = max(self.committed, default=START)
        self.nodes[node].raw.read_index(context)
        self.pump(node)

    def deliver(self, position: int) -> None:
        message = self.messages.pop(position)
        arrives = (message.sender, message.to) not in self.cut and message.to in self.nodes
        if arrives:
            self.nodes[message.to].raw.step(message)
            self.pump(message.to)
        self._report(message, ok=arrives)

    def lose(self, position: int) -> None:
        self._report(self.messages.pop(position), ok=False)

    def _report(self, message: Message, *, ok: bool) -> None:
        """The transport knows what became of a snapshot, and says so."""
        if message.snapshot is not None:
            self.nodes[message.sender].raw.report_snapshot(message.to, ok=ok)
            self.pump(message.sender)

    def persist(self, node: int) -> None:
        """The disk finishes what it was given."""
        it = self.nodes[node]
        ready, it.in_flight = it.in_flight, None
        if ready is None:
            return
        if ready.snapshot is not None:
            self._install(it, ready.snapshot)
        it.disk.save(ready)
        self.messages.extend(ready.messages_after_persist)
        it.raw.advance()
        self.pump(node)

    def compact(self, node: int) -> None:
        it = self.nodes[node]
        index = it.disk.applied_index
        if index <= it.disk.snapshot.index or it.in_flight is not None:
            return
        term = it.disk.applied[index].term
        dropped = index - it.disk.snapshot.index
        it.disk.entries = it.disk.entries[dropped:]
        it.disk.snapshot = SnapshotMeta(index, term, it.disk.conf_state)
        it.raw.compact(index)

    def pump(self, node: int) -> None:
        """Do all that the node's Readies ask, but leave the disk's part for ``persist``."""
        it = self.nodes[node]
        while it.raw.has_ready():
            ready = it.raw.ready()
            self.messages.extend(ready.messages)
            if ready.needs_persist or ready.messages_after_persist:
                assert it.in_flight is None, "two persists at once"
                it.in_flight = ready
            self._apply(it, ready.committed_entries)
            for state in ready.read_states:
                self.answered_reads += 1
                wanted = self.reads[state.context]
                assert state.index >= wanted, f"stale read at {state.index}, {wanted} was committed"
        self.check(it)

    def _apply(self, it: Node, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            assert entry.index == it.disk.applied_index + 1, (entry.index, it.disk.applied_index)
            durable = it.disk.entries[entry.index - it.disk.snapshot.index - 1]
            assert durable == entry, f"applied {entry} before it was durable"
            known = self.committed.setdefault(entry.index, entry)
            assert known == entry, f"state machine safety: {known} and {entry}"
            it.disk.applied[entry.index] = entry
            it.disk.applied_index = entry.index
            if entry.type is EntryType.CONF_CHANGE:
                it.disk.conf_state = it.raw.apply_conf_change(decode_conf_change(entry.data))
        if entries:
            it.raw.advance_applied(it.disk.applied_index)

    def _install(self, it: Node, snapshot: Snapshot) -> None:
        index = snapshot.meta.index
        it.disk.applied = {i: e for i, e in self.committed.items() if i <= index}
        it.disk.applied_index = index
        it.disk.conf_state = snapshot.meta.conf_state

    # --- properties ------------------------------------------------------------------------------

    def check(self, it: Node) -> None:
        """The safety properties of the paper's figure 3, as far as one step can break them."""
        status = it.raw.status()
        if status.role is Role.LEADER:
            known = self.leaders.setdefault(status.term, it.id)
            assert known == it.id, f"election safety: {known} and {it.id} lead term {status.term}"
            self._check_leader_completeness(it)
        before = self._commits.get(it.id, 0)
        if status.commit < before:
            assert it.in_flight is None or status.commit >= it.disk.applied_index
        self._commits[it.id] = status.commit
        self._check_log_matching(it)

    def _check_leader_completeness(self, it: Node) -> None:
        log = it.raw._core.log
        term = it.raw.term
        for index, entry in self.committed.items():
            if index >= log.first_index and entry.term < term:
                assert log.term(index) == entry.term, f"leader of {term} lacks {entry}"

    def _check_log_matching(self, it: Node) -> None:
        log = it.raw._core.log
        for other in self.nodes.values():
            theirs = other.raw._core.log
            low = max(log.first_index, theirs.first_index)
            high = min(log.last_index, theirs.last_index)
            agreed = False
            for index in range(high, low - 1, -1):
                same = log.term(index) == theirs.term(index)
                assert same or not agreed, f"log matching: {it.id} and {other.id} at {index}"
                agreed = agreed or same

    # --- whole runs ------------------------------------------------------------------------------

    def leader(self) -> int | None:
        """The node that leads at the highest term."""
        leading = [(node.raw.term, node.id) for node in self.nodes.values() if node.raw.is_leader]
        return max(leading)[1] if leading else None

    def settle(self, rounds: int = 400) -> None:
        """A healthy network and disk for a while: everything is delivered in order."""
        self.cut.clear()
        for _ in range(rounds):
            for node in list(self.nodes):
                self.tick(node)
            self.drain()

    def drain(self) -> None:
        """Deliver and persist until nothing is left to do, without time passing."""
        for _ in range(10_000):
            for node in list(self.nodes):
                self.persist(node)
            if not self.messages:
                if all(node.in_flight is None for node in self.nodes.values()):
                    return
                continue
            self.deliver(0)
        raise AssertionError("the nodes do not come to rest")

    def elect(self, node: int) -> None:
        """Have ``node`` lead, by its own campaign."""
        self.nodes[node].raw.campaign()
        self.pump(node)
        self.drain()
        assert self.nodes[node].raw.is_leader, self.nodes[node].raw.status()
