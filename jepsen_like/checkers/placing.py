"""Where in the order of the revisions each operation stands.

Owns: the Spans of a history. The places of writes come from the replay; a read stands after the
write of its header's revision, and before the compaction that would refuse it; a refusal says
that something had, or had not yet, happened. Must never do: compare times (``realtime`` does).

A compaction's place is known only from two sides. It stands after the revision that it compacts and
before the write after its header's: etcd reads that header when it answers, which for a physical
one may be long after the compaction, so several at once can answer in another order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from jepsen_like.checkers.answers import describe
from jepsen_like.checkers.evidence import reads, wrote
from jepsen_like.checkers.realtime import (
    FIRST,
    LAST,
    Span,
    after_write,
    before_write,
    of_compaction,
    of_write,
)
from jepsen_like.checkers.replaying import Replay
from jepsen_like.checkers.verdict import Finding
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Compact, Get, Txn
from jepsen_like.history.result import Compacted, Refused, Renewed, Unknown
from jepsen_like.model.keyspace import FIRST_REVISION
from jepsen_like.model.refusals import COMPACTED, FUTURE, means


class Places:
    """``spans``, and what was wrong without looking at the clock: ``findings``. ``compactions``
    are Spans by another measure, the compact revision: a refusal shows that a revision was
    compacted, though not where in the order, and an answer that it was not."""

    def __init__(self, history: History, replay: Replay) -> None:
        self.spans: list[Span] = []
        self.compactions: list[Span] = []
        self.findings: list[Finding] = []
        self._compactions = sorted(
            (o for o in history.requests(Compact) if isinstance(o.outcome, Compacted)),
            key=_compacts,
        )
        self._latest = self._latest_headers()
        self._check_compactions()
        self._first_after = self._first_compactions()
        made = {id(o): r for r, o in replay.writers.items() if o is not None}
        for operation in history.operations:
            if not isinstance(operation.outcome, Refused):
                self._place(operation, made.get(id(operation)))
        self._place_refusals(history)

    # --- answers ----------------------------------------------------------------------------------

    def _place(self, operation: Operation, made: int | None) -> None:
        outcome = operation.outcome
        if made is not None:
            place = of_write(made)
            answered = not isinstance(outcome, Unknown)
            self._add(operation, place, self._not_compacted(operation, place), answered)
        elif isinstance(outcome, Compacted):
            self._add(operation, _earliest(operation), self._latest_place(operation))
        elif not isinstance(outcome, Unknown | Refused) and not wrote(operation):
            lower = after_write(outcome.revision)
            upper = self._not_compacted(operation, before_write(outcome.revision + 1))
            may_lag = isinstance(outcome, Renewed) or _serializable(operation)
            if upper >= lower and may_lag:
                upper = LAST
            self._add(operation, lower, upper)

    def _add(self, operation: Operation, lower: int, upper: int, returned: bool = True) -> None:
        if lower > upper:
            culprit = self._first_after[1][self._index(_oldest(operation))]
            self.findings.append(
                Finding(
                    f"{describe(operation)} must have been refused: {describe(culprit)} stands "
                    f"before it in the order of the revisions",
                    (culprit, operation),
                )
            )
            return
        self.spans.append(Span(operation, lower, upper, returned))

    def _not_compacted(self, operation: Operation, upper: int) -> int:
        """At most just before the first compaction that would have refused its reads."""
        oldest = _oldest(operation)
        if oldest is None or not self._compactions:
            return upper
        index = self._index(oldest)
        places, _ = self._first_after
        return min(upper, places[index] - 1) if index < len(places) else upper

    def _index(self, revision: int | None) -> int:
        return bisect_right(self._compactions, revision or 0, key=_compacts)

    # --- compactions ------------------------------------------------------------------------------

    def _latest_headers(self) -> dict[int, int]:
        """By id: one that compacts less stands before all that compact more."""
        headers = accumulate((_header(o) for o in reversed(self._compactions)), min)
        return {id(o): h for o, h in zip(reversed(self._compactions), headers, strict=True)}

    def _latest_place(self, operation: Operation) -> int:
        return of_compaction(self._latest[id(operation)], _compacts(operation))

    def _check_compactions(self) -> None:
        for older, newer in zip(self._compactions, self._compactions[1:], strict=False):
            if _compacts(older) == _compacts(newer):
                text = f"{describe(older)} and {describe(newer)}: the second must have been refused"
                self.findings.append(Finding(text, (older, newer)))

    def _first_compactions(self) -> tuple[list[int], list[Operation]]:
        """For the i-th compaction: the lowest of the latest places of it and all that compact
        more."""
        places: list[int] = []
        operations: list[Operation] = []
        for operation in reversed(self._compactions):
            place = self._latest_place(operation)
            if not places or place < places[-1]:
                places.append(place)
                operations.append(operation)
            else:
                places.append(places[-1])
                operations.append(operations[-1])
        return places[::-1], operations[::-1]

    # --- refusals ---------------------------------------------------------------------------------

    def _place_refusals(self, history: History) -> None:
        self._allow()
        refused = [o for o in history.operations if isinstance(o.outcome, Refused)]
        if not any(means(o.outcome, COMPACTED) or means(o.outcome, FUTURE) for o in refused):
            return
        possible = self._possible_compactions(history)
        for operation in refused:
            if means(operation.outcome, FUTURE):
                self._place_future(operation)
            elif means(operation.outcome, COMPACTED):
                self._place_compacted(operation, possible)

    def _place_future(self, operation: Operation) -> None:
        asked = max(_asked(operation), default=0)
        if asked <= FIRST_REVISION:
            text = f"{describe(operation)} was refused as future, but revision {asked} is not"
            self.findings.append(Finding(text, (operation,)))
        elif not _serializable(operation):
            self.spans.append(Span(operation, FIRST, before_write(asked)))

    def _place_compacted(
        self, operation: Operation, possible: list[tuple[int, int, Operation]]
    ) -> None:
        asked = min((r for r in _asked(operation) if r > 0), default=0)
        needed = asked + (not isinstance(operation.request, Compact))
        lower = min(
            (
                place
                for compacts, place, other in possible
                if compacts >= needed and other.called_s < operation.returned_s
            ),
            default=None,
        )
        if lower is None:
            text = (
                f"{describe(operation)} was refused as compacted, but nobody had compacted "
                f"revision {needed} or a later one yet"
            )
            self.findings.append(Finding(text, (operation,)))
        else:
            self.spans.append(Span(operation, lower, LAST))
            self.compactions.append(Span(operation, needed, LAST))

    def _allow(self) -> None:
        """What was answered was not compacted before; what an answer compacted is so after it."""
        for span in self.spans:
            oldest = _oldest(span.operation)
            if oldest is not None and not _serializable(span.operation):
                self.compactions.append(Span(span.operation, FIRST, oldest, span.returned))
        for operation in self._compactions:
            self.compactions.append(Span(operation, FIRST, _compacts(operation) - 1))
            self.compactions.append(Span(operation, _compacts(operation), LAST))

    def _possible_compactions(self, history: History) -> list[tuple[int, int, Operation]]:
        """(what it compacts, the lowest place it can have, it), the unanswered ones too."""
        possible = [(_compacts(o), _earliest(o), o) for o in self._compactions]
        spans = sorted((s for s in self.spans if s.returned), key=lambda s: s.operation.returned_s)
        times = [s.operation.returned_s for s in spans]
        highest = list(accumulate((s.lower for s in spans), max))
        revisions, places = self._barriers()
        for operation in history.requests(Compact):
            if isinstance(operation.outcome, Unknown):
                compacts = _compacts(operation)
                place = of_compaction(compacts, compacts)
                before = bisect_left(times, operation.called_s)
                if before:
                    place = max(place, highest[before - 1])
                barrier = bisect_left(revisions, compacts)
                if barrier:
                    place = max(place, places[barrier - 1])
                possible.append((compacts, place, operation))
        return possible

    def _barriers(self) -> tuple[list[int], list[int]]:
        """What a compaction of c would have refused stands before it: the i-th place is the
        highest of all that would be refused if c was above the i-th revision."""
        barriers = [(_compacts(o), _earliest(o)) for o in self._compactions]
        for span in self.spans:
            oldest = _oldest(span.operation)
            if oldest is not None:
                barriers.append((oldest, span.lower))
        barriers.sort()
        places = accumulate((place for _, place in barriers), max)
        return [revision for revision, _ in barriers], list(places)


def _compacts(operation: Operation) -> int:
    assert isinstance(operation.request, Compact)
    return operation.request.revision


def _header(operation: Operation) -> int:
    assert isinstance(operation.outcome, Compacted)
    return operation.outcome.revision


def _earliest(operation: Operation) -> int:
    """The first place of an answered compaction: nobody compacts a revision that is to come."""
    return of_compaction(_compacts(operation), _compacts(operation))


def _serializable(operation: Operation) -> bool:
    return isinstance(operation.request, Get) and operation.request.serializable


def _oldest(operation: Operation) -> int | None:
    """The oldest revision that was named in a read and answered."""
    request = operation.request
    if not isinstance(request, Get | Txn):
        return None
    return min((get.revision for get, _ in reads(operation) if get.revision), default=None)


def _asked(operation: Operation) -> list[int]:
    """The revisions that the request names."""
    match operation.request:
        case Get(revision=revision) | Compact(revision=revision):
            return [revision]
        case Txn(success=success, failure=failure):
            return [op.revision for op in success + failure if isinstance(op, Get)]
        case _:
            return []
