"""What can be wrong with a field, in the words of a real apiserver.

Owns: the reasons and their wording. Must never do: look at objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from apiserver_shim.api.status import Cause

Object = dict[str, Any]
IMMUTABLE = "field is immutable"


def said(value: Any) -> str:
    """A value as messages quote it."""
    return orjson.dumps(value).decode()


def required(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", _with("Required value", detail), field)


def wrong(field: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {said(value)}: {detail}", field)


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    words = ", ".join(f'"{each}"' for each in supported)
    told = f"Unsupported value: {said(value)}: supported values: {words}"
    return Cause("FieldValueNotSupported", told, field)


def duplicate(field: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {said(value)}", field)


def unknown(field: str, value: Any) -> Cause:
    return Cause("FieldValueNotFound", f"Not found: {said(value)}", field)


def forbidden(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def immutable(field: str, new: Object, old: Object) -> list[Cause]:
    """One cause if the field at that dotted path has changed."""
    after, before = at(new, field), at(old, field)
    return [] if after == before else [wrong(field, after, IMMUTABLE)]


def at(obj: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path; ``default`` where anything on the way is missing."""
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return default if obj is None else obj


def _with(word: str, detail: str) -> str:
    return f"{word}: {detail}" if detail else word
