"""Requests to every method that a member serves: right ones by their descriptors, then spoilt.

Owns: the list of methods (raftkv.rpc.services has it, so a new service is here by itself), and how
a protobuf message is made and spoilt. Must never do: send.
"""

from __future__ import annotations

import inspect
from functools import cache
from random import Random
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from raftkv.api import rpc_pb2 as pb
from raftkv.rpc.health import Health
from raftkv.rpc.services import services_of

DEPTH_MAX = 4
NUMBERS = (0, 1, -1, 2, 3, 127, 128, 1 << 20, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
TEXTS = (b"", b"a", b"k", b"k/1", b"\0", b"\xff", b"v" * 300, "größe".encode())
# What a right request would do to a cluster of one, by the end of its name.
LEFT_OUT = {
    "MemberAdd": "a second voter that never comes takes the quorum",
    "MemberRemove": "the only member ends",
    "MemberUpdate": "it moves away from its peer URL",
    "Alarm": "a raised alarm refuses every put, and the member says that it is not healthy",
    "AuthEnable": "everything that follows is only refused",
    "Downgrade": "it changes what the cluster is",
}


class Anything(int):
    """Stands for whatever a service is made of, as far as that service's shape needs it: an id, a
    number, something with parts."""

    def __getattr__(self, name: str) -> Any:
        return Anything()

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return Anything()


@cache
def methods() -> tuple[str, ...]:
    """The paths of all methods, but for those that are left out."""
    parameters = inspect.signature(services_of).parameters
    needed = [name for name, each in parameters.items() if each.default is each.empty]
    parts: list[Any] = [Health() if name == "health" else Anything() for name in needed]
    found = services_of(*parts)
    paths = {f"/{each.name}/{name}" for each in found for name in (*each.unary, *each.streams)}
    assert len(paths) > 20, f"only {sorted(paths)}"
    return tuple(sorted(path for path in paths if path.rpartition("/")[2] not in LEFT_OUT))


def request_type(path: str) -> type[Message] | None:
    """The class of a method's requests; None for a service that is in no .proto of ours."""
    _, service, method = path.split("/")
    try:
        found = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        return None
    return GetMessageClass(found.methods_by_name[method].input_type)


def request_bytes(random: Random, path: str) -> bytes:
    """A request to ``path``: half of them right, half of them spoilt."""
    kind = request_type(path)
    data = b"" if kind is None else filled(random, kind).SerializeToString()
    if random.random() < 0.5:
        return data
    return spoilt(random, data)


def filled(random: Random, kind: type[Message], depth: int = 0) -> Message:
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if random.random() < 0.5:
            _fill(random, message, field, depth)
    return message


def _fill(random: Random, message: Message, field: FieldDescriptor, depth: int) -> None:
    count = random.choice((0, 1, 1, 2, 3)) if field.is_repeated else 1
    if field.message_type is not None:
        if depth >= DEPTH_MAX or _is_map(field.message_type):
            return
        for _ in range(count):
            value = filled(random, GetMessageClass(field.message_type), depth + 1)
            place = getattr(message, field.name)
            (place.add() if field.is_repeated else place).CopyFrom(value)
        return
    values = [_scalar(random, field) for _ in range(count)]
    if field.is_repeated:
        getattr(message, field.name).extend(values)
    else:
        setattr(message, field.name, values[0])


def _is_map(kind: Descriptor) -> bool:
    return bool(kind.GetOptions().map_entry)


def _scalar(random: Random, field: FieldDescriptor) -> object:
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice(TEXTS).decode("utf-8", "replace")
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.choice(TEXTS)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random.random() < 0.5
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random.choice(field.enum_type.values).number
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return random.choice((0.0, -1.5, float("inf"), float("nan")))
    bits = 64 if field.cpp_type in (_INT64, _UINT64) else 32
    number = random.choice(NUMBERS) % (1 << bits)
    signed = field.cpp_type in (_INT64, FieldDescriptor.CPPTYPE_INT32)
    return number - (1 << bits) if signed and number >> bits - 1 else number


_INT64, _UINT64 = FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64


def spoilt(random: Random, data: bytes) -> bytes:
    """``data`` with one or two things done to it that no generated code does."""
    for _ in range(random.choice((1, 1, 2))):
        data = random.choice(_WAYS)(random, data)
    return data


def _flip(random: Random, data: bytes) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def _repeat(random: Random, data: bytes) -> bytes:
    return data * random.choice((2, 3, 50))


def _unknown_fields(random: Random, data: bytes) -> bytes:
    return data + random.choice((b"\xfa\x07\x02ab", b"\xf8\xff\xff\xff\x0f\x01", b"\x0d1234"))


def _long_varint(random: Random, data: bytes) -> bytes:
    return data + bytes((random.choice((0x08, 0x10, 0x18, 0x20)),)) + b"\xff" * 9 + b"\x01"


def _endless_varint(random: Random, data: bytes) -> bytes:
    return data + b"\x08" + b"\xff" * random.choice((10, 11, 500))


def _long_length(random: Random, data: bytes) -> bytes:
    return data + random.choice((b"\x0a\xff\xff\xff\xff\x0f", b"\x12\xff\xff\xff\xff\x07ab"))


def _groups(random: Random, data: bytes) -> bytes:
    return data + b"\x0b" * random.choice((1, 200)) + b"\x0c" * random.choice((0, 1, 200))


def _not_utf8(random: Random, data: bytes) -> bytes:
    return data + b"\x0a\x02\xc3\x28" + b"\x12\x01\xff"


def _deep(random: Random, data: bytes) -> bytes:
    return deep_txn(random.choice((3, 60, 99, 100, 101, 3_000))) if random.random() < 0.5 else data


def deep_txn(depth: int) -> bytes:
    """A TxnRequest whose success branch holds one that holds one, and so on."""
    data = pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=b"k"))])
    raw = data.SerializeToString()
    for _ in range(depth):
        raw = _prefixed(0x12, _prefixed(0x22, raw))
    return raw


def _prefixed(tag: int, data: bytes) -> bytes:
    length, out = len(data), bytearray((tag,))
    while length >= 0x80:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*out, length)) + data


_WAYS = (
    _flip,
    _cut,
    _repeat,
    _unknown_fields,
    _long_varint,
    _endless_varint,
    _long_length,
    _groups,
    _not_utf8,
    _deep,
)
