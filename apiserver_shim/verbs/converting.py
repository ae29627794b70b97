"""The verbs of a kind in a version that it is not stored in.

Owns: the way in and out: the body to the stored version, the verb on that, the answer back. Must
never do: what a verb does. So watch caches, admission and rules know one version of each kind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson

from apiserver_shim.api.answer import Answer, ListAnswer, ObjectAnswer, WatchAnswer, WatchEvent
from apiserver_shim.api.metadata import metadata_of
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.selectors import parse_fields
from apiserver_shim.api.status import (
    ApiError,
    bad_request,
    modified,
    too_large,
    unsupported_media_type,
)
from apiserver_shim.api.stored import StoredObject
from apiserver_shim.parts import Parts
from apiserver_shim.patches.merge import json_patch, merge_patch
from apiserver_shim.patches.strategic import strategic_merge
from apiserver_shim.resources.resource import Resource
from apiserver_shim.resources.versions import conversion_of, from_stored, to_stored
from apiserver_shim.verbs.decoding import BODY_BYTES_MAX, check_kind, decode
from apiserver_shim.verbs.patching import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from apiserver_shim.verbs.reading import get
from apiserver_shim.verbs.writing import UPDATE_TRIES_MAX, update

Verb = Callable[[Parts, ApiRequest, Target], Awaitable[Answer]]


def converted(verb: Verb) -> Verb:
    """``verb`` for targets whose resource is stored in another version."""

    async def run(parts: Parts, request: ApiRequest, target: Target) -> Answer:
        served = target.resource
        stored = parts.catalogue.find(*served.stored_group_version, served.plural)
        assert stored is not None, f"{served.stored_as} is not served, {served.api_version} is"
        inner = replace(target, resource=stored)
        if target.verb == "patch":
            return _outward(await _patch(parts, request, target, inner), served)
        if target.verb in ("create", "update"):
            obj = decode(request)
            check_kind(obj, served)
            request = _with_body(request, to_stored(obj, served))
        return _outward(await verb(parts, _with_selectors(request, served), inner), served)

    return run


def _with_body(request: ApiRequest, obj: dict[str, Any]) -> ApiRequest:
    headers = {**request.headers, "content-type": "application/json"}
    return replace(request, body=orjson.dumps(obj), headers=headers)


def _with_selectors(request: ApiRequest, served: Resource) -> ApiRequest:
    """A field selector names the fields of the version that is asked."""
    selector = request.query.get("fieldSelector", "")
    names = conversion_of(served).selectors
    if not selector or not names:
        return request
    parse_fields(selector, served)  # raises 400 for what this version has not
    told = ",".join(_renamed(term, names) for term in selector.split(","))
    return replace(request, query={**request.query, "fieldSelector": told})


def _renamed(term: str, names: Any) -> str:
    end = min((at for mark in "!=" if (at := term.find(mark)) >= 0), default=len(term))
    return f"{names.get(term[:end], term[:end])}{term[end:]}"


async def _patch(parts: Parts, request: ApiRequest, target: Target, inner: Target) -> ObjectAnswer:
    """The patch is of the served version. Against other writers it is made again."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        raise unsupported_media_type(f"{JSON_PATCH}, {MERGE_PATCH}, {STRATEGIC_PATCH}")
    if len(request.body) > BODY_BYTES_MAX:
        raise too_large(BODY_BYTES_MAX)
    try:
        wanted = orjson.loads(request.body)
    except orjson.JSONDecodeError as e:
        raise bad_request(f"error decoding patch: {e}") from None
    for _ in range(UPDATE_TRIES_MAX):
        found = (await get(parts, request, inner)).object
        assert isinstance(found, StoredObject), found
        old = from_stored(found.object, target.resource)
        new = _patched(parts, target, old, wanted, media_type)
        check_kind(new, target.resource)
        seen = metadata_of(new).get("resourceVersion")
        body = to_stored(new, target.resource)
        try:
            return await update(parts, _with_body(request, body), inner)
        except ApiError as e:
            if e.reason != "Conflict" or seen != str(found.revision):
                raise
    raise modified(inner.resource, inner.name)


def _patched(
    parts: Parts, target: Target, old: dict[str, Any], wanted: Any, media_type: str
) -> dict[str, Any]:
    if media_type == JSON_PATCH:
        return json_patch(old, wanted)
    if not isinstance(wanted, dict):
        raise bad_request("a merge patch is an object")
    schema = parts.definitions.of(target.resource)
    if media_type == STRATEGIC_PATCH and schema is not None:
        return strategic_merge(old, wanted, schema, parts.definitions)
    merged: dict[str, Any] = merge_patch(old, wanted)
    return merged


# --- the way out --------------------------------------------------------------------------------


def _outward(answer: Any, served: Resource) -> Answer:
    if isinstance(answer, ObjectAnswer) and answer.resource is not None:
        return replace(answer, object=_converted(answer.object, served), resource=served)
    if isinstance(answer, ListAnswer):
        items = [_converted(each, served) for each in answer.items]
        return replace(answer, items=items, resource=served)
    if isinstance(answer, WatchAnswer):
        return WatchAnswer(served, _events(answer.events, served))
    assert isinstance(answer, ObjectAnswer), answer  # a Status
    return answer


def _converted(obj: StoredObject | dict[str, Any], served: Resource) -> Any:
    if isinstance(obj, dict):
        return from_stored(obj, served)
    return StoredObject(obj.key, orjson.dumps(from_stored(obj.object, served)), obj.revision)


async def _events(events: AsyncIterator[WatchEvent], served: Resource) -> AsyncIterator[WatchEvent]:
    try:
        async for kind, obj in events:
            if kind == "ERROR":
                yield kind, obj
            elif kind == "BOOKMARK":
                told = obj.copy()
                yield kind, told | {"kind": served.kind, "apiVersion": served.api_version}
            else:
                yield kind, _converted(obj, served)
    finally:
        aclose = getattr(events, "aclose", None)
        if aclose is not None:
            await aclose()
