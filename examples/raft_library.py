"""Three Raft nodes in sixty lines: the core decides; disk, network and time are yours."""

from random import Random

from raftkv.raft.config import Config
from raftkv.raft.message import ConfState, HardState, Message, SnapshotMeta
from raftkv.raft.raw_node import RawNode

START = SnapshotMeta(index=1, term=1, conf_state=ConfState(voters=(1, 2, 3)))


class Node:
    """Keep ``log`` and ``hard_state`` in a file, synced, and this node survives a power cut."""

    def __init__(self, number: int, random: Random) -> None:
        self.log, self.hard_state, self.words = [], HardState(term=1, commit=1), []
        self.raft = RawNode(
            Config(number),
            hard_state=self.hard_state,
            snapshot=START,
            entries=self.log,
            applied=START.index,
            random=random,
            snapshot_source=lambda: None,  # nobody is ever so far behind here
        )

    def work(self) -> list[Message]:
        """One turn: all that the core asks for, in the order that makes it safe."""
        sent: list[Message] = []
        while self.raft.has_ready():
            ready = self.raft.ready()
            sent += ready.messages  # these may leave at once
            self.hard_state = ready.hard_state or self.hard_state
            for entry in ready.entries:  # what was never committed may be replaced
                self.log[entry.index - START.index - 1 :] = [entry]
            if ready.needs_persist or ready.messages_after_persist:  # fsync would be here
                sent += ready.messages_after_persist  # promises: only now
                self.raft.advance()
            for entry in ready.committed_entries:
                self.words += [entry.data.decode()] if entry.data else []
                self.raft.advance_applied(entry.index)
        return sent


random = Random(7)
nodes = {number: Node(number, random) for number in (1, 2, 3)}


def run(ticks: int, alive: set[int]) -> Node:
    """Time passes for those alive; the one that leads."""
    for _ in range(ticks):
        for number in alive:
            nodes[number].raft.tick()
        while mail := [message for number in sorted(alive) for message in nodes[number].work()]:
            for message in mail:
                if message.to in alive:  # a lost message does no harm: Raft repeats itself
                    nodes[message.to].raft.step(message)
    return next(nodes[number] for number in alive if nodes[number].raft.is_leader)


first = run(50, {1, 2, 3})
for word in (b"to", b"be", b"or"):
    first.raft.propose(word)
run(5, {1, 2, 3})
print(f"node {first.raft.id} leads in term {first.raft.term}; all have {first.words}")
second = run(50, {1, 2, 3} - {first.raft.id})  # the leader dies, the others go on
second.raft.propose(b"not")
print(f"node {second.raft.id} leads in term {second.raft.term}")
run(50, {1, 2, 3})  # it is back, and hears what it missed
print("all alike:", {" ".join(node.words) for node in nodes.values()})
