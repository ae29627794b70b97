"""Auth of whole members under virtual time: tokens that all know, logins, snapshots, restarts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import TypeVar

import pytest
from google.protobuf.message import Message

from raftkv import errors
from raftkv.api import auth_pb2
from raftkv.api import rpc_pb2 as api
from raftkv.apply.batch import RequestKind
from raftkv.apply.behalf import encode_as_user
from raftkv.auth.caller import Caller
from raftkv.auth.passwords import COST_MIN, hash_password
from raftkv.errors import RaftKVError
from raftkv.rpc.kv import kv_service
from raftkv.server.config import Limits, MiB
from raftkv.server.member import Member
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine
from raftkv.wire.service import Status

T = TypeVar("T")
Kind = RequestKind
OLD, NEW = "old password", "new password"
SALT = f"$2b${COST_MIN:02}${'.' * 22}".encode()
HASHES = {text: b64encode(hash_password(text.encode(), SALT)).decode() for text in (OLD, NEW)}


class Call:
    """A unary call with a token."""

    deadline: float | None = None
    peer = "client"
    peer_common_name = ""
    cancelled = False

    def __init__(self, token: str, answers: list[bytes | Status]) -> None:
        self.metadata = {"token": token} if token else {}
        self.reply = answers.append
        self.fail = answers.append

    def reply_in_pieces(self, pieces: list[bytes]) -> None:
        self.reply(b"".join(pieces))


class Desk:
    """What a client does at one machine, each call until it is answered."""

    def __init__(self, cluster: SimulatedCluster, machine: Machine) -> None:
        self._cluster = cluster
        self.member: Member = machine.running.member

    def wait(self, start: Callable[[Callable[[T], None]], None]) -> T:
        answers: list[T] = []
        start(answers.append)
        assert self._cluster.scheduler.run_until(lambda: bool(answers), within_s=30.0)
        return answers[0]

    def propose(self, kind: Kind, request: Message, user: str = "") -> bytes | RaftKVError:
        payload = request.SerializeToString()
        if user:
            caller = Caller(user, self.member.authority.book.revision)
            kind, payload = Kind.AS_USER, encode_as_user(caller, kind, payload)
        return self.wait(lambda done: self.member.propose(kind, payload, done))

    def done(self, kind: Kind, request: Message, user: str = "") -> None:
        outcome = self.propose(kind, request, user)
        assert isinstance(outcome, bytes), outcome

    def log_in(self, name: str, password: str) -> str | RaftKVError:
        return self.wait(lambda told: self.member.authority.log_in(name, password, told))

    def token(self, name: str = "ann", password: str = OLD) -> str:
        token = self.log_in(name, password)
        assert isinstance(token, str), token
        return token

    def ask(self, method: str, request: Message, token: str) -> bytes | Status:
        answers: list[bytes | Status] = []
        call = Call(token, answers)
        try:
            method_of_kv = kv_service(self.member).unary[method]
            method_of_kv(request.SerializeToString(), call)  # type: ignore[arg-type]
        except RaftKVError as e:
            raise AssertionError(f"refused before it could wait: {e}") from e
        assert self._cluster.scheduler.run_until(lambda: bool(answers), within_s=30.0)
        return answers[0]


def set_up(desk: Desk) -> None:
    """root, and ann who may do everything from a/ on."""
    for name in ("root", "ann"):
        add = api.AuthUserAddRequest(name=name, hashedPassword=HASHES[OLD])
        desk.done(Kind.USER_ADD, add)
    desk.done(Kind.ROLE_ADD, api.AuthRoleAddRequest(name="r"))
    perm = auth_pb2.Permission(permType=auth_pb2.Permission.READWRITE, key=b"a/", range_end=b"a0")
    grant = api.AuthRoleGrantPermissionRequest(name="r", perm=perm)
    desk.done(Kind.ROLE_GRANT_PERMISSION, grant)
    desk.done(Kind.USER_GRANT_ROLE, api.AuthUserGrantRoleRequest(user="root", role="root"))
    desk.done(Kind.USER_GRANT_ROLE, api.AuthUserGrantRoleRequest(user="ann", role="r"))
    desk.done(Kind.AUTH_ENABLE, api.AuthEnableRequest())


@pytest.fixture
def cluster() -> SimulatedCluster:
    return started()


def started(catchup_entries: int = 5_000, **settings: object) -> SimulatedCluster:
    limits = Limits(wal_segment_bytes=MiB, catchup_entries=catchup_entries)
    cluster = SimulatedCluster(seed=3, limits=limits, **settings)  # type: ignore[arg-type]
    cluster.start_all()
    set_up(Desk(cluster, cluster.wait_for_leader()))
    return cluster


@pytest.fixture
def lone() -> SimulatedCluster:
    """Of one member."""
    return started(size=1)


def desks(cluster: SimulatedCluster) -> list[Desk]:
    """The leader's, then the others'."""
    leader = cluster.wait_for_leader()
    others = [m for m in cluster.machines if m is not leader and m.process is not None]
    return [Desk(cluster, machine) for machine in (leader, *others)]


PUT = api.PutRequest(key=b"a/1", value=b"v")
GET = api.RangeRequest(key=b"a/1")
GET_HERE = api.RangeRequest(key=b"a/1", serializable=True)


def test_a_token_of_one_member_is_known_to_all(cluster: SimulatedCluster) -> None:
    """Logged in at a follower: each member serves reads and writes by the token at once, also one
    that has not applied its entry yet."""
    first, *others = desks(cluster)
    token = others[0].token()
    for desk in (*others, first):
        for method, request in (("Range", GET_HERE), ("Put", PUT), ("Range", GET)):
            answer = desk.ask(method, request, token)
            assert isinstance(answer, bytes), (method, answer)


def test_a_token_ahead_of_a_member_is_waited_for(cluster: SimulatedCluster) -> None:
    """A follower that hears nothing gets a token of an entry that it lacks: it does not call it
    unknown, and serves it once it hears again."""
    leader, slow, _ = desks(cluster)
    cluster.settle()
    cluster.network.isolate(slow.member.member_id)
    token = leader.token()
    answers: list[bytes | Status] = []
    kv_service(slow.member).unary["Range"](
        GET_HERE.SerializeToString(),
        Call(token, answers),  # type: ignore[arg-type]
    )
    cluster.scheduler.run_for(2.0)
    assert not answers
    cluster.network.heal()
    assert cluster.scheduler.run_until(lambda: bool(answers), within_s=20.0)
    assert isinstance(answers[0], bytes), answers[0]


def test_simple_tokens_end_with_the_process() -> None:
    """A member that was restarted after it committed its database knows none: "invalid auth token",
    and the next login is good. Users and the revision are still there."""
    cluster = started(size=1)
    (desk,) = desks(cluster)
    token = desk.token()
    revision = desk.member.authority.book.revision
    stopped: list[bool] = []
    cluster.machines[0].stop(lambda: stopped.append(True))
    assert cluster.scheduler.run_until(lambda: bool(stopped), within_s=10.0)
    assert cluster.machines[0].start()
    (desk,) = desks(cluster)
    assert desk.ask("Range", GET, token) == Status(16, "etcdserver: invalid auth token")
    assert desk.member.authority.book.revision == revision
    assert isinstance(desk.ask("Range", GET, desk.token()), bytes)


def test_a_password_changed_during_a_login_counts(lone: SimulatedCluster) -> None:
    """The old password is being hashed as the new one is applied: no token for it. And a change of
    others meanwhile only has it asked again."""
    desk = desks(lone)[0]
    told: list[str | RaftKVError] = []
    desk.member.authority.log_in("ann", OLD, told.append)
    change = api.AuthUserChangePasswordRequest(name="ann", hashedPassword=HASHES[NEW])
    payload = encode_as_user(
        Caller("root", 9), Kind.USER_CHANGE_PASSWORD, change.SerializeToString()
    )
    desk.member.propose(Kind.AS_USER, payload, lambda outcome: None)
    assert lone.scheduler.run_until(lambda: bool(told), within_s=20.0)
    assert isinstance(told[0], errors.AuthFailed)
    assert isinstance(desk.log_in("ann", OLD), errors.AuthFailed)
    desk.member.authority.log_in("ann", NEW, told.append)
    role = encode_as_user(
        Caller("root", 9), Kind.ROLE_ADD, api.AuthRoleAddRequest(name="x").SerializeToString()
    )
    desk.member.propose(Kind.AS_USER, role, lambda outcome: None)
    assert lone.scheduler.run_until(lambda: len(told) == 2, within_s=20.0)
    assert isinstance(told[1], str)


def test_passwords_that_wait_are_bounded(lone: SimulatedCluster) -> None:
    """More logins at once than the bound: the rest hear it at once, and none is forgotten."""
    desk = desks(lone)[0]
    told: list[str | RaftKVError] = []
    for _ in range(400):
        desk.member.authority.log_in("nosuch", "x", told.append)
    assert lone.scheduler.run_until(lambda: len(told) == 400, within_s=60.0)
    kinds = {kind: sum(type(each) is kind for each in told) for kind in {type(t) for t in told}}
    assert kinds == {errors.AuthFailed: 256, errors.TooManyRequests: 144}


def test_a_member_filled_by_a_snapshot_judges_alike() -> None:
    """One that was down while a role changed and the log was cut: after the leader's snapshot it
    refuses and allows what the others do, and all hold the same."""
    cluster = started(snapshot_count=8, catchup_entries=4)
    leader, late, _ = desks(cluster)
    assert isinstance(late.propose(Kind.PUT, PUT, "ann"), bytes)
    machine = next(m for m in cluster.machines if m.member_id == late.member.member_id)
    machine.kill()
    leader.done(Kind.USER_REVOKE_ROLE, api.AuthUserRevokeRoleRequest(name="ann", role="r"), "root")
    for number in range(60):
        request = api.PutRequest(key=b"k%d" % number, value=b"v")
        leader.done(Kind.PUT, request, "root")
    cluster.scheduler.run_for(12.0)
    assert machine.start()
    late = Desk(cluster, machine)
    cluster.settle()
    assert isinstance(late.propose(Kind.PUT, PUT, "ann"), errors.PermissionDenied)
    assert late.ask("Range", GET, late.token()) == Status(7, "etcdserver: permission denied")
    books = [p.member.authority.book for p in cluster.running]
    assert len({(book.enabled, book.revision) for book in books}) == 1
    assert len({book.user("ann") for book in books}) == 1
    hashes = {p.member.store.hash_kv(0).hash for p in cluster.running}
    assert len(hashes) == 1


def test_the_same_seed_gives_the_same_token() -> None:
    """Chance comes from the member's source alone."""
    tokens = [desks(started(size=1))[0].token() for _ in range(2)]
    assert tokens[0] == tokens[1]


def test_a_members_own_requests_need_no_name() -> None:
    """With auth enabled a full database still raises its alarm, and the alarm stops writes."""
    cluster = started(size=1, quota_backend_bytes=1)
    (desk,) = desks(cluster)
    answer = desk.propose(Kind.PUT, PUT, "root")
    assert isinstance(answer, bytes)
    assert not desk.member.has_room(1)
    assert cluster.scheduler.run_until(lambda: bool(desk.member.maintenance.alarms()), within_s=5.0)
    assert isinstance(desk.propose(Kind.PUT, PUT, "root"), errors.NoSpace)
