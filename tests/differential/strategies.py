"""What hypothesis draws: sequences of requests, good and bad, over a small key space.

Owns: the strategies. Few keys, values and revisions, so that requests meet each other. Must never
do: draw what depends on time: a lease lives for an hour, or is revoked.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.differential.operations import (
    LEASE_ID_FIRST,
    Bytes,
    ChosenLease,
    Fields,
    KeepAlive,
    Operation,
    Rev,
    Unary,
    WatchCancel,
    WatchCreate,
    WatchProgress,
)

TXN_OPS_MAX = 8
REQUEST_BYTES_MAX = 4096
LEASE_TTL_S = 3600
LEASES = 3

KEYS = [b"a", b"b", b"ab", b"c", b"\0", b"a\0", b"\xff"]
METHODS = [
    "KV/Range", "KV/Put", "KV/DeleteRange", "KV/Txn", "KV/Compact",
    "Lease/LeaseGrant", "Lease/LeaseRevoke", "Lease/LeaseTimeToLive",
]  # fmt: skip

members = st.integers(0, 2)
flags = st.sampled_from([False, False, False, True])
keys = st.sampled_from([*(KEYS * 5), b""])
some_keys = st.sampled_from(KEYS)
ends = st.sampled_from([b"", b"", b"", b"\0", *KEYS, b"d", b"\xff\xff"])
values = st.sampled_from([b"", b"1", b"2", b"10", b"\0\xff"])
revisions = st.one_of(
    st.integers(-2, 4).map(Rev),
    st.integers(0, 16).map(Rev),
    st.sampled_from([-1, 1, Rev(1000), 2**63 - 1, -(2**63)]),
)
# Not negative: a 3.5.1 makes a watcher and cancels it as compacted, later versions make none.
starts = st.one_of(
    st.just(0), st.integers(-1, 8).map(Rev), st.integers(4, 12).map(Rev), st.just(Rev(1000))
)
leases: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, LEASES - 1).map(lambda number: LEASE_ID_FIRST + number),
    st.integers(0, LEASES - 1).map(lambda number: LEASE_ID_FIRST + number),
    st.just(0),
    st.builds(ChosenLease, st.integers(0, 2)),
    st.sampled_from([1, -5]),
)


def _message(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Fields]:
    """Optional fields are mostly left out."""
    names = sorted(optional)

    def chosen(picked: list[str]) -> st.SearchStrategy[Fields]:
        return st.fixed_dictionaries(required | {name: optional[name] for name in picked})

    return st.lists(st.sampled_from(names), max_size=4, unique=True).flatmap(chosen)


ranges = _message(
    {"key": keys, "range_end": ends},
    {
        "limit": st.integers(-1, 3),
        "revision": revisions,
        "sort_order": st.integers(0, 2),
        "sort_target": st.integers(0, 4),
        "serializable": flags,
        "keys_only": st.booleans(),
        "count_only": st.booleans(),
        "min_mod_revision": revisions,
        "max_mod_revision": revisions,
        "min_create_revision": revisions,
        "max_create_revision": revisions,
    },
)
# Not inside of a txn: etcd 3.5.1 does not look at it and does the rest. And not with an unknown
# sort_target, which ends an etcd 3.5.1.
unknown_orders = st.builds(
    lambda key, order: {"key": key, "sort_order": order}, keys, st.sampled_from([3, 7, -1])
)
puts = _message(
    {"key": keys, "value": values},
    {"lease": leases, "prev_kv": st.booleans(), "ignore_value": flags, "ignore_lease": flags},
)
deletes = _message({"key": keys, "range_end": ends}, {"prev_kv": st.booleans()})
targets = st.one_of(
    st.fixed_dictionaries({"target": st.just(0), "version": st.integers(-1, 3)}),
    st.fixed_dictionaries({"target": st.just(1), "create_revision": revisions}),
    st.fixed_dictionaries({"target": st.just(2), "mod_revision": revisions}),
    st.fixed_dictionaries({"target": st.just(3), "value": values}),
    st.fixed_dictionaries({"target": st.just(4), "lease": leases}),
    st.fixed_dictionaries({"target": st.sampled_from([0, 1, 2, 3, 4, 9])}),
    st.fixed_dictionaries({"target": st.sampled_from([0, 3]), "mod_revision": revisions}),
)
compares = st.builds(
    lambda target, rest: target | rest,
    targets,
    _message({"key": keys, "result": st.sampled_from([0, 0, 1, 2, 3, 9])}, {"range_end": ends}),
)


def _requests(txns: st.SearchStrategy[Fields] | None) -> st.SearchStrategy[Fields]:
    kinds = [
        st.fixed_dictionaries({"request_put": puts}),
        st.fixed_dictionaries({"request_put": puts}),
        st.fixed_dictionaries({"request_range": ranges}),
        st.fixed_dictionaries({"request_delete_range": deletes}),
        st.sampled_from([*[{"request_put": {"key": key, "value": b"3"}} for key in KEYS], {}]),
    ]
    if txns is not None:
        kinds.append(st.fixed_dictionaries({"request_txn": txns}))
    return st.one_of(kinds)


def _txns(depth: int) -> st.SearchStrategy[Fields]:
    requests = _requests(_txns(depth - 1) if depth else None)
    return st.fixed_dictionaries(
        {
            "compare": st.lists(compares, max_size=2),
            "success": st.lists(requests, max_size=4),
            "failure": st.lists(requests, max_size=3),
        }
    )


def _deletes_from_key(txn: Fields) -> bool:
    """etcd panics at a put that ignores what such a delete took, in the same txn."""
    for branch in ("success", "failure"):
        for request in txn[branch]:
            if request.get("request_delete_range", {}).get("range_end") == b"\0":
                return True
            if "request_txn" in request and _deletes_from_key(request["request_txn"]):
                return True
    return False


def _without_ignoring(txn: Fields) -> Fields:
    found = dict(txn)
    for branch in ("success", "failure"):
        found[branch] = []
        for request in txn[branch]:
            if "request_put" in request:
                kept = {
                    name: value
                    for name, value in request["request_put"].items()
                    if not name.startswith("ignore_")
                }
                request = {"request_put": kept}
            elif "request_txn" in request:
                request = {"request_txn": _without_ignoring(request["request_txn"])}
            found[branch].append(request)
    return found


txns = _txns(2).map(lambda txn: _without_ignoring(txn) if _deletes_from_key(txn) else txn)
many_ops = st.builds(
    lambda count, branch: {branch: [{"request_range": {"key": b"a"}}] * count},
    st.integers(TXN_OPS_MAX - 1, TXN_OPS_MAX + 2),
    st.sampled_from(["success", "failure"]),
)
large_puts = st.builds(
    lambda key, size: {"key": key, "value": b"v" * size},
    some_keys,
    st.sampled_from([REQUEST_BYTES_MAX // 2, 2 * REQUEST_BYTES_MAX]),
)
grants = st.builds(
    lambda lease, ttl: {"ID": lease, "TTL": ttl},
    st.one_of(st.integers(0, LEASES - 1).map(lambda n: LEASE_ID_FIRST + n), st.just(0)),
    st.sampled_from([LEASE_TTL_S, LEASE_TTL_S, 2 * LEASE_TTL_S, 9_000_000_000, 9_000_000_001]),
)


def unary(method: str, fields: st.SearchStrategy[Fields]) -> st.SearchStrategy[Operation]:
    return st.builds(Unary, st.just(method), fields, members)


written = st.one_of(
    unary("KV/Put", puts), unary("KV/Put", puts), unary("KV/DeleteRange", deletes),
    unary("KV/Txn", txns),
)  # fmt: skip
kv = st.one_of(
    unary("KV/Put", puts), unary("KV/Put", puts), unary("KV/Put", puts),
    unary("KV/Range", ranges), unary("KV/Range", ranges), unary("KV/DeleteRange", deletes),
    unary("KV/Range", unknown_orders),
    unary("KV/Txn", txns), unary("KV/Txn", txns), unary("KV/Txn", many_ops),
    unary("KV/Compact", _message({"revision": revisions}, {"physical": st.booleans()})),
    unary("KV/Put", large_puts),
)  # fmt: skip
lease = st.one_of(
    unary("Lease/LeaseGrant", grants), unary("Lease/LeaseGrant", grants),
    unary("Lease/LeaseRevoke", st.fixed_dictionaries({"ID": leases})),
    unary("Lease/LeaseTimeToLive", _message({"ID": leases}, {"keys": st.booleans()})),
    unary("Lease/LeaseLeases", st.just({})),
    st.builds(KeepAlive, st.lists(leases, min_size=1, max_size=3).map(tuple), members),
)  # fmt: skip
garbage = st.builds(Bytes, st.sampled_from(METHODS), st.binary(min_size=1, max_size=12), members)
unknown = st.builds(
    Bytes,
    st.sampled_from(["KV/Frobnicate", "Nothing/Range", "KV/"]),
    st.just(b""),
    members,
)
bad = st.one_of(garbage, unknown)
watch = st.one_of(
    st.builds(
        WatchCreate,
        _message(
            {"key": keys, "range_end": ends, "start_revision": starts},
            {
                "progress_notify": flags,
                "filters": st.lists(st.sampled_from([0, 1, 7]), max_size=2),
                "prev_kv": st.booleans(),
                "watch_id": st.integers(0, 4),  # not -1, which means all
                "fragment": st.booleans(),
            },
        ),
    ),
    st.builds(WatchCancel, st.integers(-1, 2)),
    st.builds(WatchProgress),
)

# Most sequences begin with keys and a lease that the rest can meet.
beginnings: st.SearchStrategy[list[Operation]] = st.sampled_from([0, 1, 1]).map(
    lambda wanted: (
        [
            Unary("Lease/LeaseGrant", {"ID": LEASE_ID_FIRST, "TTL": LEASE_TTL_S}),
            Unary("KV/Put", {"key": b"a", "value": b"1", "lease": LEASE_ID_FIRST}),
            Unary("KV/Put", {"key": b"b", "value": b"2"}),
            Unary("KV/Put", {"key": b"a", "value": b"2", "lease": LEASE_ID_FIRST}),
        ]
        * wanted
    )
)


def _sequences(
    operations: st.SearchStrategy[Operation], *, at_least: int, at_most: int
) -> st.SearchStrategy[list[Operation]]:
    rest = st.lists(operations, min_size=at_least, max_size=at_most)
    return st.builds(lambda beginning, rest: beginning + rest, beginnings, rest)


unary_sequences = _sequences(st.one_of(kv, kv, kv, lease, bad), at_least=5, at_most=40)
watch_sequences = _sequences(
    st.one_of(watch, watch, written, written, kv, lease), at_least=5, at_most=25
)
json_sequences = _sequences(
    st.one_of(kv, kv, kv, lease.filter(lambda each: isinstance(each, Unary))),
    at_least=5,
    at_most=25,
)
