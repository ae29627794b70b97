"""Auth at work in a member: who a caller is, and how a password becomes a token.

Owns: the member's tokens, the way of a login, and the threads that passwords are hashed on. Must
never do: say what a caller may do (``raftkv.auth.caller`` does), log or keep a password, or hash on
the loop.

A login, as in etcd: read round (the newest users) -> bcrypt on a worker -> with simple tokens an
entry that tells all members of the token, void if users or roles have changed since the round, when
the password is asked again; with signed tokens a signature, made on the worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from raftkv.apply.auth import encode_assignment
from raftkv.apply.authorization import RequestAuthorization
from raftkv.apply.batch import RequestKind
from raftkv.auth import passwords
from raftkv.auth.book import AuthBook
from raftkv.auth.caller import NOBODY, Authorization, Caller
from raftkv.auth.simple_tokens import SimpleTokens, index_of, make_prefix
from raftkv.errors import (
    AuthFailed,
    AuthNotEnabled,
    AuthOldRevision,
    InvalidAuthToken,
    NoPasswordUser,
    RaftKVError,
    TooManyRequests,
)
from raftkv.lease.book import LeaseBook
from raftkv.raft.config import RandomSource
from raftkv.scheduler import Scheduler, Worker
from raftkv.server.proposals import Done
from raftkv.server.reads import Proceed

log = logging.getLogger("raftkv.server")

HASHES_WAITING_MAX = 256
"""Passwords that wait for a worker, with those at work; beyond it "too many requests"."""
LOGIN_TRIES_MAX = 10
"""How often a password is asked again because users or roles changed meanwhile."""

T = TypeVar("T")
Told = Callable[[str | RaftKVError], None]


class Signer(Protocol):
    """Of tokens that say themselves whose they are: ``raftkv.auth.jwt_tokens``."""

    def sign(self, name: str, revision: int) -> str:
        """Blocks. Raises VerifyOnlyKey."""

    def caller_of(self, token: str) -> Caller:
        """Raises InvalidAuthToken."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """``signer``: who signs this member's tokens; None for simple ones. ``trusts_certificates``:
    a caller without token is whom its verified certificate names."""

    signer: Signer | None = None
    token_ttl_s: float = 300.0
    bcrypt_cost: int = passwords.COST_DEFAULT
    trusts_certificates: bool = False


class Clustered(Protocol):
    """The member that auth is at work in."""

    @property
    def applied_index(self) -> int: ...

    @property
    def scheduler(self) -> Scheduler: ...

    @property
    def random(self) -> RandomSource: ...

    def propose(self, kind: int, payload: bytes, done: Done) -> None: ...

    def linearize(self, proceed: Proceed) -> None: ...


class Authority:
    """``book`` says what is applied; ``may`` and ``requests`` what a caller may."""

    def __init__(
        self,
        book: AuthBook,
        leases: LeaseBook,
        member: Clustered,
        workers: Sequence[Worker],
        settings: AuthSettings,
    ) -> None:
        assert workers, "passwords need a thread to be hashed on"
        self.book = book
        self.may = Authorization(book)
        self.requests = RequestAuthorization(self.may, leases)
        self._member = member
        self._workers = workers
        self._settings = settings
        self._hashes_waiting = 0
        self._hashes_begun = 0
        self._tokens = SimpleTokens(member.scheduler.now, settings.token_ttl_s)
        book.keeper = self._tokens

    # --- callers --------------------------------------------------------------------------------

    def caller(self, token: str, common_name: str) -> Caller:
        """NOBODY without a token and a certificate. Raises InvalidAuthToken."""
        if token:
            if self._settings.signer is not None:
                return self._settings.signer.caller_of(token)
            name = self._tokens.user_of(token)
            if name is None:
                raise InvalidAuthToken("no such token, or it has ended")
            return Caller(name, self.book.revision)
        if common_name and self._settings.trusts_certificates:
            return Caller(common_name, self.book.revision)
        return NOBODY

    def is_ahead(self, token: str) -> bool:
        """Whether the entry that assigned the token may not be applied here yet. Its client has it
        from another member; a read round brings us there."""
        return self._settings.signer is None and index_of(token) > self._member.applied_index

    # --- passwords ------------------------------------------------------------------------------

    def hash_password(self, password: str, done: Callable[[bytes | RaftKVError], None]) -> None:
        """``done`` gets the hash, at once or later, or PasswordTooLong or TooManyRequests."""
        salt = passwords.make_salt(self._settings.bcrypt_cost, self._member.random.randrange)
        self._work(lambda: passwords.hash_password(password.encode(), salt), done)

    def log_in(self, name: str, password: str, told: Told) -> None:
        """``told`` gets the token, or AuthNotEnabled, AuthFailed, NoPasswordUser, VerifyOnlyKey,
        TooManyRequests, or what kept the cluster from answering."""
        _Login(self, name, password, told).start()

    # --- a login's steps ------------------------------------------------------------------------

    def newest(self, proceed: Proceed) -> None:
        self._member.linearize(proceed)

    def check_password(
        self, password: str, password_hash: bytes | None, done: Callable[[bool | RaftKVError], None]
    ) -> None:
        cost = self._settings.bcrypt_cost
        self._work(lambda: passwords.matches(password.encode(), password_hash, cost), done)

    def issue(self, name: str, revision: int, done: Told) -> None:
        """A token for who has shown a password that was right at ``revision``."""
        signer = self._settings.signer
        if signer is not None:
            self._work(lambda: signer.sign(name, revision), done)
            return

        def assigned(outcome: bytes | RaftKVError) -> None:
            done(outcome.decode() if isinstance(outcome, bytes) else outcome)

        prefix = make_prefix(self._member.random.randrange)
        payload = encode_assignment(name, prefix, revision)
        self._member.propose(RequestKind.AUTH_ASSIGN_TOKEN, payload, assigned)

    def _work(self, job: Callable[[], T], done: Callable[[T | RaftKVError], None]) -> None:
        """``job`` on a worker. What it raises of ours is its answer."""
        if self._hashes_waiting >= HASHES_WAITING_MAX:
            done(TooManyRequests(f"{self._hashes_waiting} passwords wait to be hashed"))
            return
        results: list[T] = []
        worker = self._workers[self._hashes_begun % len(self._workers)]
        self._hashes_begun += 1
        self._hashes_waiting += 1

        def finished(error: BaseException | None) -> None:
            self._hashes_waiting -= 1
            if error is None:
                done(results[0])
            elif isinstance(error, RaftKVError):
                done(error.with_traceback(None))
            else:  # a fault of ours: whoever waits must hear of it all the same
                log.error("a password or a token could not be worked on", exc_info=error)
                done(RaftKVError("the member could not work on it, its log has more"))

        worker.run(lambda: results.append(job()), finished)


class _Login:
    """One call of Authenticate."""

    def __init__(self, authority: Authority, name: str, password: str, told: Told) -> None:
        self._authority = authority
        self._name = name
        self._password = password
        self._told = told
        self._tries_left = LOGIN_TRIES_MAX

    def start(self) -> None:
        self._authority.newest(self._look_up)

    def _look_up(self, error: RaftKVError | None) -> None:
        book = self._authority.book
        if error is None and not book.enabled:
            error = AuthNotEnabled("auth is not enabled")
        user = book.user(self._name)
        if error is None and user is not None and user.no_password:
            error = NoPasswordUser(f"{self._name!r} has no password")
        if error is not None:
            self._told(error)
            return
        revision, known = book.revision, None if user is None else user.password_hash
        checked = partial(self._checked, revision)
        self._authority.check_password(self._password, known, checked)

    def _checked(self, revision: int, outcome: bool | RaftKVError) -> None:
        if isinstance(outcome, RaftKVError):
            self._told(outcome)
        elif not outcome:
            self._told(AuthFailed("wrong password, or no such user"))
        elif revision != self._authority.book.revision:
            self._again()
        else:
            self._authority.issue(self._name, revision, self._issued)

    def _issued(self, outcome: str | RaftKVError) -> None:
        if isinstance(outcome, AuthOldRevision):
            self._again()
        else:
            self._told(outcome)

    def _again(self) -> None:
        self._tries_left -= 1
        if self._tries_left:
            self.start()
        else:
            self._told(AuthOldRevision(f"users or roles changed {LOGIN_TRIES_MAX} times meanwhile"))
