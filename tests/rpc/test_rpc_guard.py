"""What a request is judged by when it waited for its caller's token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_member import FakeCall
from guarded_member import ROOT, GuardedMember, found

from raftkv.apply.batch import RequestKind
from raftkv.errors import NotCapable, RaftKVError
from raftkv.rpc.guard import Guard


@pytest.fixture
def member(tmp_path: Path) -> Iterator[GuardedMember]:
    member = found(tmp_path / "db")
    yield member
    member.backend.close()


def test_what_must_not_be_asked_for_any_more(
    member: GuardedMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The level was high enough when the call came. It is lowered while this member waits for the
    entry of the token: behind a member's barrier nothing enters the log that 0.1 does not know."""
    waiting: list[Callable[[RaftKVError | None], None]] = []
    proposed: list[int] = []
    monkeypatch.setattr(member.authority, "is_ahead", lambda token: True)
    monkeypatch.setattr(member, "linearize", waiting.append)
    monkeypatch.setattr(member, "propose", lambda kind, payload, done: proposed.append(kind))
    outcomes: list[bytes | RaftKVError] = []
    is_low = False

    def check() -> None:
        if is_low:
            raise NotCapable("the level is too low")

    guard, call = Guard(member), FakeCall({"token": member.tokens[ROOT]})
    for is_lowered in (False, True):
        is_low = False
        guard.propose(RequestKind.PREFIX_QUOTA, b"", call, outcomes.append, check)
        is_low = is_lowered
        waiting.pop()(None)
    assert proposed == [RequestKind.AS_USER]
    assert [type(outcome) for outcome in outcomes] == [NotCapable]
