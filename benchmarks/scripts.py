"""What clients say: puts to many keys, Kubernetes' guarded updates, lists page by page.

Owns: the scripts of the closed loop, each the checker of its own answers. Must never do: send.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from random import Random

from benchmarks.measurement import NotProven
from benchmarks.unary_client import KEY_DIGITS, PUT, RANGE, TXN, Call
from raftkv.api import rpc_pb2 as pb

MOD = pb.Compare.MOD
EQUAL = pb.Compare.EQUAL


def numbered(prefix: bytes, number: int) -> bytes:
    return prefix + b"%0*d" % (KEY_DIGITS, number)


class KeySequence:
    """PutRequests of one size whose keys go through ``keys`` values in an order from one seed."""

    def __init__(self, *, keys: int, value_bytes: int, seed: int) -> None:
        self._random = Random(seed)
        self._keys = keys
        marker = b"#" * KEY_DIGITS
        encoded = pb.PutRequest(key=b"bench/" + marker, value=b"v" * value_bytes)
        self._before, self._after = encoded.SerializeToString().split(marker)

    def __next__(self) -> bytes:
        number = int(self._random.random() * self._keys)
        return self._before + b"%0*d" % (KEY_DIGITS, number) + self._after


class PutScript:
    """Puts of one sequence; the answer's status is all that is looked at."""

    def __init__(self, messages: KeySequence) -> None:
        self._messages = messages

    def request(self) -> Call:
        return Call(PUT, next(self._messages))

    def answered(self, message: bytes) -> None:
        if not message:
            raise NotProven("a put was answered with nothing")


class UpdateScript:
    """Kubernetes' update of one object of its own: if its mod_revision is the one known, put, else
    get. Nobody else writes the key, so every update must succeed."""

    def __init__(self, key: bytes, value_bytes: int, revision: int = 0) -> None:
        """``revision`` is the key's mod_revision: 0 for one that does not exist."""
        self.updates = 0
        self._key = key
        self._revision = revision
        self._guard = pb.Compare(result=EQUAL, target=MOD, key=key)
        # Only the guard changes: the rest is encoded once, and two encodings one after the other
        # are the encoding of the merged message.
        put = pb.RequestOp(request_put=pb.PutRequest(key=key, value=b"v" * value_bytes))
        get = pb.RequestOp(request_range=pb.RangeRequest(key=key))
        self._rest = pb.TxnRequest(success=[put], failure=[get]).SerializeToString()

    def request(self) -> Call:
        self._guard.mod_revision = self._revision
        guard = pb.TxnRequest(compare=[self._guard]).SerializeToString()
        return Call(TXN, guard + self._rest, "update")

    def answered(self, message: bytes) -> None:
        answer = pb.TxnResponse.FromString(message)
        if not answer.succeeded:
            raise NotProven(f"{self._key!r} was not at revision {self._revision}: {answer}")
        self._revision = answer.header.revision
        self.updates += 1


class PagedListScript:
    """Lists a prefix in pages of ``limit`` at the first page's revision, again and again; a list
    that was begun before ``seconds`` have passed is read to its end.

    ``times_ms`` gets one figure of each whole list.
    """

    def __init__(
        self, key: bytes, range_end: bytes, *, limit: int, rows: int, seconds: float
    ) -> None:
        self._first = pb.RangeRequest(key=key, range_end=range_end, limit=limit)
        self._rows = rows
        self._deadline = time.perf_counter() + seconds
        self.times_ms = array("d")
        self._next = self._first
        self._seen = 0
        self._began = 0.0

    def request(self) -> Call | None:
        if self._next is self._first:
            self._began = time.perf_counter()
            if self.times_ms and self._began > self._deadline:
                return None
        return Call(RANGE, self._next.SerializeToString(), "page")

    def answered(self, message: bytes) -> None:
        answer = pb.RangeResponse.FromString(message)
        self._seen += len(answer.kvs)
        if answer.more:
            revision = self._next.revision or answer.header.revision
            self._next = pb.RangeRequest()
            self._next.CopyFrom(self._first)
            self._next.key = answer.kvs[-1].key + b"\0"
            self._next.revision = revision
            return
        if self._seen != self._rows:
            raise NotProven(f"a list in pages has {self._seen} rows of {self._rows}")
        self.times_ms.append((time.perf_counter() - self._began) * 1000)
        self._next = self._first
        self._seen = 0


class MessageScript:
    """Messages of an iterator to one method, until there are no more."""

    def __init__(self, path: str, messages: Iterator[bytes]) -> None:
        self._path = path
        self._messages = messages

    def request(self) -> Call | None:
        message = next(self._messages, None)
        return None if message is None else Call(self._path, message)

    def answered(self, message: bytes) -> None:
        """The status was looked at; the caller checks the sum."""
