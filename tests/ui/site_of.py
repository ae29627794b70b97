"""A member's site without a socket: requests in, responses out, on a simulated member."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from raftkv.api import auth_pb2
from raftkv.api import rpc_pb2 as api
from raftkv.rpc.auth import auth_service
from raftkv.rpc.own_calls import _OwnCall
from raftkv.server.config import Address
from raftkv.ui.door import Door
from raftkv.ui.key_api import KeyApi
from raftkv.ui.page_files import PageFiles
from raftkv.ui.session import PageCall, Session
from raftkv.ui.site import LocalRequests, Site
from raftkv.ui.text import to_base64
from raftkv.wire.service import HttpHead, HttpRequest, HttpResponse
from tests.ui.cluster_feed import Stage, served

LISTEN = Address("127.0.0.1", 2381)
HOST = {"host": "127.0.0.1:2381"}
POST = {**HOST, "x-raftkv-ui": "1", "content-type": "application/json"}
OTHER = "http://127.0.0.1:2391"


class FakeExchange:
    """One GET of a stream: keeps what is sent."""

    def __init__(self, target: str, headers: Mapping[str, str]) -> None:
        self.request = HttpHead("GET", target, headers)
        self.status = 0
        self.content_type = ""
        self.headers: Mapping[str, str] = {}
        self.sent: list[bytes] = []
        self.backlog = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("nobody reads the body of a GET")

    def start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self.status, self.content_type, self.headers = status, content_type, headers

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def drain(self) -> None:
        return

    @property
    def events(self) -> list[str]:
        text = b"".join(self.sent).decode()
        return [line[7:] for line in text.splitlines() if line.startswith("event: ")]


class SiteUnderTest:
    """The site of m0, of a cluster of one. ``page`` holds its files."""

    def __init__(self, page: Path, local: LocalRequests | None = None) -> None:
        self.stage = Stage(size=1)
        self.stage.cluster.wait_for_leader()
        self.stage.run(0.5)
        seat = self.stage.seat("m0")
        self.member, self.feed = seat.member, seat.feed
        session = Session(self.member)

        async def others() -> frozenset[str]:
            return frozenset((OTHER,))

        door = Door(LISTEN, frozenset(), lambda: frozenset((OTHER,)))
        keys = KeyApi(self.member, session)
        self.site = Site(door, PageFiles(page), self.feed, session, keys, local, others)

    async def get(
        self, path: str, headers: Mapping[str, str] = HOST, **query: object
    ) -> HttpResponse:
        """Bytes in the query are base64url."""
        texts = {
            name.rstrip("_"): to_base64(value) if isinstance(value, bytes) else str(value)
            for name, value in query.items()
        }
        target = f"{path}?{urlencode(texts)}" if texts else path
        return await served(self.stage, self.site(HttpRequest("GET", target, headers, b"")))

    async def json(self, path: str, token: str = "", **query: object) -> Any:
        """The answer of a request that is served."""
        headers = {**HOST, "authorization": f"Bearer {token}"} if token else HOST
        response = await self.get(path, headers, **query)
        assert response.status == 200, response.body
        return json.loads(response.body)

    async def refusal(self, path: str, token: str = "", **query: object) -> tuple[int, str]:
        headers = {**HOST, "authorization": f"Bearer {token}"} if token else HOST
        return told(await self.get(path, headers, **query))

    async def post(
        self, path: str, body: object, headers: Mapping[str, str] = POST
    ) -> HttpResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await served(self.stage, self.site(HttpRequest("POST", path, headers, data)))

    async def log_in(self, name: str) -> str:
        response = await self.post("/api/login", {"name": name, "password": f"{name}'s"})
        assert response.status == 200, response.body
        token: str = json.loads(response.body)["token"]
        return token

    def open(self, headers: Mapping[str, str] = HOST) -> tuple[FakeExchange, asyncio.Task[None]]:
        """A stream, and the task that serves it."""
        exchange = FakeExchange("/api/stream", headers)
        handler = self.site.streams(exchange.request)
        assert handler is not None, "it is refused"
        return exchange, asyncio.ensure_future(_awaited(handler(exchange)))

    async def turn(self, seconds: float = 0.5) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
            self.stage.run(seconds / 5)
        await asyncio.sleep(0)

    async def enable_auth(self) -> None:
        """root, and ann who may read from a/ to a0."""
        service = auth_service(self.member)

        async def done(method: str, request: Any) -> None:
            call = _OwnCall(PageCall({}))
            service.unary[method](request.SerializeToString(), call)
            outcome = await served(self.stage, _awaited(call.outcome))
            assert isinstance(outcome, bytes), outcome

        for name in ("root", "ann"):
            await done("UserAdd", api.AuthUserAddRequest(name=name, password=f"{name}'s"))
        await done("UserGrantRole", api.AuthUserGrantRoleRequest(user="root", role="root"))
        await done("RoleAdd", api.AuthRoleAddRequest(name="reader"))
        perm = auth_pb2.Permission(permType=auth_pb2.Permission.READ, key=b"a/", range_end=b"a0")
        grant = api.AuthRoleGrantPermissionRequest(name="reader", perm=perm)
        await done("RoleGrantPermission", grant)
        await done("UserGrantRole", api.AuthUserGrantRoleRequest(user="ann", role="reader"))
        await done("AuthEnable", api.AuthEnableRequest())


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def told(response: HttpResponse) -> tuple[int, str]:
    """The status and the text of a refusal."""
    return response.status, json.loads(response.body)["error"]
