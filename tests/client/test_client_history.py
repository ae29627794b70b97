"""diff and history against a dictionary of versions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.client import Client
from raftkv.client.history import ChangeKind, diff
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV

KEYS = (b"a", b"a/1", b"a/2", b"b", b"b\xff")
ALL = b"\0"


@dataclass
class Versions:
    """What every key was at every revision."""

    at: list[dict[bytes, KeyValue]]

    def put(self, key: bytes, value: bytes) -> None:
        now, revision = dict(self.at[-1]), len(self.at)
        old = now.get(key)
        created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
        now[key] = KeyValue(
            key=key,
            value=value,
            create_revision=created,
            mod_revision=revision,
            version=version,
        )
        self.at.append(now)

    def delete(self, key: bytes) -> None:
        self.at.append({k: kv for k, kv in self.at[-1].items() if k != key})

    async def range(self, request: api.RangeRequest) -> api.RangeResponse:
        """As a member answers it: in order, at most ``limit``."""
        state = self.at[request.revision]
        rows = [
            state[key]
            for key in sorted(state)
            if key >= request.key and (request.range_end == ALL or key < request.range_end)
        ]
        return api.RangeResponse(kvs=rows[: request.limit], more=len(rows) > request.limit)


WRITES = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from((b"", b"x", None))), max_size=25)


@given(WRITES, st.data())
def test_diff_is_what_two_dictionaries_differ_in(
    writes: list[tuple[bytes, bytes | None]], data: st.DataObject
) -> None:
    """In the order of keys, for pages of every size, forwards and backwards."""
    versions = Versions([{}])
    for key, value in writes:
        if value is None:
            versions.delete(key)
        else:
            versions.put(key, value)
    revisions = st.integers(0, len(versions.at) - 1)
    first, last = data.draw(revisions), data.draw(revisions)
    page = data.draw(st.integers(1, 4))
    old, new = versions.at[first], versions.at[last]

    async def collect() -> list[tuple[bytes, ChangeKind]]:
        return [(c.key, c.kind) async for c in diff(versions, first, last, ALL, ALL, page)]

    wanted = []
    for key in sorted(old | new):
        if key not in old:
            wanted.append((key, ChangeKind.ADDED))
        elif key not in new:
            wanted.append((key, ChangeKind.REMOVED))
        elif old[key].mod_revision != new[key].mod_revision:
            wanted.append((key, ChangeKind.CHANGED))
    assert asyncio.run(collect()) == wanted


# --- on real members ---

_PREFIXES = count(1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(RAFTKV, tmp_path_factory.mktemp("history"), members=1) as started:
        yield started


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with Client(cluster.endpoints) as made:
        yield made


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_history_has_every_version_since_the_compaction(client: Client, seed: int) -> None:
    """Puts, deletes and one compaction in between, by chance: what is told is what was written
    after it, and before those what it kept of each key."""
    random, prefix = Random(seed), b"h%d/" % next(_PREFIXES)
    end = prefix[:-1] + b"0"
    written: list[tuple[int, bytes, bytes | None]] = []
    compacted, kept = 0, {}
    for number in range(60):
        key = prefix + random.choice(KEYS)
        if number == 30:
            compacted = await client.revision()
            await client.compact(compacted)
            kept = {kv.key: kv.mod_revision for kv in (await client.list(prefix)).kvs}
            written.clear()
        if random.random() < 0.3:
            gone = await client.delete(key)
            if gone.deleted:
                written.append((gone.header.revision, key, None))
        else:
            value = b"%d" % number
            done = await client.put(key, value)
            written.append((done.header.revision, key, value))
    past = await client.past(prefix, end)
    told = [
        (e.kv.mod_revision, e.kv.key, None if e.type == Event.DELETE else e.kv.value)
        for e in past.events
    ]
    assert past.compact_revision == compacted
    assert {kv.key: kv.mod_revision for kv in past.kept} == kept
    assert told == written
    one = await client.past(prefix + KEYS[0])
    assert [e.kv.mod_revision for e in one.events] == [
        revision for revision, key, _ in written if key == prefix + KEYS[0]
    ]


@pytest.mark.e2e
@pytest.mark.slow
async def test_diff_on_a_member(client: Client) -> None:
    """Between two revisions, by prefix; a compacted one is refused."""
    await client.put("d/same", "1")
    first = (await client.put("d/gone", "1")).header.revision
    await client.delete("d/gone")
    await client.put("e/other", "1")
    last = (await client.put("d/new", "1")).header.revision
    changes = [(c.key, c.kind) async for c in client.diff(first, last, "d/", "d0")]
    assert changes == [(b"d/gone", ChangeKind.REMOVED), (b"d/new", ChangeKind.ADDED)]
