"""The other direction, for the tests: JSON to Kubernetes' protobuf form, as a client writes it.

Owns: encoding by the same table of fields. Must never do: share code with the decoder.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

from apiserver_shim.schemas.protobuf import messages

MAGIC = b"k8s\x00"
_MOMENT = re.compile(r"(.+?)(?:\.(\d{6}))?Z")


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    type_meta = chunk(1, api_version.encode()) + chunk(2, kind.encode())
    return MAGIC + chunk(1, type_meta) + chunk(2, raw) + chunk(3, b"") + chunk(4, b"")


def encode(name: str, obj: dict[str, Any]) -> bytes:
    """``obj`` as message ``name``."""
    out = b""
    for number, field in sorted(messages().fields[name].items()):
        if not field.name:
            inlined = _own(field.kind, obj)
            out += chunk(number, encode(field.kind, inlined)) if inlined else b""
            continue
        if field.name not in obj:
            continue
        value = obj[field.name]
        if field.many == "{}":
            for key, item in value.items():
                out += chunk(number, chunk(1, key.encode()) + _field(2, field.kind, item))
        elif field.many == "[]":
            out += b"".join(_field(number, field.kind, item) for item in value)
        else:
            out += _field(number, field.kind, value)
    return out


def _own(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    """What of ``obj`` belongs to a message inlined in it."""
    found: dict[str, Any] = {}
    for field in messages().fields[kind].values():
        if not field.name:
            found |= _own(field.kind, obj)
        elif field.name in obj:
            found[field.name] = obj[field.name]
    return found


def _field(number: int, kind: str, value: Any) -> bytes:
    if kind in ("int32", "int64", "bool"):
        return varint(number << 3) + varint(int(value) & (1 << 64) - 1)
    return chunk(number, _payload(kind, value))


def _payload(kind: str, value: Any) -> bytes:
    if kind == "string":
        return str(value).encode()
    if kind == "bytes":
        return base64.b64decode(value)
    if kind in ("meta.v1.Time", "meta.v1.MicroTime"):
        return _moment(value)
    if kind == "resource.Quantity":
        return chunk(1, value.encode())
    if kind == "intstr.IntOrString":
        if isinstance(value, int):
            return _field(1, "int64", 0) + _field(2, "int32", value) + chunk(3, b"")
        return _field(1, "int64", 1) + _field(2, "int32", 0) + chunk(3, value.encode())
    if kind in ("meta.v1.FieldsV1", "runtime.RawExtension", "apiextensions.v1.JSON"):
        return chunk(1, json.dumps(value).encode())
    if isinstance(value, list):
        return b"".join(chunk(1, each.encode()) for each in value)
    return encode(kind, value)


def _moment(text: str) -> bytes:
    match = _MOMENT.fullmatch(text)
    assert match is not None, text
    seconds = int(datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp())
    return _field(1, "int64", seconds) + _field(2, "int32", int(match[2] or 0) * 1000)


def chunk(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
