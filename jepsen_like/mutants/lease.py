"""Mutants of leases: who ends them, when, and what happens to their keys."""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Hunt, Mutant

_LESSOR = "raftkv.lease.lessor"
_LEASING = "raftkv.server.leasing"
_APPLY = "raftkv.apply.lease"
_LEADERS = ("pause", "isolate", "one-way cut", "kill")

_LEAVE = (
    "            if self.lessor.term != OUT_OF_OFFICE:\n"
    "                self.lessor.leave_office()\n"
)
_NEVER_LEAVES = Change(
    _LEASING, _LEAVE, "            if term == OUT_OF_OFFICE:\n                return\n" + _LEAVE
)
_ANY_TERM = Change(
    _APPLY, "    if term != state.entry_term:\n", "    if term > state.entry_term:\n"
)
_TICKS_IN_ANY_ROLE = Change(
    _LEASING,
    "            self._see_office()\n            self.lessor.tick()\n",
    "            self.lessor.tick()\n",
)

LEASE = (
    Mutant(
        49,
        "old-leader-keeps-revoking",
        "a leader that was deposed goes on ending leases by its own deadlines, through its "
        "successor's log",
        (_NEVER_LEAVES, _ANY_TERM, _TICKS_IN_ANY_ROLE),
        frozenset(("lease", "linearizable")),
        Hunt(workload="lease", kinds=_LEADERS, size=3),
        "etcd #15247",
    ),
    Mutant(
        50,
        "new-leader-expires-at-once",
        "who takes office takes every lease for due",
        (
            Change(
                _LESSOR,
                "            self._tenures[lease.id] = _Tenure(lease, now + left + "
                "self._extension_s, now)\n",
                "            self._tenures[lease.id] = _Tenure(lease, now + left * 0, now)\n",
            ),
        ),
        frozenset(("lease",)),
        Hunt(workload="lease", kinds=("kill", "isolate")),
    ),
    Mutant(
        70,
        "keep-alive-keeps-checkpoint",
        "a keep-alive is answered though the log says that little is left of the lease",
        (
            Change(
                _LESSOR,
                "            if tenure.unsettled or tenure.lease.remaining_s:\n",
                "            if False:\n",
            ),
        ),
        frozenset(("lease",)),
        Hunt(workload="lease", kinds=("kill", "isolate")),
    ),
    Mutant(
        71,
        "follower-renews",
        "a keep-alive is answered by whoever is asked, from what the lease was granted for",
        (
            Change(
                _LEASING,
                "        self.calls.ask(_QUESTION.pack(_Asked.RENEW, lease_id), answered)\n",
                "        lease = self.book.get(lease_id)\n"
                "        if self.lessor.term == OUT_OF_OFFICE and lease is not None:\n"
                "            renewed(lease.ttl_s)\n"
                "            return\n"
                "        self.calls.ask(_QUESTION.pack(_Asked.RENEW, lease_id), answered)\n",
            ),
        ),
        frozenset(("lease",)),
        Hunt(workload="lease"),
    ),
    Mutant(
        72,
        "revoke-leaves-a-key",
        "a lease ends without its first key",
        (
            Change(
                _APPLY,
                "    keys = state.leases.keys(lease_id)\n",
                "    keys = state.leases.keys(lease_id)[1:]\n",
            ),
        ),
        frozenset(("lease", "linearizable")),
        Hunt(workload="lease", kinds=("kill",)),
    ),
    Mutant(
        73,
        "nobody-expires",
        "leases end by revoke alone",
        (Change(_LESSOR, "        self._expire(now)\n", ""),),
        frozenset(("lease",)),
        Hunt(workload="lease", kinds=("kill",)),
    ),
    Mutant(
        74,
        "expires-past-the-log",
        "the leader ends leases in its own book alone, and not through the log",
        (
            Change(
                _LEASING,
                "        self._log(RequestKind.LEASE_EXPIRY, encode_expiry(term, ids), logged)\n",
                "        for lease_id in ids:\n"
                "            self.book.end(lease_id)\n"
                "        logged(None)\n",
            ),
        ),
        frozenset(("lease", "linearizable", "equal states", "hashes")),
        Hunt(workload="lease", kinds=("kill",)),
    ),
)
