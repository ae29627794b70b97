"""The door of the services while auth is enabled: who calls, and what is checked where.

Owns: finding the token of a call, and the three ways in: through the log, to a read, to an act of
this member alone. Must never do: cost a call anything while auth is disabled but one question.

    through the log   who calls is settled here, what it may do when the entry is applied
    a read            both when it is served, after its round: a permission granted before the read
                      began is known by then, and one taken back is too (etcd's doSerialize)
    an act            both at once, by what this member has applied
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raftkv.apply.batch import RequestKind
from raftkv.apply.behalf import encode_as_user
from raftkv.auth.caller import NOBODY, Caller
from raftkv.errors import RaftKVError, RequestTooLarge, UserEmpty
from raftkv.rpc.member import Done, Guarded, Proceed
from raftkv.wire.service import Call

BEARER = "bearer "

Failed = Callable[[BaseException], None]


class Guard:
    """``may`` and ``requests`` have the checks; ``caller`` says for whom."""

    def __init__(self, member: Guarded) -> None:
        self._member = member
        self._authority = member.authority
        self._book = member.authority.book
        self._request_bytes_max = member.config.limits.request_bytes_max
        self.may = member.authority.may
        self.requests = member.authority.requests

    # --- who ------------------------------------------------------------------------------------

    def caller(self, call: Call) -> Caller:
        """NOBODY while auth is disabled, and for a call that does not say. Raises
        InvalidAuthToken."""
        if not self._book.enabled:
            return NOBODY
        return self._authority.caller(token_of(call.metadata), call.peer_common_name)

    @property
    def is_up(self) -> bool:
        return self._book.enabled

    def when_known(self, call: Call, proceed: Proceed) -> None:
        """Call ``proceed`` once this member has applied the entry that the call's token is of."""
        if self._book.enabled and self._authority.is_ahead(token_of(call.metadata)):
            self._member.linearize(proceed)
        else:
            proceed(None)

    # --- through the log --------------------------------------------------------------------------

    def propose(
        self,
        kind: RequestKind,
        payload: bytes,
        call: Call,
        done: Done,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Raises, or answers ``done`` with, what is wrong with the caller; then with the size.
        ``check`` raises for what must not be asked for at the moment that it would be."""
        if check is not None:
            check()
        if self._book.enabled:
            self._propose_signed(kind, payload, call, done, check)
        elif len(payload) > self._request_bytes_max:
            raise self._too_large(payload)
        else:
            self._member.propose(kind, payload, done)

    def _propose_signed(
        self,
        kind: RequestKind,
        payload: bytes,
        call: Call,
        done: Done,
        check: Callable[[], None] | None,
    ) -> None:
        def known(error: RaftKVError | None) -> None:
            try:
                if error is not None:
                    raise error
                caller = self.caller(call)
                if not caller.name:
                    self._member.linearize(newest)
                else:
                    if check is not None:
                        check()
                    request = self._signed(caller, kind, payload)
                    self._member.propose(RequestKind.AS_USER, request, done)
            except RaftKVError as refused:
                done(refused.with_traceback(None))

        def newest(error: RaftKVError | None) -> None:
            """Nobody: refused only if auth is still enabled. This member may not have heard yet
            that it is not, while the caller has; etcd asks when the entry is applied."""
            try:
                if error is not None:
                    raise error
                if self._book.enabled:
                    raise UserEmpty("the call carries no token")
                self.propose(kind, payload, call, done, check)
            except RaftKVError as refused:
                done(refused.with_traceback(None))

        self.when_known(call, known)

    def _signed(self, caller: Caller, kind: RequestKind, payload: bytes) -> bytes:
        if len(payload) > self._request_bytes_max:
            raise self._too_large(payload)
        return encode_as_user(caller, kind, payload)

    def _too_large(self, payload: bytes) -> RequestTooLarge:
        return RequestTooLarge(f"{len(payload)} bytes, the limit is {self._request_bytes_max}")

    # --- reads ------------------------------------------------------------------------------------

    def read_local(self, call: Call, proceed: Proceed) -> None:
        """``proceed`` when this member's own state can be read; it checks the caller then. So does
        one that was given to ``linearize``, which needs no door: the token's entry is behind it."""
        if not self._book.enabled:
            self._member.read_local(proceed)
        else:
            self.when_known(call, _then(proceed, self._member.read_local))

    def check_keys(self, call: Call, key: bytes, range_end: bytes) -> None:
        """For a read that is about to be served."""
        if self._book.enabled:
            self.may.may_read(self.caller(call), key, range_end)

    # --- acts of this member ----------------------------------------------------------------------

    def as_root(self, call: Call, act: Callable[[], None], failed: Failed) -> None:
        """``act`` at once; with auth, if the caller has the role root."""
        self._checked(call, lambda: self.may.is_root(self.caller(call)), act, failed)

    def as_user(self, call: Call, act: Callable[[], None], failed: Failed) -> None:
        """The same for whoever is known."""
        self._checked(call, lambda: self.may.is_user(self.caller(call)), act, failed)

    def as_newest_root(self, call: Call, act: Callable[[], None], failed: Failed) -> None:
        """``as_root``, by the newest users and roles: for acts that need a quorum anyway."""
        if not self._book.enabled:
            act()
            return

        def check() -> None:
            self.may.is_root(self.caller(call))

        self._member.linearize(_acting(check, act, failed))

    def _checked(
        self, call: Call, check: Callable[[], None], act: Callable[[], None], failed: Failed
    ) -> None:
        if not self._book.enabled:
            act()
        else:
            self.when_known(call, _acting(check, act, failed))


def _then(proceed: Proceed, step: Callable[[Proceed], None]) -> Proceed:
    def go_on(error: RaftKVError | None) -> None:
        if error is not None:
            proceed(error)
        else:
            step(proceed)

    return go_on


def _acting(check: Callable[[], None], act: Callable[[], None], failed: Failed) -> Proceed:
    """``act`` may raise: a loop's callback must not."""

    def go_on(error: RaftKVError | None) -> None:
        try:
            if error is not None:
                raise error
            check()
            act()
        except Exception as refused:  # noqa: BLE001 - one call's failure must not reach the next
            failed(refused)

    return go_on


def token_of(metadata: Mapping[str, str]) -> str:
    """etcd's two names for it, in its order. "" when there is none."""
    given = metadata.get("token") or metadata.get("authorization")
    if not given:
        return ""
    first = given.partition(",")[0].strip()
    return first[len(BEARER) :].strip() if first[: len(BEARER)].lower() == BEARER else first
