"""election: candidates under one prefix; the oldest leads, and proclaims while it exists.

Owns: the plan of a candidate, as etcd's election recipe has it: create a key with a lease, lead
when no key has a lower create_revision, proclaim under a compare on the own create_revision, resign
by revoking. Some leaders stall for longer than their lease lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count
from random import Random

from jepsen_like.checkers import election as elections
from jepsen_like.history.ranges import prefix_end
from jepsen_like.history.request import (
    Compare,
    Get,
    Grant,
    KeepAlive,
    Put,
    Relation,
    Revoke,
    Target,
    Txn,
)
from jepsen_like.history.result import Decided, Found, Granted
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Values
from jepsen_like.workloads.script import Plan, Script, Scripted, lease_id, outcome
from jepsen_like.workloads.session import OpenWatch

PREFIX = "election/"
_CANDIDATES = Get(PREFIX, prefix_end(PREFIX))
_STALLS = 0.1
_LOOKS_MAX = 40


def _script(process: int, random: Random) -> Script:
    values = Values(process)
    for number in count(1):
        lease = lease_id(process, number)
        key = f"{PREFIX}{lease}"
        granted = outcome((yield Grant(lease, random.randint(1, 3))))
        if not isinstance(granted, Granted):
            continue
        campaign = Txn((_created(key, 0),), (Put(key, values.unique(), lease),), ())
        decided = outcome((yield campaign))
        if isinstance(decided, Decided) and decided.succeeded:
            leads = yield from _wait(key, lease, random)
            for _ in range(random.randint(1, 5) if leads else 0):
                proclamation = Put(key, values.unique(), lease)
                yield Txn((_created(key, decided.revision),), (proclamation,), ())
                yield from _hold(key, lease, granted.ttl_s, random)
        yield Revoke(lease)


def _wait(key: str, lease: int, random: Random) -> Plan[bool]:
    """Whether this candidate came to lead; not if its key is gone."""
    for _ in range(_LOOKS_MAX):
        found = outcome((yield _CANDIDATES))
        if isinstance(found, Found) and found.kvs:
            if min(found.kvs, key=lambda kv: kv.create_revision).key == key:
                return True
            if all(kv.key != key for kv in found.kvs):
                return False
        yield KeepAlive(lease)
        yield OpenWatch(_CANDIDATES.key, _CANDIDATES.end, for_s=random.uniform(0.05, 0.3))
    return False


def _hold(key: str, lease: int, ttl_s: int, random: Random) -> Script:
    if random.random() < _STALLS:
        yield OpenWatch(key, for_s=ttl_s * random.uniform(1.5, 3.0))
    else:
        yield KeepAlive(lease)


def _created(key: str, revision: int) -> Compare:
    return Compare(key, Target.CREATE, Relation.EQUAL, revision)


def _session(process: int, random: Random) -> Scripted:
    return Scripted(_script(process, random))


def election(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="election",
        needs=frozenset({"kv", "watch", "lease"}),
        make_session=_session,
        final_requests=(_CANDIDATES,),
        checks=(partial(elections.check, prefix=PREFIX), *general),
    )
