"""What hypothesis draws of auth: users, roles and permissions, and calls by all sorts of callers.

Owns: ``auth_sequences``. Most begin with users that may something, and with auth enabled. Must
never do: draw a root that cannot log in (nobody could end that example), or what changes members.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential.logins import PASSWORDS, ROOT
from tests.differential.operations import (
    LEASE_ID_FIRST,
    Fields,
    KeepAlive,
    Operation,
    Unary,
    WatchOnce,
)
from tests.differential.strategies import (
    LEASE_TTL_S,
    compares,
    deletes,
    grants,
    leases,
    puts,
    ranges,
    txns,
)

USERS = ["alice", "bob"]
ROLES = ["reader", "writer"]
KEYS = [b"a", b"ab", b"b", b"c"]
NO_TOKEN = "no token"  # one that nobody was given, as is "old alice" before a second login
FORGED = "abcdefghijklmnop.1"
RIGHT, OTHER, EMPTY = PASSWORDS

callers = st.sampled_from(
    [*["alice", "bob"] * 5, ROOT, ROOT, ROOT, "", "old alice", f"old {ROOT}", NO_TOKEN, FORGED]
)
chiefs = st.sampled_from([*[ROOT] * 8, "alice", "", "old alice", NO_TOKEN])
members = st.integers(0, 2)
users = st.sampled_from([*USERS * 3, ROOT, "carol", ""])
roles = st.sampled_from([*ROLES * 3, ROOT, "nothing", ""])
passwords = st.sampled_from(PASSWORDS)
pairs = st.sampled_from(
    [
        (b"a", b""), (b"ab", b""), (b"b", b""), (b"a", b"b"), (b"b", b"d"), (b"a", b"c"),
        (b"ab", b"b"), (b"b", b"\0"), (b"a", b"\0"), (b"\0", b"\0"), (b"a", b"ab"), (b"b", b"a"),
        (b"a", b"a"), (b"", b""), (b"", b"\0"), (b"", b"b"), (b"\0", b"b"),
    ]
)  # fmt: skip
kinds = st.sampled_from([0, 1, 2])
permissions = st.builds(
    lambda kind, pair: {"permType": kind, "key": pair[0], "range_end": pair[1]}, kinds, pairs
)


def _by(
    who: st.SearchStrategy[str], method: str, fields: st.SearchStrategy[Fields]
) -> st.SearchStrategy[Operation]:
    return st.builds(Unary, st.just(method), fields, members, who)


def _of(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[Fields]:
    return st.fixed_dictionaries(dict(fields))


def _with_password(fields: Fields) -> Fields:
    """No root without a password: whoever cleans up after an example logs in as root."""
    if fields["name"] != ROOT or fields.get("password"):
        return fields
    return {"name": ROOT, "password": RIGHT}


without_password = st.just({"no_password": True})
added_users = (_of(name=users, password=passwords) | _of(name=users, options=without_password)).map(
    _with_password
)
grants_of_keys = _of(name=roles, perm=permissions)
on_keys = pairs.map(lambda pair: {"key": pair[0], "range_end": pair[1]})
revocations = st.builds(lambda role, key: {"role": role} | key, roles, on_keys)
nested = st.builds(
    lambda outer, compare, inner: {
        "compare": compare,
        "success": [{"request_txn": inner}, *outer],
        "failure": [],
    },
    st.lists(on_keys.map(lambda each: {"request_range": each}), max_size=1),
    st.lists(compares, max_size=1),
    txns,
)

administration = st.one_of(
    _by(chiefs, "Auth/UserAdd", added_users),
    _by(chiefs, "Auth/UserDelete", _of(name=users)),
    _by(
        chiefs,
        "Auth/UserChangePassword",
        _of(name=users, password=passwords).map(_with_password),
    ),
    _by(chiefs, "Auth/UserGrantRole", _of(user=users, role=roles)),
    _by(chiefs, "Auth/UserRevokeRole", _of(name=users, role=roles)),
    _by(chiefs, "Auth/RoleAdd", _of(name=roles)),
    _by(chiefs, "Auth/RoleDelete", _of(role=roles)),
    _by(chiefs, "Auth/RoleGrantPermission", grants_of_keys),
    _by(chiefs, "Auth/RoleGrantPermission", grants_of_keys | _of(name=roles)),
    _by(chiefs, "Auth/RoleRevokePermission", revocations),
    _by(chiefs, "Auth/AuthEnable", st.just({})),
    _by(chiefs, "Auth/AuthDisable", st.just({})),
)  # fmt: skip
questions = st.one_of(
    _by(callers, "Auth/UserGet", _of(name=users)),
    _by(callers, "Auth/UserList", st.just({})),
    _by(callers, "Auth/RoleGet", _of(role=roles)),
    _by(callers, "Auth/RoleList", st.just({})),
    _by(callers, "Auth/AuthStatus", st.just({})),
)
logins = st.one_of(
    _by(st.just(""), "Auth/Authenticate", _of(name=users, password=passwords)),
    _by(st.just(""), "Auth/Authenticate", _of(name=users, password=st.just(RIGHT))),
    _by(callers, "Auth/Authenticate", _of(name=users, password=st.just(RIGHT))),
)
on_data = st.one_of(
    _by(callers, "KV/Range", ranges), _by(callers, "KV/Range", on_keys),
    _by(callers, "KV/Put", puts), _by(callers, "KV/Put", puts),
    _by(callers, "KV/DeleteRange", deletes), _by(callers, "KV/DeleteRange", on_keys),
    _by(callers, "KV/Txn", txns), _by(callers, "KV/Txn", nested),
    _by(callers, "KV/Compact", st.just({"revision": 1})),
    st.builds(WatchOnce, on_keys, members, callers),
)  # fmt: skip
on_leases = st.one_of(
    _by(callers, "Lease/LeaseGrant", grants),
    _by(callers, "Lease/LeaseRevoke", _of(ID=leases)),
    _by(callers, "Lease/LeaseTimeToLive", _of(ID=leases, keys=st.booleans())),
    _by(callers, "Lease/LeaseLeases", st.just({})),
    st.builds(KeepAlive, st.lists(leases, min_size=1, max_size=2).map(tuple), members, callers),
)
on_members = st.one_of(
    _by(callers, "Cluster/MemberList", st.just({})),
    _by(callers, "Cluster/MemberRemove", st.just({"ID": 1})),
    _by(callers, "Cluster/MemberUpdate", st.just({"ID": 1, "peerURLs": ["http://127.0.0.1:1"]})),
    _by(callers, "Maintenance/Status", st.just({})),
    _by(callers, "Maintenance/Alarm", _of(action=st.sampled_from([0, 2]))),
    _by(callers, "Maintenance/Hash", st.just({})),
    _by(callers, "Maintenance/HashKV", st.just({})),
    _by(callers, "Maintenance/Defragment", st.just({})),
)


def _beginning(wanted: int, given: list[Fields], is_last: bool) -> list[Operation]:
    if not wanted:
        return []
    lease = {"lease": LEASE_ID_FIRST}
    found: list[Operation] = [
        Unary("Lease/LeaseGrant", {"ID": LEASE_ID_FIRST, "TTL": LEASE_TTL_S}),
        Unary("KV/Put", {"key": b"a", "value": b"1"} | (lease if wanted > 1 else {})),
        Unary("KV/Put", {"key": b"b", "value": b"2"} | (lease if wanted > 2 else {})),
        Unary("KV/Put", {"key": b"c", "value": b"3"}),
        *[Unary("Auth/RoleAdd", {"name": role}) for role in ROLES],
        *[Unary("Auth/UserAdd", {"name": u, "password": RIGHT}) for u in (ROOT, *USERS)],
        Unary("Auth/UserGrantRole", {"user": ROOT, "role": ROOT}),
        Unary("Auth/UserGrantRole", {"user": "alice", "role": "reader"}),
        Unary("Auth/UserGrantRole", {"user": "bob", "role": "reader"}),
        Unary("Auth/UserGrantRole", {"user": "bob", "role": "writer"}),
    ]
    for number, permission in enumerate(given):
        fields = {"name": ROLES[number % len(ROLES)], "perm": permission}
        found.append(Unary("Auth/RoleGrantPermission", fields))
    if is_last:
        found.append(Unary("Auth/AuthEnable"))
        for user in (ROOT, *USERS):
            found.append(Unary("Auth/Authenticate", {"name": user, "password": RIGHT}))
    return found


beginnings = st.builds(
    _beginning,
    st.sampled_from([1, 2, 3, 1, 2, 3, 0]),
    st.lists(permissions, min_size=1, max_size=5),
    st.sampled_from([True, True, True, True, False]),
)
auth_sequences = st.builds(
    lambda beginning, rest: beginning + rest,
    beginnings,
    st.lists(
        st.one_of(
            on_data, on_data, on_data, on_data, on_leases, administration, questions, logins,
            on_members,
        ),
        min_size=5,
        max_size=30,
    ),
)  # fmt: skip
