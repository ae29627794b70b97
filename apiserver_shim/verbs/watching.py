"""watch.

Owns: how changes of a collection become a client's events under its selectors, and bookmarks. Must
never do: skip, repeat or reorder a change: a client that goes on from the last resourceVersion it
saw misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from apiserver_shim.api.answer import WatchAnswer, WatchEvent
from apiserver_shim.api.options import ListOptions, list_options
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.selectors import FieldSelector
from apiserver_shim.api.status import ApiError
from apiserver_shim.api.stored import StoredObject
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource
from apiserver_shim.store.changes import Change, Subscription
from apiserver_shim.verbs.reading import matches, selected

BOOKMARK_S = 60.0
TIMEOUT_S_MIN, TIMEOUT_S_MAX = 1800.0, 3600.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


async def watch(parts: Parts, request: ApiRequest, target: Target) -> WatchAnswer:
    """Begin: what is wrong with the request, or with its resourceVersion, is raised here; what
    ends the watch later is its last event."""
    prefix = target.resource.collection(target.namespace)
    options = list_options(request, target.resource, prefix)
    if target.name:
        prefix = target.resource.key(target.namespace, target.name)
        options = _of_one(options, target.name)
    initial = not options.revision or options.initial_events
    if options.revision is None:
        await parts.mirror.catch_up()
    else:
        await parts.mirror.reach(options.revision)
    collection = parts.mirror.collection(target.resource.prefix)
    first = list(selected(collection.objects(prefix), options)) if initial else []
    after = parts.mirror.revision if initial else options.revision or 0
    subscription = collection.subscribe(after)
    timeout_s = options.timeout_s or parts.random.uniform(TIMEOUT_S_MIN, TIMEOUT_S_MAX)

    async def events() -> AsyncIterator[WatchEvent]:
        try:
            for stored in first:
                yield "ADDED", stored
            if options.initial_events:
                yield _bookmark(target.resource, after, {INITIAL_EVENTS_END: "true"})
            ends = parts.monotonic() + timeout_s
            async for event in _follow(parts, target.resource, subscription, prefix, options, ends):
                yield event
        finally:
            collection.unsubscribe(subscription)

    return WatchAnswer(target.resource, events())


def _of_one(options: ListOptions, name: str) -> ListOptions:
    terms = (*options.fields.terms, ("metadata.name", name, False))
    return replace(options, fields=FieldSelector(terms))


async def _follow(
    parts: Parts,
    resource: Resource,
    subscription: Subscription,
    prefix: str,
    options: ListOptions,
    ends: float,
) -> AsyncIterator[WatchEvent]:
    next_bookmark = parts.monotonic() + BOOKMARK_S
    while (now := parts.monotonic()) < ends:
        try:
            async with asyncio.timeout(max(min(ends, next_bookmark) - now, 0)):
                change = await subscription.take()
        except TimeoutError:
            next_bookmark = parts.monotonic() + BOOKMARK_S
            if options.bookmarks and subscription.is_idle:
                yield _bookmark(resource, parts.mirror.revision, {})
            continue
        except ApiError as e:
            yield "ERROR", e.body
            return
        event = event_of(change, prefix, options)
        if event is not None:
            yield event


def event_of(change: Change, prefix: str, options: ListOptions) -> WatchEvent | None:
    """What the change is to a client that sees only what matches: an object that begins to match
    is added, one that ceases to is deleted."""
    before = change.old is not None and _is_seen(change.old, prefix, options)
    after = change.new is not None and _is_seen(change.new, prefix, options)
    if after:
        assert change.new is not None
        return "MODIFIED" if before else "ADDED", change.new
    if not before:
        return None
    assert change.old is not None
    return "DELETED", _as_of(change.old, change.revision)


def _is_seen(stored: StoredObject, prefix: str, options: ListOptions) -> bool:
    if not stored.key.startswith(prefix):
        return False
    return (not options.labels and not options.fields) or matches(stored, options)


def _as_of(stored: StoredObject, revision: int) -> dict[str, object]:
    """The last state of what is gone, with the revision at which it went."""
    found = stored.copy()
    found["metadata"]["resourceVersion"] = str(revision)
    return found


def _bookmark(resource: Resource, revision: int, annotations: dict[str, str]) -> WatchEvent:
    metadata: dict[str, object] = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return "BOOKMARK", obj
