"""Mutants of watches: where most of etcd's own bugs were."""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Hunt, Mutant

_HUB = "raftkv.mvcc.watch_hub"
_BEHIND = ("isolate", "kill", "one-way cut")

WATCHES = (
    Mutant(
        42,
        "progress-while-behind",
        "a progress notification is sent though a watcher is still reading history",
        (
            Change(
                "raftkv.rpc.watch_stream",
                "        if self._watches and all(\n"
                "            watch.watcher is not None and self._hub.is_in_step(watch.watcher)\n"
                "            for watch in self._watches.values()\n"
                "        ):\n",
                "        if self._watches:\n",
            ),
        ),
        frozenset(("watch",)),
        Hunt(workload="watch"),
        "etcd #15220",
    ),
    Mutant(
        43,
        "restored-watchers-go-back",
        "after a snapshot is installed, watchers start again from their first revision",
        (
            Change(
                _HUB,
                "            self._note_position(watcher)\n"
                "            if watcher.next_revision <= current:\n",
                "            watcher.next_revision = watcher.spec.start_revision or 1\n"
                "            if watcher.next_revision <= current:\n",
            ),
        ),
        frozenset(("watch",)),
        Hunt(workload="watch", kinds=("isolate", "one-way cut"), size=3),
        "etcd #15271",
    ),
    Mutant(
        44,
        "restored-future-lowered",
        "after a snapshot is installed, a watch of the future begins at once",
        (
            Change(
                _HUB,
                "            self._note_position(watcher)\n"
                "            if watcher.next_revision <= current:\n",
                "            watcher.next_revision = self._published + 1\n"
                "            if watcher.next_revision <= current:\n",
            ),
        ),
        frozenset(("watch",)),
        Hunt(workload="watch", kinds=("isolate", "one-way cut"), size=3),
        "etcd #20221",
    ),
    Mutant(
        45,
        "compacted-watcher-goes-on",
        "a watcher that a compaction has overtaken goes on after it and is not told",
        (
            Change(
                _HUB,
                "                for watcher in list(cohort.watchers):\n"
                "                    self.cancel(watcher)\n"
                "                    watcher.sink.compacted(watcher, compacted)\n",
                "                cohort.advance(compacted)\n",
            ),
        ),
        frozenset(("watch",)),
        Hunt(workload="watch", faults_until_s=6.0),
        "etcd #17529",
    ),
    Mutant(
        47,
        "silent-at-compact-revision",
        "a watch that starts at the compacted revision gets nothing of the past",
        (
            Change(
                _HUB,
                "        else:\n"
                "            self._begin_catch_up(watcher)\n        return watcher\n",
                "        elif watcher.next_revision == self._store.compact_revision:\n"
                "            watcher.next_revision = current + 1\n"
                "            self._follow(watcher)\n"
                "        else:\n"
                "            self._begin_catch_up(watcher)\n        return watcher\n",
            ),
        ),
        frozenset(("watch",)),
        Hunt(workload="watch"),
    ),
    Mutant(
        48,
        "prev-at-head",
        "the previous value of a caught-up event is the newest one",
        (
            Change(
                "raftkv.mvcc.history",
                "                previous = before.key_value\n",
                "                newest = self._backend.get(Table.LATEST, key)\n"
                "                previous = before.key_value if newest is None else "
                "row_body(newest)\n",
            ),
            Change(
                "raftkv.mvcc.history",
                "from raftkv.mvcc.record import (",
                "from raftkv.mvcc.codec import row_body\nfrom raftkv.mvcc.record import (",
            ),
        ),
        frozenset(("watch",)),
        Hunt(workload="watch"),
    ),
    Mutant(
        103,
        "pause-forgets-position",
        "a watcher whose reader is slow goes on from now when the reader has caught up",
        (
            Change(
                _HUB,
                "            if watcher.next_revision > self._store.current_revision:\n"
                "                self._follow(watcher)\n",
                "            if watcher.next_revision > 0:\n"
                "                self._follow(watcher)\n",
            ),
        ),
        frozenset(("watch",)),
        Hunt(workload="watch"),
    ),
)
