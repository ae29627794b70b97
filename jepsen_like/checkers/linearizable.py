"""Linearizability of an etcd, guided by the revisions in its answers.

Owns: ``check`` and ``replay``. The headers give the order of the writes; it is replayed
(``replaying``), each operation gets its place in it (``placing``), and the places must agree with
the clock (``realtime``). Must never do: search where the answers tell. Serializable reads and
lease renewals may be stale, but never from the future. The store is empty when a history begins.
"""

from __future__ import annotations

from jepsen_like.checkers.answers import describe
from jepsen_like.checkers.evidence import Evidence, gather
from jepsen_like.checkers.leases import misused
from jepsen_like.checkers.placing import Places
from jepsen_like.checkers.realtime import sweep
from jepsen_like.checkers.replaying import FINDINGS_MAX, Replay, Replayer
from jepsen_like.checkers.verdict import Finding, Validity, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.result import Refused, Unknown
from jepsen_like.model.keyspace import FIRST_REVISION

NAME = "linearizable"


def check(history: History) -> Verdict:
    evidence = gather(history)
    replayed = _replay(history, evidence)
    judged = sum(not isinstance(o.outcome, Refused | Unknown) for o in history.operations)
    places = Places(history, replayed)
    findings = [
        *(replayed.proven if replayed.exhausted else replayed.findings),
        *_misnumbered(evidence),
        *places.findings,
        *sweep(places.spans, FINDINGS_MAX),
        *sweep(places.compactions, FINDINGS_MAX),
        *misused(history, evidence),
    ]
    if replayed.exhausted and not findings:
        doubts = tuple(replayed.findings)
        return Verdict(NAME, Validity.UNKNOWN, judged, "operations", doubts)
    return judge(NAME, judged, "operations", findings[:FINDINGS_MAX])


def replay(history: History) -> Replay:
    """What the history says was true at each revision."""
    return _replay(history, gather(history))


def _replay(history: History, evidence: Evidence) -> Replay:
    """The cheapest search that explains everything, or the most thorough one's findings."""
    unknown = history.unknown_writes
    replayed = Replayer(evidence, unknown, trusting=True).run()
    if replayed.findings:
        replayed = Replayer(evidence, unknown).run()
    if replayed.exhausted and not replayed.proven:
        replayed = Replayer(evidence, unknown, wide=True).run()
    return replayed


def _misnumbered(evidence: Evidence) -> list[Finding]:
    """Headers that no store can give: two writes with one revision, or one before the first."""
    findings = [
        Finding(f"{_names(operations)}: two writes with revision {revision}", tuple(operations))
        for revision, operations in sorted(evidence.written.items())
        if len(operations) > 1
    ]
    for first, operations in (
        (FIRST_REVISION + 1, evidence.written),
        (FIRST_REVISION, evidence.seen),
    ):
        findings += [
            Finding(f"{describe(operation)}, which no store with a write has", (operation,))
            for revision in sorted(operations)
            if revision < first
            for operation in operations[revision]
        ]
    return findings


def _names(operations: list[Operation]) -> str:
    return "; ".join(describe(operation) for operation in operations)
