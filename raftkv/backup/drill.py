"""A restore for practice: a real member is started on what was restored, and everything read back.

Owns: the steps, what each one checks, and cleaning up. Must never do: touch a running cluster, or
serve what it restored to anybody else: clients reach the member by a socket in a directory of its
own user, where no login is asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import signal
import socket
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from raftkv.api import rpc_pb2 as api
from raftkv.backend.schema import Meta, Table
from raftkv.backup.image import hash_of
from raftkv.client import Client, RetryPolicy
from raftkv.errors import Corrupt, RaftKVError, Unavailable
from raftkv.mvcc.codec import row_body
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.store import Store
from raftkv.server.config import ServerConfig
from raftkv.server.foundation import OpenBackend
from raftkv.server.restore import Restored

LOOK_S = 0.05
"""Between two questions whether the member serves yet."""
START_S_MAX = 120.0
CALL_S_MAX = 600.0
STOP_S_MAX = 30.0
LOG_TAIL_LINES = 5
NAME = "drill"

RestoreInto = Callable[[ServerConfig], Restored]


@dataclass(frozen=True, slots=True)
class Step:
    """``seconds`` is what the step took."""

    name: str
    seconds: float
    found: str


@dataclass(frozen=True, slots=True)
class _Expected:
    revision: int
    keys: int
    digest: str
    hash: HashResult


class Drill:
    """``command`` starts a member; its flags are appended."""

    def __init__(
        self,
        restore_into: RestoreInto,
        open_backend: OpenBackend,
        command: Sequence[str],
        directory: str,
        told: Callable[[Step], None] = lambda step: None,
    ) -> None:
        self._restore_into = restore_into
        self._open_backend = open_backend
        self._command = command
        self._directory = directory
        self._told = told
        self._steps: list[Step] = []
        self._began = 0.0

    async def run(self) -> list[Step]:
        """Raises Corrupt where what was read differs from what was restored, and whatever a
        restore raises."""
        place = tempfile.mkdtemp(prefix="raftkv-drill-", dir=self._directory)
        sockets = tempfile.mkdtemp(prefix="raftkv-")
        try:
            await self._run(Path(place), f"{sockets}/s")
        finally:
            self._began = time.monotonic()
            await asyncio.to_thread(shutil.rmtree, place)
            await asyncio.to_thread(shutil.rmtree, sockets)
        self._done("clean up", "nothing is left")
        return self._steps

    async def _run(self, place: Path, client_socket: str) -> None:
        peer_url = f"http://127.0.0.1:{_free_port()}"
        config = ServerConfig(
            name=NAME,
            data_dir=str(place / "data"),
            initial_cluster={NAME: (peer_url,)},
            initial_cluster_token=NAME,
            initial_advertise_peer_urls=(peer_url,),
        )
        self._began = time.monotonic()
        restored = await asyncio.to_thread(self._restore_into, config)
        self._done("restore", f"revision {restored.saved_revision}, goes on at {restored.revision}")
        db = f"{config.data_dir}/member/db"
        expected = await asyncio.to_thread(_expectation, self._open_backend, db)
        self._done("count", f"{expected.keys} keys, hash {expected.hash.hash:x}")
        async with self._member(place, config, client_socket) as client:
            await self._read_back(client, expected)

    async def _read_back(self, client: Client, expected: _Expected) -> None:
        keys, digest = 0, hashlib.sha256()
        request = api.RangeRequest(key=b"\0", range_end=b"\0", revision=expected.revision)
        async for chunk in client.range_stream(request):
            for kv in chunk.kvs:
                digest.update(kv.SerializeToString())
            keys += len(chunk.kvs)
        if (keys, digest.hexdigest()) != (expected.keys, expected.digest):
            raise Corrupt(f"the member gives {keys} keys, {expected.keys} others were restored")
        self._done("read everything", f"{keys} keys, all as they were restored")
        found = await client.maintenance.hash_kv(expected.revision)
        if (found.hash, found.compact_revision) != (
            expected.hash.hash,
            expected.hash.compact_revision,
        ):
            raise Corrupt(
                f"the member's hash at revision {expected.revision} is {found.hash:x}, "
                f"{expected.hash.hash:x} was restored"
            )
        self._done("compare hashes", f"{found.hash:x} at revision {expected.revision}")

    @asynccontextmanager
    async def _member(
        self, place: Path, config: ServerConfig, client_socket: str
    ) -> AsyncIterator[Client]:
        log_path = place / "log"
        process = await self._start(log_path, config, client_socket)
        policy = RetryPolicy(timeout_s=CALL_S_MAX, tries_max=2)
        try:
            async with Client([f"unix://{client_socket}"], policy=policy) as client:
                await _until_it_serves(process, client, log_path)
                self._done("start a member", f"pid {process.pid} leads a cluster of its own")
                yield client
        finally:
            await _stop(process)

    async def _start(
        self, log_path: Path, config: ServerConfig, client_socket: str
    ) -> asyncio.subprocess.Process:
        peer_url = config.initial_advertise_peer_urls[0]
        flags = {
            "name": NAME,
            "data-dir": config.data_dir,
            "initial-cluster": f"{NAME}={peer_url}",
            "initial-cluster-token": NAME,
            "initial-advertise-peer-urls": peer_url,
            "listen-peer-urls": peer_url,
            "listen-client-urls": f"unix://{client_socket}",
            "advertise-client-urls": f"unix://{client_socket}",
            "quota-backend-bytes": "-1",
        }
        with log_path.open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *self._command,
                *(f"--{name}={value}" for name, value in flags.items()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _done(self, name: str, found: str) -> None:
        now = time.monotonic()
        step = Step(name, now - self._began, found)
        self._began = now
        self._steps.append(step)
        self._told(step)


def _expectation(open_backend: OpenBackend, path: str) -> _Expected:
    """What the restored database holds; the login is taken off this copy of it."""
    backend = open_backend(path)
    try:
        store, digest, keys = Store(backend), hashlib.sha256(), 0
        for _, row in store.latest.scan(b"", None):
            digest.update(row_body(row))
            keys += 1
        hashed = hash_of(store)
        if backend.delete(Table.META, Meta.AUTH_ENABLED):
            backend.commit()
    finally:
        backend.close()
    return _Expected(store.current_revision, keys, digest.hexdigest(), hashed)


async def _until_it_serves(
    process: asyncio.subprocess.Process, client: Client, log_path: Path
) -> None:
    deadline = time.monotonic() + START_S_MAX
    while process.returncode is None:
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), 0.1)):
                await client.revision()
            return
        except RaftKVError as e:
            if time.monotonic() > deadline:
                raise Unavailable(f"the member does not serve after {START_S_MAX:g} s: {e}") from e
            await asyncio.sleep(LOOK_S)
    tail = " | ".join(_tail(log_path))
    raise Unavailable(f"the member ended with status {process.returncode}: {tail}")


def _tail(log_path: Path) -> list[str]:
    with log_path.open(errors="replace") as log:
        return [line.strip() for line in deque(log, LOG_TAIL_LINES)]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S_MAX):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
