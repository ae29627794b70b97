"""The HTTP door: requests in, answers out.

Owns: the aiohttp application and the one place where errors become Status objects. Must never do:
decide anything about objects. A request reads: who asks (security), what is asked
(api.request), may they (security), the verb, the form of the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import yaml
from aiohttp import web

from apiserver_shim.api.answer import Answer, ListAnswer, TextAnswer, WatchAnswer
from apiserver_shim.api.request import ApiRequest, Target, target_of
from apiserver_shim.api.status import ApiError, internal, no_such_path, too_large, unavailable
from apiserver_shim.api.user import ANONYMOUS, User
from apiserver_shim.discovery.documents import Documents
from apiserver_shim.http.gate import Gate, Passing
from apiserver_shim.http.rendering import Form, form_of, render_events, render_list, render_object
from apiserver_shim.parts import Parts
from apiserver_shim.security.door import Door
from apiserver_shim.verbs.decoding import BODY_BYTES_MAX
from apiserver_shim.verbs.table import verb_for
from raftkv.errors import RaftKVError

log = logging.getLogger("apiserver_shim.http")

CLIENT_GONE = 499
"""The code that is counted for a client that did not wait for the answer."""
COMPRESSED_FROM = 128 * 1024


class ApiServer:
    """``app`` is what aiohttp runs; one per listener, each with its own ``door``."""

    def __init__(
        self, parts: Parts, documents: Documents, door: Door, gate: Gate | None = None
    ) -> None:
        self._parts = parts
        self._documents = documents
        self._door = door
        self._gate = gate or Gate(parts)
        self.app = web.Application(client_max_size=BODY_BYTES_MAX + 1)
        self.app.router.add_route("*", "/{path:.*}", self._handle)

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        passing = self._gate.passing(http)
        try:
            response = await self._pass(http, passing)
        except ApiError as e:
            self._gate.note(passing, e.code)
            response = _refusal(e)
        except web.HTTPRequestEntityTooLarge:
            response = _refusal(too_large(BODY_BYTES_MAX))
        except RaftKVError as e:
            log.warning("%s %s: the store says: %s", http.method, http.path, e)
            response = _refusal(unavailable(f"the store does not answer: {e}"))
        except asyncio.CancelledError:
            self._gate.passed(passing, CLIENT_GONE)
            raise
        except Exception as e:  # a defect of ours: told to the client, and to us in full
            log.exception("%s %s", http.method, http.path)
            response = _refusal(internal(repr(e)))
        self._gate.passed(passing, response.status)
        return response

    async def _pass(self, http: web.Request, passing: Passing) -> web.StreamResponse:
        """Who asks is known before the body is read."""
        user = passing.user = await self._door.identify(http)
        request = _request_of(http, user)
        document = self._documents.find(request) or self._gate.accesses.document(request)
        if document is not None:
            self._door.admit_path(user, request)
        else:
            passing.target = self._target_of(user, request)
            await self._door.admit(user, passing.target, request)
        async with self._gate.bounded(passing):
            if http.can_read_body:
                request = replace(request, body=await http.read())
            if document is not None:
                return await self._respond(http, request, await document(request))
            assert passing.target is not None
            answer = await verb_for(passing.target)(self._parts, request, passing.target)
            with self._gate.note(passing, answer):
                return await self._respond(http, request, answer)

    def _target_of(self, user: User, request: ApiRequest) -> Target:
        """Who may not ask at all is not told what there is."""
        if not request.path.startswith(("/api/", "/apis/")):
            self._door.admit_path(user, request)
            raise no_such_path()
        try:
            return target_of(request, self._parts.catalogue)
        except ApiError:
            if user.name == ANONYMOUS:
                self._door.admit_path(user, request)
            raise

    async def _respond(
        self, http: web.Request, request: ApiRequest, answer: Answer
    ) -> web.StreamResponse:
        if isinstance(answer, TextAnswer):
            if answer.stream is not None:
                return await self._stream(http, answer.stream, answer.content_type)
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
            return await self._stream(http, lines, "application/json")
        if isinstance(answer, ListAnswer):
            return await _body(http, 200, render_list(answer, form, include, now), form, ())
        return await _body(
            http,
            answer.code,
            render_object(answer, form, include, now),
            form,
            tuple(answer.warnings),
        )

    async def _stream(
        self, http: web.Request, chunks: AsyncIterator[bytes], content_type: str
    ) -> web.StreamResponse:
        """Until the chunks end, the client goes, or the gate closes: then it ends as if there were
        no more, and the client comes again, elsewhere."""
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(http)
        try:
            with self._gate.streaming():
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


def _request_of(http: web.Request, user: User) -> ApiRequest:
    return ApiRequest(
        http.method,
        http.path,
        dict(http.query),
        {name.lower(): value for name, value in http.headers.items()},
        user=user,
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


def _refusal(error: ApiError) -> web.Response:
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    return web.Response(
        status=error.code,
        body=orjson.dumps(error.body),
        content_type="application/json",
        headers=headers,
    )
