"""Linearizability of an etcd, guided by the revisions in its answers.

Owns: ``check`` and ``replay``. The headers give the order of the writes; it is replayed
(``replaying``), each operation gets its place in it (``placing``), and the places must agree with
the clock (``realtime``). Must never do: search where the answers tell. Serializable reads and
lease renewals may be stale, but never from the future. The store is empty when a history begins.
"""

from __future__ import annotations

from jepsen_like.checkers.answers import describe
from jepsen_like.checkers.evidence import Evidence, gather
from jepsen_like.checkers.placing import Places
from jepsen_like.checkers.realtime import sweep
from jepsen_like.checkers.replaying import FINDINGS_MAX, Replay, Replayer
from jepsen_like.checkers.verdict import Finding, Validity, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.result import Refused, Unknown

NAME = "linearizable"


def check(history: History) -> Verdict:
    replayed = replay(history)
    judged = sum(not isinstance(o.outcome, Refused | Unknown) for o in history.operations)
    findings = list(replayed.findings)
    if not replayed.findings:
        places = Places(history, replayed)
        findings += places.findings + sweep(places.spans, FINDINGS_MAX)
    if replayed.exhausted:
        return Verdict(NAME, Validity.UNKNOWN, judged, "operations", tuple(findings))
    return judge(NAME, judged, "operations", findings[:FINDINGS_MAX])


def replay(history: History) -> Replay:
    """What the history says was true at each revision."""
    evidence = gather(history)
    replayed = Replayer(evidence, history.unknown_writes).run()
    replayed.findings[:0] = _twice(evidence)
    return replayed


def _twice(evidence: Evidence) -> list[Finding]:
    return [
        Finding(f"{_names(operations)}: two writes with revision {revision}", tuple(operations))
        for revision, operations in sorted(evidence.written.items())
        if len(operations) > 1
    ]


def _names(operations: list[Operation]) -> str:
    return "; ".join(describe(operation) for operation in operations)
