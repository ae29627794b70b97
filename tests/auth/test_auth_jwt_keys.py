"""Keys of signed tokens that are replaced while the member runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from raftkv.auth.caller import Caller
from raftkv.auth.jwt_key_files import JwtKeyFiles
from raftkv.auth.jwt_keys import PUBLIC_KEYS_MAX, JwtOptions, load_keys
from raftkv.auth.jwt_tokens import JwtTokens
from raftkv.errors import ConfigError, InvalidAuthToken

NOW = 1_700_000_000.0


class Pair:
    def __init__(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        self.private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def pairs() -> tuple[Pair, Pair]:
    return Pair(), Pair()


class Running:
    """A member's tokens and the files of their keys; ``look`` is what its timer does."""

    def __init__(self, directory: Path, public: bytes, private: bytes) -> None:
        self.public, self.private = directory / "jwt.pub", directory / "jwt.priv"
        self.public.write_bytes(public)
        self.private.write_bytes(private)
        options = JwtOptions("RS256", str(self.public), str(self.private), 300.0)
        self.before_read: Callable[[], None] = lambda: None
        self.files = JwtKeyFiles(options, self._read)
        self.tokens = JwtTokens(options, self._read, lambda: NOW)

    def _read(self, path: str) -> bytes:
        self.before_read()
        return Path(path).read_bytes()

    def write(self, path: Path, content: bytes) -> None:
        """As a deployment does: a new file in the place of the old one."""
        beside = path.with_suffix(".new")
        beside.write_bytes(content)
        os.replace(beside, path)

    def look(self) -> None:
        keys = self.files.check()
        if keys is not None:
            self.tokens.use(keys)

    def believes(self, token: str) -> bool:
        try:
            return self.tokens.caller_of(token) == Caller("ann", 1)
        except InvalidAuthToken:
            return False


def test_tokens_of_a_replaced_key_are_refused(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    """Also one that was believed a moment ago; the new pair signs and is believed."""
    old, new = pairs
    running = Running(tmp_path, old.public, old.private)
    token = running.tokens.sign("ann", 1)
    assert running.believes(token)
    running.look()
    assert (running.files.reloads, running.believes(token)) == (0, True)
    running.write(running.public, new.public)
    running.write(running.private, new.private)
    running.look()
    assert (running.files.reloads, running.files.failures) == (1, 0)
    assert not running.believes(token)
    assert running.believes(running.tokens.sign("ann", 1))


def test_a_file_with_both_keys_believes_both(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    """How a key is replaced under way: both public ones, then the private one, then the new
    public one alone."""
    old, new = pairs
    running = Running(tmp_path, old.public, old.private)
    by_old = running.tokens.sign("ann", 1)
    running.write(running.public, old.public + new.public)
    running.look()
    assert running.believes(by_old)
    running.write(running.private, new.private)
    running.look()
    by_new = running.tokens.sign("ann", 1)
    assert running.believes(by_old)
    assert running.believes(by_new)
    running.write(running.public, new.public)
    running.look()
    assert not running.believes(by_old)
    assert running.believes(by_new)
    assert (running.files.reloads, running.files.failures) == (3, 0)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA"])
def test_what_cannot_be_used_changes_nothing(
    tmp_path: Path, pairs: tuple[Pair, Pair], content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log and one failure for each state of the files; a file that is away, too."""
    old, _ = pairs
    running = Running(tmp_path, old.public, old.private)
    token = running.tokens.sign("ann", 1)
    running.write(running.private, content)
    for _ in range(2):
        running.look()
    assert (running.files.reloads, running.files.failures) == (0, 1)
    assert [record.message for record in caplog.records] == [
        "keys of tokens cannot be loaded, the old ones stay in use"
    ]
    running.private.unlink()
    running.look()
    assert running.files.failures == 2
    assert running.believes(token)
    running.write(running.private, old.private)
    running.look()
    assert (running.files.reloads, running.files.failures) == (1, 2)


def test_one_half_of_a_pair_waits_for_the_other(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    """They are written one after the other, and a look can come between."""
    old, new = pairs
    running = Running(tmp_path, old.public, old.private)
    token = running.tokens.sign("ann", 1)
    running.write(running.private, new.private)
    running.look()
    assert (running.files.failures, running.believes(token)) == (1, True)
    running.write(running.public, new.public)
    running.look()
    assert (running.files.reloads, running.believes(token)) == (1, False)


def test_files_that_change_while_they_are_read(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    """What was read may be of two states: it is read again at the next look."""
    old, new = pairs
    running = Running(tmp_path, old.public, old.private)
    running.write(running.public, old.public + new.public)
    running.before_read = lambda: running.write(running.public, new.public + old.public)
    running.look()
    assert running.files.reloads == 0
    running.before_read = lambda: None
    running.look()
    assert running.files.reloads == 1


def test_too_many_keys(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    """Each costs a verification of every new token."""
    public = pairs[0].public * (PUBLIC_KEYS_MAX + 1)
    options = JwtOptions("RS256", "many.pub", "", 300.0)
    with pytest.raises(ConfigError, match=rf"holds {PUBLIC_KEYS_MAX + 1} keys, the limit is"):
        load_keys(options, lambda path: public)
    assert len(load_keys(options, lambda path: public[: len(public) // 2]).public) >= 1
