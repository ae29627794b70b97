"""lock: a lease-bound lock, and a chain of updates that only its holder may make.

Owns: the plan of a holder: take the lock, read, perhaps stall for longer than the lease lives,
write, let go. The fenced write holds only while the lock still has the holder's create_revision.
``unfenced`` leaves that compare out: the positive control, which loses updates (Jepsen's report on
etcd 3.4.3: about 18 % of them). Must never do: write twice under one token, for an unanswered first
write could overwrite the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count
from random import Random

from jepsen_like.checkers import fencing
from jepsen_like.history.request import (
    Compare,
    Get,
    Grant,
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

LOCK = "lock/holder"
GUARDED = "lock/chain"
_STALLS = 0.15
_TRIES_MAX = 20


def _script(unfenced: bool, process: int, random: Random) -> Script:
    values = Values(process)
    for number in count(1):
        lease, ttl_s = lease_id(process, number), random.randint(1, 2)
        granted = outcome((yield Grant(lease, ttl_s)))
        if not isinstance(granted, Granted):
            continue
        token = yield from _acquire(lease, values.unique(), random)
        if token:
            yield from _update(token, values.unique(), unfenced, granted.ttl_s, random)
        yield Revoke(lease)  # deletes the lock's key, if it is still this lease's


def _acquire(lease: int, name: str, random: Random) -> Plan[int]:
    """The token, the create_revision of the lock's key; 0 if the lease ended or nobody knows."""
    free = Compare(LOCK, Target.CREATE, Relation.EQUAL, 0)
    for _ in range(_TRIES_MAX):
        decided = outcome((yield Txn((free,), (Put(LOCK, name, lease),), (Get(LOCK),))))
        if not isinstance(decided, Decided):
            return 0
        if decided.succeeded:
            return decided.revision
        yield OpenWatch(LOCK, for_s=random.uniform(0.05, 0.3), events_max=1)
    return 0


def _update(token: int, name: str, unfenced: bool, ttl_s: int, random: Random) -> Script:
    found = outcome((yield Get(GUARDED)))
    if not isinstance(found, Found):
        return
    before = fencing.element(found.kvs[0].value) if found.kvs else ""
    if random.random() < _STALLS:
        yield OpenWatch(LOCK, for_s=ttl_s * random.uniform(1.5, 3.0), events_max=1_000_000)
    put = Put(GUARDED, fencing.link(name, token, before))
    held = Compare(LOCK, Target.CREATE, Relation.EQUAL, token)
    yield put if unfenced else Txn((held,), (put,), ())


def _session(unfenced: bool, process: int, random: Random) -> Scripted:
    return Scripted(_script(unfenced, process, random))


def lock(general: Sequence[Check] = (), *, unfenced: bool = False) -> Assembled:
    return Assembled(
        name="lock-unfenced" if unfenced else "lock",
        needs=frozenset({"kv", "watch", "lease"}),
        make_session=partial(_session, unfenced),
        final_requests=(Get(GUARDED),),
        checks=(partial(fencing.check, lock=LOCK, guarded=GUARDED), *general),
    )


def unfenced_lock(general: Sequence[Check] = ()) -> Assembled:
    return lock(general, unfenced=True)
