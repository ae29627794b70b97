"""Which tests run beside which, when pytest has two processes.

Owns: the units that stay in one process, and who comes first. Must never do: know a test.

A file is a unit, for its tests share their module's cluster. So is a folder whose tests share
addresses of the machine. What is long comes first: who is left over at the end is short.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

WHOLE_FOLDERS = ("tests/shim/",)
"""Nodes and services of the Kubernetes API have fixed addresses on loopback."""
WITH_THEM = ("tests/docs/test_docs_walk_control_plane",)
"""Files elsewhere that start a control plane."""
LONGEST_FIRST = ("tests/shim/", "tests/docs/", "tests/e2e/", "tests/ui/", "tests/jepsen_like/")


class Lanes(LoadScopeScheduling):
    """Hands a unit to the process that has nothing left."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith((*WHOLE_FOLDERS, *WITH_THEM)):
            return WHOLE_FOLDERS[0]
        return nodeid.partition("::")[0]


def longest_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The same items; those of LONGEST_FIRST before the rest, each in the order that it had."""

    def place(item: pytest.Item) -> int:
        folders = enumerate(LONGEST_FIRST)
        found = (at for at, folder in folders if item.nodeid.startswith(folder))
        return next(found, len(LONGEST_FIRST))

    return sorted(items, key=place)
