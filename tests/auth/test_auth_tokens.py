"""Simple tokens: their life by use, by number and by their user; passwords that show nothing."""

from __future__ import annotations

from random import Random

import bcrypt
import pytest

from raftkv.auth.passwords import COST_MIN, hash_password, make_salt, matches
from raftkv.auth.simple_tokens import SimpleTokens, index_of, make_prefix
from raftkv.errors import PasswordTooLong


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_a_token_lives_on_by_use() -> None:
    """Used within its TTL it stays, for as long as that goes on; unused it ends at the TTL."""
    clock = Clock()
    tokens = SimpleTokens(clock, 300)
    tokens.assigned("t.1", "ann")
    for _ in range(5):
        clock.time += 299
        assert tokens.user_of("t.1") == "ann"
    clock.time += 300
    assert tokens.user_of("t.1") is None
    assert len(tokens) == 0


def test_the_longest_unused_token_gives_way() -> None:
    """At the bound the one that nobody used for longest ends, whoever has it."""
    tokens = SimpleTokens(Clock(), 300, tokens_max=3)
    for number in (1, 2, 3):
        tokens.assigned(f"t.{number}", "ann")
    assert tokens.user_of("t.1") == "ann"
    tokens.assigned("t.4", "bob")
    assert [tokens.user_of(f"t.{n}") for n in (1, 2, 3, 4)] == ["ann", None, "ann", "bob"]


def test_a_change_of_a_user_ends_its_tokens_alone() -> None:
    """All of its own, none of others; and disabling ends all."""
    tokens = SimpleTokens(Clock(), 300)
    for token, name in (("a.1", "ann"), ("a.2", "ann"), ("b.3", "bob")):
        tokens.assigned(token, name)
    tokens.ended("ann")
    assert [tokens.user_of(token) for token in ("a.1", "a.2", "b.3")] == [None, None, "bob"]
    tokens.ended("nobody")
    tokens.ended_all()
    assert tokens.user_of("b.3") is None


def test_a_token_says_which_entry_it_is_of() -> None:
    """16 letters out of the given chance, a point and the index; other texts say 0."""
    prefix = make_prefix(Random(1).randrange)
    assert prefix == make_prefix(Random(1).randrange)
    assert len(prefix) == 16
    assert prefix.isalpha()
    assert index_of(f"{prefix}.42") == 42
    for text in ("", "abc", "abc.", "a.b.x1", "a.-1", "a.\u0661", "a." + "9" * 5000):
        assert index_of(text) == 0, text


@pytest.mark.parametrize("password", ["", "pw", "p\0w", "\u20ac" * 24])
def test_a_password_fits_its_own_hash_alone(password: str) -> None:
    """Of any bytes up to bcrypt's limit; the salt is the given one, so the hash repeats."""
    text = password.encode()
    hashed = hash_password(text, make_salt(COST_MIN, Random(3).randrange))
    assert hashed == hash_password(text, make_salt(COST_MIN, Random(3).randrange))
    assert bcrypt.checkpw(text, hashed)
    assert matches(text, hashed, COST_MIN)
    assert not matches(text + b"x", hashed, COST_MIN)


def test_a_password_beyond_bcrypts_limit_is_refused() -> None:
    """It is never cut in silence, neither when it is set nor when it is shown."""
    salt = make_salt(COST_MIN, Random(3).randrange)
    with pytest.raises(PasswordTooLong, match="73 bytes"):
        hash_password(b"x" * 73, salt)
    assert not matches(b"x" * 73, hash_password(b"x" * 72, salt), COST_MIN)


def test_an_unknown_user_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """bcrypt is asked once, at the configured cost, for a user with a hash and for none; no
    password fits the hash of nobody."""
    asked: list[bytes] = []
    real = bcrypt.checkpw

    def noted(password: bytes, hashed: bytes) -> bool:
        asked.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", noted)
    known = hash_password(b"pw", make_salt(5, Random(3).randrange))
    assert matches(b"pw", known, 5)
    assert not matches(b"pw", None, 5)
    assert [hashed[:7] for hashed in asked] == [b"$2b$05$", b"$2b$05$"]
    assert [len(hashed) for hashed in asked] == [60, 60]
