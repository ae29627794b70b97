"""Users, roles and tokens through the real etcdctl, on the leader and a follower."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from raftkv.api import rpc_pb2 as pb
from tests.e2e.cluster import Cluster
from tests.e2e.conftest import PROGRAM
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import MemberProcess
from tests.e2e.waiting import wait_until

DENIED = "Error: etcdserver: permission denied"
NOBODY = "Error: etcdserver: user name is empty"
ANN, BOB, ROOT = "ann:ann's", "bob:bob's", "root:root's"


@dataclass(frozen=True)
class Guarded:
    """A cluster with auth enabled. Who leads was asked before: it needs a login now."""

    cluster: Cluster
    leader: MemberProcess
    follower: MemberProcess

    def ctl(self, user: str = "", member: MemberProcess | None = None) -> Etcdctl:
        return Etcdctl((member or self.follower).endpoint, user=user)


def set_up(ctl: Etcdctl) -> None:
    """root; ann from ann/ on, and to read pub/; bob from x on to the end of all keys."""
    for user in (ROOT, ANN, BOB):
        ctl.ok("user", "add", user)
    for role in ("root", "ann", "bob"):
        ctl.ok("role", "add", role)
        ctl.ok("user", "grant-role", role, role)
    ctl.ok("role", "grant-permission", "ann", "readwrite", "ann/", "--prefix")
    ctl.ok("role", "grant-permission", "ann", "read", "pub/", "--prefix")
    ctl.ok("role", "grant-permission", "bob", "readwrite", "x", "--from-key")
    ctl.ok("auth", "enable")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with Cluster(PROGRAM, tmp_path_factory.mktemp("guarded")) as cluster:
        leader, follower = cluster.leader(), cluster.follower()
        set_up(cluster.ctl())
        yield Guarded(cluster, leader, follower)
        assert not cluster.broken_log_lines()


@pytest.mark.parametrize("where", ["leader", "follower"])
def test_a_user_has_its_own_range_and_no_other(guarded: Guarded, where: str) -> None:
    """get, put, del and a prefix of it; the prefix one letter shorter, from a key on, and another's
    keys are refused, there or not."""
    member = guarded.leader if where == "leader" else guarded.follower
    ann = guarded.ctl(ANN, member)
    key = f"ann/{where}"
    assert ann.ok("put", key, "v") == ["OK"]
    assert ann.ok("get", key) == [key, "v"]
    assert ann.keys("ann/", "--prefix") == [key]
    assert ann.ok("get", "pub/", "--prefix") == []
    for denied in (
        ("put", "pub/a", "v"),
        ("get", "ann", "--prefix"),
        ("get", "ann/", "--from-key"),
        ("get", "--prefix", ""),
        ("get", "x"),
        ("del", "x"),
        ("del", "ann/", "--from-key"),
        ("put", "b", "v"),
    ):
        assert ann.fails(*denied) == DENIED, denied
    assert ann.ok("del", key, "--prev-kv")[0] == "1"


def test_an_open_range_needs_an_open_permission(guarded: Guarded) -> None:
    """From the granted key on, or from a later one, and not from an earlier one."""
    bob = guarded.ctl(BOB)
    bob.ok("put", "x1", "v")
    assert bob.keys("x", "--from-key") == ["x1"]
    assert bob.keys("y", "--from-key") == []
    assert bob.fails("get", "w", "--from-key") == DENIED


def test_a_transaction_asks_for_all_that_it_may_do(guarded: Guarded) -> None:
    """A compare alone, and both branches, whichever runs."""
    ann = guarded.ctl(ANN)
    own = 'version("ann/t") = "0"\n\nput ann/t 1\n\nget ann/t\n\n'
    assert ann.ok("txn", stdin=own)[0] == "SUCCESS"
    for theirs in (
        'version("x1") = "0"\n\nget ann/t\n\nget ann/t\n\n',
        'version("ann/t") = "1"\n\nget x1\n\nget ann/t\n\n',
        'version("ann/t") = "1"\n\nget ann/t\n\nput x1 v\n\n',
    ):
        assert ann.fails("txn", stdin=theirs) == DENIED, theirs


def test_a_watch_is_refused_when_it_is_created(guarded: Guarded) -> None:
    """Its own keys come; another's never begin."""
    ann = guarded.ctl(ANN)
    with ann.watch("ann/w") as watch:
        wait_for_watch(ann, "ann/w", watch.lines)
    for theirs in (("x1",), ("ann/", "x")):
        with ann.watch(*theirs) as watch:
            assert "permission denied" in watch.lines(1)[0], theirs


def wait_for_watch(ctl: Etcdctl, key: str, lines: Callable[[int], list[str]]) -> None:
    """A watch from now on tells nothing of itself: write until it has seen a write."""
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(lines, 3)
        while not seen.done():
            ctl.ok("put", key, "v")
    assert seen.result() == ["PUT", key, "v"]


def test_a_lease_cannot_reach_anothers_keys(guarded: Guarded) -> None:
    """bob's key hangs on it: ann neither joins it nor revokes it."""
    bob, ann = guarded.ctl(BOB), guarded.ctl(ANN)
    lease = bob.ok("lease", "grant", "600")[0].split()[1]
    bob.ok("put", f"--lease={lease}", "x/leased", "v")
    assert ann.fails("put", f"--lease={lease}", "ann/leased", "v") == DENIED
    assert "permission denied" in ann.fails("lease", "revoke", lease)
    assert bob.ok("get", "x/leased", "--print-value-only") == ["v"]
    assert bob.ok("lease", "revoke", lease) == [f"lease {lease} revoked"]
    assert bob.ok("get", "x/leased") == []


def test_what_only_root_may_do(guarded: Guarded) -> None:
    """Users and roles of others; oneself one may see."""
    ann, root = guarded.ctl(ANN), guarded.ctl(ROOT)
    assert ann.ok("user", "get", "ann") == ["User: ann", "Roles: ann"]
    for denied in (
        ("user", "get", "bob"),
        ("user", "list"),
        ("user", "delete", "bob"),
        ("role", "list"),
        ("role", "get", "bob"),
        ("role", "grant-permission", "ann", "readwrite", "x"),
        ("auth", "disable"),
    ):
        assert ann.fails(*denied) == DENIED, denied
    assert root.ok("user", "list") == ["ann", "bob", "root"]
    assert root.ok("role", "list") == ["ann", "bob", "root"]
    assert root.fails("user", "delete", "root") == "Error: etcdserver: invalid auth management"
    assert root.fails("user", "add", ANN) == "Error: etcdserver: user name already exists"
    assert root.fails("role", "get", "nosuch") == "Error: etcdserver: role name not found"


def test_nobody_and_wrong_passwords_are_refused(guarded: Guarded) -> None:
    """No name, a wrong password and an unknown user: the latter two alike."""
    assert guarded.ctl().fails("get", "ann/a") == NOBODY
    assert guarded.ctl().fails("put", "ann/a", "v") == NOBODY
    refused = "etcdserver: authentication failed, invalid user ID or password"
    api = guarded.cluster.api(guarded.follower)
    authenticate = api.unary("/etcdserverpb.Auth/Authenticate", pb.AuthenticateResponse)
    for name, password in (("ann", "bob's"), ("nosuch", "x"), ("ann", "")):
        login = pb.AuthenticateRequest(name=name, password=password)
        with pytest.raises(grpc.RpcError) as error:
            authenticate(login, timeout=10)
        assert error.value.details() == refused


def test_a_change_counts_at_once_on_every_member(guarded: Guarded) -> None:
    """Granted at the leader it holds at the follower's next request, and so when it is taken
    back."""
    root, ann = guarded.ctl(ROOT, guarded.leader), guarded.ctl(ANN)
    for _ in range(2):
        root.ok("role", "grant-permission", "ann", "read", "x1")
        ann.ok("get", "x1")
        assert ann.fails("get", "x1", "--from-key") == DENIED
        root.ok("role", "revoke-permission", "ann", "x1")
        assert ann.fails("get", "x1") == DENIED


def test_the_revision_is_a_metric(guarded: Guarded) -> None:
    """Every change of users or roles counts one; scraping needs no login."""

    def revision() -> float:
        with urllib.request.urlopen(f"http://{guarded.leader.endpoint}/metrics") as page:
            lines = page.read().decode().splitlines()
        name = "etcd_debugging_auth_revision "
        return float(next(line for line in lines if line.startswith(name)).split()[1])

    before = revision()
    guarded.ctl(ROOT, guarded.leader).ok("role", "add", "counted")
    assert revision() == before + 1
    guarded.ctl(ROOT, guarded.leader).ok("role", "delete", "counted")
    assert revision() == before + 2


def post(member: MemberProcess, path: str, body: Any, token: str = "") -> tuple[int, Any]:
    url = f"http://{member.endpoint}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    if token:
        request.add_header("Authorization", token)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def test_the_json_gateway_takes_the_token(guarded: Guarded) -> None:
    """Logged in by JSON, it goes in the Authorization header; without it nothing goes."""
    member = guarded.follower
    login = {"name": "ann", "password": "ann's"}
    status, answer = post(member, "/v3/auth/authenticate", login)
    assert status == 200
    token = answer["token"]
    put = {"key": b64encode(b"ann/json").decode(), "value": b64encode(b"v").decode()}
    assert post(member, "/v3/kv/put", put, token)[0] == 200
    assert post(member, "/v3/kv/put", put)[0] == 400
    theirs = {"key": b64encode(b"x1").decode()}
    status, answer = post(member, "/v3/kv/range", theirs, token)
    assert (status, answer["message"]) == (403, "etcdserver: permission denied")
    status, answer = post(member, "/v3/kv/range", theirs, "madeup.1")
    assert (status, answer["message"]) == (401, "etcdserver: invalid auth token")
    assert post(member, "/v3/auth/user/list", {}, token)[0] == 403


def write_keys(directory: Path) -> tuple[Path, Path]:
    """A public and a private key."""
    key = rsa.generate_private_key(65537, 2048)
    public, private = directory / "jwt.pub", directory / "jwt.priv"
    private.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return public, private


def test_signed_tokens_outlive_the_process(
    new_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """A token of --auth-token jwt is good after kill -9 and a restart, until users change; then it
    is of an old revision, and a new login is good again. Users are there as before. Keys that are
    replaced are in use without a restart."""
    public, private = write_keys(tmp_path)
    token = f"jwt,pub-key={public},priv-key={private},sign-method=RS256,ttl=10m"
    cluster = new_cluster(members=1, flags=(f"--auth-token={token}",))
    set_up(cluster.ctl())
    (member,) = cluster.members
    login = pb.AuthenticateRequest(name="ann", password="ann's")

    def log_in() -> tuple[tuple[str, str], ...]:
        call = cluster.api(member).unary("/etcdserverpb.Auth/Authenticate", pb.AuthenticateResponse)
        return (("token", call(login, timeout=10).token),)

    put = cluster.api(member).unary("/etcdserverpb.KV/Put", pb.PutResponse)
    mine = pb.PutRequest(key=b"ann/j", value=b"v")
    token_sent = log_in()
    put(mine, metadata=token_sent, timeout=10)
    member.kill()
    cluster.start()
    put(mine, metadata=token_sent, timeout=10, wait_for_ready=True)
    with pytest.raises(grpc.RpcError) as refused:
        put(pb.PutRequest(key=b"x", value=b"v"), metadata=token_sent, timeout=10)
    assert refused.value.details() == "etcdserver: permission denied"
    cluster.ctl().logged_in(ROOT).ok("role", "add", "new")
    with pytest.raises(grpc.RpcError) as old:
        put(mine, metadata=token_sent, timeout=10)
    assert old.value.details() == "etcdserver: revision of auth store is old"
    by_old_keys = log_in()
    put(mine, metadata=by_old_keys, timeout=10)
    write_keys(tmp_path)

    def is_refused() -> bool:
        try:
            put(mine, metadata=by_old_keys, timeout=10)
        except grpc.RpcError as error:
            return bool(error.details() == "etcdserver: invalid auth token")
        return False

    wait_until(is_refused, "the member believes the new keys alone")
    put(mine, metadata=log_in(), timeout=10)


def test_auth_can_be_disabled_again(guarded: Guarded) -> None:
    """By root; everybody may do everything then. The last test of this file's cluster."""
    guarded.ctl(ROOT).ok("auth", "disable")
    guarded.ctl().ok("put", "anything", "v")
    guarded.ctl().ok("auth", "enable")
    assert guarded.ctl().fails("put", "anything", "v") == NOBODY
