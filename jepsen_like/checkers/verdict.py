"""What a checker says.

Owns: Verdict and Finding. Unknown is never valid: a checker that ran out of budget, or had too
little to judge, has proven nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from jepsen_like.history.operation import Operation


class Validity(Enum):
    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation: the reason in words, and the fewest operations that show it."""

    reason: str
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """``checked`` counts what was judged: operations, events, reads; as ``unit`` says."""

    checker: str
    validity: Validity
    checked: int
    unit: str
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        reasons = "".join(f"\n  {finding.reason}" for finding in self.findings)
        return f"{self.checker}: {self.validity.value}, {self.checked} {self.unit}{reasons}"


def judge(
    checker: str, checked: int, unit: str, findings: Sequence[Finding], *, minimum: int = 1
) -> Verdict:
    """INVALID with findings; UNKNOWN when fewer than ``minimum`` were checked; else VALID."""
    if findings:
        validity = Validity.INVALID
    elif checked < minimum:
        validity = Validity.UNKNOWN
    else:
        validity = Validity.VALID
    return Verdict(checker, validity, checked, unit, tuple(findings))


def overall(verdicts: Sequence[Verdict]) -> Validity:
    """The worst of them; no verdict at all is unknown."""
    found = {verdict.validity for verdict in verdicts}
    for validity in (Validity.INVALID, Validity.UNKNOWN):
        if validity in found:
            return validity
    return Validity.VALID if found else Validity.UNKNOWN
