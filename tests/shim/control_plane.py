"""A shim in this process, on a real store that it empties, with the components that a test wants.

Owns: their tasks and their end; waiting for a condition of the API. Must never do: reach around the
API.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from random import Random
from types import TracebackType
from typing import TypeVar

from aiohttp import web

from apiserver_shim.components.api_client import ApiClient, ApiFailure, Kind, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.controllers.roster import control
from apiserver_shim.components.kinds import NAMESPACES, PODS, SERVICE_ACCOUNTS
from apiserver_shim.components.scheduler.scheduler import Scheduler
from apiserver_shim.security.door import OpenDoor
from apiserver_shim.shim import make
from raftkv.client import prefix_end
from tests.e2e.waiting import TimedOut
from tests.shim.hollow_kubelet import HollowKubelet

T = TypeVar("T")
POLL_S = 0.02
_NAMESPACES = itertools.count(1)


class ControlPlane:
    """An async context manager. ``client`` talks to the shim over HTTP."""

    def __init__(self, endpoint: str) -> None:
        self._shim, self._store = make([endpoint], OpenDoor(), "127.0.0.1")
        self._runner = web.AppRunner(self._shim.server.app, access_log=None, shutdown_timeout=0.1)
        self._tasks: list[asyncio.Task[None]] = []
        self.server = ""
        self.client = ApiClient("")

    async def __aenter__(self) -> ControlPlane:
        await self._store.__aenter__()
        await self._store.delete(b"/registry/", range_end=prefix_end(b"/registry/"))
        self.start(self._shim.run)
        await self._shim.bootstrap()
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.server = f"http://{host}:{port}"
        self.client = ApiClient(self.server)
        await self.client.__aenter__()
        await self.until(lambda: self.client.list(NAMESPACES), "the shim has loaded")
        self.kubelet = HollowKubelet(self.client)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks[1:]:
            task.cancel()
        results = await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        await self.client.__aexit__(None, None, None)
        await self._runner.cleanup()
        self._tasks[0].cancel()
        await asyncio.gather(*self._tasks[:1], return_exceptions=True)
        await self._shim.close()
        await self._store.__aexit__(None, None, None)
        failed = [each for each in results if isinstance(each, Exception)]
        if failed and error is None:
            raise ExceptionGroup("components ended by themselves", failed)

    def start(self, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def endless() -> None:
            await run()

        task = asyncio.create_task(endless())
        self._tasks.append(task)
        return task

    def start_controllers(self, clock: Clock | None = None) -> None:
        self.start(lambda: control(self.client, clock or Clock()))

    def start_scheduler(self) -> None:
        self.start(Scheduler(self.client, Clock(), Random(1)).run)

    async def start_all(self, *nodes: str) -> None:
        """Controllers, the scheduler, and a hollow kubelet for these nodes."""
        for task in self.kubelet.tasks():
            self.start(task)
        for node in nodes:
            await self.kubelet.register(node)
        self.start_scheduler()
        self.start_controllers()

    async def namespace(self) -> str:
        """A new one, of the test's own, with the account that pods need."""
        name = f"t{next(_NAMESPACES)}"
        await self.client.create(
            NAMESPACES,
            "",
            {
                "kind": "Namespace",
                "apiVersion": "v1",
                "metadata": {"name": name},
                "spec": {"finalizers": ["kubernetes"]},
            },
        )
        account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}}
        try:
            await self.client.create(SERVICE_ACCOUNTS, name, account)
        except ApiFailure as e:
            if e.code != 409:
                raise
            # the controllers run, and were faster
        return name

    async def pods(self, namespace: str, labels: str = "") -> list[Object]:
        query = {"labelSelector": labels} if labels else {}
        found: list[Object] = (await self.client.list(PODS, namespace, **query))["items"]
        return found

    async def change(self, kind: Kind, namespace: str, name: str, **patch: object) -> Object:
        return await self.client.merge(kind, namespace, name, patch)

    async def until(
        self, condition: Callable[[], Awaitable[T]], what: str, *, seconds: float = 30.0
    ) -> T:
        """The first truthy result; what the API refuses for now counts as none."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        pause = asyncio.Event()
        last: object = None
        while loop.time() < ends:
            try:
                found = await condition()
            except Exception as e:  # noqa: BLE001
                last = e
            else:
                if found:
                    return found
                last = found
            try:
                async with asyncio.timeout(POLL_S):
                    await pause.wait()
            except TimeoutError:
                continue
        raise TimedOut(f"after {seconds:g} s still not: {what} (last: {last!r})")
