"""Transactions as Kubernetes writes: if the object is at the revision I know, put, else get.

Owns: the work of the group txn. Must never do: let two clients share an object, which would make
the share of lost races the figure.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.measurement import Measurement, NotProven
from benchmarks.scripts import UpdateScript, numbered
from benchmarks.unary_client import ClosedLoop
from benchmarks.unary_work import VALUE_BYTES, by_clients, proven_writes
from tests.e2e.cluster import Cluster

PREFIX = b"txn/"


@dataclass(frozen=True, slots=True)
class TxnWork:
    """Each client updates an object of its own through the leader, over and over."""

    clients: int
    seconds: float
    target: float | None = None
    group: str = "txn"

    @property
    def name(self) -> str:
        return by_clients("txn: if mod_revision, put, else get", self.clients)

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        api = cluster.api(leader)
        before = api.range(PREFIX, b"txn0")
        known = {kv.key: kv.mod_revision for kv in before.kvs}
        keys = [numbered(PREFIX, number) for number in range(self.clients)]
        scripts = [UpdateScript(key, VALUE_BYTES, known.get(key, 0)) for key in keys]
        load = ClosedLoop(leader.endpoint, scripts).run(self.seconds).load
        updates = sum(script.updates for script in scripts)
        if updates != load.requests:
            raise NotProven(f"{load.requests} transactions, {updates} of them succeeded")
        return proven_writes(load, api.revision() - before.header.revision, self.target)
