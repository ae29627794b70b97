"""Mutants of the key space, its compaction and the application of requests."""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Hunt, Mutant

_COMPACT = "raftkv.mvcc.compaction"

KEYSPACE = (
    Mutant(
        36,
        "revision-from-last-record",
        "after a restart the revision is that of the newest record, and a compaction at a delete "
        "takes that record away",
        (
            Change(
                "raftkv.mvcc.store",
                "        self.current_revision = EMPTY_REVISION if data is None else int(data)\n",
                "        rows = [p[0] for p, _ in self.history.scan(0, 1 << 60)]\n"
                "        self.current_revision = max(rows, default=EMPTY_REVISION if data is None "
                "else 1)\n",
            ),
            Change(
                _COMPACT,
                "if record.is_tombstone and position[0] < self.scheduled:",
                "if record.is_tombstone and position[0] <= self.scheduled:",
            ),
        ),
        frozenset(("linearizable", "equal states", "hashes", "watch")),
        Hunt(kinds=("kill all", "kill")),
        "etcd #17780",
    ),
    Mutant(
        37,
        "tombstone-only-key-skipped",
        "history leaves out the event of a delete whose key has no older record any more",
        (
            Change(
                "raftkv.mvcc.history",
                "            group.append(self._event(main, sub, record, prev_from))\n",
                "            if record.is_tombstone and self.get(record.previous) is None:\n"
                "                continue\n"
                "            group.append(self._event(main, sub, record, prev_from))\n",
            ),
        ),
        frozenset(("watch",)),
        Hunt(workload="watch"),
        "etcd #19179",
    ),
    Mutant(
        38,
        "txn-reads-stripped",
        "a member that answers nobody does not check a transaction's reads",
        (
            Change(
                "raftkv.apply.txn",
                "    _Checks(state.store, state.leases).check(branch)\n",
                "    if header is not None:\n"
                "        _Checks(state.store, state.leases).check(branch)\n",
            ),
        ),
        frozenset(("equal states", "hashes")),
        Hunt(size=3),
        "etcd #18667",
    ),
    Mutant(
        40,
        "two-revisions-for-one-txn",
        "the second write of a transaction gets a revision of its own",
        (
            Change(
                "raftkv.mvcc.write_txn",
                "        self._sub = sub + 1\n        link",
                "        self._sub = sub + 1\n"
                "        if sub == 1:\n"
                "            self.revision += 1\n"
                "        link",
            ),
        ),
        frozenset(("linearizable", "watch", "assertion")),
        Hunt(),
        "etcd #17247",
    ),
    Mutant(
        41,
        "version-survives-delete",
        "a key that is created anew goes on counting versions",
        (
            Change(
                "raftkv.mvcc.write_txn",
                "last, previous_kv, version = self._revive(key), None, 1\n",
                "last, previous_kv, version = self._revive(key), None, 1\n"
                "            if last is not None:\n"
                "                version = last.depth\n",
            ),
        ),
        frozenset(("linearizable", "watch")),
        Hunt(),
    ),
    Mutant(
        46,
        "compaction-drops-delete",
        "a compaction at the revision of a delete removes the delete as well",
        (
            Change(
                _COMPACT,
                "if record.is_tombstone and position[0] < self.scheduled:",
                "if record.is_tombstone and position[0] <= self.scheduled:",
            ),
        ),
        frozenset(("watch", "linearizable", "hashes")),
        Hunt(workload="watch"),
        "etcd #18089",
    ),
    Mutant(
        102,
        "control-serializable-reads",
        "positive control: every read is served from the member's own state",
        (
            Change(
                "jepsen_like.client.codec",
                "        serializable=get.serializable,\n",
                "        serializable=True,\n",
            ),
        ),
        frozenset(("linearizable",)),
        Hunt(workload="register"),
    ),
)
