"""Starts a fresh raftkv and a fresh etcd and plays given operations on them.

Owns: the stores of the differential tests. Must never do: reuse a store that has a past.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.differential.operations import Operation
from tests.differential.player import Pair
from tests.differential.store import Store
from tests.differential.strategies import REQUEST_BYTES_MAX, TXN_OPS_MAX
from tests.e2e.cluster import Cluster
from tests.e2e.program import ETCD_3_5, RAFTKV

FLAGS = (
    f"--max-txn-ops={TXN_OPS_MAX}",
    f"--max-request-bytes={REQUEST_BYTES_MAX}",
    "--bcrypt-cost=4",
)


@contextmanager
def started_pair(directory: Path, *, members: int) -> Iterator[Pair]:
    """raftkv with ``members`` members, and one etcd."""
    with ExitStack() as stack:
        stores = []
        for program, size in ((RAFTKV, members), (ETCD_3_5, 1)):
            home = directory / program.name
            home.mkdir(parents=True)
            cluster = stack.enter_context(Cluster(program, home, members=size, flags=FLAGS))
            store = Store(cluster)
            stack.callback(store.close)
            stores.append(store)
        yield Pair(*stores)
        stores[0].cluster.wait_alike()
        broken = stores[0].cluster.broken_log_lines()
        assert not broken, "\n".join(broken)


def replay(*, members: int, operations: list[Operation]) -> None:
    """What the program calls that a failed test prints."""
    with (
        tempfile.TemporaryDirectory() as directory,
        started_pair(Path(directory), members=members) as pair,
    ):
        found = pair.play(operations)
        print(found or "no difference")
