"""Which program the members run: raftkv, or any other that takes etcd's flags.

Owns: the command, its environment and what may be expected of it. Must never do: start it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jepsen_like.nemesis.registry import DEFRAG, LEADER_TRANSFER, MEMBER_CHANGE, PRELOAD

ROOT = Path(__file__).parents[2]
NAMES = ("raftkv", "etcd")
SNAPSHOT_COUNT = 500
"""Entries between snapshots: few, so that a member that was away gets one instead of the log."""


@dataclass(frozen=True, slots=True)
class Program:
    """``features`` are of those that a Workload or a Nemesis ``needs``; ``flags`` come before the
    members'. ``database`` is the file's place in the data directory."""

    name: str
    command: tuple[str, ...]
    features: frozenset[str]
    flags: tuple[str, ...] = ()
    database: str = "member/db"
    log: str = "member/wal/*.wal"

    def command_line(self, settings: dict[str, str]) -> list[str]:
        """``settings`` are etcd's flags without the dashes."""
        given = [f"--{name}={value}" for name, value in settings.items()]
        return [*self.command, *self.flags, *given]

    def environment(self) -> dict[str, str]:
        """The caller's, without settings of etcd's, and with this checkout importable."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
        return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def program_named(name: str, binary: str = "", flags: Sequence[str] = ()) -> Program:
    """``binary`` "" is the installed raftkv, or the etcd on the PATH."""
    count = f"--snapshot-count={SNAPSHOT_COUNT}"
    if name == "raftkv":
        command = (
            (binary, "serve") if binary else (sys.executable, "-m", "raftkv.cli.main", "serve")
        )
        own = (count, f"--snapshot-catchup-entries={SNAPSHOT_COUNT // 5}")
        features = frozenset({"kv", "watch", "lease", "lock", PRELOAD})
        return Program(name, command, features, (*own, *flags))
    if name == "etcd":
        changes = {LEADER_TRANSFER, MEMBER_CHANGE, DEFRAG}
        features = frozenset({"kv", "watch", "lease", "lock"} | changes)
        database = "member/snap/db"
        return Program(name, (binary or "etcd",), features, (count, *flags), database)
    raise ValueError(f"no program {name!r}: one of {', '.join(NAMES)} is expected")
