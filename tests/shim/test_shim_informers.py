"""List and watch by way of two apiservers, judged as jepsen_like judges it on the store: the cache
that an informer builds is the true state at every revision that it is told.

Objects are ConfigMaps; the history's keys are their names, its values their data, its revisions
their resourceVersions. A delete's answer names no revision, so it counts as one that may have
happened, and the watches tell when.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure, Kind, Object
from jepsen_like.checkers import informer
from jepsen_like.checkers.verdict import Validity
from jepsen_like.history.history import History
from jepsen_like.history.operation import Event, Operation, Watch, WatchResponse
from jepsen_like.history.request import Delete, Get, Put, Request
from jepsen_like.history.result import Found, KeyValue, Outcome, Refused, Unknown, Written
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV
from tests.shim.plain_apiserver import PlainApiserver

pytestmark = pytest.mark.e2e
CONFIG_MAPS = Kind("", "v1", "configmaps")
NAMES = tuple(f"n{number}" for number in range(8))
BEGIN, END = "n", "o"
WRITERS, INFORMERS, WRITES = 3, 4, 80
LIST_AGAIN = 0.03
SECONDS = 90
LOST = (500, 503, 504)
"""Codes after which nobody knows whether a write took place."""


class Recorder:
    """What all clients did, on one clock."""

    def __init__(self) -> None:
        self.history = History()

    def note(self, process: int, called_s: float, request: Request, outcome: Outcome) -> None:
        operation = Operation(process, "api", called_s, time.monotonic(), request, outcome)
        self.history.operations.append(operation)


def kv_of(obj: Object) -> KeyValue:
    metadata = obj["metadata"]
    return KeyValue(metadata["name"], obj["data"]["v"], 0, int(metadata["resourceVersion"]), 0)


async def write(process: int, client: ApiClient, recorder: Recorder, random: Random) -> None:
    """Creates, updates of what was read, and deletes; every value once."""
    for count in range(WRITES):
        name, value, called = random.choice(NAMES), f"{process}-{count}", time.monotonic()
        request: Request = Put(name, value)
        body = {"metadata": {"name": name}, "data": {"v": value}}
        outcome: Outcome = Unknown("", "no answer")
        try:
            now = await client.get(CONFIG_MAPS, "default", name)
            called = time.monotonic()
            if now is None:
                made = await client.create(CONFIG_MAPS, "default", body)
                outcome = Written(kv_of(made).mod_revision)
            elif random.random() < 0.3:
                request = Delete(name)
                await client.delete(CONFIG_MAPS, "default", name)
            else:
                made = await client.update(CONFIG_MAPS, {**now, "data": {"v": value}})
                outcome = Written(kv_of(made).mod_revision)
        except ApiFailure as e:
            if e.code not in LOST:
                outcome = Refused(e.reason, str(e))
        except UNREACHABLE:
            await asyncio.sleep(0)
        recorder.note(process, called, request, outcome)


class InformerClient:
    """Lists in pages, then watches, then lists again, by chance or because it has to."""

    def __init__(self, process: int, client: ApiClient, recorder: Recorder, random: Random) -> None:
        self._process = process
        self._client = client
        self._recorder = recorder
        self._random = random

    async def run(self) -> None:
        while True:
            try:
                await self._watch(await self._list())
            except ApiFailure as e:
                if e.code not in (410, 429, *LOST):
                    raise
            except UNREACHABLE:
                await asyncio.sleep(0)

    async def _list(self) -> int:
        """The revision of all its pages."""
        limit, token, key, revision = self._random.choice((0, 1, 3)), "", BEGIN, 0
        while True:
            called = time.monotonic()
            query = {"limit": str(limit), "continue": token} if token else {"limit": str(limit)}
            page = await self._client.list(CONFIG_MAPS, "default", **query)
            kvs = tuple(kv_of(each) for each in page["items"])
            metadata = page["metadata"]
            at, token = int(metadata["resourceVersion"]), metadata.get("continue", "")
            found = Found(at, kvs, len(kvs), bool(token))
            asked = Get(key, END, revision, limit)
            self._recorder.note(self._process, called, asked, found)
            if not token:
                return at
            key, revision = kvs[-1].key + "\0", at

    async def _watch(self, revision: int) -> None:
        while True:
            watch = Watch(self._process, "api", BEGIN, END, revision + 1, opened_s=time.monotonic())
            self._recorder.history.watches.append(watch)
            async for kind, obj in self._client.watch(CONFIG_MAPS, "default", str(revision)):
                revision = int(obj["metadata"]["resourceVersion"])
                events: tuple[Event, ...] = ()
                if kind != "BOOKMARK":
                    events = (Event(kind == "DELETED", kv_of(obj)),)
                watch.responses.append(WatchResponse(time.monotonic(), revision, events))
                if self._random.random() < LIST_AGAIN:
                    return


async def test_an_informers_cache_is_the_true_state(tmp_path: Path) -> None:
    """Three writers and four informers on two apiservers, while the store's leader is killed."""
    recorder = Recorder()
    with Cluster(RAFTKV, tmp_path) as store:
        pair = [PlainApiserver(tmp_path, store.endpoints) for _ in range(2)]
        try:
            async with ApiClient(pair[0].server) as first, ApiClient(pair[1].server) as second:
                clients = (first, second)
                informers = [
                    asyncio.ensure_future(
                        InformerClient(n, clients[n % 2], recorder, Random(f"i{n}")).run()
                    )
                    for n in range(INFORMERS)
                ]
                writers = [
                    write(INFORMERS + n, clients[n % 2], recorder, Random(f"w{n}"))
                    for n in range(WRITERS)
                ]
                async with asyncio.timeout(SECONDS):
                    writing = asyncio.gather(*writers)
                    while sum(isinstance(o.request, Put) for o in recorder.history.operations) < 60:
                        await asyncio.wait((writing,), timeout=0.05)
                    leader = await asyncio.to_thread(store.leader)
                    leader.kill()
                    await writing
                for each in informers:
                    each.cancel()
                ended = await asyncio.gather(*informers, return_exceptions=True)
                assert all(isinstance(e, asyncio.CancelledError) for e in ended), ended
        finally:
            for server in pair:
                server.kill()
    verdict = informer.check(recorder.history, BEGIN, END)
    assert verdict.validity is Validity.VALID, verdict
