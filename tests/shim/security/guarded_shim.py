"""A shim in this process with its door shut, on a real store that it empties, and users of it.

Owns: its tasks and their end; tokens by user name. Must never do: reach around the API, but for
what a test of the shim's own parts asks of ``shim``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
import orjson
from aiohttp import web

from apiserver_shim.security.authentication import StaticTokens
from apiserver_shim.security.bundle import SecuritySettings
from apiserver_shim.shim import ShimSettings, make
from raftkv.client import prefix_end
from tests.e2e.waiting import TimedOut

T = TypeVar("T")
Object = dict[str, Any]
POLL_S = 0.01
RBAC = "/apis/rbac.authorization.k8s.io/v1"
TOKENS = """\
admin-token,admin,1,system:masters
alice-token,alice,2,"devs"
bob-token,bob,3
node-token,system:node:n1,4,"system:nodes"
"""


class Reply:
    """What came: ``body`` is parsed where it is JSON."""

    def __init__(self, code: int, headers: dict[str, str], raw: bytes) -> None:
        self.code = code
        self.headers = headers
        self.raw = raw

    @property
    def body(self) -> Object:
        found: Object = orjson.loads(self.raw)
        return found

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


class GuardedShim:
    """An async context manager. ``call`` is one request as some user."""

    def __init__(self, endpoint: str, settings: ShimSettings | None = None) -> None:
        settings = settings or ShimSettings(security=SecuritySettings(tokens=StaticTokens(TOKENS)))
        self.shim, self._store = make([endpoint], None, "127.0.0.1", settings)
        self._runner = web.AppRunner(
            self.shim.server.app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        self._running: asyncio.Task[None] | None = None
        self.server = ""
        self.session: aiohttp.ClientSession

    async def __aenter__(self) -> GuardedShim:
        await self._store.__aenter__()
        await self._store.delete(b"/registry/", range_end=prefix_end(b"/registry/"))
        self._running = asyncio.create_task(self.shim.run())
        await self.shim.bootstrap()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.server = f"http://{host}:{port}"
        self.session = aiohttp.ClientSession()
        await self.until(lambda: self.has("alice-token", "/api"), "the shim has loaded")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.session.close()
        await self._runner.cleanup()
        await self.shim.close()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._store.__aexit__(None, None, None)

    async def call(
        self,
        token: str,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
    ) -> Reply:
        """``token`` empty: no credentials."""
        sent = list(headers.items() if isinstance(headers, dict) else headers or ())
        if token:
            sent.append(("Authorization", f"Bearer {token}"))
        json = None if body is None else body
        async with self.session.request(
            method, self.server + path, json=json, headers=sent
        ) as reply:
            return Reply(reply.status, dict(reply.headers), await reply.read())

    async def make(self, path: str, obj: Object) -> Object:
        """As admin; it must succeed."""
        reply = await self.call("admin-token", "POST", path, obj)
        assert reply.code == 201, reply.raw
        return reply.body

    async def has(self, token: str, path: str) -> bool:
        return (await self.call(token, "GET", path)).code == 200

    async def bind(self, user: str, rules: list[Object], namespace: str = "") -> None:
        """A role of these rules for the user, in a namespace or everywhere."""
        kind, scope = ("Role", f"/namespaces/{namespace}") if namespace else ("ClusterRole", "")
        plural = kind.lower() + "s"
        name = f"{user}-role"
        await self.make(f"{RBAC}{scope}/{plural}", {"metadata": {"name": name}, "rules": rules})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC.split("/")[2], "kind": kind, "name": name},
            "subjects": [{"kind": "User", "apiGroup": RBAC.split("/")[2], "name": user}],
        }
        await self.make(f"{RBAC}{scope}/{kind.lower()}bindings", binding)
        await self.caught_up()

    async def namespace(self, name: str) -> str:
        await self.make("/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    async def caught_up(self) -> None:
        """The copy that decisions are made by has seen all that is written."""
        await self.shim.parts.mirror.catch_up()

    async def until(
        self, condition: Callable[[], Awaitable[T]], what: str, *, seconds: float = 30.0
    ) -> T:
        loop = asyncio.get_running_loop()
        ends, pause = loop.time() + seconds, asyncio.Event()
        while not (found := await condition()):
            if loop.time() >= ends:
                raise TimedOut(f"after {seconds:g} s still not: {what}")
            try:
                async with asyncio.timeout(POLL_S):
                    await pause.wait()
            except TimeoutError:
                continue
        return found
