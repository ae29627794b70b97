"""What the fields of a request mean: which method, with what metadata and deadline, or why not.

Owns: ``Head`` (one per distinct request head, shared by all calls that carry it), the path table
and the checks of RFC 9113 section 8 and of gRPC's request headers, in grpc-go's words.
Must never do: keep state of a connection; one ``Routes`` serves all of a listener's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from raftkv.wire.calls import CallBook, MethodCounts
from raftkv.wire.grpc import (
    CONTENT_TYPE,
    INTERNAL,
    INVALID_ARGUMENT,
    UNIMPLEMENTED,
    timeout_seconds,
    trailers_only_block,
)
from raftkv.wire.headers import Field
from raftkv.wire.limits import WireLimits
from raftkv.wire.service import (
    HttpHandler,
    Service,
    Status,
    StatusOf,
    StreamMethod,
    UnaryMethod,
    Vet,
)

_HEAD_FIELDS_CACHED_MAX = 64
_CONNECTION_SPECIFIC = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
# RFC 9113 section 8.2.1: what a field's name may consist of, and its value.
_NAME = re.compile(rb"[!-9;-@\[-~]+")
_VALUE = re.compile(rb"(?![ \t])[^\0\r\n]*(?<![ \t])")
_CONTENT_LENGTH_DIGITS_MAX = 18
# Headers of the protocol itself, which a handler has no use for.
_RESERVED = frozenset(
    (b"te", b"content-type", b"content-length", b"grpc-encoding", b"grpc-accept-encoding")
)


class Kind(IntEnum):
    UNARY = 0
    STREAM = 1
    HTTP = 2  # a plain HTTP request over HTTP/2, for the listener's HttpHandler
    REFUSED = 3  # answered at once with ``refusal``
    MALFORMED = 4  # no HTTP request at all: the stream is reset
    TRAILERS = 5  # no request either, but fields that may end one
    MEASURED = 6  # a unary call with a content-length, to which its DATA is held


def _no_method(message: bytes, call: object) -> None:
    raise AssertionError("a head without a unary method was served")


async def _no_stream(stream: object) -> None:
    raise AssertionError("a head without a stream method was served")


def _no_status(error: BaseException) -> Status:
    return Status(INTERNAL, str(error))


# Where calls of no method of a service end up: plain HTTP requests.
_UNCOUNTED = CallBook().counts("", "", is_stream=True)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A request head, understood."""

    kind: Kind
    path: bytes = b""
    unary: UnaryMethod = _no_method
    stream: StreamMethod = _no_stream
    status_of: StatusOf = _no_status
    metadata: Mapping[str, str] = field(default_factory=dict)
    encoding: bytes = b""
    refusal: bytes = b""
    http_method: bytes = b""
    counts: MethodCounts = _UNCOUNTED
    content_length: int | None = None


# A head and its grpc-timeout in seconds, kept apart since the timeout varies from call to call.
Meaning = tuple[Head, float | None]

_MALFORMED = Head(Kind.MALFORMED)
_TRAILERS = Head(Kind.TRAILERS)


class Routes:
    """The one path table of a listener, and the heads already understood."""

    def __init__(
        self,
        services: Sequence[Service],
        limits: WireLimits,
        http: HttpHandler | None = None,
        calls: CallBook | None = None,
    ) -> None:
        self._http = http
        self._calls = calls or CallBook()
        self._heads_max = limits.request_heads_cached_max
        self._heads: dict[tuple[Field, ...], Head] = {}
        self._services = {service.name for service in services}
        self._methods: dict[bytes, Head] = {}
        self._vets: dict[bytes, Vet] = {}
        for service in services:
            for name, unary in service.unary.items():
                self._add(service, name, Head(Kind.UNARY, unary=unary))
            for name, stream in service.streams.items():
                self._add(service, name, Head(Kind.STREAM, stream=stream))

    def _add(self, service: Service, name: str, head: Head) -> None:
        path = f"/{service.name}/{name}".encode()
        assert path not in self._methods, f"{path!r} is served twice"
        self._vets[path] = service.vet
        counts = self._calls.counts(service.name, name, is_stream=head.kind == Kind.STREAM)
        self._methods[path] = replace(head, path=path, status_of=service.status_of, counts=counts)

    def meaning(self, fields: list[Field]) -> Meaning:
        """Never raises: a wrong request has a Head that says how it is answered."""
        timeout: bytes | None = None
        for position, (name, value) in enumerate(fields):
            if name == b"grpc-timeout":
                timeout = value
                del fields[position]
                if fields[position : position + 1] and fields[position][0][:1] == b":":
                    return _MALFORMED, None  # a pseudo header after a field
                break
        key = tuple(fields)
        head = self._heads.get(key)
        if head is None:
            head = self._understand(fields)
            if len(key) <= _HEAD_FIELDS_CACHED_MAX:
                if len(self._heads) >= self._heads_max:
                    self._heads.clear()
                self._heads[key] = head
        if timeout is None:
            return head, None
        try:
            return head, timeout_seconds(timeout)
        except ValueError as error:
            if head.kind in (Kind.MALFORMED, Kind.TRAILERS):
                return head, None
            return _refused(Status(INTERNAL, str(error)), 400), None

    def _understand(self, fields: list[Field]) -> Head:
        pseudo = _pseudo_headers(fields)
        if pseudo is None:
            return _MALFORMED
        if not pseudo:
            return _TRAILERS
        regular = fields[len(pseudo) :]
        try:
            length = _content_length(regular)
        except ValueError:
            return _MALFORMED
        content_type = next((v for n, v in regular if n == b"content-type"), b"")
        path = pseudo[b":path"]
        method = pseudo[b":method"]
        if not _is_grpc(content_type):
            if self._http is not None and path not in self._methods:
                host = (b"host", pseudo.get(b":authority", b""))
                metadata = _metadata([host, *regular], frozenset())
                return Head(
                    Kind.HTTP,
                    path=path,
                    metadata=metadata,
                    http_method=method,
                    content_length=length,
                )
            text = f"invalid gRPC request content-type {_quoted(content_type)}"
            return _refused(Status(INVALID_ARGUMENT, text), 415)
        if method != b"POST":
            text = f"Received a HEADERS frame with :method {_quoted(method)} which should be POST"
            return _refused(Status(INTERNAL, text), 405)
        head = self._methods.get(path)
        if head is None:
            return _refused(self._unknown(path))
        encoding = next((v for n, v in regular if n == b"grpc-encoding"), b"")
        if encoding not in (b"", b"identity", b"gzip"):
            text = f"grpc: Decompressor is not installed for grpc-encoding {_quoted(encoding)}"
            return _refused(Status(UNIMPLEMENTED, text))
        metadata = _metadata(regular, _RESERVED)
        refusal = self._vets[path](metadata)
        if refusal is not None:
            return _refused(refusal)
        return replace(
            head,
            kind=Kind.MEASURED if length is not None and head.kind == Kind.UNARY else head.kind,
            metadata=metadata,
            encoding=encoding,
            content_length=length,
        )

    def _unknown(self, path: bytes) -> Status:
        service, slash, method = path[1:].decode("utf-8", "replace").rpartition("/")
        if not slash or path[:1] != b"/":
            return Status(UNIMPLEMENTED, f"malformed method name: {_quoted(path)}")
        if service not in self._services:
            return Status(UNIMPLEMENTED, f"unknown service {service}")
        return Status(UNIMPLEMENTED, f"unknown method {method} for service {service}")


def _is_grpc(content_type: bytes) -> bool:
    """``application/grpc``, or with a ``+subtype`` or ``;parameter``; grpc-web is another thing."""
    rest = content_type.lower()
    return rest.startswith(CONTENT_TYPE) and rest[len(CONTENT_TYPE) :][:1] in (b"", b"+", b";")


def _pseudo_headers(fields: list[Field]) -> dict[bytes, bytes] | None:
    """The leading pseudo headers, none of them in trailers, or None where RFC 9113 section 8.2 or
    8.3 is broken."""
    pseudo: dict[bytes, bytes] = {}
    regular = False
    for name, value in fields:
        if not _VALUE.fullmatch(value):
            return None
        if name[:1] == b":":
            if regular or name in pseudo:
                return None
            pseudo[name] = value
            continue
        regular = True
        if not _NAME.fullmatch(name):
            return None
        if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
            return None
    if not pseudo:
        return pseudo
    known = pseudo.keys() <= {b":method", b":scheme", b":path", b":authority"}
    needed = {b":method", b":scheme", b":path"} <= pseudo.keys()
    return pseudo if known and needed and pseudo[b":path"] else None


def _content_length(fields: list[Field]) -> int | None:
    """The content-length, None without one. Raises ValueError (RFC 9110 section 8.6)."""
    values = {value for name, value in fields if name == b"content-length"}
    if not values:
        return None
    value = values.pop()
    if values or not value.isdigit() or len(value) > _CONTENT_LENGTH_DIGITS_MAX:
        raise ValueError(f"content-length {value!r}")
    return int(value)


def _metadata(fields: list[Field], without: frozenset[bytes]) -> Mapping[str, str]:
    metadata: dict[str, str] = {}
    for name_bytes, value_bytes in fields:
        if name_bytes in without:
            continue
        name = name_bytes.decode("latin-1")
        value = value_bytes.decode("utf-8", "surrogateescape")
        # A cookie may come in crumbs (RFC 9113 section 8.2.3); all else is a list (RFC 9110, 5.3).
        separator = "; " if name == "cookie" else ","
        metadata[name] = f"{metadata[name]}{separator}{value}" if name in metadata else value
    return metadata


def _refused(status: Status, http_status: int = 200) -> Head:
    return Head(Kind.REFUSED, refusal=trailers_only_block(status, http_status))


def _quoted(value: bytes) -> str:
    """As Go's %q quotes plain text."""
    text = value.decode("utf-8", "replace").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
