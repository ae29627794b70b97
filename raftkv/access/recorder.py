"""Who is told of calls: the access log, the talkers, or both.

Owns: Calls, the ``observed.Recorder`` of a member, and the question who a caller is. Must never do:
cost a call anything that neither of the two needs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from raftkv.access.journal import Journal, Who
from raftkv.access.observed import ObservedCall, Route, Sum
from raftkv.access.subject import Answer
from raftkv.access.talkers import Talkers
from raftkv.wire.grpc import OK
from raftkv.wire.service import Call, Status

HOSTS_KEPT_MAX = 4_096


class Calls:
    """``user_of`` names the user of a call, "" for nobody; it must not raise."""

    def __init__(
        self,
        clock: Callable[[], float],
        user_of: Callable[[Call], str],
        *,
        journal: Journal | None,
        talkers: Talkers | None,
    ) -> None:
        self.clock = clock
        self._user_of = user_of
        self._journal = journal
        self._talkers = talkers
        self._wants_all = journal is not None and journal.wants_all

    def called(self, told: ObservedCall, status: Status, answer: Answer) -> None:
        now = self.clock()
        seconds = now - told.began
        route, request, call = told.route, told.request, told.call
        journal, talkers = self._journal, self._talkers
        wanted = self._wants_all or (
            journal is not None and journal.wants(route, status.code, seconds)
        )
        if not wanted and talkers is None:
            return
        subject = route.read(request, answer)
        who = (self._user_of(call), call.peer_common_name, call.peer)
        if talkers is not None:
            talkers.note(
                host_of(who[2]),
                who[0] or who[1],
                subject.keys[0][0] if subject.keys else b"",
                route.path,
                seconds=seconds,
                bytes_in=len(request),
                bytes_out=answer.size,
                failed=status.code != OK,
                now=now,
            )
        if wanted and journal is not None:
            journal.call(route, who, subject, len(request), seconds, status, answer)

    def opened(self, route: Route, call: Call) -> None:
        if self._journal is not None:
            self._journal.opened(route, self._who(call))

    def closed(self, route: Route, call: Call, began: float, status: Status, sum_: Sum) -> None:
        now = self.clock()
        who = self._who(call)
        if self._talkers is not None:
            self._talkers.note(
                host_of(who[2]),
                who[0] or who[1],
                sum_.keys[0][0] if sum_.keys else b"",
                route.path,
                seconds=now - began,
                bytes_in=sum_.bytes_in,
                bytes_out=sum_.bytes_out,
                failed=status.code != OK,
                now=now,
            )
        if self._journal is not None:
            self._journal.closed(route, who, now - began, status, sum_)

    def _who(self, call: Call) -> Who:
        return self._user_of(call), call.peer_common_name, call.peer


@lru_cache(maxsize=HOSTS_KEPT_MAX)
def host_of(peer: str) -> str:
    """``host:port`` without the port, which is another one for every connection."""
    host, colon, port = peer.rpartition(":")
    return host if colon and port.isdigit() else peer
