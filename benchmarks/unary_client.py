"""The second generator of unary calls: like h2load, but every put has another key.

Owns: a closed loop of clients over bare HTTP/2 connections, in one process.
Must never do: share a connection between processes, or count a call whose grpc-status is not 0.
"""

from __future__ import annotations

import selectors
import time
from array import array
from random import Random

from benchmarks.h2load import CONNECTIONS_MAX, Load
from benchmarks.http2_client import Http2Client
from benchmarks.measurement import percentile
from raftkv.api import rpc_pb2 as pb

PUT = "/etcdserverpb.KV/Put"
KEY_DIGITS = 12


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


class _Client:
    """One connection with ``streams`` calls in flight, each followed by the next."""

    def __init__(self, endpoint: str, run: UnaryRun, streams: int) -> None:
        self._run = run
        self._started: dict[int, float] = {}
        self._free = streams
        self.http = Http2Client(endpoint, PUT, on_end=self._ended)
        self.fill()

    def fill(self) -> None:
        """Start a call for each one that ended, with one write for all."""
        gathered = []
        while self._free and self._run.take():
            self._free -= 1
            stream, data = self.http.call(next(self._run.messages))
            self._started[stream] = time.perf_counter()
            gathered.append(data)
        if gathered:
            self.http.socket.sendall(b"".join(gathered))

    def _ended(self, stream: int) -> None:
        self._run.latencies.append(time.perf_counter() - self._started.pop(stream))
        self._free += 1


class UnaryRun:
    """``requests`` puts from ``clients`` clients; ``go`` returns when all have their answer."""

    def __init__(self, endpoint: str, *, clients: int, requests: int, keys: KeySequence) -> None:
        self.messages = keys
        self.latencies = array("d")
        self._requests = requests
        self._left = requests
        self._connections = min(clients, CONNECTIONS_MAX)
        self._streams = clients // self._connections
        self._endpoint = endpoint

    def take(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def go(self) -> Load:
        selector = selectors.EpollSelector()
        begin = time.perf_counter()
        clients = [_Client(self._endpoint, self, self._streams) for _ in range(self._connections)]
        for client in clients:
            selector.register(client.http.socket, selectors.EVENT_READ, client)
        while len(self.latencies) < self._requests:
            for key, _ in selector.select():
                key.data.http.receive()
                key.data.fill()
        seconds = time.perf_counter() - begin
        for client in clients:
            client.http.close()
        milliseconds = [latency * 1000 for latency in self.latencies]
        return Load(
            requests=self._requests,
            seconds=seconds,
            body_bytes=0,
            p50_ms=percentile(milliseconds, 0.50),
            p99_ms=percentile(milliseconds, 0.99),
        )
