"""Which function answers which verb.

Owns: that table. Must never do: anything else. Subresources with verbs of their own register here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from apiserver_shim.api.answer import Answer
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import method_not_allowed
from apiserver_shim.parts import Parts
from apiserver_shim.verbs.converting import converted
from apiserver_shim.verbs.deleting import delete, delete_collection
from apiserver_shim.verbs.patching import patch
from apiserver_shim.verbs.reading import get, list_objects
from apiserver_shim.verbs.subresources.binding import bind
from apiserver_shim.verbs.subresources.eviction import evict
from apiserver_shim.verbs.subresources.scale import get_scale, patch_scale, update_scale
from apiserver_shim.verbs.watching import watch
from apiserver_shim.verbs.writing import create, update

Verb = Callable[[Parts, ApiRequest, Target], Awaitable[Answer]]

_VERBS: dict[str, Verb] = {
    "get": get,
    "list": list_objects,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
_SUBRESOURCES: dict[tuple[str, str], Verb] = {
    ("status", "get"): get,
    ("status", "update"): update,
    ("status", "patch"): patch,
    ("finalize", "update"): update,
    ("binding", "create"): bind,
    ("eviction", "create"): evict,
    ("scale", "get"): get_scale,
    ("scale", "update"): update_scale,
    ("scale", "patch"): patch_scale,
}


def verb_for(target: Target) -> Verb:
    """Raises 405 where there is none."""
    verb = _own_verb(target)
    return converted(verb) if target.resource.stored_as else verb


def _own_verb(target: Target) -> Verb:
    if not target.subresource:
        return _VERBS[target.verb]
    verb = _SUBRESOURCES.get((target.subresource, target.verb))
    if verb is None:
        raise method_not_allowed(
            f"{target.resource.qualified}/{target.subresource} does not support {target.verb}"
        )
    return verb
