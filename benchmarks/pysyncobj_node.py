"""One PySyncObj node as a process of its own, told by lines of JSON on its standard input.

Owns: the replicated dictionary, and a closed loop of clients inside the leader's process. Must
never do: go round PySyncObj's own way of replicating.

PySyncObj is a library, with no server and no client protocol: an application calls it in its own
process. So do the clients here, which spares them the network that a client of etcd or raftkv has.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated

LOAD_SECONDS_MAX = 60.0


class Store(SyncObj):  # type: ignore[misc]
    """A dictionary with a counter of its puts; a get goes through the log, and so is linearizable
    (the library's own reads are of local memory, as old as that may be)."""

    def __init__(self, own: str, others: list[str], conf: SyncObjConf) -> None:
        super().__init__(own, others, conf)
        self._values: dict[str, bytes] = {}
        self._puts = 0

    @replicated  # type: ignore[untyped-decorator]
    def put(self, key: str, value: bytes) -> int:
        self._values[key] = value
        self._puts += 1
        return self._puts

    @replicated  # type: ignore[untyped-decorator]
    def read(self, key: str) -> bytes | None:
        return self._values.get(key)

    def puts(self) -> int:
        """How many this node has applied. (No property: the library looks at all attributes of
        its subclasses before these are set.)"""
        return self._puts


class ClosedLoop:
    """Clients that each call again as soon as they have their answer, until time is up."""

    def __init__(self, store: Store, *, work: str, value: bytes, clients: int, seconds: float):
        self._store = store
        self._work = work
        self._value = value
        self._open = clients
        self._deadline = time.perf_counter() + seconds
        self._done = threading.Event()
        self._wrong: list[str] = []
        self._times: list[float] = []

    def run(self) -> dict[str, Any]:
        """Requests, seconds, latencies in milliseconds, and what went wrong."""
        begun, used = time.perf_counter(), time.process_time()
        for _ in range(self._open):
            self._call()
        if not self._done.wait(LOAD_SECONDS_MAX):
            self._wrong.append(f"{self._open} clients wait for an answer")
        return {
            "requests": len(self._times),
            "seconds": time.perf_counter() - begun,
            "busy_seconds": time.process_time() - used,
            "latencies_ms": self._times,
            "wrong": self._wrong[:3],
        }

    def _call(self) -> None:
        begun = time.perf_counter()

        def answered(result: object, error: int) -> None:
            now = time.perf_counter()
            self._times.append((now - begun) * 1000)
            if error != FAIL_REASON.SUCCESS:
                self._wrong.append(f"error {error}")
            elif self._work == "get" and result != self._value:
                self._wrong.append(f"a get gave {result!r}")
            if now < self._deadline and not self._wrong:
                self._call()
                return
            self._open -= 1
            if not self._open:
                self._done.set()

        if self._work == "put":
            self._store.put("bench", self._value, callback=answered)
        else:
            self._store.read("bench", callback=answered)


def _answer(store: Store, asked: dict[str, Any]) -> dict[str, Any]:
    if asked["work"] == "status":
        return {"leads": store._isLeader(), "ready": store.isReady(), "puts": store.puts()}
    value = b"v" * asked["value_bytes"]
    return ClosedLoop(
        store,
        work=asked["work"],
        value=value,
        clients=asked["clients"],
        seconds=asked["seconds"],
    ).run()


@click.command()
@click.option("--own", required=True, help="HOST:PORT of this node.")
@click.option("--other", "others", multiple=True, help="HOST:PORT of another node.")
@click.option("--directory", required=True, type=click.Path(path_type=Path, file_okay=False))
def main(own: str, others: tuple[str, ...], directory: Path) -> None:
    """Serve until standard input ends."""
    conf = SyncObjConf(
        journalFile=str(directory / "journal"),
        fullDumpFile=str(directory / "dump"),
        # Its documentation's advice for the time of a single request; the default waits for the
        # next tick, up to 50 ms.
        appendEntriesUseBatch=False,
    )
    store = Store(own, list(others), conf)
    for line in sys.stdin:
        print(json.dumps(_answer(store, json.loads(line))), flush=True)
    store.destroy()


if __name__ == "__main__":
    main()
