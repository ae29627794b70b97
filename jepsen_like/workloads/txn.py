"""txn: several keys at once, read, written and deleted under compares.

Owns: how a random txn is drawn, for the mix too. Must never do: draw one that etcd refuses: a
branch puts no key twice, and no key that it also deletes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers import load
from jepsen_like.history.operation import Operation
from jepsen_like.history.ranges import covers
from jepsen_like.history.request import (
    Compare,
    Delete,
    Get,
    KeyOp,
    Put,
    Relation,
    Request,
    Target,
    Txn,
)
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Keys, Values
from jepsen_like.workloads.memory import Memory

KEYS = Keys("t", 6)
OLD_READS = 0.04  # of the reads: a compacted one refuses the whole txn


@dataclass(slots=True)
class TxnDraw:
    """Draws txns of one client. ``old_reads``: the part of the reads that name a revision."""

    keys: Keys
    values: Values
    memory: Memory
    random: Random
    old_reads: float = OLD_READS

    def txn(self) -> Txn:
        compares = tuple(self._compare() for _ in range(self.random.choice((0, 1, 1, 1, 2))))
        return Txn(compares, self._branch(2), self._branch(1) if compares else ())

    def _compare(self) -> Compare:
        """Most hold if the client is up to date, so that both branches are taken."""
        key = self.keys.one(self.random)
        relation = self.random.choices(list(Relation), (70, 10, 10, 10))[0]
        mod = self.memory.mods.get(key, 0)
        match self.random.choice((Target.MOD, Target.VALUE, Target.CREATE, Target.VERSION)):
            case Target.VALUE if key in self.memory.values:
                return Compare(key, Target.VALUE, relation, self.memory.values[key])
            case Target.CREATE:
                return Compare(key, Target.CREATE, relation, self.random.choice((0, mod)))
            case Target.VERSION:
                return Compare(key, Target.VERSION, relation, self.random.randint(0, 3))
        return Compare(key, Target.MOD, relation, mod)

    def _branch(self, least: int) -> tuple[KeyOp, ...]:
        branch: list[KeyOp] = []
        for _ in range(self.random.randint(least, 4)):
            op = self.random.choices((self._get, self._put, self._delete), (40, 45, 15))[0]()
            branch.append(self._get() if _clashes(op, branch) else op)
        return tuple(branch)

    def _get(self) -> KeyOp:
        key, end = self.keys.one(self.random), ""
        if self.random.random() < 0.4:
            key, end = self.keys.span(self.random)
        old = self.memory.revision > 1 and self.random.random() < self.old_reads
        revision = self.memory.recent_revision(self.random) if old else 0
        return Get(key, end, revision, self.random.choice((0, 0, 1, 2)) if end else 0)

    def _put(self) -> KeyOp:
        return Put(self.keys.one(self.random), self.values.unique())

    def _delete(self) -> KeyOp:
        if self.random.random() < 0.5:
            return Delete(self.keys.one(self.random))
        return Delete(*self.keys.span(self.random))


def _clashes(op: KeyOp, branch: Sequence[KeyOp]) -> bool:
    """Whether etcd would refuse ``branch`` + ``op`` for a key that is written twice."""
    puts = [other.key for other in branch if isinstance(other, Put)]
    if isinstance(op, Delete):
        return any(covers(op.key, op.end, key) for key in puts)
    if isinstance(op, Put):
        deletes = [other for other in branch if isinstance(other, Delete)]
        return op.key in puts or any(covers(d.key, d.end, op.key) for d in deletes)
    return False


class TxnSession:
    def __init__(self, process: int, random: Random) -> None:
        self._memory = Memory()
        self._random = random
        self._draw = TxnDraw(KEYS, Values(process), self._memory, random)

    def next(self, last: Operation | None) -> Request:
        self._memory.learn(last)
        if self._random.random() < 0.15:
            return Get(*KEYS.whole)
        return self._draw.txn()


def txn(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="txn",
        needs=frozenset({"kv"}),
        make_session=TxnSession,
        final_requests=(Get(*KEYS.whole),),
        checks=(load.operations, *general),
    )
