"""The API as the components see it: objects by resource, namespace and name.

Owns: paths, errors and the watch's lines. Must never do: keep objects; ``informer`` does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
import orjson

Object = dict[str, Any]

JSON = "application/json"
METADATA = "application/json;as={kind};g=meta.k8s.io;v=v1"
"""The form of objects without spec and status, for who needs only who owns whom."""

WATCH_LINE_BYTES_MAX = 8 * 1024 * 1024
CONNECT_S_MAX = 10.0
REQUEST_S_MAX = 30.0
WATCH_SILENCE_S_MAX = 120.0
"""A watch brings a bookmark a minute at least; one that brings nothing is dead."""


@dataclass(slots=True)
class ApiFailure(Exception):
    """The server's Status. ``reason`` is NotFound, Conflict, Expired ..."""

    code: int
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a resource lives: ("", "v1", "pods"), ("apps", "v1", "deployments")."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        rest = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{rest}"


class ApiClient:
    """Use it as an async context manager. ``headers`` carry a token, ``tls`` certificates."""

    def __init__(
        self,
        server: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server.rstrip("/")
        self._headers = dict(headers or {})
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> ApiClient:
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True, limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, headers=self._headers, read_bufsize=WATCH_LINE_BYTES_MAX
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """None when there is none."""
        try:
            return await self._call("GET", kind.path(namespace, name))
        except ApiFailure as e:
            if e.code == 404:
                return None
            raise

    async def list(
        self, kind: Kind, namespace: str = "", *, form: str = "", **query: str
    ) -> Object:
        """The list object: items, and the resourceVersion to watch from. ``form``: see METADATA."""
        accept = form.format(kind="PartialObjectMetadataList") if form else JSON
        return await self._call("GET", kind.path(namespace), query=query, accept=accept)

    async def read(self, path: str) -> Object:
        """What is no object: discovery, say."""
        return await self._call("GET", path)

    async def create(
        self, kind: Kind, namespace: str, obj: Object, name: str = "", subresource: str = ""
    ) -> Object:
        return await self._call("POST", kind.path(namespace, name, subresource), obj)

    async def update(self, kind: Kind, obj: Object, subresource: str = "") -> Object:
        """Raises Conflict when the object has changed since it was read."""
        metadata = obj["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"], subresource)
        return await self._call("PUT", path, obj)

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Object, subresource: str = ""
    ) -> Object:
        """A JSON merge patch."""
        content = "application/merge-patch+json"
        return await self._call(
            "PATCH", kind.path(namespace, name, subresource), patch, content=content
        )

    async def delete(
        self, kind: Kind, namespace: str, name: str, options: Object | None = None
    ) -> Object | None:
        """None when it was gone already."""
        try:
            return await self._call("DELETE", kind.path(namespace, name), options or {})
        except ApiFailure as e:
            if e.code == 404:
                return None
            raise

    async def watch(
        self, kind: Kind, namespace: str, revision: str, *, form: str = "", **query: str
    ) -> AsyncIterator[tuple[str, Object]]:
        """Events after ``revision``, until the server ends it. Raises ApiFailure for an ERROR."""
        asked = {
            "watch": "1",
            "resourceVersion": revision,
            "allowWatchBookmarks": "true",
            **query,
        }
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_S_MAX, sock_read=WATCH_SILENCE_S_MAX
        )
        url = self._server + kind.path(namespace)
        headers = {"Accept": form.format(kind="PartialObjectMetadata") if form else JSON}
        async with self._open.get(url, params=asked, timeout=timeout, headers=headers) as reply:
            if reply.status != 200:
                raise _failure(reply.status, await reply.read())
            async for line in reply.content:
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise _failure_of(event["object"])
                yield event["type"], event["object"]

    async def _call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = JSON,
        accept: str = JSON,
    ) -> Object:
        timeout = aiohttp.ClientTimeout(total=REQUEST_S_MAX, sock_connect=CONNECT_S_MAX)
        async with self._open.request(
            method,
            self._server + path,
            params=dict(query or {}),
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": content, "Accept": accept},
            timeout=timeout,
        ) as reply:
            raw = await reply.read()
            if reply.status >= 300:
                raise _failure(reply.status, raw)
            found: Object = orjson.loads(raw)
            return found

    @property
    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the client is used outside its context"
        return self._session


def _failure(code: int, raw: bytes) -> ApiFailure:
    try:
        return _failure_of(orjson.loads(raw))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ApiFailure(code, "", raw[:200].decode(errors="replace"))


def _failure_of(status: Object) -> ApiFailure:
    return ApiFailure(status["code"], status.get("reason", ""), status.get("message", ""))


UNREACHABLE = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
"""What a call raises when no answer came: try again later."""
