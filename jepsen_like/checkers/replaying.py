"""All writes of a history in the order of their revisions, run through the key space.

Owns: Replay, what was true at each revision, and Replayer, which makes it: it compares every
answer field by field, and fills the revisions that no answer claims from the unanswered writes.
A wrong guess shows later as an answer that does not fit; then the last guess that could have
caused it is changed, as long as ``budget`` lasts. Must never do: look
at real time, but for the rule that a write was called before anything showed its revision.

The search first blames only guesses that touched the keys in question, which is quick, and may
miss that an operation was used up elsewhere; a ``wide`` one blames all that could matter.
What watches told helps to guess, but a watch that tells wrong things is no fault of the writes:
``trusting`` watches, a replay is only good as long as nothing at all is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jepsen_like.checkers.answers import Mismatch, Range, compare_answer
from jepsen_like.checkers.candidates import Candidate, Candidates
from jepsen_like.checkers.certainty import suspicious_keys
from jepsen_like.checkers.evidence import Evidence
from jepsen_like.checkers.verdict import Finding
from jepsen_like.history.operation import Event, Operation
from jepsen_like.history.request import Delete, Put
from jepsen_like.history.result import KeyValue
from jepsen_like.model.keyspace import FIRST_REVISION, KeySpace, covers

SEARCH_STEPS_MAX = 200_000  # revisions replayed again, and candidates tried for them
FINDINGS_MAX = 10
LIKELY_MAX = 16  # candidates of one revision that a quick search tries
CANDIDATES_MAX = 1000  # and a wide one


@dataclass(slots=True)
class Replay:
    """``writers``: whose write each revision is; None is a lease that expired. ``guessed``: placed
    though something else would have fitted as well. ``unexplained``: what nothing explains; no
    events are known of these. ``exhausted``: not everything that could have been guessed was
    tried, so that ``findings`` may be due to a wrong guess."""

    keys: KeySpace = field(default_factory=KeySpace)
    writers: dict[int, Operation | None] = field(default_factory=dict)
    guessed: set[int] = field(default_factory=set)
    unexplained: set[int] = field(default_factory=set)
    exhausted: bool = False
    findings: list[Finding] = field(default_factory=list)
    proven: list[Finding] = field(default_factory=list)  # of these, what no guess can excuse

    @property
    def revision(self) -> int:
        return self.keys.revision

    def events(self, revision: int) -> tuple[Event, ...]:
        """What ``revision`` changed, with each key's value before it."""
        return self.keys.events(revision)

    def at(self, key: str, revision: int) -> KeyValue | None:
        return self.keys.at(key, revision)

    def writer(self, revision: int) -> tuple[Operation, ...]:
        """For findings: the operation that made ``revision``, if one did."""
        operation = self.writers.get(revision)
        return (operation,) if operation else ()


@dataclass(slots=True)
class _Choice:
    """A gap that was filled by one of several; ``rest`` are the others. ``ranges``: what these
    touch, ``reach``: what anything might that is not among them. ``capped``: there may be more.
    ``blamed``: the guesses that may have made those before it fail."""

    revision: int
    rest: list[Candidate]
    ranges: set[Range]
    reach: set[Range]
    capped: bool
    blamed: set[int] = field(default_factory=set)


class Replayer:
    """``run`` once."""

    def __init__(
        self,
        evidence: Evidence,
        unknown: Sequence[Operation],
        *,
        trusting: bool = False,
        wide: bool = False,
        budget: int = SEARCH_STEPS_MAX,
    ) -> None:
        self._trusting = trusting
        self._wide = wide
        self._most = CANDIDATES_MAX if wide else LIKELY_MAX
        self._findings_max = 1 if trusting else FINDINGS_MAX
        self.replay = Replay()
        self._evidence = evidence
        self._candidates = Candidates(evidence, unknown, self.replay.keys)
        self._choices: list[_Choice] = []
        self._findings: list[tuple[int, Finding]] = []
        self._budget = budget

    def run(self) -> Replay:
        revision = reached = FIRST_REVISION
        while revision <= self._evidence.last and len(self._findings) < self._findings_max:
            self._budget -= revision < reached
            reached = max(reached, revision)
            mismatch = self._make(revision) or self._verify(revision)
            while (
                mismatch is not None
                and not self._is_proven(mismatch)
                and (changed := self._change_a_guess(mismatch))
            ):
                self._budget -= 1
                revision = changed
                mismatch = self._verify(revision)
            if mismatch is not None:
                self._record(revision, mismatch)
            revision += 1
        self.replay.findings = [finding for _, finding in self._findings]
        self.replay.exhausted = self.replay.exhausted and bool(self._findings)
        return self.replay

    def _record(self, revision: int, mismatch: Mismatch) -> None:
        finding = self._finding(mismatch)
        if self._is_proven(mismatch):
            self.replay.proven.append(finding)
        elif not self._wide and self._suspects(mismatch, wide=True):
            self.replay.exhausted = True
        self._findings.append((revision, finding))

    # --- one revision -----------------------------------------------------------------------------

    def _make(self, revision: int) -> Mismatch | None:
        """Afterwards the key space is at ``revision``, whatever was wrong."""
        mismatch = None
        if revision > FIRST_REVISION:
            writers = self._evidence.written.get(revision)
            if writers:
                self.replay.writers[revision] = writers[0]
                mismatch = compare_answer(self.replay.keys, writers[0])
            else:
                mismatch = self._fill(revision)
            self.replay.keys.skip_to(revision)
        return mismatch

    def _verify(self, revision: int) -> Mismatch | None:
        """All answers that have it in their header."""
        for operation in self._evidence.seen.get(revision, ()):
            mismatch = compare_answer(self.replay.keys, operation)
            if mismatch is not None:
                return mismatch
        if self._trusting and self._choices:
            return self._compare_watched(revision)
        return None

    def _compare_watched(self, revision: int) -> Mismatch | None:
        """An event's version and previous value tell of the writes before it."""
        watched = self._evidence.events.get(revision, {})
        for event in self.replay.events(revision):
            key = event.kv.key
            seen = watched.get(key)
            if seen is None and not self._evidence.coverage.told(key, revision):
                continue
            if seen is None or not _alike(event, seen):
                reason = f"a watch told otherwise of {key!r} at revision {revision}"
                return Mismatch(reason, None, ((key, ""),))
        return None

    def _fill(self, revision: int) -> Mismatch | None:
        found = self._candidates.of(revision, self._most)
        self._budget -= len(found) if self._choices else 0
        if not found:
            return self._leave(revision)
        ranges = {r for candidate in found for r in candidate.ranges(self.replay.keys)}
        reach = ranges | self._candidates.reach(revision)
        capped = len(found) == self._most
        self._choices.append(_Choice(revision, found[1:], ranges, reach, capped))
        if len(found) > 1:
            self.replay.guessed.add(revision)
        self._take(revision, found[0])
        return None

    def _take(self, revision: int, candidate: Candidate) -> None:
        candidate.run(self.replay.keys)
        self._candidates.use(revision, candidate)
        self.replay.writers[revision] = candidate.operation

    def _leave(self, revision: int) -> Mismatch:
        """Nobody's; what was seen of it is taken for true, so that it is reported only once."""
        self.replay.unexplained.add(revision)
        ops = self._evidence.seen_ops(revision)
        self.replay.keys.run(ops)
        seen = ", ".join(_words(op) for op in ops)
        reason = f"nothing explains revision {revision}" + (f", which shows {seen}" if seen else "")
        ranges = tuple((op.key, "") for op in ops) or None
        return Mismatch(
            f"{reason}: no answered write has it, and no unanswered one fits",
            self._evidence.witness(revision),
            ranges,
            is_answer=False,
        )

    # --- search -----------------------------------------------------------------------------------

    def _change_a_guess(self, mismatch: Mismatch) -> int:
        """Takes back the latest guess that may have caused it and makes another; gives its
        revision, or 0 when all were tried or none can be the cause."""
        suspects = self._suspects(mismatch, wide=self._wide)
        for index in range(len(self._choices) - 1, -1, -1):
            choice = self._choices[index]
            if choice.revision not in suspects:
                continue
            choice.blamed |= suspects
            suspects = choice.blamed
            if not choice.rest:
                self.replay.exhausted = self.replay.exhausted or choice.capped
                continue
            if self._budget <= 0:
                self.replay.exhausted = True
                return 0
            del self._choices[index + 1 :]
            self._undo(choice.revision)
            self._take(choice.revision, choice.rest.pop(0))
            return choice.revision
        return 0

    def _is_proven(self, mismatch: Mismatch) -> bool:
        """Whether a read is wrong whatever else might have been guessed. After another finding
        the key space may be wrong, which proves nothing any more."""
        if mismatch.operation is None or not mismatch.is_answer or self._findings:
            return False
        return any(
            not any(
                first <= choice.revision <= last and _reaches(choice, key)
                for choice in self._choices
            )
            for key, first, last in suspicious_keys(
                self.replay.keys, self._evidence, mismatch.operation
            )
        )

    def _suspects(self, mismatch: Mismatch, *, wide: bool) -> set[int]:
        """Guesses that wrote what the answer is about, or what those depended on."""
        if mismatch.ranges is None:
            return {choice.revision for choice in self._choices}
        ranges = set(mismatch.ranges)
        suspects: set[int] = set()
        for choice in reversed(self._choices):
            touched = choice.reach if wide else choice.ranges
            if not ranges.isdisjoint(touched) or any(
                _overlap(a, b) for a in ranges for b in touched
            ):
                suspects.add(choice.revision)
                ranges |= touched
        return suspects

    def _undo(self, revision: int) -> None:
        replay = self.replay
        replay.keys.truncate(revision - 1)
        self._candidates.release(revision)
        replay.unexplained = {r for r in replay.unexplained if r < revision}
        replay.guessed = {r for r in replay.guessed if r <= revision}
        self._findings = [(r, finding) for r, finding in self._findings if r < revision]

    def _finding(self, mismatch: Mismatch) -> Finding:
        operations: list[Operation] = [mismatch.operation] if mismatch.operation else []
        for revision in mismatch.revisions:
            operations += [o for o in self.replay.writer(revision) if o not in operations]
        return Finding(mismatch.reason, tuple(operations))


def _alike(event: Event, seen: Event) -> bool:
    if event.is_delete != seen.is_delete or (seen.prev and seen.prev != event.prev):
        return False
    return event.is_delete or event.kv == seen.kv


def _reaches(choice: _Choice, key: str) -> bool:
    return any(covers(*touched, key) for touched in choice.reach)


def _words(op: Put | Delete) -> str:
    return f"{op.key!r}={op.value!r}" if isinstance(op, Put) else f"{op.key!r} deleted"


def _overlap(a: Range, b: Range) -> bool:
    return covers(*a, b[0]) or covers(*b, a[0])
