"""`raftkv ctl backup run`: every revision of a cluster, in a directory, a moment later.

Owns: following one member after another by a watch on all keys, and new bases in time. Must never
do: hide that revisions were lost: then another chain begins, with a base of its own, loudly.

The source is the watch and not the Raft log: it has all revisions in order, from any member, goes
on where it was after any failure, and needs no right but root's. What it has not is what is no key:
users and roles are as of a base, leases are asked for when a key first hangs on them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event
from raftkv.backup.basing import BaseMaker
from raftkv.backup.directory import BackupDirectory
from raftkv.backup.record import Change, SegmentHead
from raftkv.backup.writing import SEGMENT_BYTES, LogWriter, NowMs, taken_up
from raftkv.client import Client
from raftkv.errors import (
    AuthFailed,
    AuthNotEnabled,
    Compacted,
    Corrupt,
    PermissionDenied,
    RaftKVError,
    UserEmpty,
)
from raftkv.log_fields import fields, hex_id

log = logging.getLogger("raftkv.backup")

SYNC_INTERVAL_S = 0.1
"""What was received is durable after as long and the time of a sync: well within a second."""
STALL_CHECK_S = 5.0
"""How often a watch that brings nothing is compared with the cluster's revision."""
RETRY_MIN_S = 0.2
RETRY_MAX_S = 5.0
"""Between two tries to follow; there is no last one."""
LEASES_INTERVAL_S = 0.5
LEASES_KNOWN_MAX = 100_000
LEASES_PER_TURN = 50
LEASES_WAITING_MAX = 10_000
BYTES_WAITING_MAX = 64 << 20
"""Received and not written: the watch is not read meanwhile."""


_REFUSALS = (UserEmpty, AuthFailed, PermissionDenied, AuthNotEnabled)


class AnotherCluster(RaftKVError):
    """Whoever answers is not the cluster that the chain is of, or has lost revisions."""


class Stalled(RaftKVError):
    """The cluster has revisions that the watch does not bring."""


@dataclass(frozen=True, slots=True)
class FollowOptions:
    base_interval_s: float = 3600.0
    keep: int = 3
    rate_bytes_s: float = 0.0
    segment_bytes: int = SEGMENT_BYTES


class Follower:
    """``run`` ends by being cancelled, with OSError for a directory that takes no more, and with
    the cluster's own error when it lets the caller in at no time."""

    def __init__(
        self,
        client: Client,
        directory: BackupDirectory,
        options: FollowOptions,
        now_ms: NowMs,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._directory = directory
        self._options = options
        self._now_ms = now_ms
        self._pause = pause
        self._bases = BaseMaker(client, directory, options.keep, options.rate_bytes_s, now_ms)
        self._writer: LogWriter | None = None
        self._failures = 0
        self._is_broken = False
        self._leases = _Leases(client)
        self._disk_thread = ThreadPoolExecutor(1, "backup-log")  # one after the other

    @property
    def kept_revision(self) -> int:
        """Everything up to it is durable in the directory; 0 before it is known."""
        return self._writer.kept_revision if self._writer is not None else 0

    async def run(self) -> None:
        self._directory.remove_unfinished()
        try:
            while True:
                try:
                    await self._follow()
                except Compacted as e:
                    self._break_chain(f"a compaction at revision {e.compact_revision} overtook it")
                except (AnotherCluster, Corrupt) as e:
                    self._break_chain(str(e))
                except _REFUSALS as e:
                    if not self.kept_revision:
                        raise  # nobody has let it in yet: the next try would be like this one
                    self._note(e)
                except (RaftKVError, TimeoutError) as e:
                    self._note(e)
                await self._pause(min(RETRY_MIN_S * 2 ** min(self._failures, 8), RETRY_MAX_S))
        finally:
            self._let_go()

    def _note(self, error: Exception) -> None:
        self._failures += 1
        log.warning(
            "cannot follow the cluster; trying again",
            extra=fields(error=str(error), failures=self._failures),
        )

    async def _follow(self) -> None:
        writer = await self._writer_for(await self._client.range(_NOTHING))
        jobs = (self._receive, self._sync, self._ask_leases, self._look, self._rebase)
        tasks = [asyncio.ensure_future(job(writer)) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._write(writer)

    async def _write(self, writer: LogWriter) -> None:
        """Durably: whatever was taken before, by a task that may be gone, is written before."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._disk_thread, writer.write, writer.take())

    # --- the chain --------------------------------------------------------------------------

    async def _writer_for(self, now: api.RangeResponse) -> LogWriter:
        """The open log if the cluster is still its own, the one of an earlier run, or a new one."""
        if self._writer is None:
            head = await asyncio.to_thread(self._next_head, now.header.cluster_id, now)
            self._writer = await asyncio.to_thread(self._open, head)
            self._is_broken = False
        _check_cluster(self._writer, now.header)
        _check_revision(self._writer, now.header)
        return self._writer

    def _next_head(self, cluster_id: int, now: api.RangeResponse) -> SegmentHead:
        left = None if self._is_broken else taken_up(self._directory)
        if left is not None:
            head, cut = left
            if cut:
                log.warning("cut an unfinished write off the log", extra=fields(bytes=cut))
            if head.cluster_id == cluster_id and head.first_revision <= now.header.revision + 1:
                log.info("going on", extra=fields(revision=head.first_revision, chain=head.chain))
                return head
            _tell_broken("another cluster answers, or an older state", head.first_revision - 1)
        chains = self._directory.chains()
        number = chains[-1].number + 1 if chains else 1
        first = now.header.revision + 1
        log.info(
            "a new chain begins",
            extra=fields(chain=number, revision=first, cluster_id=hex_id(cluster_id)),
        )
        return SegmentHead(number, 1, cluster_id, first, "")

    def _open(self, head: SegmentHead) -> LogWriter:
        segment_bytes = self._options.segment_bytes
        return LogWriter(self._directory, self._now_ms, head, segment_bytes=segment_bytes)

    def _break_chain(self, reason: str) -> None:
        """The next chain begins where the cluster is now; what is in between is in no backup."""
        _tell_broken(reason, self.kept_revision)
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._is_broken = True

    def _let_go(self) -> None:
        self._disk_thread.shutdown()
        if self._writer is not None:
            self._writer.close()

    # --- what runs side by side ---------------------------------------------------------------

    async def _receive(self, writer: LogWriter) -> None:
        watch = self._client.watch(
            b"\0",
            range_end=b"\0",
            start_revision=writer.last_revision + 1,
            require_leader=True,
        )
        async for response in watch:
            _check_cluster(writer, response.header)
            for revision, changes in changes_of(response):
                writer.add_revision(revision, changes)
            self._leases.note(response)
            self._failures = 0
            while writer.waiting_bytes > BYTES_WAITING_MAX:
                await self._pause(SYNC_INTERVAL_S / 10)

    async def _sync(self, writer: LogWriter) -> None:
        while True:
            await self._pause(SYNC_INTERVAL_S)
            if writer.waiting_bytes:
                await self._write(writer)

    async def _ask_leases(self, writer: LogWriter) -> None:
        while True:
            await self._pause(LEASES_INTERVAL_S)
            async for lease_id, ttl_s in self._leases.asked():
                writer.add_lease(lease_id, ttl_s)

    async def _look(self, writer: LogWriter) -> None:
        """A connection that died without a word would leave the watch waiting."""
        while True:
            header = (await self._client.range(_NOTHING)).header
            _check_cluster(writer, header)
            revision, before = header.revision, writer.last_revision
            await self._pause(STALL_CHECK_S)
            if before == writer.last_revision < revision:
                raise Stalled(
                    f"revision {revision} was there {STALL_CHECK_S:g} s ago, and the watch has "
                    f"brought {before}: opening another one"
                )

    async def _rebase(self, writer: LogWriter) -> None:
        while True:
            await self._pause(self._bases.due_in_s(writer.chain, self._options.base_interval_s))
            await self._bases.make(writer)


def _tell_broken(reason: str, last_revision: int) -> None:
    log.error(
        "the log is broken: another chain begins, and a base of it is being made",
        extra=fields(reason=reason, last_revision=last_revision),
    )


_NOTHING = api.RangeRequest(key=b"\0", count_only=True)
"""A linearizable read whose answer's header says where the cluster is."""


def _check_cluster(writer: LogWriter, header: api.ResponseHeader) -> None:
    if header.cluster_id != writer.cluster_id:
        raise AnotherCluster(
            f"cluster {hex_id(header.cluster_id)} answers, and the log is of "
            f"{hex_id(writer.cluster_id)}"
        )


def _check_revision(writer: LogWriter, header: api.ResponseHeader) -> None:
    """Of a linearizable read that began after all that was kept had come."""
    if header.revision < writer.kept_revision:
        raise AnotherCluster(
            f"the cluster is at revision {header.revision}, and {writer.kept_revision} was seen: "
            "it has lost what it had"
        )


def changes_of(response: api.WatchResponse) -> Iterator[tuple[int, list[Change]]]:
    """The whole revisions of a response, in order."""
    for revision, events in groupby(response.events, lambda event: event.kv.mod_revision):
        yield (
            revision,
            [Change(event.type == Event.DELETE, event.kv.SerializeToString()) for event in events],
        )


class _Leases:
    """Those that keys hang on: each is asked for once, a few at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: set[int] = set()
        self._waiting: deque[int] = deque(maxlen=LEASES_WAITING_MAX)

    def note(self, response: api.WatchResponse) -> None:
        for event in response.events:
            lease_id = event.kv.lease
            if lease_id and lease_id not in self._known:
                if len(self._known) >= LEASES_KNOWN_MAX:
                    self._known.clear()
                self._known.add(lease_id)
                self._waiting.append(lease_id)

    async def asked(self) -> AsyncIterator[tuple[int, int]]:
        """Id and granted time to live of those that are new and still there."""
        turn = [self._waiting.popleft() for _ in range(min(len(self._waiting), LEASES_PER_TURN))]
        for lease_id in turn:
            with suppress(RaftKVError):  # the keys stay; `restore` tells that their lease is lost
                granted = (await self._client.time_to_live(lease_id)).grantedTTL
                if granted > 0:
                    yield lease_id, granted
