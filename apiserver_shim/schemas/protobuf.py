"""Objects in Kubernetes' protobuf form, to the JSON that they stand for.

Owns: the envelope (magic, runtime.Unknown), the wire format and the few messages that have a JSON
form of their own. Must never do: know a kind: fields come from protobuf_fields.json. What comes out
is what Go's JSON encoder makes of the same object, without its nulls.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
DEPTH_MAX = 100
_FILE = "protobuf_fields.json"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_META_KINDS = ("DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPE = re.compile(r"(\[\]|\{\}|\?)?(.+)")

Value = int | bytes


class Malformed(ValueError):
    """Bytes that are no such message."""


@dataclass(frozen=True, slots=True)
class Field:
    """``name`` is empty where the message's fields stand beside its neighbours. ``many`` is "[]"
    for a list, "{}" for a map from strings, "?" for what is left out when zero, or empty."""

    name: str
    kind: str
    many: str


class Messages:
    """``packages``: apiVersion -> where its messages are named."""

    def __init__(self, packages: dict[str, str], fields: dict[str, dict[int, Field]]) -> None:
        self.packages = packages
        self.fields = fields

    def of_kind(self, api_version: str, kind: str) -> str:
        """The message's name. Raises Malformed for a kind that has none."""
        package = "meta.v1" if kind in _META_KINDS else self.packages.get(api_version, "")
        name = f"{package}.{kind}"
        if name not in self.fields:
            raise Malformed(f'no kind "{kind}" is registered for version "{api_version}"')
        return name


@cache
def messages() -> Messages:
    found = orjson.loads((files("apiserver_shim.schemas") / _FILE).read_bytes())
    return Messages(
        found["packages"],
        {
            name: {number: _field(json_name, kind) for number, json_name, kind in fields}
            for name, fields in found["messages"].items()
        },
    )


def _field(json_name: str, kind: str) -> Field:
    match = _TYPE.fullmatch(kind)
    assert match is not None, f"{kind!r} is no type"
    return Field(json_name, match[2], match[1] or "")


def decode_object(body: bytes) -> dict[str, Any]:
    """The object in an envelope, with its apiVersion and kind. Raises Malformed."""
    if not body.startswith(MAGIC):
        raise Malformed(f"the body does not begin with {MAGIC!r}")
    api_version = kind = ""
    raw = b""
    for number, value in walk(body[len(MAGIC) :]):
        if number == 1:
            told = {n: _text(v) for n, v in walk(_bytes(value)) if n in (1, 2)}
            api_version, kind = told.get(1, ""), told.get(2, "")
        elif number == 2:
            raw = _bytes(value)
        elif number == 3 and value:
            raise Malformed(f"contentEncoding {_text(value)!r} is not understood")
    name = messages().of_kind(api_version, kind)
    return {"apiVersion": api_version, "kind": kind, **_message(name, raw, 0)}


# --- messages ---------------------------------------------------------------------------------


def _message(name: str, data: bytes, depth: int) -> dict[str, Any]:
    if depth > DEPTH_MAX:
        raise Malformed(f"messages are nested deeper than {DEPTH_MAX}")
    fields = messages().fields[name]
    found: dict[str, Any] = {}
    for number, value in walk(data):
        field = fields.get(number)
        if field is None:
            continue  # of a newer version: its Go decoder drops it as well
        if field.many == "{}":
            key, item = _entry(field.kind, _bytes(value), depth)
            found.setdefault(field.name, {})[key] = item
            continue
        if field.many == "[]":
            items = found.setdefault(field.name, [])
            items.extend(_value(field.kind, each, depth) for each in _unpacked(field, value))
            continue
        item = _value(field.kind, value, depth)
        if not field.name:
            found.update(item)
        elif item is None or (field.many == "?" and not item):
            found.pop(field.name, None)
        else:
            found[field.name] = item
    return found


def _entry(kind: str, data: bytes, depth: int) -> tuple[str, Any]:
    parts = dict(walk(data))
    key = _text(parts.get(1, b""))
    return key, _value(kind, parts.get(2, 0 if kind in _INTEGERS else b""), depth)


def _unpacked(field: Field, value: Value) -> list[Value]:
    """Numbers may stand one after another in one field."""
    if not isinstance(value, bytes) or field.kind not in ("int32", "int64", "bool"):
        return [value]
    found: list[Value] = []
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _value(kind: str, value: Value, depth: int) -> Any:
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return scalar(value)
    own = _OWN_FORMS.get(kind)
    if own is not None:
        return own(_bytes(value), depth + 1)
    return _message(kind, _bytes(value), depth + 1)


def _text(value: Value) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as e:
        raise Malformed(f"a string is not UTF-8: {e}") from None


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("a number where bytes should be")
    return value


def _integer(value: Value) -> int:
    if not isinstance(value, int):
        raise Malformed("bytes where a number should be")
    return value - (1 << 64) if value >> 63 else value


def _int32(value: Value) -> int:
    low = _integer(value) & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def _double(value: Value) -> float | int:
    number: float = struct.unpack("<d", (_integer(value) & (1 << 64) - 1).to_bytes(8, "little"))[0]
    return int(number) if number.is_integer() else number


_INTEGERS = ("int32", "int64", "bool", "double")
_SCALARS: dict[str, Callable[[Value], Any]] = {
    "string": _text,
    "bytes": lambda value: base64.b64encode(_bytes(value)).decode(),
    "int32": _int32,
    "int64": _integer,
    "bool": lambda value: bool(_integer(value)),
    "double": _double,
}

# --- messages with a JSON form of their own -----------------------------------------------------


def _moment(data: bytes, spec: str) -> str | None:
    """Go's zero time is an empty message, and null in JSON."""
    if not data:
        return None
    parts = {number: _integer(value) for number, value in walk(data)}
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    try:
        moment = _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError:
        raise Malformed(f"a time {seconds} s from 1970") from None
    return f"{moment.replace(tzinfo=None).isoformat(timespec=spec)}Z"


def _int_or_string(data: bytes, depth: int) -> int | str:
    parts = dict(walk(data))
    return _text(parts.get(3, b"")) if parts.get(1, 0) else _int32(parts.get(2, 0))


def _embedded(data: bytes, depth: int) -> Any:
    """JSON carried as bytes."""
    raw = next((_bytes(value) for number, value in walk(data) if number == 1), b"")
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise Malformed(f"embedded JSON: {e}") from None


def _items(data: bytes, depth: int) -> list[str]:
    return [_text(value) for number, value in walk(data) if number == 1]


def _schema_or(kind: str) -> Callable[[bytes, int], Any]:
    """A schema, or else what ``kind`` says."""
    schema = "apiextensions.v1.JSONSchemaProps"

    def read(data: bytes, depth: int) -> Any:
        parts = list(walk(data))
        if kind == "bool":
            found = dict(parts)
            return _message(schema, _bytes(found[2]), depth) if 2 in found else bool(found.get(1))
        for number, value in parts:
            if number == 1:
                return _message(schema, _bytes(value), depth)
        others = [value for number, value in parts if number == 2]
        if kind == "strings":
            return [_text(value) for value in others]
        return [_message(schema, _bytes(value), depth) for value in others]

    return read


_OWN_FORMS: dict[str, Callable[[bytes, int], Any]] = {
    "meta.v1.Time": lambda data, _: _moment(data, "seconds"),
    "meta.v1.MicroTime": lambda data, _: _moment(data, "microseconds"),
    "meta.v1.FieldsV1": _embedded,
    "runtime.RawExtension": _embedded,
    "apiextensions.v1.JSON": _embedded,
    "resource.Quantity": lambda data, _: next(
        (_text(value) for number, value in walk(data) if number == 1), "0"
    ),
    "intstr.IntOrString": _int_or_string,
    "authentication.v1.ExtraValue": _items,
    "authorization.v1.ExtraValue": _items,
    "certificates.v1.ExtraValue": _items,
    "authentication.v1.AttestationValue": _items,
    "apiextensions.v1.JSONSchemaPropsOrBool": _schema_or("bool"),
    "apiextensions.v1.JSONSchemaPropsOrArray": _schema_or("schemas"),
    "apiextensions.v1.JSONSchemaPropsOrStringArray": _schema_or("strings"),
}

# --- the wire ---------------------------------------------------------------------------------


def walk(data: bytes) -> Iterator[tuple[int, Value]]:
    """Field number and value, in the order of the wire."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, at = _varint(data, at)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise Malformed(f"wire type {wire_type} of field {number} is not understood")
        end = at + size
        if end > len(data) or not number:
            raise Malformed(f"field {number} of {size} bytes: {len(data) - at} are left")
        chunk, at = data[at:end], end
        yield number, chunk if wire_type == _BYTES else int.from_bytes(chunk, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Malformed("the message ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise Malformed("a number of more than ten bytes")
