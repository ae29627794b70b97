"""Messages as etcdctl prints them with -w json: Go's encoding of the same structs.

Owns: that shape: field names as in the .proto, zero values left out, numbers as numbers, bytes in
base64, enums as numbers, a union one level deeper. (The JSON gateway has another: int64 as text.)
Must never do: print.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_UNION = {"ResponseOp": "Response", "RequestOp": "Request"}


def shape_of(message: Message) -> dict[str, Any]:
    """Fields in the order of their numbers."""
    fields = {field.name: _value(field, value) for field, value in message.ListFields()}
    union = _UNION.get(message.DESCRIPTOR.name)
    return {union: fields} if union else fields


def with_header_inline(message: Message, **fields: Any) -> dict[str, Any]:
    """Lease answers: the header's fields stand beside their own, zero or not."""
    return shape_of(message.header) | fields  # type: ignore[attr-defined]


def text_of_json(shape: object) -> str:
    """As Go writes it: no spaces, <, > and & escaped."""
    text = json.dumps(shape, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.is_repeated:
        return [_single(field, each) for each in value]
    return _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Message):
        return shape_of(value)
    return base64(value) if isinstance(value, bytes) else value
