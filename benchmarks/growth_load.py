"""Puts and gets of random keys out of many, from clients that each wait for their answer.

Owns: the closed loop of the growth benchmark, for a given time. Must never do: use one key again
and again: the cost of finding keys among many is what is measured.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from benchmarks.filling import KEY_DIGITS, VALUE_BYTES, key_of
from benchmarks.http2_client import Http2Client
from benchmarks.measurement import percentile
from raftkv.api import rpc_pb2 as pb

PUT, RANGE = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"
CLIENTS = 100


@dataclass(frozen=True, slots=True)
class Rate:
    """Latencies are in milliseconds."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.calls / self.seconds


def puts(keys: int, seed: int) -> Callable[[], bytes]:
    request = pb.PutRequest(key=key_of(0), value=b"w" * VALUE_BYTES)
    return _random_keys(request.SerializeToString(), keys, seed)


def gets(keys: int, seed: int) -> Callable[[], bytes]:
    """Linearizable ones."""
    return _random_keys(pb.RangeRequest(key=key_of(0)).SerializeToString(), keys, seed)


def run(endpoint: str, path: str, message: Callable[[], bytes], *, seconds: float) -> Rate:
    """CLIENTS clients on a connection each, for about so long; all calls are answered."""
    loop = _Loop(endpoint, path, message)
    began = time.perf_counter()
    loop.run(began + seconds)
    took = time.perf_counter() - began
    milliseconds = loop.milliseconds
    return Rate(
        len(milliseconds), took, percentile(milliseconds, 0.50), percentile(milliseconds, 0.99)
    )


def _random_keys(message: bytes, keys: int, seed: int) -> Callable[[], bytes]:
    before, after = message.split(b"0" * KEY_DIGITS)
    random = Random(seed).random
    return lambda: before + b"%0*d" % (KEY_DIGITS, int(random() * keys)) + after


class _Loop:
    def __init__(self, endpoint: str, path: str, message: Callable[[], bytes]) -> None:
        self._message = message
        self._selector = selectors.EpollSelector()
        self._clients = [_Client(endpoint, path, self) for _ in range(CLIENTS)]
        for client in self._clients:
            self._selector.register(client.http.socket, selectors.EVENT_READ, client)
        self.milliseconds: list[float] = []

    def run(self, deadline: float) -> None:
        for client in self._clients:
            client.call(self._message())
        busy = len(self._clients)
        while busy:
            for key, _ in self._selector.select():
                client = key.data
                client.http.receive()
                if client.is_waiting:
                    continue
                if time.perf_counter() < deadline:
                    client.call(self._message())
                else:
                    busy -= 1
        for client in self._clients:
            client.http.close()
        self._selector.close()


class _Client:
    def __init__(self, endpoint: str, path: str, loop: _Loop) -> None:
        self._loop = loop
        self._began = 0.0
        self.is_waiting = False
        self.http = Http2Client(endpoint, path, on_end=self._ended)

    def call(self, message: bytes) -> None:
        _, data = self.http.call(message)
        self._began = time.perf_counter()
        self.is_waiting = True
        self.http.socket.sendall(data)

    def _ended(self, _: int) -> None:
        self._loop.milliseconds.append((time.perf_counter() - self._began) * 1000)
        self.is_waiting = False
