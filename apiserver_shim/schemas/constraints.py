"""What a schema asks of a value beyond its type: bounds, patterns, formats, lengths, list kinds.

Owns: those checks, in the words of a real apiserver. Must never do: walk; ``validation`` does.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import orjson

from apiserver_shim.api.status import Cause
from apiserver_shim.schemas.definitions import Schema

CONSTRAINING = frozenset(
    (
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "uniqueItems",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-list-type",
    )
)
"""Words of a schema without which there is nothing to check here."""
MATCHED_CHARACTERS_MAX = 64 * 1024
"""Of a string that is held against a pattern: patterns are the users' own."""
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\Z")
_HOST = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?\Z")
_DURATION = re.compile(r"^([+-]?(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h|d|w))+\Z|^0\Z")


def constraints(node: Any, schema: Schema, path: str) -> Iterator[Cause]:
    if isinstance(node, str):
        yield from _of_string(node, schema, path)
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield from _of_number(node, schema, path)
    elif isinstance(node, list):
        yield from _of_list(node, schema, path)
    elif isinstance(node, dict):
        yield from _of_object(node, schema, path)


def _of_string(node: str, schema: Schema, path: str) -> Iterator[Cause]:
    least, most = schema.get("minLength"), schema.get("maxLength")
    if least is not None and len(node) < least:
        yield _in_body(node, path, f"should be at least {least} chars long")
    if most is not None and len(node) > most:
        told = f"Too long: may not be more than {most} bytes"
        yield Cause("FieldValueTooLong", told, path)
    pattern = schema.get("pattern")
    if pattern is not None and not _matches(pattern, node):
        yield _in_body(node, path, f"should match '{pattern}'")
    check = _FORMATS.get(schema.get("format", ""))
    if check is not None and not check(node):
        told = f'{path} in body must be of type {schema["format"]}: "{node}"'
        yield Cause("FieldValueInvalid", f"Invalid value: {_said(node)}: {told}", path)


def _of_number(node: int | float, schema: Schema, path: str) -> Iterator[Cause]:
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None and (node <= least if schema.get("exclusiveMinimum") else node < least):
        words = "" if schema.get("exclusiveMinimum") else " or equal to"
        yield _in_body(node, path, f"should be greater than{words} {least:g}")
    if most is not None and (node >= most if schema.get("exclusiveMaximum") else node > most):
        words = "" if schema.get("exclusiveMaximum") else " or equal to"
        yield _in_body(node, path, f"should be less than{words} {most:g}")
    if step and abs(node / step - round(node / step)) > 1e-9:
        yield _in_body(node, path, f"should be a multiple of {step:g}")


def _of_list(node: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(node) < least:
        yield _in_body(len(node), path, f"should have at least {least} items")
    if most is not None and len(node) > most:
        told = f"Too many: {len(node)}: must have at most {most} items"
        yield Cause("FieldValueTooMany", told, path)
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if kind == "set" or schema.get("uniqueItems"):
        yield from _duplicates(node, path, lambda each: each)
    elif kind == "map" and keys:
        yield from _duplicates(
            [each for each in node if isinstance(each, dict)],
            path,
            lambda each: {key: each[key] for key in keys if key in each},
        )


def _duplicates(node: list[Any], path: str, key: Callable[[Any], Any]) -> Iterator[Cause]:
    seen = set[bytes]()
    for index, each in enumerate(node):
        identity = orjson.dumps(key(each), option=orjson.OPT_SORT_KEYS)
        if identity in seen:
            told = f"Duplicate value: {identity.decode()}"
            yield Cause("FieldValueDuplicate", told, f"{path}[{index}]")
        seen.add(identity)


def _of_object(node: dict[str, Any], schema: Schema, path: str) -> Iterator[Cause]:
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(node) < least:
        yield _in_body(len(node), path, f"should have at least {least} properties")
    if most is not None and len(node) > most:
        told = f"Too many: {len(node)}: must have at most {most} items"
        yield Cause("FieldValueTooMany", told, path)
    if schema.get("x-kubernetes-embedded-resource"):
        for name in ("apiVersion", "kind"):
            if not node.get(name):
                where = f"{path}.{name}"
                yield Cause("FieldValueRequired", "Required value: must not be empty", where)


def _in_body(node: Any, path: str, words: str) -> Cause:
    told = f"Invalid value: {_said(node)}: {path} in body {words}"
    return Cause("FieldValueInvalid", told, path)


def _said(node: Any) -> str:
    return orjson.dumps(node).decode()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Patterns are Go's; of those that Python does not know nothing is asked."""
    try:
        return re.compile(pattern.replace(r"\z", r"\Z"))
    except (re.error, RecursionError, OverflowError):
        return None


def _matches(pattern: str, node: str) -> bool:
    compiled = _compiled(pattern)
    if compiled is None:
        return True
    return len(node) <= MATCHED_CHARACTERS_MAX and compiled.search(node) is not None


def _parses(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return check


def _rfc3339(text: str) -> datetime:
    if "T" not in text.upper():
        raise ValueError(text)
    found = datetime.fromisoformat(text.upper())
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found


_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _parses(_rfc3339),
    "date": _parses(date.fromisoformat),
    "uuid": _parses(uuid.UUID),
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": _parses(lambda text: ipaddress.ip_network(text, strict=False)),
    "byte": _parses(lambda text: base64.b64decode(text, validate=True)),
    "email": lambda text: _EMAIL.match(text) is not None,
    "hostname": lambda text: _HOST.match(text) is not None,
    "uri": lambda text: bool(urlsplit(text).scheme),
    "duration": lambda text: _DURATION.match(text) is not None,
}
