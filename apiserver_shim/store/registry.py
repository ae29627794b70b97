"""Objects in the store: read and written as a real apiserver does it in etcd.

Owns: the Txns (create if absent, write if unchanged) and what a doubtful write means. Must never
do: know kinds, or repeat a write that could take effect twice.
A write guarded by mod_revision is safe to ask again: of two that carry the same guard one at most
takes effect. So an unanswered write is repeated, and if the guard fails then, the key tells whether
the first one was the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from apiserver_shim.api.stored import StoredObject
from raftkv.api.kv_pb2 import KeyValue
from raftkv.api.rpc_pb2 import RangeRequest, TxnResponse
from raftkv.client import Client, Txn, prefix_end
from raftkv.client.txn import delete, get, mod_revision, put
from raftkv.errors import MaybeExecuted

WRITE_TRIES_MAX = 5


@dataclass(frozen=True, slots=True)
class Written:
    """``done`` or not; ``now`` is what the key holds: what was written, or what stood in the way
    (None if nothing is there). ``revision``: the store's when it answered."""

    done: bool
    now: StoredObject | None
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """``remaining``: how many keys of the range follow. ``last``: the last key read."""

    found: list[StoredObject]
    revision: int
    last: str
    remaining: int


class Registry:
    """``on_request`` is told each request's operation and seconds, by ``monotonic``."""

    def __init__(self, client: Client, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self.on_request: Callable[[str, float], None] = lambda operation, seconds: None

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        began = self._monotonic()
        try:
            yield
        finally:
            self.on_request(operation, self._monotonic() - began)

    async def get(self, key: str) -> StoredObject | None:
        """The newest: never older than any write acknowledged before the call."""
        with self._timed("get"):
            kv = await self._client.get(key)
        return None if kv is None else _stored(kv)

    async def revision(self) -> int:
        """The store's newest revision: never older than any write acknowledged before the call."""
        with self._timed("revision"):
            reply = await self._client.range(RangeRequest(key=b"/registry/", count_only=True))
        return reply.header.revision

    async def page(self, prefix: str, start: str, limit: int, revision: int) -> Page:
        """Up to ``limit`` objects (0: all) from key ``start`` on, as of ``revision`` (0: now).
        Raises Compacted and FutureRevision."""
        request = RangeRequest(
            key=start.encode(),
            range_end=prefix_end(prefix.encode()),
            limit=limit,
            revision=revision,
        )
        with self._timed("list"):
            reply = await self._client.range(request)
        found = [_stored(kv) for kv in reply.kvs]
        last = found[-1].key if found else ""
        at = revision or reply.header.revision
        return Page(found, at, last, reply.count - len(found))

    async def create(self, key: str, value: bytes, *, lease: int = 0) -> Written:
        return await self.write(key, value, 0, lease=lease)

    async def write(self, key: str, value: bytes, expected: int, *, lease: int = 0) -> Written:
        """Put ``value`` if the key's mod_revision is ``expected``."""
        txn = (
            Txn()
            .when(mod_revision(key) == expected)
            .then(put(key, value, lease=lease))
            .otherwise(get(key))
        )
        with self._timed("update" if expected else "create"):
            reply, doubted = await self._guarded(txn)
        if reply.succeeded:
            revision = reply.header.revision
            return Written(True, StoredObject(key, value, revision), revision)
        kvs = reply.responses[0].response_range.kvs
        now = _stored(kvs[0]) if kvs else None
        ours = doubted and bool(kvs) and kvs[0].value == value and kvs[0].mod_revision > expected
        return Written(ours, now, reply.header.revision)

    async def delete(self, key: str, expected: int) -> Written:
        """Remove the key if its mod_revision is ``expected``."""
        txn = Txn().when(mod_revision(key) == expected).then(delete(key)).otherwise(get(key))
        with self._timed("delete"):
            reply, doubted = await self._guarded(txn)
        if reply.succeeded:
            return Written(True, None, reply.header.revision)
        kvs = reply.responses[0].response_range.kvs
        now = _stored(kvs[0]) if kvs else None
        return Written(doubted and now is None, now, reply.header.revision)

    async def _guarded(self, txn: Txn) -> tuple[TxnResponse, bool]:
        """The answer, and whether an earlier try may have had effect."""
        doubt: MaybeExecuted | None = None
        for _ in range(WRITE_TRIES_MAX):
            try:
                return await self._client.txn(txn), doubt is not None
            except MaybeExecuted as e:
                doubt = e
        assert doubt is not None, "no try was made"
        raise doubt


def _stored(kv: KeyValue) -> StoredObject:
    return StoredObject(kv.key.decode(), kv.value, kv.mod_revision)
