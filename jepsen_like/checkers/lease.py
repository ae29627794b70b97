"""Leases end neither early nor late.

Owns: that judgement, by the clients' one clock. Early: a key is gone before its lease's last proven
renewal was called plus its TTL; a renewal takes effect after its call, so this allows no slack.
Late: the key is read after its last possible renewal returned plus TTL plus ``slack_s``; a fault in
that time starts the TTL anew, for a new leader extends all leases (etcd's Promote). Must never do:
judge a key that anything but its lease may have removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jepsen_like.checkers.verdict import Finding, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import Fault, Operation
from jepsen_like.history.parts import parts, possible
from jepsen_like.history.ranges import covers
from jepsen_like.history.request import Delete, Get, Grant, KeepAlive, Put, Revoke
from jepsen_like.history.result import Found, Granted, Refused, Renewed, Revoked

SLACK_S = 5.0  # expiry is looked for every 0.5 s; revokes queue; an unnoticed election
LEASES_MIN = 5


@dataclass(frozen=True, slots=True)
class _Sign:
    """Something that shows a lease or its key: there at the latest instant known, or gone."""

    at_s: float
    words: str
    operations: tuple[Operation, ...]


@dataclass(slots=True)
class _Lease:
    id: int
    grant: Operation
    ttl_s: int
    renewals: list[Operation] = field(default_factory=list)  # proven
    attempts: list[Operation] = field(default_factory=list)  # may have renewed
    revokes: list[Operation] = field(default_factory=list)
    puts: dict[str, Operation] = field(default_factory=dict)  # answered, by key
    gone: list[_Sign] = field(default_factory=list)
    there: list[_Sign] = field(default_factory=list)

    @property
    def lives_until_s(self) -> float:
        return max((o.called_s for o in self.renewals), default=float("-inf")) + self.ttl_s


def check(history: History, *, slack_s: float = SLACK_S, minimum: int = LEASES_MIN) -> Verdict:
    """``checked``: the leases whose end was seen, or that were seen past their deadline."""
    leases = _leases(history)
    _add_signs(history, leases)
    findings: list[Finding] = []
    ended = 0
    for lease in leases.values():
        found = [*_early(lease), *_late(lease, history.faults, slack_s), *_revoked(lease)]
        ended += bool(lease.gone or found)
        findings += found
    return judge("lease", ended, "leases that ended", findings, minimum=minimum)


def _early(lease: _Lease) -> Iterator[Finding]:
    """The first sign only: the others follow from it."""
    revoked_s = min((o.called_s for o in lease.revokes), default=float("inf"))
    for sign in sorted(lease.gone, key=lambda each: each.at_s):
        if sign.at_s < min(lease.lives_until_s, revoked_s):
            renewal = max(lease.renewals, key=lambda each: each.called_s)
            early_s = lease.lives_until_s - sign.at_s
            reason = f"lease {lease.id} of {lease.ttl_s} s, renewed by a call at"
            reason = f"{reason} {renewal.called_s:.3f} s, ended {early_s:.3f} s early: {sign.words}"
            yield Finding(reason, (renewal, *sign.operations))
            return


def _late(lease: _Lease, faults: Sequence[Fault], slack_s: float) -> Iterator[Finding]:
    last = max(lease.attempts, key=lambda each: each.returned_s)
    deadline_s = last.returned_s + lease.ttl_s + slack_s
    for fault in sorted(faults, key=lambda each: each.began_s):
        if fault.ended_s >= last.returned_s and fault.began_s <= deadline_s:
            deadline_s = max(deadline_s, fault.ended_s + lease.ttl_s + slack_s)
    for sign in sorted(lease.there, key=lambda each: each.at_s):
        if sign.at_s > deadline_s:
            late_s = sign.at_s - deadline_s
            reason = f"lease {lease.id} of {lease.ttl_s} s, last renewed before"
            reason = f"{reason} {last.returned_s:.3f} s, lives {late_s:.3f} s past its bound"
            yield Finding(f"{reason}: {sign.words}", (last, *sign.operations))
            return


def _revoked(lease: _Lease) -> Iterator[Finding]:
    for revoke in lease.revokes:
        signs = [sign for sign in lease.there if sign.at_s > revoke.returned_s]
        if isinstance(revoke.outcome, Revoked) and signs:
            reason = f"lease {lease.id} was revoked at {revoke.returned_s:.3f} s"
            yield Finding(f"{reason}: {signs[0].words}", (revoke, *signs[0].operations))


def _leases(history: History) -> dict[int, _Lease]:
    leases: dict[int, _Lease] = {}
    for operation in sorted(history.operations, key=lambda each: each.called_s):
        request, outcome = operation.request, operation.outcome
        match request:
            case Grant() if not isinstance(outcome, Refused):
                leases[request.id] = _granted(request, operation)
            case KeepAlive() if request.id in leases:
                _renew(leases[request.id], operation)
            case Revoke() if request.id in leases and not isinstance(outcome, Refused):
                leases[request.id].revokes.append(operation)
            case Put() if request.lease in leases and _no_lease(operation):
                words = f"a put was told at {operation.returned_s:.3f} s that it is gone"
                leases[request.lease].gone.append(_Sign(operation.returned_s, words, (operation,)))
        for part in parts(operation):
            if isinstance(part.op, Put) and part.op.lease in leases:
                leases[part.op.lease].puts[part.op.key] = operation
    return leases


def _granted(grant: Grant, operation: Operation) -> _Lease:
    """The server may choose a longer TTL than was asked for."""
    if isinstance(operation.outcome, Granted):
        ttl_s = operation.outcome.ttl_s
        return _Lease(grant.id, operation, ttl_s, renewals=[operation], attempts=[operation])
    return _Lease(grant.id, operation, grant.ttl_s, attempts=[operation])


def _no_lease(operation: Operation) -> bool:
    outcome = operation.outcome
    return isinstance(outcome, Refused) and outcome.code == "NOT_FOUND"


def _renew(lease: _Lease, operation: Operation) -> None:
    match operation.outcome:
        case Renewed(_, 0) | Refused("NOT_FOUND", _):
            if isinstance(lease.grant.outcome, Granted):
                words = f"a keep-alive was told at {operation.returned_s:.3f} s that it is gone"
                lease.gone.append(_Sign(operation.returned_s, words, (operation,)))
        case Refused():
            pass  # it says that nothing happened
        case Renewed():
            lease.renewals.append(operation)
            lease.attempts.append(operation)
            words = f"a keep-alive called at {operation.called_s:.3f} s was answered"
            lease.there.append(_Sign(operation.called_s, words, (operation,)))
        case _:
            lease.attempts.append(operation)


def _owners(history: History, leases: dict[int, _Lease]) -> dict[str, _Lease]:
    """The lease of each key that was put once and that no delete may have hit."""
    written: Counter[str] = Counter()
    deletes: set[tuple[str, str]] = set()
    for operation in history.operations:
        for op in possible(operation.request):
            if isinstance(op, Put):
                written[op.key] += 1
            elif isinstance(op, Delete):
                deletes.add((op.key, op.end))
    return {
        key: lease
        for lease in leases.values()
        for key in lease.puts
        if written[key] == 1 and not any(covers(first, end, key) for first, end in deletes)
    }


def _add_signs(history: History, leases: dict[int, _Lease]) -> None:
    owners = _owners(history, leases)
    for operation in history.operations:
        for part in parts(operation):
            get, found = part.op, part.result
            if not isinstance(get, Get) or not isinstance(found, Found):
                continue
            if get.revision or get.limit or get.serializable:
                continue
            shown = {kv.key for kv in found.kvs}
            for key in [get.key] if not get.end else owners:
                if key in owners and covers(get.key, get.end, key):
                    _read(owners[key], key, key in shown, operation)
    for watch in history.watches:
        for response in watch.responses:
            for event in response.events:
                if event.is_delete and event.kv.key in owners:
                    words = f"{event.kv.key} was deleted, by an event at {response.at_s:.3f} s"
                    owners[event.kv.key].gone.append(_Sign(response.at_s, words, ()))


def _read(lease: _Lease, key: str, shown: bool, read: Operation) -> None:
    if shown:
        words = f"{key} was read by a call at {read.called_s:.3f} s"
        lease.there.append(_Sign(read.called_s, words, (read,)))
    elif lease.puts[key].returned_s < read.called_s:
        words = f"{key} was not there by {read.returned_s:.3f} s"
        lease.gone.append(_Sign(read.returned_s, words, (read,)))
