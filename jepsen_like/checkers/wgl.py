"""A second opinion on small histories: the search of Wing and Gong, with Lowe's memory.

Owns: ``check``. It tries the orders that real time allows, runs each through the model and compares
whole answers; a state that was reached before with the same operations done is not tried again.
Unanswered operations may happen at any time or never; leases may run out at any time. Must never
do: take a hint from the revisions in the answers; that is how ``linearizable`` works, and the two
must not err alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jepsen_like.checkers.answers import describe
from jepsen_like.checkers.verdict import Finding, Validity, Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import Event, Operation
from jepsen_like.history.request import Get, KeepAlive
from jepsen_like.history.result import Answer, Granted, Outcome, Refused, Unknown
from jepsen_like.model.etcd import EtcdModel
from jepsen_like.model.refusals import COMPACTED, FUTURE, means

NAME = "wgl"
OPERATIONS_MAX = 200
STEPS_MAX = 400_000
NEVER = float("inf")


def check(history: History, steps_max: int = STEPS_MAX) -> Verdict:
    entries = [entry for o in history.operations if (entry := _entry(o))]
    judged = sum(entry.must for entry in entries)
    if judged > OPERATIONS_MAX:
        why = f"more than {OPERATIONS_MAX} operations are too many for a search"
        return Verdict(NAME, Validity.UNKNOWN, judged, "operations", (Finding(why),))
    search = _Search(entries, steps_max)
    explained = search.run()
    if explained and judged:
        return Verdict(NAME, Validity.VALID, judged, "operations")
    if explained:
        return Verdict(NAME, Validity.UNKNOWN, judged, "operations")
    if search.steps_left <= 0:
        why = f"no order found in {steps_max} steps"
        return Verdict(NAME, Validity.UNKNOWN, judged, "operations", (Finding(why),))
    return Verdict(NAME, Validity.INVALID, judged, "operations", (search.finding(),))


@dataclass(frozen=True, slots=True)
class _Entry:
    """``must``: it was answered, so it has a place in the order."""

    operation: Operation
    called_s: float
    returned_s: float
    must: bool


def _entry(operation: Operation) -> _Entry | None:
    """None for what tells nothing: renewals come from one member's own, maybe old, view, and most
    refusals can come at any time."""
    request, outcome = operation.request, operation.outcome
    if isinstance(request, KeepAlive):
        return None
    if isinstance(outcome, Unknown):
        if isinstance(request, Get):
            return None
        return _Entry(operation, operation.called_s, NEVER, False)
    if isinstance(outcome, Refused) and not (means(outcome, COMPACTED) or means(outcome, FUTURE)):
        return None
    stale = isinstance(request, Get) and request.serializable
    called_s = -NEVER if stale else operation.called_s
    return _Entry(operation, called_s, operation.returned_s, True)


_Key = tuple[int, int, int, frozenset[int]]
_Saved = tuple[int, int, dict[int, int]]


class _Search:
    """Depth first; ``done`` has a bit for each entry that has its place."""

    def __init__(self, entries: list[_Entry], steps_max: int) -> None:
        self.steps_left = steps_max
        self._entries = sorted(entries, key=lambda e: (not e.must, e.returned_s, e.called_s))
        self._must = sum(1 << i for i, e in enumerate(self._entries) if e.must)
        self._model = EtcdModel()
        self._pasts = _Pasts()
        self._tried: set[_Key] = set()
        self._deepest = -1
        self._stuck: list[Operation] = []

    def run(self) -> bool:
        """Iterative: each level holds the moves that it has not tried yet."""
        levels = [(0, self._save(), self._moves(0))]
        self._is_new(0)
        while levels:
            done, saved, moves = levels[-1]
            if done & self._must == self._must:
                return True
            move = next(moves, None)
            if move is None or self.steps_left <= 0:
                if self.steps_left <= 0:
                    return False
                levels.pop()
                continue
            self._restore(saved)
            self.steps_left -= 1
            following = self._make(done, move)
            if following is not None and self._is_new(following):
                levels.append((following, self._save(), self._moves(following)))
                self._note(following)
        return False

    def finding(self) -> Finding:
        names = "; ".join(describe(operation) for operation in self._stuck[:3])
        return Finding(
            f"no order of the operations explains all answers: {self._deepest} of them can be put "
            f"in order, but then none of these can be next: {names}",
            tuple(self._stuck),
        )

    # --- moves ------------------------------------------------------------------------------------

    def _moves(self, done: int) -> Iterator[int]:
        """Entries that may be next; -1 and below is the end of a lease."""
        waiting = [i for i in range(len(self._entries)) if not done >> i & 1]
        first_s = min((self._entries[i].returned_s for i in waiting), default=NEVER)
        leases = sorted(self._model.leases)
        for i in waiting:
            if self._entries[i].called_s <= first_s:
                yield i
        for lease in leases:
            yield -1 - lease

    def _make(self, done: int, move: int) -> int | None:
        """The entries that then have their place; None when the answer does not fit."""
        if move < 0:
            self._model.expire(-1 - move)
            return done
        entry = self._entries[move]
        before = self._save()
        answer = self._model.step(entry.operation.request)
        if not _fits(answer, entry.operation.outcome):
            return None
        if not entry.must and self._save() == before:
            return None  # without an effect it need not have happened
        return done | 1 << move

    def _is_new(self, done: int) -> bool:
        model = self._model
        past = self._pasts.of(model)
        key = (done, past, model.compact_revision, frozenset(model.leases))
        if key in self._tried:
            return False
        self._tried.add(key)
        return True

    def _note(self, done: int) -> None:
        """Where the search came furthest, to show it when all fails."""
        depth = (done & self._must).bit_count()
        if depth > self._deepest:
            self._deepest = depth
            nexts = [move for move in self._moves(done) if move >= 0]
            self._stuck = [self._entries[i].operation for i in nexts if self._entries[i].must]

    # --- the model, back and forth ----------------------------------------------------------------

    def _save(self) -> _Saved:
        model = self._model
        return model.revision, model.compact_revision, dict(model.leases)

    def _restore(self, saved: _Saved) -> None:
        revision, compact_revision, leases = saved
        self._model.keys.truncate(revision)
        self._model.compact_revision = compact_revision
        self._model.leases = dict(leases)


class _Pasts:
    """A number for each sequence of events, so that equal key spaces are found without hashing
    all of their past again."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, tuple[Event, ...]], int] = {}

    def of(self, model: EtcdModel) -> int:
        number = 0
        for revision in range(2, model.revision + 1):
            key = (number, model.events(revision))
            number = self._numbers.setdefault(key, len(self._numbers) + 1)
        return number


def _fits(answer: Answer | Refused, outcome: Outcome) -> bool:
    match answer, outcome:
        case _, Unknown():
            return not isinstance(answer, Refused)
        case Refused(), Refused():
            return means(outcome, answer)
        case Granted(), Granted():
            same = (answer.revision, answer.id) == (outcome.revision, outcome.id)
            return same and outcome.ttl_s >= answer.ttl_s  # etcd may lengthen it
        case _:
            return answer == outcome
