"""Logins and tokens: who is let in, by what, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_member import FakeCall, start
from guarded_member import ANN, BOB, ROOT, GuardedMember, found

from raftkv.api import rpc_pb2 as api
from raftkv.server.authority import AuthSettings
from raftkv.wire.service import Status

DENIED = Status(7, "etcdserver: permission denied")
NOBODY = Status(3, "etcdserver: user name is empty")
BAD_TOKEN = Status(16, "etcdserver: invalid auth token")
BAD_PASSWORD = Status(3, "etcdserver: authentication failed, invalid user ID or password")


@pytest.fixture
def member(tmp_path: Path) -> Iterator[GuardedMember]:
    member = found(tmp_path / "db")
    yield member
    member.backend.close()


def test_logins_that_fail_answer_alike(member: GuardedMember) -> None:
    """A wrong password and a user that is not there, bob's password for ann, an empty name."""
    for name, password in ((ANN, "x"), ("nosuch", "x"), (ANN, "bob's"), ("", ""), (ANN, "")):
        request = api.AuthenticateRequest(name=name, password=password)
        assert member.ask("Auth/Authenticate", request) == BAD_PASSWORD, (name, password)


def test_a_user_without_password_has_none(member: GuardedMember) -> None:
    """etcd's own words, and no password makes a difference, not even a new one."""
    add = api.AuthUserAddRequest(name="cn", password="pw")
    add.options.no_password = True
    member.done("Auth/UserAdd", add, ROOT)
    change = api.AuthUserChangePasswordRequest(name="cn", password="pw")
    member.done("Auth/UserChangePassword", change, ROOT)
    answer = member.ask("Auth/Authenticate", api.AuthenticateRequest(name="cn", password="pw"))
    text = "auth: authentication failed, password was given for no password user"
    assert answer == Status(2, text)


def test_a_hash_from_a_client_is_none(member: GuardedMember) -> None:
    """What it sends as a hash is overwritten: the password alone counts, as in etcd."""
    add = api.AuthUserAddRequest(name="eve", password="eve's", hashedPassword="bWFkZSB1cA==")
    member.done("Auth/UserAdd", add, ROOT)
    assert member.log_in("eve")


def test_no_password_reaches_the_database(member: GuardedMember) -> None:
    """Only its hash does."""
    change = api.AuthUserChangePasswordRequest(name=ANN, password="never-to-be-seen")
    proposed: list[bytes] = []
    propose = member.propose

    def noting(kind: int, payload: bytes, done: object) -> None:
        proposed.append(payload)
        propose(kind, payload, done)  # type: ignore[arg-type]

    member.propose = noting  # type: ignore[method-assign]
    member.done("Auth/UserChangePassword", change, ROOT)
    assert proposed
    assert not any(b"never-to-be-seen" in payload for payload in proposed)


def test_a_token_lives_as_long_as_what_it_stands_for(member: GuardedMember) -> None:
    """It ends with a new password, and 300 s after its last use; a change of others' roles does
    not end it."""
    mine = api.RangeRequest(key=b"a/1")
    member.done("Auth/RoleAdd", api.AuthRoleAddRequest(name="new"), ROOT)
    member.done("KV/Range", mine, ANN)
    member.scheduler.time += 299
    member.done("KV/Range", mine, ANN)
    member.scheduler.time += 299
    member.done("KV/Range", mine, ANN)
    member.scheduler.time += 300
    assert member.ask("KV/Range", mine, ANN) == BAD_TOKEN
    member.log_in(ANN)
    member.log_in(ROOT)
    change = api.AuthUserChangePasswordRequest(name=ANN, password="ann's")
    member.done("Auth/UserChangePassword", change, ROOT)
    for request, method in ((mine, "KV/Range"), (api.PutRequest(key=b"a/1"), "KV/Put")):
        assert member.ask(method, request, ANN) == BAD_TOKEN
    member.log_in(ANN)
    member.done("KV/Range", mine, ANN)


@pytest.mark.parametrize("name", ["token", "authorization"])
@pytest.mark.parametrize("before", ["", "Bearer ", "bearer "])
def test_where_a_token_is_found(member: GuardedMember, name: str, before: str) -> None:
    """Both of etcd's names, with and without the scheme."""
    call = FakeCall({name: before + member.tokens[ANN]})
    answer = start(member.services["KV"], "Range", api.RangeRequest(key=b"a/1"), call).answer
    assert isinstance(answer, bytes), answer


def test_a_certificate_is_a_name_where_it_is_trusted(tmp_path: Path) -> None:
    """Without --client-cert-auth it is none; with it, its common name is the user, unless a token
    says another."""
    for trusts in (False, True):
        settings = AuthSettings(bcrypt_cost=4, trusts_certificates=trusts)
        member = found(tmp_path / f"{trusts}", settings)
        answers = []
        for token in ("", member.tokens[BOB]):
            call = FakeCall({"token": token} if token else {})
            call.peer_common_name = ANN
            answers.append(
                start(member.services["KV"], "Range", api.RangeRequest(key=b"a/1"), call).answer
            )
        if trusts:
            assert isinstance(answers[0], bytes)
        else:
            assert answers[0] == NOBODY
        assert answers[1] == DENIED
        member.backend.close()
