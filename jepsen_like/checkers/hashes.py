"""All members hold the same in the end.

Owns: ``check`` over the MemberStates of a history: after healing, at one revision, hash, revision
and compact revision are equal everywhere. Must never do: excuse a member that lags; the run waits
until all have caught up before it asks.
"""

from __future__ import annotations

from collections import Counter

from jepsen_like.checkers.verdict import Finding, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import MemberState

NAME = "hashes"


def check(history: History) -> Verdict:
    """UNKNOWN with fewer than one member; one alone agrees with itself."""
    findings: list[Finding] = []
    by_revision = {state.revision for state in history.finals}
    if len(by_revision) > 1:
        findings.append(_differing("revision", {s.member: s.revision for s in history.finals}))
    compactions = {s.member: s.compact_revision for s in history.finals}
    if len(set(compactions.values())) > 1:
        findings.append(_differing("compact revision", compactions))
    for revision in sorted(by_revision):
        states = [state for state in history.finals if state.revision == revision]
        if len({_content(state) for state in states}) > 1:
            findings.append(_differing(f"hash at revision {revision}", _hashes(states)))
    return judge(NAME, len(history.finals), "members", findings)


def _content(state: MemberState) -> tuple[int, int]:
    """Hashes of different compactions differ rightly; that is a finding of its own."""
    return state.compact_revision, state.hash


def _hashes(states: list[MemberState]) -> dict[str, int]:
    return {state.member: state.hash for state in states}


def _differing(what: str, values: dict[str, int]) -> Finding:
    """Names those that differ from the most common value first."""
    common = Counter(values.values()).most_common(1)[0][0]
    names = sorted(values, key=lambda name: (values[name] == common, name))
    held = ", ".join(f"{name} has {values[name]}" for name in names)
    return Finding(f"the members' {what} differs: {held}")
