"""ReadIndex: reads that wait for a quorum to confirm that the leader still leads.

Owns: the queue of requests with the commit index of their arrival, and who confirmed which.
Must never do: count an answer for another context: contexts are unique, made by the owner of the
core, so a late heartbeat answer never releases a newer read (etcd issue 20418). Thesis, 6.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftkv.raft.quorum import JointConfig


@dataclass(slots=True)
class ReadRequest:
    context: bytes
    index: int
    requester: int
    confirmed_by: set[int] = field(default_factory=set)


class ReadOnly:
    """Requests in order of arrival; a confirmation releases all before it too."""

    def __init__(self) -> None:
        self._requests: dict[bytes, ReadRequest] = {}

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def last_context(self) -> bytes:
        """What a periodic heartbeat carries, so that a lost round is confirmed by the next."""
        return next(reversed(self._requests), b"")

    def add(self, context: bytes, index: int, requester: int, me: int) -> None:
        if context not in self._requests:
            self._requests[context] = ReadRequest(context, index, requester, {me})

    def confirm(self, context: bytes, member: int, config: JointConfig) -> list[ReadRequest]:
        """``member`` answered the heartbeat with ``context``; return what that releases."""
        request = self._requests.get(context)
        if request is None:
            return []
        request.confirmed_by.add(member)
        if not config.has_quorum(request.confirmed_by):
            return []
        released = []
        for waiting in list(self._requests.values()):
            del self._requests[waiting.context]
            released.append(waiting)
            if waiting is request:
                break
        return released
