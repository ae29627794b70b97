"""A made-up run for the report: clients, faults, outcomes of every kind, and a violation.

Owns: how it is drawn from a seeded source of chance. It need not be what any store would answer.
"""

from __future__ import annotations

from random import Random

from jepsen_like.checkers.verdict import Finding, Validity, Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import (
    Event,
    Fault,
    MemberState,
    Operation,
    Watch,
    WatchResponse,
)
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    Put,
    Relation,
    Request,
    Target,
    Txn,
)
from jepsen_like.history.result import (
    Compacted,
    Decided,
    Deleted,
    Found,
    KeyValue,
    Outcome,
    Refused,
    Unknown,
    Written,
)

MEMBERS = ("m0", "m1", "m2")


def made_up_history(
    random: Random, *, operations: int = 600, clients: int = 5, span_s: float = 30.0
) -> History:
    """Time begins at 1000 s on the history's clock."""
    faults = _faults(span_s)
    history = History(
        settings={
            "workload": "mix",
            "nemesis": "kill,partition,pause",
            "db": "raftkv",
            "seed": 4711,
            "members": 3,
            "time_s": span_s,
        },
        faults=faults,
        finals=[MemberState(name, 907, 512, 0x5EED1234) for name in MEMBERS],
    )
    for process in range(clients):
        history.operations += _client(process, operations // clients, span_s, random, faults)
        history.watches += _watches(process, span_s, random)
    history.operations.sort(key=lambda o: o.returned_s)
    return history


def stale_read() -> list[Operation]:
    """Three calls that show a read of what was overwritten before it began."""
    old = KeyValue("register/3", "12", 40, 61, 4)
    return [
        Operation(1, "m0", 1012.100, 1012.108, Put("register/3", "12"), Written(61)),
        Operation(4, "m0", 1012.1205, 1012.1290, Put("register/3", "13"), Written(62)),
        Operation(2, "m2", 1014.310, 1014.3142, Get("register/3"), Found(61, (old,), 1)),
        Operation(0, "m1", 1012.05, 1013.0, Put("register/3", "14"), Unknown("UNAVAILABLE", "")),
    ]


def made_up_verdicts(history: History) -> list[Verdict]:
    """The stale read's calls take the place of what their clients did meanwhile."""
    shown = stale_read()
    for operation in shown:
        history.operations = [
            o
            for o in history.operations
            if o.process != operation.process
            or o.returned_s < operation.called_s
            or o.called_s > operation.returned_s
        ]
    history.operations += shown
    reason = (
        "client 2 read register/3 = 12 at revision 61, but client 4's put of 13 at revision 62 had"
        " been answered 2.181 s before the read began: a linearizable read may not go back"
    )
    canceled = "the stream of client 3 skipped revision 77, which client 1 was told is written"
    return [
        Verdict(
            "linearizability", Validity.INVALID, 590, "operations", (Finding(reason, tuple(shown)),)
        ),
        Verdict("watch", Validity.INVALID, 1204, "events", (Finding(canceled),)),
        Verdict("equal hashes", Validity.VALID, 3, "members"),
        Verdict("lease expiry", Validity.UNKNOWN, 0, "leases"),
    ]


def _faults(span_s: float) -> list[Fault]:
    def at(share: float) -> float:
        return 1000.0 + share * span_s

    return [
        Fault("partition", at(0.12), at(0.27), "m0 | m1 m2"),
        Fault("kill", at(0.22), at(0.31), "m1"),
        Fault("pause", at(0.40), at(0.52), "leader m2"),
        Fault("kill", at(0.60), at(0.64), "m0"),
        Fault("partition", at(0.70), at(0.85), "m2 hears nobody"),
    ]


def _client(
    process: int, count: int, span_s: float, random: Random, faults: list[Fault]
) -> list[Operation]:
    made = []
    now_s = 1000.0 + random.random() * 0.01
    pause_s = span_s / count
    for _ in range(count):
        called_s = now_s
        broken = any(f.began_s <= called_s <= f.ended_s for f in faults)
        took_s = min(0.004 * random.lognormvariate(0, 0.5) * (4 if broken else 1), 0.9 * pause_s)
        request = _request(random)
        outcome = _outcome(request, random, broken)
        if isinstance(outcome, Unknown):
            took_s = min(2.0, 8 * pause_s)
        made.append(
            Operation(
                process, random.choice(MEMBERS), called_s, called_s + took_s, request, outcome
            )
        )
        now_s = called_s + took_s + max(0.0, pause_s - took_s) * random.uniform(0.2, 1.6)
        if now_s > 1000.0 + span_s:
            break
    return made


def _request(random: Random) -> Request:
    key, value = f"register/{random.randrange(6)}", str(random.randrange(100))
    match random.randrange(12):
        case 0:
            return Delete(key)
        case 1:
            return Compact(random.randrange(1, 50))
        case 2 | 3:
            compare = Compare(key, Target.MOD, Relation.EQUAL, random.randrange(60))
            return Txn((compare,), (Put(key, value),), (Get(key),))
        case 4 | 5 | 6 | 7:
            return Put(key, value)
        case _:
            return Get(key)


def _outcome(request: Request, random: Random, broken: bool) -> Outcome:
    chance = random.random()
    if broken and chance < 0.04:
        return Unknown("DEADLINE_EXCEEDED", "context deadline exceeded")
    if chance < (0.08 if broken else 0.01):
        return Refused("UNAVAILABLE", "etcdserver: no leader")
    revision = random.randrange(60, 900)
    match request:
        case Put():
            return Written(revision)
        case Delete():
            return Deleted(revision, 1)
        case Compact():
            return Compacted(revision)
        case Txn():
            return Decided(revision, True, (Written(revision),))
        case _:
            kv = KeyValue("register/1", str(random.randrange(100)), 12, revision - 3, 9)
            return Found(revision, (kv,), 1)


def _watches(process: int, span_s: float, random: Random) -> list[Watch]:
    watches = []
    for part in range(2):
        opened_s = 1000.0 + span_s * (part * 0.5 + 0.02)
        closed_s = opened_s + span_s * 0.4
        watch = Watch(process, "m1", "register/", "register0", 10, True, opened_s, closed_s)
        watch.responses.append(WatchResponse(opened_s + 0.01, 60, created=True))
        for step in range(20):
            at_s = opened_s + (step + random.random()) * span_s * 0.019
            kv = KeyValue("register/2", str(step), 10, 61 + step, step + 1)
            events = (Event(step % 5 == 0, kv),) if step % 4 else ()
            watch.responses.append(WatchResponse(at_s, 61 + step, events))
        if part == 0 and process == 3:
            watch.responses.append(WatchResponse(closed_s, 90, canceled=True, compact_revision=80))
        watches.append(watch)
    return watches
