"""An answer in the form that the client asked for: JSON bytes, Tables, streams.

Owns: Accept and what it chooses. Must never do: ask the store anything. An object's bytes are
passed on as they are wherever nobody asked for another form.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from apiserver_shim.api.answer import ListAnswer, ObjectAnswer, WatchEvent
from apiserver_shim.api.status import not_acceptable
from apiserver_shim.api.stored import StoredObject
from apiserver_shim.resources.resource import Resource
from apiserver_shim.views.partial import partial, partial_list
from apiserver_shim.views.table import Table

JSON = "application/json"
YAML = "application/yaml"
OFFERED = f"{JSON}, {YAML}"


@dataclass(frozen=True, slots=True)
class Form:
    """``kind``: Table, PartialObjectMetadata, PartialObjectMetadataList, or empty for the object
    itself."""

    kind: str = ""
    version: str = "v1"
    yaml: bool = False


def form_of(accept: str) -> Form:
    """The first form of the header that is offered. Raises 406."""
    if not accept:
        return Form()
    for choice in accept.split(","):
        media_type, *parameters = (part.strip() for part in choice.split(";"))
        named = dict(p.partition("=")[::2] for p in parameters if "=" in p)
        if named.get("g", "meta.k8s.io") != "meta.k8s.io":
            continue
        if media_type == YAML and "as" not in named:
            return Form(yaml=True)
        if media_type in (JSON, "*/*", "application/*"):
            wanted = named.get("as", "")
            if wanted in ("", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"):
                return Form(wanted, named.get("v", "v1"))
    raise not_acceptable(OFFERED)


def render_object(answer: ObjectAnswer, form: Form, include: str, now: datetime) -> bytes:
    if form.kind == "Table" and answer.resource is not None:
        return orjson.dumps(Table(answer.resource, form.version, include, now).of([answer.object]))
    if form.kind.startswith("Partial") and answer.resource is not None:
        return orjson.dumps(partial(answer.object, form.version))
    return raw_of(answer.object, answer.resource)


def render_list(answer: ListAnswer, form: Form, include: str, now: datetime) -> bytes:
    metadata = list_metadata(answer)
    if form.kind == "Table":
        table = Table(answer.resource, form.version, include, now).of(answer.items)
        return orjson.dumps({**table, "metadata": metadata})
    if form.kind.startswith("Partial"):
        return orjson.dumps({**partial_list(answer.items, form.version), "metadata": metadata})
    head = orjson.dumps(
        {
            "kind": answer.resource.list_kind,
            "apiVersion": answer.resource.api_version,
            "metadata": metadata,
        }
    )
    return b'%b,"items":[%b]}' % (
        head[:-1],
        b",".join(raw_of(stored, answer.resource) for stored in answer.items),
    )


def list_metadata(answer: ListAnswer) -> dict[str, Any]:
    metadata: dict[str, Any] = {"resourceVersion": str(answer.revision)}
    if answer.next_page:
        metadata["continue"] = answer.next_page
    if answer.remaining:
        metadata["remainingItemCount"] = answer.remaining
    return metadata


async def render_events(
    resource: Resource,
    events: AsyncIterator[WatchEvent],
    form: Form,
    include: str,
    now: Callable[[], datetime],
) -> AsyncIterator[bytes]:
    """One line each."""
    shape = _shape_of(resource, form, include, now)
    async for kind, obj in events:
        body = raw_of(obj) if kind == "ERROR" else shape(obj)
        yield b'{"type":"%b","object":%b}\n' % (kind.encode(), body)


def _shape_of(
    resource: Resource, form: Form, include: str, now: Callable[[], datetime]
) -> Callable[[StoredObject | dict[str, Any]], bytes]:
    if form.kind == "Table":
        return lambda obj: orjson.dumps(Table(resource, form.version, include, now()).of([obj]))
    if form.kind.startswith("Partial"):
        return lambda obj: orjson.dumps(partial(obj, form.version))
    return lambda obj: raw_of(obj, resource)


def raw_of(obj: StoredObject | dict[str, Any], resource: Resource | None = None) -> bytes:
    """The object's own bytes; in the version asked for, where a kind is stored in another."""
    if not isinstance(obj, StoredObject):
        return orjson.dumps(obj)
    if resource is None or not resource.storage_version:
        return obj.raw
    return orjson.dumps({**obj.object, "apiVersion": resource.api_version})
