"""What a client was answered.

Owns: the answers as values. ``revision`` is always the response header's. Must never do: judge.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyValue:
    key: str
    value: str
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """Of a Get, in key order. ``count`` is of all keys in the range, whatever the limit."""

    revision: int
    kvs: tuple[KeyValue, ...]
    count: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """Of a Put."""

    revision: int


@dataclass(frozen=True, slots=True)
class Deleted:
    revision: int
    count: int


KeyResult = Found | Written | Deleted


@dataclass(frozen=True, slots=True)
class Decided:
    """Of a Txn. The results' own headers carry ``revision`` too."""

    revision: int
    succeeded: bool
    results: tuple[KeyResult, ...]


@dataclass(frozen=True, slots=True)
class Compacted:
    revision: int


@dataclass(frozen=True, slots=True)
class Granted:
    revision: int
    id: int
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Revoked:
    revision: int


@dataclass(frozen=True, slots=True)
class Renewed:
    """``ttl_s`` 0: there is no such lease any more."""

    revision: int
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An error that says that nothing happened. ``code`` is gRPC's name of it."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer, or an error that leaves open whether it happened."""

    code: str
    text: str


Answer = Found | Written | Deleted | Decided | Compacted | Granted | Revoked | Renewed
Outcome = Answer | Refused | Unknown
