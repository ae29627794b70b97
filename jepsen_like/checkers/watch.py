"""etcd's promises to a watcher, against the true events of every revision.

Owns: ``check``. The promises are those of etcd's API guarantees: filtered, ordered, unique,
atomic, reliable, resumable, bookmarkable, with the right previous value; a compaction may end a
watch only where it must, and never silently. Must never do: judge what is not known: revisions
that ``replay`` could not explain, or had to guess, are left out where an event is missing.
"""

from __future__ import annotations

from collections import Counter

from jepsen_like.checkers.linearizable import replay
from jepsen_like.checkers.promises import Truth, Watched
from jepsen_like.checkers.verdict import Finding, Validity, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import Watch

NAME = "watch"
FINDINGS_MAX = 10


def check(history: History) -> Verdict:
    """``checked`` counts events, and the progress notifications, that were judged. Without a
    replay that is known to be right, a finding proves nothing."""
    replayed = replay(history)
    truth = Truth(history, replayed)
    findings: list[Finding] = []
    judged = 0
    for watch in history.watches:
        watched = Watched(watch, truth)
        watched.judge()
        findings += watched.findings
        judged += _weight(watch)
    told = _rarest_first(findings)[:FINDINGS_MAX]
    if replayed.exhausted:
        return Verdict(NAME, Validity.UNKNOWN, judged, "events", tuple(told))
    return judge(NAME, judged, "events", told)


def _rarest_first(findings: list[Finding]) -> list[Finding]:
    """So that a violation of every second watch does not hide one that happened once."""
    kinds = Counter(map(_kind, findings))
    return sorted(findings, key=lambda finding: kinds[_kind(finding)])


def _kind(finding: Finding) -> str:
    """The promise that was broken: the first word after the watch."""
    _, _, reason = finding.reason.partition(": ")
    return reason.partition(" ")[0]


def _weight(watch: Watch) -> int:
    return sum(
        len(response.events) + (not response.events and not response.created)
        for response in watch.responses
    )
