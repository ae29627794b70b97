"""A cluster as a follower sees it, whose every answer a test decides.

Owns: FollowedCluster, which stands in for ``Client``. Must never do: network, or time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Meta, Table
from raftkv.client.snapshot import SaveOptions
from raftkv.errors import Compacted, PermissionDenied, Unavailable
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.store import Store
from raftkv.raft.message import ConfState
from raftkv.server.applied_state import AppliedState


class FollowedCluster:
    """Puts go to a real store. ``loses_events`` has the watch bring nothing, ``refuses`` lets
    nobody in; ``snapshots_fail`` and ``fails`` count down the calls that are refused."""

    def __init__(self, directory: Path) -> None:
        self.cluster_id = 7
        self.loses_events = False
        self.refuses = False
        self.snapshots_fail = 0
        self.fails = 0
        self.snapshots = 0
        self.watches: list[int] = []
        self._directory = directory
        self._changed = asyncio.Event()
        self._begin(directory / "db")
        self.maintenance = SimpleNamespace(snapshot=self._snapshot)

    def _begin(self, path: Path) -> None:
        self._backend = LmdbBackend(str(path))
        applied = AppliedState(1, 1, ConfState(voters=(1,)))
        self._backend.put(Table.META, Meta.APPLIED, applied.encode())
        self.store = Store(self._backend)
        self.leases = LeaseBook(self._backend)

    def replace(self, cluster_id: int) -> None:
        """Another cluster answers from now on, with a history of its own."""
        self.cluster_id = cluster_id
        self._begin(self._directory / f"db-{cluster_id}")
        self._changed.set()

    @property
    def revision(self) -> int:
        return self.store.current_revision

    def put(self, key: bytes, lease: int = 0) -> int:
        if lease and not self.leases.exists(lease):
            self.leases.grant(lease, 60)
        txn = self.store.begin()
        self.leases.put(key, txn.put(key, b"v", lease), lease)
        revision = txn.end()
        self._changed.set()
        return revision

    # --- what a follower asks of a Client ---

    async def range(self, request: api.RangeRequest) -> api.RangeResponse:
        self._may_fail()
        return api.RangeResponse(header=self._header())

    def watch(self, key: bytes, *, start_revision: int, **rest: Any) -> Any:
        self.watches.append(start_revision)
        return self._watch(start_revision)

    async def _watch(self, start: int) -> AsyncIterator[api.WatchResponse]:
        while True:
            if start < self.store.compact_revision:
                raise Compacted(self.store.compact_revision)
            self._may_fail()
            happened = [] if self.loses_events else self.store.events_since(start, 2)
            if not happened:
                await self._changed.wait()
                self._changed.clear()
                continue
            events = [
                Event(
                    type=Event.DELETE if event.is_delete else Event.PUT,
                    kv=KeyValue.FromString(event.kv),
                )
                for each in happened
                for event in each.events
            ]
            start = happened[-1].revision + 1
            yield api.WatchResponse(header=self._header(), events=events)

    async def time_to_live(self, lease_id: int) -> api.LeaseTimeToLiveResponse:
        lease = self.leases.get(lease_id)
        return api.LeaseTimeToLiveResponse(grantedTTL=-1 if lease is None else lease.ttl_s)

    async def _snapshot(self, path: str, options: SaveOptions) -> int:
        self.snapshots += 1
        if self.snapshots_fail:
            self.snapshots_fail -= 1
            raise Unavailable("no member answers")
        self.store.flush_meta()
        self._backend.commit()
        copy = self._directory / f"copy-{self.snapshots}"
        self._backend.copy_to(str(copy))
        return _saved(copy, Path(path), options)

    def _header(self) -> api.ResponseHeader:
        return api.ResponseHeader(cluster_id=self.cluster_id, revision=self.revision)

    def _may_fail(self) -> None:
        if self.refuses:
            raise PermissionDenied("etcdserver: permission denied")
        if self.fails:
            self.fails -= 1
            self._changed.set()
            raise Unavailable("no member answers")


def _saved(copy: Path, path: Path, options: SaveOptions) -> int:
    part = path.with_name(f"{path.name}.part")
    image = copy.read_bytes()
    part.write_bytes(image + hashlib.sha256(image).digest())
    options.check(str(part))
    part.rename(path)
    return len(image)
