"""Lists that only grow: which transaction came before which, and whether that has a cycle.

Owns: what can be told without a graph: versions that contradict each other, elements of appends
that failed, elements that are there twice. After Elle (VLDB 2020): a list read shows the order of
all appends to it, so each dependency is known, not guessed. Must never do: use revisions; they are
what another checker trusts.
"""

from __future__ import annotations

from jepsen_like.checkers.append_graph import anomalies
from jepsen_like.checkers.append_lists import Lists, gather, versions
from jepsen_like.checkers.verdict import Finding, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.result import Refused

TRANSACTIONS_MIN = 50
_FINDINGS_MAX = 10


def check(history: History, prefix: str = "list/", minimum: int = TRANSACTIONS_MIN) -> Verdict:
    """``checked``: the answered transactions that read or appended."""
    lists = gather(history, prefix)
    findings = [*_incompatible(lists), *_foreign(lists), *_duplicates(lists)]
    if not findings:  # else the orders contradict each other, and cycles mean nothing
        seen = {element for order in lists.orders.values() for element in order}
        happened = [
            transaction
            for transaction in lists.transactions
            if transaction.certain or any(v[-1] in seen for v in transaction.appends.values())
        ]
        findings = anomalies(happened, lists.orders, lists.writers)
    checked = sum(transaction.certain for transaction in lists.transactions)
    return judge("append", checked, "transactions", findings[:_FINDINGS_MAX], minimum=minimum)


def _incompatible(lists: Lists) -> list[Finding]:
    findings = []
    for transaction in lists.transactions:
        for key, version in versions(transaction):
            order = lists.orders.get(key, ())
            if version != order[: len(version)]:
                reason = f"{key} was [{', '.join(version)}] and also [{', '.join(order)}]: neither"
                witness = (transaction.operation, lists.seen_by[key].operation)
                findings.append(Finding(f"{reason} is how the other began", witness))
    return findings


def _foreign(lists: Lists) -> list[Finding]:
    """Elements of appends that did not happen (G1a), or that nobody made."""
    findings = []
    for key, order in lists.orders.items():
        reader = lists.seen_by[key].operation
        for element in order:
            if element in lists.failed and element not in lists.writers:
                failed = lists.failed[element]
                code = failed.outcome.code if isinstance(failed.outcome, Refused) else "compare"
                reason = f"G1a, aborted read: {key} holds {element}, whose append failed ({code})"
                findings.append(Finding(reason, (failed, reader)))
            elif element not in lists.writers:
                reason = f"{key} holds {element}, which nobody appended"
                findings.append(Finding(reason, (reader,)))
    return findings


def _duplicates(lists: Lists) -> list[Finding]:
    findings = []
    places: dict[str, str] = {}
    for key, order in lists.orders.items():
        for element in order:
            if element in places:
                reason = f"{element} was appended once, and is twice in {key}"
                if places[element] != key:
                    reason = f"{element} was appended once, and is in {places[element]} and {key}"
                witness = (lists.writers[element].operation, lists.seen_by[key].operation)
                findings.append(Finding(reason, witness))
            places[element] = key
    return findings
