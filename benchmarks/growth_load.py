"""Puts and gets of random keys out of many, from clients that each wait for their answer.

Owns: the messages of the growth benchmark's loads. Must never do: use one key again and again: the
cost of finding keys among many is what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from benchmarks.filling import KEY_DIGITS, VALUE_BYTES, key_of
from benchmarks.load import Load
from benchmarks.scripts import MessageScript
from benchmarks.unary_client import PUT, RANGE, ClosedLoop
from raftkv.api import rpc_pb2 as pb

CLIENTS = 100


def puts(endpoint: str, keys: int, *, seconds: float) -> Load:
    request = pb.PutRequest(key=key_of(0), value=b"w" * VALUE_BYTES)
    return _load(endpoint, PUT, _random_keys(request.SerializeToString(), keys, 1), seconds)


def gets(endpoint: str, keys: int, *, seconds: float) -> Load:
    """Linearizable ones."""
    request = pb.RangeRequest(key=key_of(0))
    return _load(endpoint, RANGE, _random_keys(request.SerializeToString(), keys, 2), seconds)


def _load(endpoint: str, path: str, messages: Iterator[bytes], seconds: float) -> Load:
    """CLIENTS clients take the messages as they come."""
    scripts = [MessageScript(path, messages) for _ in range(CLIENTS)]
    return ClosedLoop(endpoint, scripts).run(seconds).load


def _random_keys(message: bytes, keys: int, seed: int) -> Iterator[bytes]:
    before, after = message.split(b"0" * KEY_DIGITS)
    random = Random(seed).random
    while True:
        yield before + b"%0*d" % (KEY_DIGITS, int(random() * keys)) + after
