"""Does the order of the revisions agree with the clock?

Owns: Span, where in the order an operation may stand, and the sweep over all pairs in O(n log n).
Must never do: look at values. A place in the order is one number: a write stands at its revision,
and after it, before the next write, the compactions that happened there by what they compact, so
that a read of an old revision stands before the compaction that would refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jepsen_like.checkers.answers import describe
from jepsen_like.checkers.verdict import Finding
from jepsen_like.history.operation import Operation

_COMPACTIONS = 1 << 32  # places after each write
FIRST = 0
LAST = 1 << 96


def of_write(revision: int) -> int:
    return revision * _COMPACTIONS


def of_compaction(header: int, compacted: int) -> int:
    return header * _COMPACTIONS + 2 + compacted  # Compact(-1) is nobody's


def after_write(revision: int) -> int:
    return of_write(revision) + 1


def before_write(revision: int) -> int:
    return of_write(revision) - 1


@dataclass(frozen=True, slots=True)
class Span:
    """``operation`` stands somewhere from ``lower`` to ``upper``, both included."""

    operation: Operation
    lower: int
    upper: int
    returned: bool = True

    @property
    def revision(self) -> int:
        return self.lower // _COMPACTIONS


def sweep(spans: Sequence[Span], findings_max: int) -> list[Finding]:
    """One that returned before another was called must not have to stand after it."""
    findings: list[Finding] = []
    returned = sorted((s for s in spans if s.returned), key=lambda s: s.operation.returned_s)
    highest: Span | None = None
    done = 0
    for span in sorted(spans, key=lambda s: s.operation.called_s):
        while done < len(returned) and (
            returned[done].operation.returned_s < span.operation.called_s
        ):
            if highest is None or returned[done].lower > highest.lower:
                highest = returned[done]
            done += 1
        if highest is not None and highest.lower > span.upper:
            findings.append(_finding(highest, span))
            if len(findings) >= findings_max:
                break
    return findings


def _finding(first: Span, second: Span) -> Finding:
    a, b = first.operation, second.operation
    return Finding(
        f"{describe(b)} was called at {b.called_s:.6f} s, after {describe(a)} had returned at "
        f"{a.returned_s:.6f} s, but stands before it in the order of the revisions",
        (a, b),
    )
