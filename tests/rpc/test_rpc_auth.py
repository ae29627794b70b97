"""Auth at the services: who may call what, and that no user sees or changes another's keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_member import FakeCall, start
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from guarded_member import ANN, BOB, ROOT, GuardedMember, found

from raftkv.api import rpc_pb2 as api
from raftkv.api import v3election_pb2 as election_pb
from raftkv.api import v3lock_pb2 as lock_pb
from raftkv.errors import RaftKVError
from raftkv.rpc.election import election_service
from raftkv.rpc.errors import status_of
from raftkv.rpc.lock import lock_service
from raftkv.rpc.own_calls import OwnCalls
from raftkv.wire.service import Status

DENIED = Status(7, "etcdserver: permission denied")
NOBODY = Status(3, "etcdserver: user name is empty")
BAD_TOKEN = Status(16, "etcdserver: invalid auth token")

OPEN_TO_ALL = {"Auth/AuthStatus", "Auth/Authenticate"}
FOR_USERS = {
    "Maintenance/Status",
    "Maintenance/Alarm",  # listing them
    "Cluster/MemberList",
    "Lease/LeaseGrant",
    "Lease/LeaseTimeToLive",
    "Lease/LeaseLeases",
    "KV/Txn",  # an empty one
}
BY_KEY = {"KV/Range", "KV/Put", "KV/DeleteRange", "Lease/LeaseRevoke"}


@pytest.fixture
def member(tmp_path: Path) -> Iterator[GuardedMember]:
    member = found(tmp_path / "db")
    yield member
    member.backend.close()


def methods(member: GuardedMember) -> list[str]:
    return [f"{name}/{m}" for name, service in member.services.items() for m in service.unary]


def empty(method: str) -> Message:
    """The method's request, with no field but a key or a name where it needs one."""
    service, name = method.split("/")
    found_method = api.DESCRIPTOR.services_by_name[service].methods_by_name[name]
    request: Message = GetMessageClass(found_method.input_type)()
    if "key" in found_method.input_type.fields_by_name:
        request.key = b"b/1"  # type: ignore[attr-defined]
    if "name" in found_method.input_type.fields_by_name:
        request.name = "x"  # type: ignore[attr-defined]
    if name == "MemberAdd":
        request.peerURLs.append("http://127.0.0.1:1")  # type: ignore[attr-defined]
    return request


def test_who_may_call_what(member: GuardedMember) -> None:
    """Every unary method there is: nobody gets in but where all may, a user where users may or by
    its keys, and what is in no list is for root alone. No token is known that was made up."""
    last = "Auth/AuthDisable"
    for method in (*(m for m in methods(member) if m != last), last):
        nobody, user = member.ask(method, empty(method)), member.ask(method, empty(method), ANN)
        if method in OPEN_TO_ALL:
            assert nobody not in (NOBODY, DENIED), method
            continue
        assert nobody == NOBODY, method
        assert member.call(method, empty(method), "madeup.1") == BAD_TOKEN, method
        if method in FOR_USERS:
            assert isinstance(user, bytes), (method, user)
        elif method == "Lease/LeaseRevoke":
            assert user == Status(5, "etcdserver: requested lease not found")
        else:
            assert user == DENIED, (method, user)
        root = member.ask(method, empty(method), ROOT)
        assert root not in (DENIED, NOBODY, BAD_TOKEN), (method, root)


def test_nobody_is_refused_by_the_newest_state(member: GuardedMember) -> None:
    """A member that has not heard that auth was disabled: who has may write without a token."""
    calls = []
    for still_enabled in (True, False):
        member.hold = True
        call = start(member.services["KV"], "Put", put(b"k"), FakeCall({}))
        member.applier.auth.switch(enabled=still_enabled)
        member.hold = False
        member.release()
        calls.append(call.answer)
    assert calls[0] == NOBODY
    assert isinstance(calls[1], bytes), calls[1]


def test_nobody_asks_for_the_user_without_a_name(member: GuardedMember) -> None:
    """As in etcd: that one is the caller's own, and there is none. All others are refused."""
    found = member.ask("Auth/UserGet", api.AuthUserGetRequest())
    assert found == Status(9, "etcdserver: user name not found")
    assert member.ask("Auth/UserGet", api.AuthUserGetRequest(name=ANN)) == NOBODY
    assert member.ask("Auth/RoleGet", api.AuthRoleGetRequest()) == NOBODY


def test_a_token_is_judged_before_a_ttl(member: GuardedMember) -> None:
    """A grant for longer than there is: only a user hears that it is too long."""
    request = api.LeaseGrantRequest(TTL=9_000_000_001)
    method = "Lease/LeaseGrant"
    assert member.call(method, request, "madeup.1") == BAD_TOKEN
    assert member.ask(method, request) == NOBODY
    assert member.ask(method, request, ANN) == Status(11, "etcdserver: too large lease TTL")


def test_the_lists_name_methods_that_exist(member: GuardedMember) -> None:
    """A renamed method does not slip out of its list."""
    assert set(methods(member)) > OPEN_TO_ALL | FOR_USERS | BY_KEY


def get(key: bytes, end: bytes = b"", **fields: object) -> api.RangeRequest:
    return api.RangeRequest(key=key, range_end=end, **fields)  # type: ignore[arg-type]


def put(key: bytes, **fields: object) -> api.PutRequest:
    return api.PutRequest(key=key, value=b"v", **fields)  # type: ignore[arg-type]


def op(request: Message) -> api.RequestOp:
    name = {
        api.RangeRequest: "request_range",
        api.PutRequest: "request_put",
        api.DeleteRangeRequest: "request_delete_range",
        api.TxnRequest: "request_txn",
    }[type(request)]
    return api.RequestOp(**{name: request})  # type: ignore[arg-type]


def txn(*ops: Message, otherwise: tuple[Message, ...] = (), **fields: object) -> api.TxnRequest:
    return api.TxnRequest(
        success=[op(each) for each in ops],
        failure=[op(each) for each in otherwise],
        **fields,  # type: ignore[arg-type]
    )


def delete(key: bytes, end: bytes = b"", **fields: object) -> api.DeleteRangeRequest:
    return api.DeleteRangeRequest(key=key, range_end=end, **fields)  # type: ignore[arg-type]


def compare(key: bytes, end: bytes = b"") -> api.Compare:
    return api.Compare(key=key, range_end=end, target=api.Compare.VERSION, version=1)


FROM_KEY = b"\0"
THEIRS = (b"b/1", b"b/none")
"""A key that is there, and one that is not: the answers must not tell them apart."""


def reaching(key: bytes) -> list[tuple[str, Message]]:
    """All ways of ann's to reach for a key that is not hers."""
    plain: list[Message] = [
        get(key),
        get(key, serializable=True),
        get(key, count_only=True),
        get(key, keys_only=True),
        get(key, revision=2),
        get(b"a/", b"b/2"),
        get(b"a/", FROM_KEY),
        get(b"a/1", FROM_KEY),
        get(b"a/", b"zz", limit=1),
        get(b"a/", b"zz", count_only=True),
        get(FROM_KEY, FROM_KEY, count_only=True),
        put(key),
        put(key, prev_kv=True),
        put(key, lease=99),
        delete(key),
        delete(key, prev_kv=True),
        delete(b"a/", b"b/2"),
        delete(b"a/", FROM_KEY),
    ]
    calls: list[tuple[str, Message]] = []
    for request in plain:
        name = {"R": "Range", "P": "Put", "D": "DeleteRange"}[type(request).__name__[0]]
        calls.append((f"KV/{name}", request))
        calls += [
            ("KV/Txn", txn(request)),
            ("KV/Txn", txn(otherwise=(request,))),
            ("KV/Txn", txn(get(b"a/1"), delete(b"a/2"), request)),
            ("KV/Txn", txn(txn(request))),
            ("KV/Txn", txn(txn(otherwise=(txn(request),)))),
            ("KV/Txn", txn(otherwise=(delete(b"a/2"), txn(otherwise=(request,))))),
        ]
    compares = [compare(key), compare(b"a/", b"b/2"), compare(b"a/", FROM_KEY)]
    for each in compares:
        calls += [
            ("KV/Txn", api.TxnRequest(compare=[each])),
            ("KV/Txn", txn(put(b"a/2"), compare=[compare(b"a/1"), each])),
            ("KV/Txn", txn(txn(compare=[each]))),
            ("KV/Txn", txn(otherwise=(txn(txn(compare=[each])),))),
        ]
    return calls


def test_no_user_reaches_anothers_keys(member: GuardedMember) -> None:
    """Every way is refused alike, whether the key is there or not; nothing changes, and the store's
    revision neither. Nested transactions are no way round (CVE-2026-33343, CVE-2026-44283)."""
    before = member.store.current_revision
    for key in THEIRS:
        calls = reaching(key)
        assert len(calls) > 130
        for method, request in calls:
            assert member.ask(method, request, ANN) == DENIED, (method, request)
    assert member.store.current_revision == before
    rows = member.ok("KV/Range", get(FROM_KEY, FROM_KEY), api.RangeResponse, ROOT)
    assert [(kv.key, kv.value) for kv in rows.kvs] == [(b"a/1", b"secret"), (b"b/1", b"secret")]


def test_a_user_has_its_own_keys(member: GuardedMember) -> None:
    """What is refused above is not refused for want of anything else."""
    own = api.RangeResponse
    assert member.ok("KV/Range", get(b"a/", b"a0"), own, ANN).count == 1
    member.done("KV/Put", put(b"a/2", prev_kv=True), ANN)
    nested = txn(txn(put(b"a/3"), compare=[compare(b"a/1")]), get(b"a/", b"a0"))
    answer = member.ok("KV/Txn", nested, api.TxnResponse, ANN)
    assert answer.responses[1].response_range.count == 3
    removed = member.ok(
        "KV/DeleteRange", delete(b"a/2", b"a0", prev_kv=True), api.DeleteRangeResponse, ANN
    )
    assert removed.deleted == 2


def test_prev_kv_needs_the_right_to_read(member: GuardedMember) -> None:
    """Who may only write gets no old value: neither from a put nor from a delete, in a txn or
    not."""
    member.done("Auth/RoleAdd", api.AuthRoleAddRequest(name="w"), ROOT)
    grant = api.AuthRoleGrantPermissionRequest(name="w")
    grant.perm.permType, grant.perm.key = 1, b"b/1"  # type: ignore[assignment]
    member.done("Auth/RoleGrantPermission", grant, ROOT)
    member.done("Auth/UserGrantRole", api.AuthUserGrantRoleRequest(user=ANN, role="w"), ROOT)
    for request in (put(b"b/1", prev_kv=True), delete(b"b/1", prev_kv=True)):
        name = "KV/Put" if isinstance(request, api.PutRequest) else "KV/DeleteRange"
        assert member.ask(name, request, ANN) == DENIED
        assert member.ask("KV/Txn", txn(request), ANN) == DENIED
        assert member.ask("KV/Txn", txn(otherwise=(txn(request),)), ANN) == DENIED
    assert member.ask("KV/Range", get(b"b/1"), ANN) == DENIED
    member.done("KV/Put", put(b"b/1"), ANN)
    member.done("KV/DeleteRange", delete(b"b/1"), ANN)


@pytest.mark.parametrize(
    "request_", [get(b"b/1"), get(b"a/", b"b0"), get(FROM_KEY, FROM_KEY, count_only=True)]
)
@pytest.mark.parametrize("serializable", [False, True])
async def test_no_user_streams_anothers_keys(
    member: GuardedMember, request_: api.RangeRequest, serializable: bool
) -> None:
    """RangeStream asks as Range does."""
    request_.serializable = serializable
    with pytest.raises(RaftKVError) as refused:
        await member.stream("KV/RangeStream", [request_], ANN, 1)
    assert status_of(refused.value) == DENIED
    assert await member.stream("KV/RangeStream", [get(b"a/", b"a0")], ANN, 1)


async def test_locks_and_elections_are_the_callers_own(member: GuardedMember) -> None:
    """Lock and Election do what their caller may do, and nothing else."""
    kv, watch, lease = (member.services[name] for name in ("KV", "Watch", "Lease"))
    own = OwnCalls((kv, watch, lease))
    lock, election = lock_service(member, own), election_service(member, own)
    granted = member.ok(
        "Lease/LeaseGrant", api.LeaseGrantRequest(TTL=60), api.LeaseGrantResponse, ANN
    )
    theirs = lock_pb.LockRequest(name=b"b/lock", lease=granted.ID)
    mine = lock_pb.LockRequest(name=b"a/lock", lease=granted.ID)
    for user, text in ((ANN, DENIED.message), ("", NOBODY.message)):
        refused = await member.wait(lock, "Lock", theirs, user)
        assert isinstance(refused, Status)
        assert refused.message == text
    assert isinstance(await member.wait(lock, "Lock", mine, ANN), bytes)
    unlock = lock_pb.UnlockRequest(key=b"a/lock/%x" % granted.ID)
    campaign = election_pb.CampaignRequest(name=b"a/lead", lease=granted.ID, value=b"ann")
    assert isinstance(await member.wait(election, "Campaign", campaign, ANN), bytes)
    for service, name, request in (
        (lock, "Unlock", unlock),
        (election, "Leader", election_pb.LeaderRequest(name=b"a/lead")),
        (election, "Campaign", campaign),
    ):
        refused = await member.wait(service, name, request, BOB)
        assert isinstance(refused, Status), name
        assert refused.message == DENIED.message, name
    assert isinstance(await member.wait(lock, "Unlock", unlock, ANN), bytes)


async def watched(member: GuardedMember, user: str, **fields: object) -> api.WatchResponse:
    create = api.WatchCreateRequest(**fields)  # type: ignore[arg-type]
    request = api.WatchRequest(create_request=create)
    answers = await member.stream("Watch/Watch", [request], user, 1)
    return api.WatchResponse.FromString(answers[0])


@pytest.mark.parametrize(
    ("key", "end"),
    [
        (b"b/1", b""),
        (b"b/none", b""),
        (b"a/1", FROM_KEY),
        (b"a/", b"b"),
        (b"a/", FROM_KEY),
        (b"", FROM_KEY),
        (b"", b""),
    ],
)
async def test_no_user_watches_anothers_keys(member: GuardedMember, key: bytes, end: bytes) -> None:
    """Created and cancelled at once, in Go's words and etcd's order, whatever else is wrong."""
    for extra in ({}, {"start_revision": -1}, {"start_revision": 1}, {"prev_kv": True}):
        answer = await watched(member, ANN, key=key, range_end=end, **extra)
        assert (answer.created, answer.canceled, answer.watch_id) == (True, True, -1)
        assert answer.cancel_reason == (
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
        )
        assert not answer.events


async def test_one_key_granted_is_no_range_watched(member: GuardedMember) -> None:
    """A grant of a single key: the key is watched, and not what follows it
    (GHSA-xg4h-6gfc-h4m8)."""
    grant = api.AuthRoleGrantPermissionRequest(name="ann's role")
    grant.perm.key = b"b/1"
    member.done("Auth/RoleGrantPermission", grant, ROOT)
    assert not (await watched(member, ANN, key=b"b/1")).canceled
    for end in (FROM_KEY, b"b/2", b"b/1\0\0"):
        assert (await watched(member, ANN, key=b"b/1", range_end=end)).canceled, end


async def test_a_watch_without_a_name_says_why(member: GuardedMember) -> None:
    """No token, and one that nobody knows."""
    member.tokens["made up"] = "madeup.1"
    for user, reason in (
        ("", "InvalidArgument desc = etcdserver: user name is empty"),
        ("made up", "Unauthenticated desc = etcdserver: invalid auth token"),
    ):
        answer = await watched(member, user, key=b"a/1")
        assert answer.cancel_reason == f"rpc error: code = {reason}"


LEASE = 77


def lease_of_both(member: GuardedMember) -> None:
    """bob's lease with a key of each: root has put ann's there."""
    member.done("Lease/LeaseGrant", api.LeaseGrantRequest(ID=LEASE, TTL=60), BOB)
    member.done("KV/Put", put(b"b/1", lease=LEASE), BOB)


def test_a_lease_is_guarded_by_its_keys(member: GuardedMember) -> None:
    """Who may not write all of them neither revokes it nor hangs a key of its own on it, in a txn
    neither; who may not read all of them is not shown them, and no list that has the lease."""
    lease_of_both(member)
    revoke = api.LeaseRevokeRequest(ID=LEASE)
    show = api.LeaseTimeToLiveRequest(ID=LEASE, keys=True)
    assert member.ask("Lease/LeaseRevoke", revoke, ANN) == DENIED
    assert member.ask("KV/Put", put(b"a/1", lease=LEASE), ANN) == DENIED
    assert member.ask("KV/Txn", txn(put(b"a/1", lease=LEASE)), ANN) == DENIED
    assert member.ask("KV/Txn", txn(otherwise=(txn(put(b"a/1", lease=LEASE)),)), ANN) == DENIED
    assert member.ask("Lease/LeaseTimeToLive", show, ANN) == DENIED
    assert member.ask("Lease/LeaseLeases", api.LeaseLeasesRequest(), ANN) == DENIED
    shown = member.ok("Lease/LeaseTimeToLive", show, api.LeaseTimeToLiveResponse, BOB)
    assert list(shown.keys) == [b"b/1"]
    member.done("Lease/LeaseLeases", api.LeaseLeasesRequest(), BOB)
    member.done("KV/Put", put(b"a/1", lease=LEASE), ROOT)
    for user in (ANN, BOB):
        assert member.ask("Lease/LeaseRevoke", revoke, user) == DENIED
        assert member.ask("Lease/LeaseTimeToLive", show, user) == DENIED
    member.done("Lease/LeaseRevoke", revoke, ROOT)
    assert member.store.get(b"b/1") is None


async def test_a_lease_is_kept_alive_by_who_may_write_its_keys(member: GuardedMember) -> None:
    """Anybody else's stream ends with the refusal; a lease that is not there has TTL 0."""
    lease_of_both(member)
    renew = api.LeaseKeepAliveRequest(ID=LEASE)
    answers = await member.stream("Lease/LeaseKeepAlive", [renew], BOB, 1)
    assert api.LeaseKeepAliveResponse.FromString(answers[0]).TTL == 60
    none = await member.stream("Lease/LeaseKeepAlive", [api.LeaseKeepAliveRequest(ID=5)], ANN, 1)
    assert api.LeaseKeepAliveResponse.FromString(none[0]).TTL == 0
    for user, error in ((ANN, DENIED), ("", NOBODY)):
        with pytest.raises(RaftKVError) as refused:
            await member.stream("Lease/LeaseKeepAlive", [renew], user, 1)
        assert status_of(refused.value) == error


async def test_a_backup_is_roots(member: GuardedMember) -> None:
    """It holds all keys and all passwords' hashes."""
    for user, error in ((ANN, DENIED), ("", NOBODY)):
        with pytest.raises(RaftKVError) as refused:
            await member.stream("Maintenance/Snapshot", [api.SnapshotRequest()], user, 1)
        assert status_of(refused.value) == error


def test_a_user_sees_itself_alone(member: GuardedMember) -> None:
    """Its own name and roles; of others not even whether they exist."""
    own = member.ok("Auth/UserGet", api.AuthUserGetRequest(name=ANN), api.AuthUserGetResponse, ANN)
    assert list(own.roles) == ["ann's role"]
    role = api.AuthRoleGetRequest(role="ann's role")
    assert len(member.ok("Auth/RoleGet", role, api.AuthRoleGetResponse, ANN).perm) == 1
    for name in (BOB, "nosuch"):
        assert member.ask("Auth/UserGet", api.AuthUserGetRequest(name=name), ANN) == DENIED
    for name in ("bob's role", "nosuch", "root"):
        assert member.ask("Auth/RoleGet", api.AuthRoleGetRequest(role=name), ANN) == DENIED


def test_a_read_is_judged_when_it_is_served(member: GuardedMember) -> None:
    """Granted or taken back while it waits for its round: what holds then counts."""
    waiting = []
    for change in ("UserRevokeRole", "UserGrantRole"):
        member.hold = True
        for request in (get(b"a/1"), get(b"a/1", serializable=True)):
            call = FakeCall({"token": member.tokens[ANN]})
            waiting.append(start(member.services["KV"], "Range", request, call))
        call = FakeCall({"token": member.tokens[ANN]})
        compared = api.TxnRequest(compare=[compare(b"a/1")])
        waiting.append(start(member.services["KV"], "Txn", compared, call))
        member.hold = False
        if change == "UserRevokeRole":
            revoke = api.AuthUserRevokeRoleRequest(name=ANN, role="ann's role")
            member.done("Auth/UserRevokeRole", revoke, ROOT)
        else:
            grant = api.AuthUserGrantRoleRequest(user=ANN, role="ann's role")
            member.done("Auth/UserGrantRole", grant, ROOT)
        member.release()
    assert [call.answer for call in waiting[:3]] == [DENIED] * 3
    assert all(isinstance(call.answer, bytes) for call in waiting[3:])


def test_without_auth_the_log_has_the_clients_own_bytes(tmp_path: Path) -> None:
    """Not one byte more, and the plain kind: auth costs nothing where it is not used."""
    member = GuardedMember(tmp_path / "db")
    seen: list[tuple[int, bytes]] = []

    def propose(kind: int, payload: bytes, done: object) -> None:
        seen.append((kind, payload))

    member.propose = propose  # type: ignore[method-assign]
    call = FakeCall({"token": "left over from before"})
    start(member.services["KV"], "Put", put(b"k"), call)
    assert seen == [(1, put(b"k").SerializeToString())]
    member.backend.close()
