"""``python -m benchmarks.apiserver``: the Kubernetes API beside the same work on the store.

Owns: creates a second, a list of all pods, and how soon 1,000 watchers hear of one change, each by
way of one raftkv-apiserver and by raftkv.client, on one 3-member cluster, in turn. Must never do:
call the difference the apiserver's share alone: both clients are Python too, and share the
processors with the servers.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import aiohttp
import click
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.measurement import percentile
from raftkv.client import Client, Txn
from raftkv.client.txn import mod_revision, put
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import reserve_ports
from tests.e2e.program import RAFTKV, ROOT
from tests.e2e.waiting import wait_until

AT_ONCE = 32
LISTS, EVENTS = 15, 10
NAMESPACE = "/api/v1/namespaces/default"
PREFIX = "/registry/pods/direct/"
RESULTS = Path(__file__).parent / "results"
Figures = dict[str, float]


def pod(name: str) -> dict[str, object]:
    """About 2 KiB in the store, as a small real one."""
    container = {
        "name": "c",
        "image": "example.com/team/service:v1.2.3",
        "env": [{"name": f"VARIABLE_{n}", "value": "x" * 40} for n in range(12)],
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench", "tier": "backend"}},
        "spec": {"containers": [container]},
    }


async def spread(count: int, one: Callable[[int], Awaitable[None]]) -> float:
    """Seconds that ``count`` calls take, AT_ONCE of them under way."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return time.perf_counter() - began


async def by_the_api(server: str, pods: int, watchers: int) -> Figures:
    """What a client of Kubernetes gets."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(server, connector=connector, timeout=timeout) as session:

        async def create(number: int) -> None:
            body = orjson.dumps(pod(f"p{number:05}"))
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{NAMESPACE}/pods", data=body, headers=headers) as reply:
                assert reply.status == 201, await reply.text()
                await reply.read()

        seconds = await spread(pods, create)
        lists: list[float] = []
        for _ in range(LISTS):
            began = time.perf_counter()
            async with session.get(f"{NAMESPACE}/pods") as reply:
                raw = await reply.read()
            lists.append(1000 * (time.perf_counter() - began))
        assert len(orjson.loads(raw)["items"]) == pods, "a list that is not whole"
        delays = await _api_delays(session, watchers)
    return _figures(pods / seconds, lists, delays)


async def _api_delays(session: aiohttp.ClientSession, watchers: int) -> list[float]:
    """Milliseconds from a change's request to each watcher's line."""
    maps = f"{NAMESPACE}/configmaps"
    body = {"metadata": {"name": "w"}, "data": {"n": "0"}}
    async with session.post(maps, json=body) as reply:
        made = await reply.json()
    heard: asyncio.Queue[float] = asyncio.Queue()
    opened = asyncio.Semaphore(0)

    async def watch() -> None:
        query = {"watch": "1", "resourceVersion": made["metadata"]["resourceVersion"]}
        async with session.get(maps, params=query) as reply:
            opened.release()
            async for _ in reply.content:
                heard.put_nowait(time.perf_counter())

    tasks = [asyncio.ensure_future(watch()) for _ in range(watchers)]
    for _ in range(watchers):
        await opened.acquire()
    delays: list[float] = []
    for number in range(1, EVENTS + 1):
        began = time.perf_counter()
        patch = {"data": {"n": str(number)}}
        headers = {"Content-Type": "application/merge-patch+json"}
        async with session.patch(f"{maps}/w", data=json.dumps(patch), headers=headers) as reply:
            assert reply.status == 200, await reply.text()
        delays += [1000 * (await heard.get() - began) for _ in range(watchers)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return delays


async def by_the_store(endpoints: list[str], pods: int, watchers: int) -> Figures:
    """The same bytes and guards without an API in between."""
    async with Client(endpoints) as client:

        async def create(number: int) -> None:
            key = f"{PREFIX}p{number:05}"
            guarded = Txn().when(mod_revision(key) == 0)
            reply = await client.txn(guarded.then(put(key, orjson.dumps(pod(key)))))
            assert reply.succeeded, key

        seconds = await spread(pods, create)
        lists: list[float] = []
        for _ in range(LISTS):
            began = time.perf_counter()
            found = await client.list(PREFIX)
            lists.append(1000 * (time.perf_counter() - began))
        assert len(found.kvs) == pods, "a list that is not whole"
        delays = await _store_delays(client, watchers)
    return _figures(pods / seconds, lists, delays)


async def _store_delays(client: Client, watchers: int) -> list[float]:
    key = "/registry/configmaps/direct/w"
    first = (await client.put(key, "0")).header.revision
    heard: asyncio.Queue[float] = asyncio.Queue()
    opened = asyncio.Semaphore(0)

    async def watch() -> None:
        seen = False
        async for _ in client.watch(key, start_revision=first):
            if seen:
                heard.put_nowait(time.perf_counter())
            else:
                seen = True
                opened.release()

    tasks = [asyncio.ensure_future(watch()) for _ in range(watchers)]
    for _ in range(watchers):
        await opened.acquire()
    delays: list[float] = []
    for number in range(1, EVENTS + 1):
        began = time.perf_counter()
        await client.put(key, str(number))
        delays += [1000 * (await heard.get() - began) for _ in range(watchers)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return delays


def _figures(creates: float, lists: list[float], delays: list[float]) -> Figures:
    return {
        "creates a second": creates,
        "list, median ms": median(lists),
        "watch, median ms": median(delays),
        "watch, p99 ms": percentile(delays, 0.99),
    }


def _measured(
    cluster: Cluster, directory: str, console: Console, pods: int, watchers: int
) -> tuple[Figures, Figures]:
    port = reserve_ports(1)[0]
    command = [sys.executable, "-m", "apiserver_shim.cli.apiserver"]
    server = subprocess.Popen(
        [*command, f"--insecure-port={port}", f"--etcd-servers={cluster.endpoints[0]}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: asyncio.run(_is_ready(url)), f"{url} is ready", seconds=60)
        with console.status(f"{pods} pods and {watchers} watchers by the API"):
            api = asyncio.run(by_the_api(url, pods, watchers))
        with console.status("the same straight on the store"):
            store = asyncio.run(by_the_store(cluster.endpoints[:1], pods, watchers))
    finally:
        server.terminate()
        server.wait(30)
    return api, store


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--pods", default=5000, show_default=True, type=click.IntRange(1))
@click.option("--watchers", default=1000, show_default=True, type=click.IntRange(1))
def main(pods: int, watchers: int) -> None:
    """Measure one raftkv-apiserver beside its store."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    with (
        tempfile.TemporaryDirectory() as directory,
        Cluster(RAFTKV, Path(directory)) as cluster,
    ):
        api, store = _measured(cluster, directory, console, pods, watchers)
    table = Table(title=f"{pods} pods of 2 KiB, {watchers} watchers", title_justify="left")
    for title in ("figure", "API", "store"):
        table.add_column(title, justify="left" if title == "figure" else "right")
    for name, value in api.items():
        table.add_row(name, f"{value:,.1f}", f"{store[name]:,.1f}")
    console.print(table)
    now = datetime.now(UTC).replace(microsecond=0)
    path = RESULTS / f"{now:%Y-%m-%dT%H%M%S}-apiserver.json"
    told = {"date": now.isoformat(), "pods": pods, "watchers": watchers}
    told |= {"load_average": os.getloadavg()[0], "api": api, "store": store}
    path.write_text(json.dumps(told, indent=1) + "\n")
    console.print(f"written to {path}")


async def _is_ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as reply:
            return reply.status == 200
    except aiohttp.ClientError:
        return False


if __name__ == "__main__":
    main()
