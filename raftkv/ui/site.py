"""The port of --listen-ui-url: which path answers what.

Owns: the paths, and that every one of them is behind the door. Must never do: know more of the
member than its parts here do.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Protocol

from raftkv.gateway.target import path_of, query_of
from raftkv.ui.answers import Refusal, json_answer, refusal_of, refused
from raftkv.ui.door import Door
from raftkv.ui.feed import Feed
from raftkv.ui.key_api import KeyApi, Query
from raftkv.ui.local_state import ACTIONS
from raftkv.ui.page_files import INDEX, PageFiles
from raftkv.ui.page_stream import PageStream
from raftkv.ui.session import PageCall, Session
from raftkv.wire.service import (
    HttpExchange,
    HttpHead,
    HttpRequest,
    HttpResponse,
    HttpStreamHandler,
)

STREAM = "/api/stream"
FILES = "/page/"

Read = Callable[[PageCall, Query], Awaitable[dict[str, object]]]


class LocalRequests(Protocol):
    """The control of `raftkv local`. Each returns what was done, or raises Refusal."""

    async def act(self, member_id: int, action: str) -> str: ...

    async def link(self, a: int, b: int, *, cut: bool) -> str: ...


class Site:
    """Implements ``HttpHandler``; ``streams`` is its ``HttpStreams``. ``others`` has the ui_urls of
    the other members, which scripts may ask too."""

    def __init__(
        self,
        door: Door,
        files: PageFiles,
        feed: Feed,
        session: Session,
        keys: KeyApi,
        local: LocalRequests | None,
        others: Callable[[], Awaitable[frozenset[str]]],
    ) -> None:
        self._door = door
        self._files = files
        self._feed = feed
        self._session = session
        self._local = local
        self._others = others
        self._reads: dict[str, Read] = {
            "/api/keys": keys.keys,
            "/api/key": keys.key,
            "/api/history": keys.history,
            "/api/diff": keys.diff,
        }
        self._posts = {
            "/api/login": self._log_in,
            "/api/local/member": self._act,
            "/api/local/link": self._link,
        }

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        allowed = self._door.allowed(request.headers)
        try:
            self._door.check(request.method, request.headers)
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - what is not ours becomes a 500 and a log line
            response = refused(refusal_of(error))
        return replace(response, headers={**response.headers, **allowed})

    def streams(self, head: HttpHead) -> HttpStreamHandler | None:
        """What must not pass is left to ``__call__``, which says so."""
        if head.method != "GET" or path_of(head.target) != STREAM:
            return None
        try:
            self._door.check(head.method, head.headers)
        except Refusal:
            return None
        allowed = self._door.allowed(head.headers)

        async def serve(exchange: HttpExchange) -> None:
            await PageStream(exchange, self._session).serve(self._feed, allowed)

        return serve

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        path = path_of(request.target)
        if request.method == "OPTIONS":
            return HttpResponse(HTTPStatus.NO_CONTENT, b"")
        if path in self._posts:
            _check_method(request, "POST")
            return await self._posts[path](request)
        _check_method(request, "GET", "HEAD")
        if path in self._reads:
            answer = await self._reads[path](PageCall(request.headers), query_of(request))
            return json_answer(answer)
        return await self._file(request, path)

    async def _file(self, request: HttpRequest, path: str) -> HttpResponse:
        name = INDEX if path == "/" else path.removeprefix(FILES) if path.startswith(FILES) else ""
        others = await self._others() if name == INDEX else frozenset[str]()
        found = self._files.get(name, request.headers, others)
        if found is None:
            raise Refusal(404, f"there is nothing at {path[:200]}: the page is at /")
        return found

    # --- POST -----------------------------------------------------------------------------------

    async def _log_in(self, request: HttpRequest) -> HttpResponse:
        body = _body(request)
        token = await self._session.log_in(body.get("name"), body.get("password"))
        return json_answer({"token": token})

    async def _act(self, request: HttpRequest) -> HttpResponse:
        local, body = await self._local_for(request), _body(request)
        action = body.get("action")
        if action not in ACTIONS:
            raise Refusal(400, f"action is one of {', '.join(ACTIONS)}, not {action!r}")
        return json_answer({"done": await local.act(_id_in(body, "member"), action)})

    async def _link(self, request: HttpRequest) -> HttpResponse:
        local, body = await self._local_for(request), _body(request)
        cut = body.get("cut")
        if not isinstance(cut, bool):
            raise Refusal(400, f"cut is true or false, not {cut!r}")
        done = await local.link(_id_in(body, "a"), _id_in(body, "b"), cut=cut)
        return json_answer({"done": done})

    async def _local_for(self, request: HttpRequest) -> LocalRequests:
        if self._local is None:
            raise Refusal(
                404, "this member was not started by `raftkv local`: use its host's tools"
            )
        await self._session.as_root(PageCall(request.headers))
        return self._local


def _check_method(request: HttpRequest, *methods: str) -> None:
    if request.method not in methods:
        raise Refusal(405, f"{path_of(request.target)[:200]} answers {' and '.join(methods)}")


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as e:
        raise Refusal(400, f"the body is no JSON: {e}") from None
    if not isinstance(body, dict):
        raise Refusal(400, "the body is a JSON object")
    return body


def _id_in(body: dict[str, Any], name: str) -> int:
    text = body.get(name)
    try:
        return int(str(text), 16)
    except ValueError:
        raise Refusal(400, f"{name} is a member's id in hex, not {str(text)[:40]!r}") from None
