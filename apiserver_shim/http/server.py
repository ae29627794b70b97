"""The HTTP door: requests in, answers out.

Owns: the aiohttp application and the one place where errors become Status objects. Must never do:
decide anything about objects. A request reads: who asks (security), what is asked
(api.request), may they (security), the verb, the form of the answer.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
import yaml
from aiohttp import web

from apiserver_shim.api.answer import Answer, ListAnswer, TextAnswer, WatchAnswer
from apiserver_shim.api.request import ApiRequest, target_of
from apiserver_shim.api.status import ApiError, internal, no_such_path, too_large, unavailable
from apiserver_shim.discovery.documents import Documents
from apiserver_shim.http.rendering import Form, form_of, render_events, render_list, render_object
from apiserver_shim.parts import Parts
from apiserver_shim.security.door import Door
from apiserver_shim.verbs.decoding import BODY_BYTES_MAX
from apiserver_shim.verbs.table import verb_for
from raftkv.errors import RaftKVError

log = logging.getLogger("apiserver_shim.http")

COMPRESSED_FROM = 128 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiServer:
    """``app`` is what aiohttp runs."""

    def __init__(self, parts: Parts, documents: Documents, door: Door) -> None:
        self._parts = parts
        self._documents = documents
        self._door = door
        self.app = web.Application(client_max_size=BODY_BYTES_MAX + 1)
        self.app.router.add_route("*", "/{path:.*}", self._handle)

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        try:
            request = await _request_of(http)
            return await self._serve(http, request)
        except ApiError as e:
            return _refusal(e)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(too_large(BODY_BYTES_MAX))
        except RaftKVError as e:
            log.warning("%s %s: the store says: %s", http.method, http.path, e)
            return _refusal(unavailable(f"the store does not answer: {e}"))
        except Exception as e:  # a defect of ours: told to the client, and to us in full
            log.exception("%s %s", http.method, http.path)
            return _refusal(internal(repr(e)))

    async def _serve(self, http: web.Request, request: ApiRequest) -> web.StreamResponse:
        user = await self._door.identify(http, request)
        document = self._documents.find(request)
        if document is not None:
            self._door.admit_path(user, request)
            return await self._respond(http, request, await document(request))
        if not request.path.startswith(("/api/", "/apis/")):
            raise no_such_path()
        target = target_of(request, self._parts.catalogue)
        await self._door.admit(user, target)
        answer = await verb_for(target)(self._parts, request, target)
        return await self._respond(http, request, answer)

    async def _respond(
        self, http: web.Request, request: ApiRequest, answer: Answer
    ) -> web.StreamResponse:
        if isinstance(answer, TextAnswer):
            if answer.stream is not None:
                return await _stream(http, answer.stream, answer.content_type)
            response = web.Response(
                status=answer.code,
                body=answer.body,
                headers={"Content-Type": answer.content_type, **answer.headers},
            )
            _compress(http, response, len(answer.body))
            return response
        form = form_of(request.headers.get("accept", ""))
        include, now = request.query.get("includeObject", ""), self._parts.now()
        if isinstance(answer, WatchAnswer):
            lines = render_events(answer.resource, answer.events, form, include, self._parts.now)
            return await _stream(http, lines, "application/json")
        if isinstance(answer, ListAnswer):
            return await _body(http, 200, render_list(answer, form, include, now), form, ())
        return await _body(
            http,
            answer.code,
            render_object(answer, form, include, now),
            form,
            tuple(answer.warnings),
        )


async def _request_of(http: web.Request) -> ApiRequest:
    return ApiRequest(
        http.method,
        http.path,
        dict(http.query),
        {name.lower(): value for name, value in http.headers.items()},
        await http.read(),
    )


async def _body(
    http: web.Request, code: int, body: bytes, form: Form, warnings: tuple[str, ...]
) -> web.Response:
    content_type = "application/json"
    if form.yaml:
        body = yaml.safe_dump(orjson.loads(body), sort_keys=False).encode()
        content_type = "application/yaml"
    response = web.Response(status=code, body=body, content_type=content_type)
    for warning in warnings:
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    _compress(http, response, len(body))
    return response


def _compress(http: web.Request, response: web.Response, size: int) -> None:
    if size > COMPRESSED_FROM and "gzip" in http.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)


async def _stream(
    http: web.Request, chunks: AsyncIterator[bytes], content_type: str
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(http)
    try:
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    except ConnectionResetError:
        pass  # the client has gone
    finally:
        aclose = getattr(chunks, "aclose", None)
        if aclose is not None:
            await aclose()
    return response


def _refusal(error: ApiError) -> web.Response:
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    return web.Response(
        status=error.code,
        body=orjson.dumps(error.body),
        content_type="application/json",
        headers=headers,
    )
