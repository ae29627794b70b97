"""A store filled with many keys, fast: txns of many puts, several under way.

Owns: the keys' names and the filling. Must never do: return before every put was acknowledged.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from benchmarks.measurement import NotProven
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api

TXN = "/etcdserverpb.KV/Txn"
PREFIX, END = b"many/", b"many0"
KEY_DIGITS = 12
VALUE_BYTES = 256
PUTS_PER_TXN = 128
"""etcd's --max-txn-ops."""
TXNS_UNDER_WAY = 16
CALL_SECONDS_MAX = 60.0


def key_of(number: int) -> bytes:
    return PREFIX + b"%0*d" % (KEY_DIGITS, number)


def fill(api: Api, start: int, end: int) -> None:
    """Put the keys from ``start`` up to ``end``, with values of VALUE_BYTES. Raises RpcError."""
    _Filling(api).run(start, end)


def check(api: Api, keys: int) -> None:
    """The store has ``keys`` keys. Raises NotProven."""
    if (found := api.range(PREFIX, END, count_only=True).count) != keys:
        raise NotProven(f"{found} keys, {keys} were put")


class _Filling:
    def __init__(self, api: Api) -> None:
        self._call: Any = api.channel.unary_unary(TXN)
        self._room = threading.BoundedSemaphore(TXNS_UNDER_WAY)
        self._failure: BaseException | None = None

    def run(self, start: int, end: int) -> None:
        for first in range(start, end, PUTS_PER_TXN):
            self._room.acquire()
            if self._failure is not None:
                raise self._failure
            message = _txn(first, min(first + PUTS_PER_TXN, end))
            self._call.future(message, timeout=CALL_SECONDS_MAX).add_done_callback(self._done)
        for _ in range(TXNS_UNDER_WAY):
            self._room.acquire()
        if self._failure is not None:
            raise self._failure

    def _done(self, call: Future[bytes]) -> None:
        self._failure = call.exception() or self._failure
        self._room.release()


def _txn(first: int, end: int) -> bytes:
    value = b"v" * VALUE_BYTES
    puts = [
        pb.RequestOp(request_put=pb.PutRequest(key=key_of(number), value=value))
        for number in range(first, end)
    ]
    return pb.TxnRequest(success=puts).SerializeToString()
