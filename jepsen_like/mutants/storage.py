"""Mutants of the log, the database and what reconciles them."""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Hunt, Mutant

_LOST = (
    "acknowledged entries survive",
    "linearizable",
    "leader completeness",
    "state machine safety",
    "equal states",
    "hashes",
    "assertion",
)
_STARTS = ("a crash leaves what can be started",)

STORAGE = (
    Mutant(
        28,
        "applied-index-apart",
        "the applied index is committed in the transaction after the data's",
        (
            Change(
                "raftkv.server.committer",
                "        state = self._save_applied()\n\n"
                "        def then() -> None:\n            self.committed = state\n",
                "        def then() -> None:\n            self.committed = self._save_applied()\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=("kill", "power cut")),
        "etcd #13766",
    ),
    Mutant(
        29,
        "snapshot-named-by-live-index",
        "a snapshot file is named by what the database holds now, not by what the copy holds",
        (
            Change(
                "raftkv.server.foundation",
                "            applied = _read_applied(copy)\n        finally:",
                "            applied = _read_applied(self.backend)\n        finally:",
            ),
            Change(
                "raftkv.server.foundation",
                '        assert found == index, f"the snapshot for index {index} holds index '
                '{found}"\n',
                "        del found\n",
            ),
        ),
        frozenset((*_LOST, *_STARTS, "applied is committed")),
        Hunt(kinds=("isolate", "kill", "slow disk")),
        "etcd #14685",
    ),
    Mutant(
        31,
        "damage-taken-for-torn-tail",
        "a log with a bad checksum is cut there, whatever follows",
        (
            Change(
                "raftkv.wal.recovery",
                "        if record is not None and record.synced_to > offset:\n",
                "        if record is None and offset < 0:\n",
            ),
            Change("raftkv.wal.recovery", "    if not is_last and tail:\n", "    if offset < 0:\n"),
        ),
        frozenset(_LOST),
        Hunt(kinds=("bit rot in the log of a stopped member", "kill"), size=3),
        "protocol-aware recovery (FAST '18)",
    ),
    Mutant(
        32,
        "sync-error-ignored",
        "after a failed sync the member goes on and acknowledges",
        (
            Change(
                "raftkv.server.persister",
                "            if error is not None:\n"
                "                self._fatal(error)\n"
                "                return\n"
                "            self.fsync_seconds",
                "            self.fsync_seconds",
            ),
        ),
        frozenset((*_LOST, "a healed quorum serves", "a crash leaves what can be started")),
        Hunt(kinds=("sync error", "power cut")),
        "fsyncgate",
    ),
    Mutant(
        33,
        "segment-name-not-synced",
        "a new segment of the log is renamed, and its directory is not synced",
        (
            Change(
                "raftkv.wal.log",
                "        self._disk.sync_dir(self._directory)\n        self._file, self._offset",
                "        self._file, self._offset",
            ),
        ),
        frozenset((*_LOST, *_STARTS)),
        Hunt(kinds=("power cut", "power cut of all")),
    ),
    Mutant(
        35,
        "half-an-entry",
        "a member that answers nobody applies only half of a large batch",
        (
            Change(
                "raftkv.apply.applier",
                "        for kind, payload in batch.requests:\n",
                "        for kind, payload in (\n"
                "            batch.requests if want_replies or len(batch.requests) < 3\n"
                "            else batch.requests[: len(batch.requests) // 2]\n"
                "        ):\n",
            ),
        ),
        frozenset(("equal states", "hashes")),
        Hunt(kinds=("slow disk", "pause"), size=3),
    ),
    Mutant(
        101,
        "control-no-fsync",
        "positive control: nothing is ever synced",
        (
            Change(
                "raftkv.wal.log",
                "        try:\n            file.sync()\n",
                "        try:\n            assert file is not None\n",
            ),
        ),
        frozenset((*_LOST, *_STARTS)),
        Hunt(kinds=("power cut", "power cut of all")),
    ),
)
