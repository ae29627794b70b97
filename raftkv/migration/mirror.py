"""One cluster's keys kept in another: copied at one revision, then followed.

Owns: what is written to the target, in the source's order. Must never do: anything that depends on
which of the two is etcd: both are reached through etcd's API, so that one can move over and back.

The copy writes only what differs, so that a mirror that was stopped goes on where it was. Nobody
else may write below the prefix at the target while it runs: a write whose fate is unknown is done
again, since doing it twice does no harm. Revisions are the target's own, and a key is copied
without its lease: while the mirror runs, the source's deletions end it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.client import Client, prefix_end
from raftkv.client.history import pages
from raftkv.client.txn import Txn, delete, put
from raftkv.errors import Compacted, ConfigError, MaybeExecuted, Unavailable

OPERATIONS_MAX = 100
"""Of one txn: etcd takes 128 by default."""
BYTES_MAX = 1 << 20
"""Of one txn: etcd takes 1.5 MiB by default."""
TRIES_MAX = 20
"""Of one txn while the target does not answer; then the mirror ends, and can be started again."""
PAGE_KEYS = 500


class Told(Protocol):
    """Who is told how the work goes."""

    def copied(self, keys: int, written: int) -> None:
        """So many keys were looked at, so many operations done, since the copy began."""

    def followed(self, revision: int) -> None:
        """Everything up to the source's ``revision`` is at the target."""

    def copies_again(self, compacted: int) -> None:
        """A compaction took what was still to be read."""


@dataclass(frozen=True, slots=True)
class Difference:
    """``source`` is None for a key that the target alone has, ``target`` for one it lacks."""

    source: KeyValue | None
    target: KeyValue | None

    @property
    def key(self) -> bytes:
        kv = self.source or self.target
        assert kv is not None, "a difference has a side"
        return kv.key


class Mirror:
    """``prune``: delete keys of the target that the source does not have, instead of refusing to
    begin. ``run`` returns only by an error."""

    def __init__(
        self, source: Client, target: Client, told: Told, *, prefix: bytes = b"", prune: bool
    ) -> None:
        self._source = source
        self._target = target
        self._told = told
        self._key = prefix or b"\0"
        self._end = prefix_end(prefix)
        self._prune = prune

    async def run(self) -> None:
        """Copy, and follow for ever. Raises ConfigError for keys that are not to be pruned, and
        what the clusters answer."""
        while True:
            try:
                revision = await self.copy()
                self._prune = True  # from now on what the target has is ours
                await self._follow(revision)
            except Compacted as e:
                self._told.copies_again(e.compact_revision)

    async def copy(self) -> int:
        """Make the target what the source was at one revision, which is returned."""
        revision = await self._source.revision()
        if not self._prune:
            await self._refuse_strangers(revision)
        keys = written = 0
        batch = _Batch()
        async for difference in self._walk(revision):
            keys += 1
            if difference is None:
                continue
            operation = (
                delete(difference.key)
                if difference.source is None
                else put(difference.key, difference.source.value)
            )
            if not batch.takes(difference.key, operation):
                written += await self._write(batch)
                batch = _Batch()
                batch.takes(difference.key, operation)
                self._told.copied(keys, written)
        written += await self._write(batch)
        self._told.copied(keys, written)
        self._told.followed(revision)
        return revision

    async def differences(self) -> AsyncIterator[Difference]:
        """What is not alike now. Meaningful while nobody writes to the source."""
        async for difference in self._walk(await self._source.revision()):
            if difference is not None:
                yield difference

    # --- following --------------------------------------------------------------------------------

    async def _follow(self, revision: int) -> None:
        """Each txn holds whole revisions, unless one alone is too large for a txn."""
        start = revision + 1
        watch = self._source.watch(self._key, range_end=self._end, start_revision=start)
        async for response in watch:
            batch = _Batch()
            for events in _by_revision(response.events):
                group = [(event.kv.key, _operation(event)) for event in events]
                if not batch.takes_all(group):
                    await self._write(batch)
                    batch = _Batch()
                    if not batch.takes_all(group):
                        batch = await self._write_long(group)
            await self._write(batch)
            self._told.followed(response.events[-1].kv.mod_revision)

    async def _write_long(self, group: Sequence[tuple[bytes, api.RequestOp]]) -> _Batch:
        """One revision in several txns; the rest is returned."""
        batch = _Batch()
        for key, operation in group:
            if not batch.takes(key, operation):
                await self._write(batch)
                batch = _Batch()
                batch.takes(key, operation)
        return batch

    async def _write(self, batch: _Batch) -> int:
        """How many operations it was."""
        if not batch.operations:
            return 0
        txn = Txn().then(*batch.operations)
        for attempt in range(1, TRIES_MAX):
            try:
                await self._target.txn(txn)
                return len(batch.operations)
            except (MaybeExecuted, Unavailable):
                await self._target.back_off(attempt)
        await self._target.txn(txn)
        return len(batch.operations)

    # --- comparing --------------------------------------------------------------------------------

    async def _walk(self, revision: int) -> AsyncIterator[Difference | None]:
        """All keys of both sides in order; None for one that is alike."""
        theirs = pages(self._source, revision, self._key, self._end, PAGE_KEYS)
        ours = pages(self._target, await self._target.revision(), self._key, self._end, PAGE_KEYS)
        source, target = await anext(theirs, None), await anext(ours, None)
        while source is not None or target is not None:
            if target is None or (source is not None and source.key < target.key):
                yield Difference(source, None)
                source = await anext(theirs, None)
            elif source is None or target.key < source.key:
                yield Difference(None, target)
                target = await anext(ours, None)
            else:
                yield None if source.value == target.value else Difference(source, target)
                source, target = await anext(theirs, None), await anext(ours, None)

    async def _refuse_strangers(self, revision: int) -> None:
        """Before anything is written. Raises ConfigError."""
        strangers = 0
        first = b""
        async for difference in self._walk(revision):
            if difference is not None and difference.source is None:
                first = first or difference.key
                strangers += 1
        if strangers:
            raise ConfigError(
                f"the target has {strangers} keys that the source has not, {first!r} the first: "
                f"give another --prefix, or --prune to delete them"
            )


class _Batch:
    """The operations of one txn. A key may be in it once."""

    def __init__(self) -> None:
        self.operations: list[api.RequestOp] = []
        self._keys: set[bytes] = set()
        self._bytes = 0

    def takes(self, key: bytes, operation: api.RequestOp) -> bool:
        """False when it has no room. An empty one takes anything."""
        return self.takes_all([(key, operation)])

    def takes_all(self, group: Sequence[tuple[bytes, api.RequestOp]]) -> bool:
        """All or none; of several, only what is in bounds."""
        size = sum(operation.ByteSize() for _, operation in group)
        fits = (
            len(self.operations) + len(group) <= OPERATIONS_MAX
            and self._bytes + size <= BYTES_MAX
            and not any(key in self._keys for key, _ in group)
        )
        if fits or (not self.operations and len(group) == 1):
            self.operations += [operation for _, operation in group]
            self._keys.update(key for key, _ in group)
            self._bytes += size
            return True
        return False


def _by_revision(events: Sequence[Event]) -> list[list[Event]]:
    groups: list[list[Event]] = []
    for event in events:
        if not groups or groups[-1][0].kv.mod_revision != event.kv.mod_revision:
            groups.append([])
        groups[-1].append(event)
    return groups


def _operation(event: Event) -> api.RequestOp:
    if event.type == Event.DELETE:
        return delete(event.kv.key)
    return put(event.kv.key, event.kv.value)
