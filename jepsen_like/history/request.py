"""What a client asks of an etcd-compatible store.

Owns: the requests as values, in the words of etcd's v3 API. Must never do: know how a request
travels or what a right answer is (that is ``jepsen_like.model``). Keys and values are text: tests
choose their own, and a person reads the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Target(Enum):
    """What a compare looks at."""

    VALUE = "value"
    VERSION = "version"
    CREATE = "create_revision"
    MOD = "mod_revision"
    LEASE = "lease"


class Relation(Enum):
    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    GREATER = ">"


@dataclass(frozen=True, slots=True)
class Get:
    """``end`` is etcd's range_end: "" for one key, "\\0" for all keys from ``key`` on.
    ``revision`` 0 reads the newest; ``serializable`` allows the member's own, stale state."""

    key: str
    end: str = ""
    revision: int = 0
    limit: int = 0
    serializable: bool = False


@dataclass(frozen=True, slots=True)
class Put:
    """A test that writes each value once lets the checker know whose write a read saw."""

    key: str
    value: str
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    key: str
    end: str = ""


@dataclass(frozen=True, slots=True)
class Compare:
    """A missing key compares as version 0, create_revision 0, mod_revision 0; on VALUE it fails."""

    key: str
    target: Target
    relation: Relation
    operand: str | int


KeyOp = Get | Put | Delete


@dataclass(frozen=True, slots=True)
class Txn:
    """All ``compares`` hold: ``success`` runs, else ``failure``; in one revision."""

    compares: tuple[Compare, ...] = ()
    success: tuple[KeyOp, ...] = ()
    failure: tuple[KeyOp, ...] = ()


@dataclass(frozen=True, slots=True)
class Compact:
    revision: int
    physical: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """``id`` is chosen by the test, so that an unanswered grant can be recognised later."""

    id: int
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Revoke:
    id: int


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """One renewal."""

    id: int


Request = Get | Put | Delete | Txn | Compact | Grant | Revoke | KeepAlive


def writes(request: Request) -> bool:
    """Whether it may leave a trace in the key space."""
    if isinstance(request, Txn):
        return any(not isinstance(op, Get) for op in request.success + request.failure)
    return isinstance(request, Put | Delete | Revoke)
