"""The OpenAPI v2 document in the protobuf form that kubectl before 1.27 asks for, and only that.

Owns: the encoding, by the field numbers of gnostic's OpenAPIv2.proto. Must never do: decide what is
in the document: it encodes what `openapi` made, as far as the form has a place for it. An extension
is carried as YAML text, for which JSON serves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from apiserver_shim.schemas.definitions import Schema

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ASKED_AS = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""What clients ask for, though their own MIME parsers refuse it in an answer."""
_VARINT, _BYTES = 0, 2
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
_FLAGS = {"exclusiveMaximum": 8, "exclusiveMinimum": 10, "uniqueItems": 16}
_COUNTS = {
    "maxLength": 11,
    "minLength": 12,
    "maxItems": 14,
    "minItems": 15,
    "maxProperties": 17,
    "minProperties": 18,
}


def encode_document(document: dict[str, Any]) -> bytes:
    """``document``: the JSON form's."""
    info = document["info"]
    paths = b"".join(
        _chunk(2, _text(1, path) + _chunk(2, _path_item(item)))
        for path, item in document["paths"].items()
    )
    return b"".join(
        (
            _text(1, document["swagger"]),
            _chunk(2, _text(1, info["title"]) + _text(2, info["version"])),
            _chunk(8, paths),
            _chunk(9, _named_schemas(document["definitions"])),
        )
    )


# --- paths ------------------------------------------------------------------------------------


def _path_item(item: dict[str, Any]) -> bytes:
    operations = (
        _chunk(number, _operation(item[method]))
        for method, number in _METHODS.items()
        if method in item
    )
    return b"".join(operations) + _parameters(9, item.get("parameters", ()))


def _operation(operation: dict[str, Any]) -> bytes:
    responses = (
        _chunk(1, _text(1, code) + _chunk(2, _chunk(1, _text(1, response["description"]))))
        for code, response in operation["responses"].items()
    )
    return b"".join(
        (
            _text(5, operation["operationId"]),
            b"".join(_text(7, each) for each in operation.get("consumes", ())),
            _parameters(8, operation["parameters"]),
            _chunk(9, b"".join(responses)),
            _extensions(13, operation),
        )
    )


def _parameters(number: int, parameters: Iterable[dict[str, Any]]) -> bytes:
    """Those of the query and of the path: others are not told of."""
    found = []
    for each in parameters:
        in_path = each["in"] == "path"
        told = (
            _flag(1, bool(each.get("required")))
            + _text(2, each["in"])
            + _text(4, each["name"])
            + _text(5 if in_path else 6, each["type"])
            + _flag(19 if in_path else 20, bool(each.get("uniqueItems")))
        )
        non_body = _chunk(2, _chunk(4 if in_path else 3, told))
        found.append(_chunk(number, _chunk(1, non_body)))
    return b"".join(found)


# --- schemas ----------------------------------------------------------------------------------


def _named_schemas(schemas: dict[str, Schema]) -> bytes:
    return b"".join(
        _chunk(1, _text(1, name) + _chunk(2, _schema(schema))) for name, schema in schemas.items()
    )


def _schema(schema: Schema) -> bytes:
    parts = [_text(n, schema[key]) for key, n in _TEXTS.items() if key in schema]
    parts += [_flag(n, schema[key]) for key, n in _FLAGS.items() if key in schema]
    parts += [_number(n, schema[key]) for key, n in _COUNTS.items() if key in schema]
    if schema.get("default") is not None:
        parts.append(_chunk(5, _any(schema["default"])))
    parts += [_text(19, name) for name in schema.get("required", ())]
    parts += [_chunk(20, _any(value)) for value in schema.get("enum", ())]
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        parts.append(_chunk(21, _chunk(1, _schema(more))))
    elif more is not None:
        parts.append(_chunk(21, _flag(2, more)))
    if "type" in schema:
        parts.append(_chunk(22, _text(1, schema["type"])))
    if isinstance(schema.get("items"), dict):
        parts.append(_chunk(23, _chunk(1, _schema(schema["items"]))))
    parts += [_chunk(24, _schema(each)) for each in schema.get("allOf", ())]
    if "properties" in schema:
        parts.append(_chunk(25, _named_schemas(schema["properties"])))
    parts.append(_extensions(31, schema))
    return b"".join(parts)


def _extensions(number: int, node: dict[str, Any]) -> bytes:
    return b"".join(
        _chunk(number, _text(1, key) + _chunk(2, _any(value)))
        for key, value in node.items()
        if key.startswith("x-")
    )


def _any(value: Any) -> bytes:
    return _chunk(2, orjson.dumps(value) + b"\n")


# --- the wire ---------------------------------------------------------------------------------


def _text(number: int, text: str) -> bytes:
    return _chunk(number, text.encode())


def _flag(number: int, flag: bool) -> bytes:
    return _number(number, 1) if flag else b""


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _chunk(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
