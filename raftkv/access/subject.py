"""What a call is about: its keys, and how many rows it touched.

Owns: Subject, and one reader per method. Must never do: look at a value, a password or a token, or
raise: a request that cannot be decoded has no subject, and its answer says what is wrong with it.
A client may send fields twice or out of order, so requests are decoded, never searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from raftkv.api import rpc_pb2 as api
from raftkv.api import v3election_pb2, v3lock_pb2

KEYS_MAX = 16
"""Keys of one call that are kept."""
UNKNOWN = -1
_put_request = api.PutRequest.FromString
_header = api.ResponseHeader.FromString
_POOL = api.DESCRIPTOR.pool
_ALSO = (v3election_pb2.DESCRIPTOR, v3lock_pb2.DESCRIPTOR)  # they add themselves to the pool
_HEADER, _DELETED, _SUCCEEDED, _COUNT = 0x0A, 0x10, 0x10, 0x20

KeyRange = tuple[bytes, bytes]
"""As in a RangeRequest."""


class Subject(NamedTuple):
    """``keys`` are KEYS_MAX at most of ``keys_in_all``. ``lease`` and ``compacts`` (a revision) are
    0, and ``name`` (a user, a role) is "", where the method is not about one. ``wrote``: whether
    the revision of the answer is this call's doing; None where the answer does not tell."""

    keys: tuple[KeyRange, ...] = ()
    rows: int = UNKNOWN
    keys_in_all: int = 1
    lease: int = 0
    compacts: int = 0
    name: str = ""
    wrote: bool | None = False


NOTHING = Subject(keys_in_all=0)


class Answer(NamedTuple):
    """A reply's first and last bytes, all of it where it is short, and its size. A refusal has
    none."""

    head: bytes
    tail: bytes
    size: int

    @property
    def body_at(self) -> int:
        """Where its header field ends."""
        return 2 + self.head[1] if self.head[:1] == b"\x0a" else 0


REFUSED = Answer(b"", b"", 0)
Reader = Callable[[bytes, Answer], Subject]


def reader_of(service: str, method: str) -> Reader:
    """Methods without a reader of their own are read by what their requests' fields are called."""
    path = f"{service}/{method}"
    if path in _READERS:
        return _READERS[path]
    try:
        request = _POOL.FindServiceByName(service).methods_by_name[method].input_type
    except KeyError:  # of a service that is not etcd's
        return lambda payload, answer: NOTHING
    message: type[Message] = GetMessageClass(request)
    fields = request.fields_by_name
    names = [each for each in ("user", "name", "role") if each in fields]
    if names and fields[names[0]].type != fields[names[0]].TYPE_BYTES:
        return _safe(lambda payload, answer: _named(message, names[0], payload))
    if names:  # of a lock or an election: their keys begin with it
        return _safe(lambda payload, answer: _keyed(message, names[0], payload))
    if "ID" in fields and service == "etcdserverpb.Lease":
        return _safe(lambda payload, answer: _leased(message, payload))
    return lambda payload, answer: NOTHING


def _safe(reader: Reader) -> Reader:
    def read(payload: bytes, answer: Answer) -> Subject:
        try:
            return reader(payload, answer)
        except DecodeError:
            return NOTHING

    return read


# --- readers of the key space ------------------------------------------------------------------


def _range(payload: bytes, answer: Answer) -> Subject:
    request = api.RangeRequest.FromString(payload)
    rows = _rows_of_range(request, answer) if answer.size else UNKNOWN
    return Subject(((request.key, request.range_end),), rows)


def _put(payload: bytes, answer: Answer) -> Subject:
    key = _put_request(payload).key
    if not answer.size:
        return Subject(((key, b""),))
    return Subject(((key, b""),), 1, 1, 0, 0, "", True)  # by place: it is made for every put


def _delete(payload: bytes, answer: Answer) -> Subject:
    request = api.DeleteRangeRequest.FromString(payload)
    rows = _number_after_header(answer, _DELETED) if answer.size else UNKNOWN
    return Subject(((request.key, request.range_end),), rows, wrote=rows > 0)


def _txn(payload: bytes, answer: Answer) -> Subject:
    """The keys that were written, if any were; otherwise those that were read or compared."""
    request = api.TxnRequest.FromString(payload)
    branches: tuple[Iterable[Any], ...] = (request.success, request.failure)
    if answer.size:
        has_succeeded = _number_after_header(answer, _SUCCEEDED) == 1
        branches = (request.success if has_succeeded else request.failure,)
    ops = [op for branch in branches for op in branch]
    written = list(_written(ops))
    wrote = bool(written) and answer.size > 0 and _has_written(answer)
    keys = written or [
        (op.request_range.key, op.request_range.range_end)
        for op in ops
        if op.WhichOneof("request") == "request_range"
    ]
    keys = keys or [(each.key, each.range_end) for each in request.compare]
    distinct = tuple(dict.fromkeys(keys))
    return Subject(distinct[:KEYS_MAX], len(ops), len(distinct), wrote=wrote)


def _has_written(answer: Answer) -> bool:
    """An answer with a write in it is never in pieces."""
    return _any_wrote(api.TxnResponse.FromString(answer.head).responses)


def _any_wrote(responses: Iterable[Any]) -> bool:
    for each in responses:
        match each.WhichOneof("response"):
            case "response_put":
                return True
            case "response_delete_range" if each.response_delete_range.deleted:
                return True
            case "response_txn" if _any_wrote(each.response_txn.responses):
                return True
    return False


def _written(ops: Iterable[Any]) -> Iterator[KeyRange]:
    """Of a txn within a txn both branches: which one was taken, the answer tells deep inside."""
    for op in ops:
        match op.WhichOneof("request"):
            case "request_put":
                yield op.request_put.key, b""
            case "request_delete_range":
                yield op.request_delete_range.key, op.request_delete_range.range_end
            case "request_txn":
                yield from _written(op.request_txn.success)
                yield from _written(op.request_txn.failure)


def _compact(payload: bytes, answer: Answer) -> Subject:
    return NOTHING._replace(compacts=api.CompactionRequest.FromString(payload).revision)


def _watch(payload: bytes, answer: Answer) -> Subject:
    """One request of a stream."""
    request = api.WatchRequest.FromString(payload)
    if request.WhichOneof("request_union") != "create_request":
        return NOTHING
    create = request.create_request
    return Subject(((create.key or b"\0", create.range_end),))


def _named(message: type[Message], field: str, payload: bytes) -> Subject:
    return NOTHING._replace(name=getattr(message.FromString(payload), field))


def _keyed(message: type[Message], field: str, payload: bytes) -> Subject:
    return Subject(((getattr(message.FromString(payload), field), b""),))


def _leased(message: type[Message], payload: bytes) -> Subject:
    """A lease that is revoked may have had keys, which went with it, or none."""
    request: Any = message.FromString(payload)
    wrote = None if message is api.LeaseRevokeRequest else False
    return NOTHING._replace(lease=request.ID, wrote=wrote)


_READERS: dict[str, Reader] = {
    "etcdserverpb.KV/Range": _safe(_range),
    "etcdserverpb.KV/RangeStream": _safe(_range),
    "etcdserverpb.KV/Put": _safe(_put),
    "etcdserverpb.KV/DeleteRange": _safe(_delete),
    "etcdserverpb.KV/Txn": _safe(_txn),
    "etcdserverpb.KV/Compact": _safe(_compact),
    "etcdserverpb.Watch/Watch": _safe(_watch),
}


# --- what answers tell -------------------------------------------------------------------------


def header_of(head: bytes) -> tuple[int, int]:
    """The revision and the term in the beginning of an answer; 0 where it has no header."""
    if len(head) < 2 or head[0] != _HEADER or len(head) < 2 + head[1]:
        return 0, 0
    try:
        header = _header(head[2 : 2 + head[1]])
    except DecodeError:
        return 0, 0
    return header.revision, header.raft_term


def _rows_of_range(request: api.RangeRequest, answer: Answer) -> int:
    """By the count of all, which ends an answer that is not empty: so no row is looked at."""
    if answer.size == answer.body_at or request.count_only:
        return 0
    if (
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    ):
        return UNKNOWN
    count = _last_number(answer.tail, _COUNT)
    return min(count, request.limit) if request.limit > 0 else count


def _last_number(tail: bytes, tag: int) -> int:
    """That of the field ``tag``, if the message ends with it."""
    at = len(tail) - 1
    while at > 0 and tail[at - 1] & 0x80:
        at -= 1
    if at < 1 or tail[at - 1] != tag:
        return UNKNOWN
    return _varint(tail, at)


def _number_after_header(answer: Answer, tag: int) -> int:
    """0 where the field is left out."""
    at = answer.body_at
    if at + 1 >= len(answer.head) or answer.head[at] != tag:
        return 0
    return _varint(answer.head, at + 1)


def _varint(data: bytes, at: int) -> int:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        at += 1
        shift += 7
    return value
