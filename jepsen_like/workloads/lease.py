"""lease: each client grants a lease, hangs one key on it, renews it or not, and watches it end.

Owns: the lives of the leases. Time passes while a session watches its own key, which is also the
best evidence of the end. Must never do: touch the key again: only the lease may end it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from random import Random

from jepsen_like.checkers import lease as leases
from jepsen_like.history.ranges import prefix_end
from jepsen_like.history.request import Get, Grant, KeepAlive, Put, Revoke
from jepsen_like.history.result import Found, Granted, Written
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Values
from jepsen_like.workloads.script import Script, Scripted, lease_id, outcome
from jepsen_like.workloads.session import OpenWatch

PREFIX = "lease/"
_TTLS_S = (1, 1, 1, 2, 2, 3, 5, 10)
_RENEWALS = (0, 0, 1, 2, 4)
_REVOKED = 0.2
_LOOKS_MAX = 40


def _script(process: int, random: Random) -> Script:
    values = Values(process)
    for number in count(1):
        lease = lease_id(process, number)
        key = f"{PREFIX}{lease}"
        granted = outcome((yield Grant(lease, random.choice(_TTLS_S))))
        if not isinstance(granted, Granted):
            continue
        written = outcome((yield Put(key, values.unique(), lease)))
        if isinstance(written, Written):
            yield from _life(lease, key, granted.ttl_s, written.revision, random)


def _life(lease: int, key: str, ttl_s: int, revision: int, random: Random) -> Script:
    """Some renewals, then a revoke, or the end by itself, looked at again and again."""
    for _ in range(random.choice(_RENEWALS)):
        yield _watch(key, revision, random.uniform(0.1, 0.6 * ttl_s))
        yield KeepAlive(lease)
    if random.random() < _REVOKED:
        yield Revoke(lease)
    for _ in range(_LOOKS_MAX):
        found = outcome((yield Get(key)))
        if isinstance(found, Found) and not found.kvs:
            return
        yield _watch(key, revision, random.uniform(0.1, 0.4 * ttl_s))


def _watch(key: str, revision: int, for_s: float) -> OpenWatch:
    """From the put on, so that a delete between two watches is delivered by the next."""
    return OpenWatch(key, start_revision=revision + 1, for_s=for_s, events_max=1)


def _session(process: int, random: Random) -> Scripted:
    return Scripted(_script(process, random))


def lease(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="lease",
        needs=frozenset({"kv", "watch", "lease"}),
        make_session=_session,
        final_requests=(Get(PREFIX, prefix_end(PREFIX)),),
        checks=(leases.check, *general),
    )
