"""The access log and the busiest callers of one process.

Owns: the recorder that services are watched by, when --access-log or --enable-top-talkers asks for
it, and who a caller is to it. Must never do: be there otherwise.
"""

from __future__ import annotations

import asyncio
import random
import time

from raftkv.access.journal import Journal
from raftkv.access.keys import FORMS
from raftkv.access.observed import observed
from raftkv.access.outlet import LineOutlet, Output
from raftkv.access.recorder import Calls
from raftkv.access.talkers import Talkers
from raftkv.cli.logs import output_of
from raftkv.errors import ConfigError, RaftKVError
from raftkv.rpc.guard import token_of
from raftkv.server.authority import Authority
from raftkv.server.member import Member
from raftkv.server.operations import AccessSettings, Operations
from raftkv.wire.calls import NEVER_S
from raftkv.wire.service import Call, Service

NAMES_KEPT_MAX = 4_096


def open_access_log(settings: AccessSettings | None) -> Output | None:
    """Raises ConfigError for a path that cannot be written."""
    if settings is None:
        return None
    try:
        return output_of(settings.output, settings.rotation)
    except OSError as e:
        raise ConfigError(f"cannot open --access-log {e.filename}: {e.strerror}") from None


class Recording:
    """``output`` as ``open_access_log`` gave it. On the loop's thread, whose clock is
    ``time.monotonic`` in whole milliseconds: too coarse for how long a call took."""

    def __init__(self, member: Member, operations: Operations, output: Output | None) -> None:
        self._names = Names(member.authority)
        self.talkers: Talkers | None = None
        self.outlet: LineOutlet | None = None
        journal: Journal | None = None
        if operations.finds_talkers:
            self.talkers = Talkers(time.monotonic, FORMS[operations.talker_keys])
        if output is not None:
            assert operations.access is not None, "an access log without its settings"
            self.outlet = LineOutlet(output, asyncio.get_running_loop().call_later)
            journal = _journal(self.outlet, member, operations, operations.access)
        self._calls: Calls | None = None
        if journal is not None or self.talkers is not None:
            self._calls = Calls(
                time.monotonic, self._names.user_of, journal=journal, talkers=self.talkers
            )

    def watched(self, service: Service) -> Service:
        return service if self._calls is None else observed(service, self._calls)

    def close(self) -> None:
        if self.outlet is not None:
            self.outlet.close()


def _journal(
    outlet: LineOutlet, member: Member, operations: Operations, access: AccessSettings
) -> Journal:
    return Journal(
        outlet,
        form=FORMS[access.keys],
        reads=access.reads,
        writes=access.writes,
        slow_seconds=operations.warning_unary_request_s or NEVER_S,
        wall=time.time,
        chance=random.SystemRandom().random if _samples(access) else (lambda: 0.0),
        index=lambda: member.entry_in_hand,
    )


def _samples(access: AccessSettings) -> bool:
    return min(access.reads, access.writes) < 1


class Names:
    """A token's user stays the same: a signature is not checked again for each line."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._known: dict[tuple[str, str], str] = {}

    def user_of(self, call: Call) -> str:
        """ "" for nobody, for who did not prove a name, and while auth is disabled."""
        if not self._authority.book.enabled:
            return ""
        shown = token_of(call.metadata), call.peer_common_name
        name = self._known.get(shown)
        if name is None:
            try:
                name = self._authority.caller(*shown).name
            except RaftKVError:
                return ""  # the call's own answer tells what is wrong with its token
            if len(self._known) >= NAMES_KEPT_MAX:
                self._known.clear()
            self._known[shown] = name
        return name
