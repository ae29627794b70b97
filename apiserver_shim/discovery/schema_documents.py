"""/openapi/v2 and /openapi/v3 over HTTP: which form, which hash, and what a client has already.

Owns: Accept, ETag and If-None-Match of these documents. Must never do: make them; `schemas.openapi`
does, in a thread, since they are megabytes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from apiserver_shim.api.answer import TextAnswer
from apiserver_shim.api.request import ApiRequest
from apiserver_shim.api.status import no_such_path, not_acceptable
from apiserver_shim.schemas.openapi import OpenApi
from apiserver_shim.schemas.openapi_protobuf import ASKED_AS
from apiserver_shim.schemas.openapi_protobuf import MEDIA_TYPE as PROTOBUF

JSON = "application/json"
_ANY = ("*/*", "application/*", "")
_FOREVER = {"Cache-Control": "public, immutable", "Expires": "Fri, 01 Jan 2100 00:00:00 GMT"}


class SchemaDocuments:
    def __init__(self, open_api: OpenApi) -> None:
        self._open_api = open_api

    async def v2(self, request: ApiRequest) -> TextAnswer:
        """kubectl before 1.27 asks for protobuf and nothing else. Raises 406."""
        for wanted in _accepted(request):
            if wanted in (PROTOBUF, ASKED_AS):
                return await _answer(request, self._open_api.v2_protobuf, PROTOBUF)
            if wanted in (JSON, *_ANY):
                return await _answer(request, self._open_api.v2, JSON)
        raise not_acceptable(f"{JSON}, {PROTOBUF}")

    async def v3_index(self, request: ApiRequest) -> TextAnswer:
        _check_json(request)
        return await _answer(request, self._open_api.v3_index, JSON)

    async def v3(self, request: ApiRequest) -> TextAnswer:
        """Under a ``hash`` that is the document's it never changes; a stale one is led to the new
        address."""
        match request.path.rstrip("/").split("/")[3:]:
            case ["api", version]:
                group = ""
            case ["apis", group, version]:
                pass
            case _:
                raise no_such_path()
        _check_json(request)
        body = await asyncio.to_thread(self._open_api.v3, group, version)
        if body is None:
            raise no_such_path()
        given, digest = request.query.get("hash", ""), self._open_api.v3_hash(group, version)
        if given and given != digest:
            return TextAnswer(301, b"", JSON, {"Location": f"{request.path}?hash={digest}"})
        answer = await _answer(request, lambda: body, JSON)
        answer.headers.update(_FOREVER if given else {})
        return answer


def _accepted(request: ApiRequest) -> list[str]:
    header = request.headers.get("accept", "")
    return [choice.partition(";")[0].strip() for choice in header.split(",")]


def _check_json(request: ApiRequest) -> None:
    if not any(wanted in (JSON, *_ANY) for wanted in _accepted(request)):
        raise not_acceptable(JSON)


async def _answer(request: ApiRequest, make: Callable[[], bytes], content_type: str) -> TextAnswer:
    """304 to who has it."""
    body = await asyncio.to_thread(make)
    etag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
    headers = {"ETag": etag, "Vary": "Accept"}
    known = [each.strip().removeprefix("W/") for each in _known(request)]
    if etag in known or "*" in known:
        return TextAnswer(304, b"", content_type, headers)
    return TextAnswer(200, body, content_type, headers)


def _known(request: ApiRequest) -> list[str]:
    return request.headers.get("if-none-match", "").split(",")
