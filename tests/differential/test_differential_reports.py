"""A difference is noticed, and told as a program that shows it again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.differential import replay as replaying
from tests.differential.known_differences import (
    BAD_MANAGEMENT,
    DENIED,
    KNOWN,
    NOBODY,
    VOID_TOKEN,
    expected,
    parts,
)
from tests.differential.operations import (
    Bytes,
    ChosenLease,
    KeepAlive,
    Operation,
    Rev,
    Unary,
    WatchCancel,
    WatchCreate,
    WatchOnce,
    WatchProgress,
    resolve,
    script,
)
from tests.differential.store import Outcome

OPERATIONS: list[Operation] = [
    Unary("KV/Range", {"key": b"\xff", "revision": Rev(2)}, 1),
    Bytes("KV/Put", b"\0\x01"),
    KeepAlive((7000, ChosenLease(1))),
    WatchCreate({"key": b"a", "start_revision": Rev(-1)}),
    WatchCancel(3),
    WatchProgress(),
    Unary("Auth/UserAdd", {"name": "ann", "options": {"no_password": True}}, 0, "old root"),
    WatchOnce({"key": b"a", "range_end": b"\0"}, 1, "ann"),
]


def test_the_printed_program_plays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, run, hands the very operations to ``replay``."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(replaying, "replay", lambda **arguments: given.update(arguments))
    exec(compile(script(OPERATIONS, members=3), "printed", "exec"), {})
    assert given == {"members": 3, "operations": OPERATIONS}


def test_symbols_become_numbers() -> None:
    """Revisions count from the base, chosen leases are the server's; also inside of lists."""
    fields = {"a": [Rev(2), {"b": ChosenLease(3)}], "c": Rev(-1)}
    assert resolve(fields, 10, [71, 72]) == {"a": [12, {"b": 72}], "c": 9}
    assert resolve(ChosenLease(0), 10, []) == 6999


@pytest.mark.parametrize(
    "other",
    [
        Outcome({"count": 2}),
        Outcome({"count": 1, "more": True}),
        Outcome(code="OUT_OF_RANGE"),
        Outcome({}),
    ],
)
def test_no_known_difference_covers_another(other: Outcome) -> None:
    """A wrong count, a field too many, an error: nothing in the table explains it."""
    ours = Outcome({"count": 1})
    for operation in (Unary("KV/Range", {"key": b"a"}), Unary("KV/Txn", {"success": []})):
        assert expected(operation, ours, other) == other


PUT_A = {"request_put": {"key": b"a"}}
NESTED = {"success": [{"request_txn": {"success": [PUT_A]}}]}
KEYS_OF_LEASE = Outcome({"TTL": 60, "keys": [b"a"]})
MANY_KEYS = Outcome({"count": 1, "kvs": [{"key": b"a"}]})


@pytest.mark.parametrize(
    ("operation", "ours", "theirs"),
    [
        (Unary("KV/Range", {"key": b"a"}, caller="ann"), Outcome({}), DENIED),
        (Unary("KV/Range", {"key": b"a"}, caller="ann"), DENIED, MANY_KEYS),
        (Unary("KV/Put", {"key": b"a"}, caller="ann"), Outcome({}), VOID_TOKEN),
        (Unary("KV/Put", {"key": b"a", "prev_kv": True}, caller="ann"), DENIED, Outcome({})),
        (Unary("KV/Txn", {"success": [PUT_A]}, caller="ann"), DENIED, Outcome({})),
        (Unary("KV/Txn", NESTED, caller="ann"), Outcome({}), DENIED),
        (Unary("KV/Txn", NESTED, caller="root"), DENIED, Outcome({})),
        (Unary("KV/Compact", {"revision": 1}, caller="root"), DENIED, Outcome({})),
        (Unary("KV/Compact", {"revision": 1}, caller="ann"), Outcome({}), VOID_TOKEN),
        (Unary("KV/Compact", {"revision": 1}, caller="ann"), NOBODY, Outcome({})),
        (Unary("Lease/LeaseRevoke", {"ID": 1}, caller="ann"), DENIED, Outcome({})),
        (Unary("Lease/LeaseTimeToLive", {"ID": 1}, caller="root"), DENIED, KEYS_OF_LEASE),
        (Unary("Maintenance/Alarm", {"action": 0}, caller="ann"), DENIED, Outcome({})),
        (Unary("Maintenance/Hash", caller="ann"), Outcome({}), DENIED),
        (Unary("Cluster/MemberList", caller="ann"), DENIED, Outcome({})),
        (Unary("Auth/UserList", caller="ann"), Outcome({}), DENIED),
        (Unary("Auth/AuthStatus", caller="ann"), Outcome({"authRevision": 1}), DENIED),
        (KeepAlive((1,), caller="root"), DENIED, Outcome({"answers": [{"TTL": 60}]})),
        (WatchOnce({"key": b"a"}, caller="ann"), Outcome({"answers": [{}]}), DENIED),
    ],
)
def test_no_known_difference_lets_a_caller_in(
    operation: Operation, ours: Outcome, theirs: Outcome
) -> None:
    """Who may too much, or too little, differs from etcd, whatever the table forgives."""
    assert expected(operation, ours, theirs) != ours


def test_an_example_ends_where_the_stores_part() -> None:
    """One wrote and the other refused, for a known reason: nothing after that can be equal."""
    assert parts(Unary("KV/Txn", NESTED, caller="ann"), DENIED, Outcome({}))
    grant = {"name": "r", "perm": {"key": b""}}
    assert parts(Unary("Auth/RoleGrantPermission", grant), BAD_MANAGEMENT, Outcome({}))
    assert not parts(Unary("KV/Txn", NESTED, caller="ann"), DENIED, DENIED)
    assert not parts(Unary("Maintenance/Status"), NOBODY, Outcome({}))


def test_known_differences_have_reasons() -> None:
    """Every row says why, under a name of its own."""
    assert len({known.name for known in KNOWN}) == len(KNOWN)
    assert all(len(known.reason) > 20 for known in KNOWN)
