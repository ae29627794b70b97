"""The messages that this member sends to the others, while somebody looks.

Owns: the ring, and the names that the page has for types. Must never do: be in the way while nobody
looks: ``PeerTransport.tap`` is None then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from raftkv.raft.message import Message, MessageType

KEPT_MAX = 1_000
GIVEN_MAX = 200
"""At once; what is more is counted."""

TYPES: dict[MessageType, str] = {
    MessageType.HEARTBEAT: "heartbeat",
    MessageType.HEARTBEAT_RESP: "heartbeat_reply",
    MessageType.APP: "append",
    MessageType.APP_RESP: "append_reply",
    MessageType.VOTE: "vote",
    MessageType.VOTE_RESP: "vote_reply",
    MessageType.PRE_VOTE: "pre_vote",
    MessageType.PRE_VOTE_RESP: "pre_vote_reply",
    MessageType.SNAP: "snapshot",
    MessageType.TIMEOUT_NOW: "timeout_now",
    MessageType.READ_INDEX: "read_index",
    MessageType.READ_INDEX_RESP: "read_index",
}

Seen = dict[str, object]


class MessageRing:
    """``sent`` is a ``peer.transport.Tap``. Messages are numbered from 1 on."""

    def __init__(self, me: int, now_ms: Callable[[], int]) -> None:
        self._me = f"{me:x}"
        self._now_ms = now_ms
        self._kept: deque[tuple[int, Message, bool]] = deque(maxlen=KEPT_MAX)
        self.last = 0

    def sent(self, messages: Sequence[Message], lost: Collection[int]) -> None:
        now = self._now_ms()
        self._kept.extend((now, message, message.to in lost) for message in messages)
        self.last += len(messages)

    def since(self, number: int) -> tuple[list[Seen], int]:
        """The newest after ``number``, oldest first, and how many are left out."""
        wanted = self.last - number
        given = min(wanted, len(self._kept), GIVEN_MAX)
        if given <= 0:
            return [], max(wanted, 0)
        kept = list(self._kept)[-given:]
        return [self._seen(*each) for each in kept], wanted - given

    def clear(self) -> None:
        """Nobody looks any more; numbers go on."""
        self._kept.clear()

    def _seen(self, at_ms: int, message: Message, lost: bool) -> Seen:
        return {
            "t": at_ms,
            "from": self._me,
            "to": f"{message.to:x}",
            "type": TYPES.get(message.type, "other"),
            "term": message.term,
            "index": message.index,
            "entries": len(message.entries),
            "commit": message.commit,
            "reject": message.reject,
            "lost": lost,
        }
