"""Serves the page, and speaks as the UI port of each member of a made-up cluster.

Owns: Replay: one HTTP server a member, in a thread of its own; what is sent on the streams is what
a test says, and what the page POSTs is kept.
Must never do: send anything by itself, but the first `cluster` event of a stream.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.ui.made_up_cluster import MadeUpCluster, MadeUpMember
from tests.ui.made_up_store import decoded

PAGE = Path(__file__).parents[2] / "raftkv" / "ui" / "page"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
ANSWER_S = 30.0
TOKEN = "made-up-token"


def frame(event: str, data: dict[str, Any]) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()


class Site:
    """One member's UI port."""

    def __init__(self, replay: Replay, member: MadeUpMember) -> None:
        self.replay = replay
        self.member = member
        self.streams: set[asyncio.Queue[bytes | None]] = set()
        self.silent = False
        self.ended = asyncio.Event()
        self.runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._index)
        app.router.add_get("/page/{name}", self._file)
        app.router.add_get("/api/stream", self._stream)
        for name in ("keys", "key", "history", "diff"):
            app.router.add_get(f"/api/{name}", getattr(self, f"_{name}"))
        app.router.add_post("/api/{path:.*}", self._post)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self.runner.addresses[0][1]
        self.member.ui_url = f"http://127.0.0.1:{self.port}/"

    async def stop(self) -> None:
        self.ended.set()
        for queue in self.streams:
            queue.put_nowait(None)
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    def send(self, piece: bytes) -> None:
        for queue in () if self.silent else self.streams:
            queue.put_nowait(piece)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.silent:
            await self.ended.wait()
        self.replay.requests.append((self.member.name, request.method, request.path_qs))
        failure = self.replay.failures.get(request.path)
        if failure is not None:
            return web.json_response({"error": failure[1]}, status=failure[0])
        asked = request.path.startswith("/api/") and request.path != "/api/login"
        authorization = request.headers.get("Authorization")
        if self.replay.password and asked and authorization != f"Bearer {TOKEN}":
            return web.json_response({"error": "log in: auth is enabled"}, status=401)
        return await handler(request)

    def _policy(self) -> dict[str, str]:
        others = " ".join(site.member.ui_url.rstrip("/") for site in self.replay.sites)
        return {"Content-Security-Policy": f"default-src 'self'; connect-src 'self' {others}"}

    async def _index(self, request: web.Request) -> web.StreamResponse:
        body = (PAGE / "index.html").read_bytes()
        return web.Response(body=body, content_type="text/html", headers=self._policy())

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = PAGE / Path(request.match_info["name"]).name
        if not path.is_file():
            return web.json_response({"error": f"no file {path.name}"}, status=404)
        return web.Response(body=path.read_bytes(), content_type=TYPES[path.suffix])

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        queue.put_nowait(frame("cluster", self.replay.cluster.cluster_event(self.member.name)))
        await answer.prepare(request)
        self.streams.add(queue)
        try:
            while (piece := await queue.get()) is not None:
                await answer.write(piece)
        except ConnectionResetError:
            pass  # the page went away
        finally:
            self.streams.discard(queue)
        return answer

    # --- keys -----------------------------------------------------------------------------------

    def _bytes(self, request: web.Request, name: str) -> bytes:
        return decoded(request.query.get(name, ""))

    def _number(self, request: web.Request, name: str, otherwise: int) -> int:
        return int(request.query.get(name) or otherwise)

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        store = self.replay.cluster.store
        limit, rev = (
            self._number(request, "limit", 100),
            self._number(request, "rev", store.revision),
        )
        prefix, after = self._bytes(request, "prefix"), self._bytes(request, "after")
        if rev > store.revision:
            text = f"revision {rev} is not there yet, the newest is {store.revision}: ask for that"
            return web.json_response({"error": text}, status=400)
        return web.json_response(store.list(prefix, after, limit, rev))

    async def _key(self, request: web.Request) -> web.StreamResponse:
        store = self.replay.cluster.store
        found = store.value(
            self._bytes(request, "key"), self._number(request, "rev", store.revision)
        )
        if found is None:
            return web.json_response({"error": "no such key"}, status=404)
        return web.json_response(found)

    async def _history(self, request: web.Request) -> web.StreamResponse:
        before = request.query.get("before")
        limit = self._number(request, "limit", 20)
        key = self._bytes(request, "key")
        found = self.replay.cluster.store.history(key, int(before) if before else None, limit)
        return web.json_response(found)

    async def _diff(self, request: web.Request) -> web.StreamResponse:
        store = self.replay.cluster.store
        start, end = self._number(request, "from", 1), self._number(request, "to", store.revision)
        prefix, after = self._bytes(request, "prefix"), self._bytes(request, "after")
        limit = self._number(request, "limit", 50)
        return web.json_response(store.diff(start, end, prefix, after, limit))

    # --- what the page asks to be done ----------------------------------------------------------

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("X-Raftkv-UI") != "1":
            return web.json_response({"error": "the header X-Raftkv-UI: 1 is missing"}, status=403)
        body = await request.json()
        path = request.path.removeprefix("/api/")
        if path == "login":
            if body["password"] != self.replay.password:
                return web.json_response({"error": "wrong name or password"}, status=401)
            return web.json_response({"token": TOKEN})
        self.replay.posts.append((path, body))
        done = self.replay.on_post(path, body)
        return web.json_response({"done": done})


class Replay:
    """The servers of all members; ``with Replay(cluster) as replay``."""

    def __init__(self, cluster: MadeUpCluster, base_port: int = 0) -> None:
        self.cluster = cluster
        self.sites = [Site(self, member) for member in cluster.members]
        for number, site in enumerate(self.sites):
            site.port = base_port + number if base_port else 0
        self.requests: list[tuple[str, str, str]] = []
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.failures: dict[str, tuple[int, str]] = {}
        self.password = ""
        self.on_post: Callable[[str, dict[str, Any]], str] = lambda path, body: "done"
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Replay:
        self._thread.start()
        for site in self.sites:
            self.run(site.start())
        return self

    def __exit__(self, *error: object) -> None:
        for site in self.sites:
            self.run(site.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(ANSWER_S)
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(ANSWER_S)

    def site(self, name: str) -> Site:
        return next(site for site in self.sites if site.member.name == name)

    def url(self, name: str = "m1") -> str:
        return self.site(name).member.ui_url

    def streams(self) -> int:
        return sum(len(site.streams) for site in self.sites)

    def send(self, event: str, data: dict[str, Any]) -> None:
        """On every open stream."""
        self.loop.call_soon_threadsafe(self.send_here, event, data)

    def send_here(self, event: str, data: dict[str, Any]) -> None:
        """The same from the servers' own loop."""
        for site in self.sites:
            site.send(frame(event, data))

    def tell(self) -> None:
        """A `cluster` event of the cluster as it is now, half a second later, on every stream."""
        self.cluster.t += 500
        self.loop.call_soon_threadsafe(self.tell_here)

    def tell_here(self) -> None:
        for site in self.sites:
            site.send(frame("cluster", self.cluster.cluster_event(site.member.name)))

    def messages(self, messages: list[dict[str, Any]], dropped: int = 0) -> None:
        self.send("messages", self.cluster.batch(messages, dropped))

    def kill(self, name: str) -> None:
        """The member's process is gone: its port refuses, its streams end."""
        self.run(self.site(name).stop())

    def silence(self, name: str) -> None:
        """It takes connections and says nothing, as a paused process does."""
        self.site(name).silent = True

    def revive(self, name: str) -> None:
        self.run(self.site(name).start())
