"""get and list.

Owns: which of the store and its copy answers, and the pages. Must never do: answer older than
asked: without a resourceVersion a read sees every write acknowledged before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from apiserver_shim.api.answer import ListAnswer, ObjectAnswer
from apiserver_shim.api.options import Continue, ListOptions, gone_token, list_options
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import expired, not_found, too_large_revision
from apiserver_shim.api.stored import StoredObject
from apiserver_shim.parts import Parts
from apiserver_shim.store.registry import Page
from raftkv.errors import Compacted, FutureRevision

PAGE_MIN = 500
"""Rows read at once while a selector leaves few of them."""


async def get(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """The newest, whatever resourceVersion says: not older than any that a client has seen."""
    found = await parts.registry.get(target.resource.key(target.namespace, target.name))
    if found is None:
        raise not_found(target.resource, target.name)
    return ObjectAnswer(200, found, target.resource)


async def list_objects(parts: Parts, request: ApiRequest, target: Target) -> ListAnswer:
    """From the copy where one revision is as good as another; pages and old revisions from the
    store, which keeps them until it is compacted."""
    prefix = target.resource.collection(target.namespace)
    options = list_options(request, target.resource, prefix)
    if options.page is not None or options.is_exact:
        return await _page(parts, target, options, prefix)
    if options.limit and options.revision != 0:
        return await _page(parts, target, options, prefix)
    if options.revision is None:
        await parts.mirror.catch_up()
    elif options.revision:
        await parts.mirror.reach(options.revision)
    objects = parts.mirror.collection(target.resource.prefix).objects(prefix)
    return ListAnswer(target.resource, parts.mirror.revision, list(selected(objects, options)))


def selected(objects: Iterable[StoredObject], options: ListOptions) -> Iterable[StoredObject]:
    if not options.labels and not options.fields:
        return objects
    return (each for each in objects if matches(each, options))


def matches(stored: StoredObject, options: ListOptions) -> bool:
    found = stored.object
    return options.labels.matches(found["metadata"].get("labels")) and options.fields.matches(found)


async def _page(parts: Parts, target: Target, options: ListOptions, prefix: str) -> ListAnswer:
    start, revision = prefix, 0
    if options.page is not None:
        start, revision = options.page.start, max(options.page.revision, 0)
    elif options.is_exact:
        revision = options.revision or 0
    plain = not options.labels and not options.fields
    found: list[StoredObject] = []
    while True:
        wanted = options.limit - len(found) if plain else max(options.limit, PAGE_MIN)
        page = await _read(parts, options, prefix, start, wanted if options.limit else 0, revision)
        revision = page.revision
        for stored in page.found:
            if plain or matches(stored, options):
                found.append(stored)
            start = stored.key + "\0"
            if options.limit and len(found) == options.limit:
                break
        left = page.remaining + sum(1 for stored in page.found if stored.key >= start)
        if not left or (options.limit and len(found) == options.limit):
            break
    if options.revision and options.match == "NotOlderThan" and revision < options.revision:
        raise too_large_revision(options.revision, revision)
    token = Continue(revision, start).token(prefix) if left else ""
    remaining = left if left and plain else None
    return ListAnswer(target.resource, revision, found, token, remaining)


async def _read(
    parts: Parts, options: ListOptions, prefix: str, start: str, limit: int, revision: int
) -> Page:
    try:
        return await parts.registry.page(prefix, start, limit, revision)
    except Compacted:
        if options.page is not None:
            raise gone_token(options.page, prefix) from None
        raise expired("The resourceVersion for the provided list is too old.") from None
    except FutureRevision:
        now = await parts.registry.revision()
        raise too_large_revision(revision, now) from None
