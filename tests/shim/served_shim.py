"""A shim that serves on loopback, from a thread of its own, and requests to it.

Owns: its start and end, and how a test asks. Must never do: judge answers.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from apiserver_shim.security.door import OpenDoor
from apiserver_shim.shim import Shim, make
from tests.e2e.member_process import reserve_ports
from tests.e2e.waiting import wait_until

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Reply:
    code: int
    body: dict[str, Any]
    warnings: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def fields(self) -> list[str]:
        """Those that a 422 names."""
        return [each.get("field", "") for each in self.body["details"]["causes"]]


class ServedShim:
    """A context manager. ``address`` is host:port; ``settings`` are those of ``shim.make``."""

    def __init__(self, endpoint: str, **settings: str) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._port = reserve_ports(1)[0]
        self.address = f"127.0.0.1:{self._port}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._shim: Shim | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> ServedShim:
        self._thread.start()
        assert self._ready.wait(30), "the shim does not start"
        wait_until(lambda: self._is_ready() or None, "the shim is ready")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None, "never started"
        assert self._stop is not None, "never started"
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the shim does not end"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        shim, client = make([self._endpoint], OpenDoor(), self.address, **self._settings)
        self._shim = shim
        async with client:
            running = asyncio.create_task(shim.run())
            await shim.bootstrap()
            runner = web.AppRunner(shim.server.app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def recount_quotas(self) -> None:
        """Now, and not when its time has come."""
        assert self._loop is not None, "never started"
        assert self._shim is not None, "never started"
        counting = asyncio.run_coroutine_threadsafe(self._shim.quotas.recount(), self._loop)
        counting.result(30)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    # --- requests -------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = JSON,
        agent: str = "test/1.0",
        **query: str,
    ) -> Reply:
        """``body`` is sent as JSON unless it is bytes."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        headers = {"Content-Type": content_type, "User-Agent": agent} if raw else {}
        where = f"{path}?{urlencode(query)}" if query else path
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, where, raw, headers)
            answer = connection.getresponse()
            text = answer.read()
            warnings = answer.headers.get_all("Warning") or []
            return Reply(answer.status, json.loads(text), warnings)
        finally:
            connection.close()

    def ask_text(
        self, method: str, path: str, headers: dict[str, str] | None = None, **query: str
    ) -> str:
        """The whole answer as it came."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, f"{path}?{urlencode(query)}", headers=headers or {})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)

    def create(self, path: str, body: Any, **query: str) -> Reply:
        return self.ask("POST", path, body, **query)

    def update(self, path: str, body: Any, **query: str) -> Reply:
        return self.ask("PUT", path, body, **query)

    def merge(self, path: str, body: Any, **query: str) -> Reply:
        return self.ask("PATCH", path, body, content_type=MERGE, **query)

    def apply(self, path: str, body: Any, manager: str = "tester", **query: str) -> Reply:
        return self.ask("PATCH", path, body, content_type=APPLY, fieldManager=manager, **query)

    def delete(self, path: str, **query: str) -> Reply:
        return self.ask("DELETE", path, **query)

    def namespace(self, name: str) -> str:
        """Made, with the account of its pods; the path below which its objects are."""
        made = self.create("/api/v1/namespaces", {"metadata": {"name": name}})
        assert made.code == 201, made
        path = f"/api/v1/namespaces/{name}"
        account = self.create(f"{path}/serviceaccounts", {"metadata": {"name": "default"}})
        assert account.code == 201, account
        return path
