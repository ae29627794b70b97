"""The requests and answers of one LeaseKeepAlive stream.

Owns: their order: answers leave as the requests came, though the leader may give them in another.
Must never do: give up the stream for a lease that is gone: that is an answer with TTL 0. Only a
renewal that failed ends the stream, as in etcd.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from google.protobuf.message import DecodeError

from raftkv.api.rpc_pb2 import LeaseKeepAliveRequest, LeaseKeepAliveResponse
from raftkv.errors import MalformedRequest, RaftKVError
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.member import LeaseMember
from raftkv.wire.service import Call


class KeepAlives:
    """``call`` says whose they are. ``send`` gets each answer, ``fail`` the error that ends the
    stream. Both are called on the loop's thread, at once or later; nothing is sent after ``fail``
    or ``close``."""

    def __init__(
        self,
        member: LeaseMember,
        call: Call,
        send: Callable[[bytes], None],
        fail: Callable[[RaftKVError], None],
    ) -> None:
        self._member = member
        self._call = call
        self._guard = Guard(member)
        self._headers = Headers(member)
        self._send = send
        self._fail = fail
        self._open: deque[LeaseKeepAliveResponse] = deque()
        self._answered: dict[int, int | RaftKVError] = {}
        self._closed = False

    @property
    def unanswered(self) -> int:
        return len(self._open)

    def take_request(self, payload: bytes) -> None:
        """One message of the client. Raises MalformedRequest."""
        try:
            request = LeaseKeepAliveRequest.FromString(payload)
        except DecodeError as e:
            raise MalformedRequest(str(e)) from None
        # etcd, too, notes the revision before it renews: the lease was there at that revision.
        header = self._headers.message(self._member.store.current_revision)
        response = LeaseKeepAliveResponse(header=header, ID=request.ID)
        self._open.append(response)

        def renewed(outcome: int | RaftKVError) -> None:
            self._answered[id(response)] = outcome
            self._flush()

        if not self._guard.is_up:
            self._member.leases.renew(request.ID, renewed)
            return

        def allowed(error: RaftKVError | None) -> None:
            """After a round: who may write all keys of the lease, those of other members too."""
            try:
                if error is not None:
                    raise error
                caller = self._guard.caller(self._call)
                self._guard.may.is_user(caller)
                self._guard.requests.lease_write(caller, request.ID)
            except RaftKVError as refused:
                renewed(refused.with_traceback(None))
            else:
                self._member.leases.renew(request.ID, renewed)

        self._member.linearize(allowed)

    def close(self) -> None:
        self._closed = True

    def _flush(self) -> None:
        while self._open and not self._closed:
            outcome = self._answered.pop(id(self._open[0]), None)
            if outcome is None:
                return
            response = self._open.popleft()
            if isinstance(outcome, RaftKVError):
                self._closed = True
                self._fail(outcome)
            else:
                response.TTL = outcome
                self._send(response.SerializeToString())
