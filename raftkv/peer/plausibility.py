"""What a peer's message may say, beyond being well-formed.

Owns: the rules that hold for every message that a right member sends, whatever the state of either
side: who it is from and for, what each type carries, and that numbers leave room to grow. Must
never do: know Raft's state (RawNode.step judges against that), or look into entries.
"""

from __future__ import annotations

from raftkv.peer.codec import PeerProtocolError
from raftkv.raft.message import NO_NODE, Message, MessageType, SnapshotMeta

NUMBER_MAX = (1 << 63) - 1
"""Terms and indexes grow by one; nothing comes near this in the life of a cluster."""

# Tuples, since an enum's hash costs more than a look at each. Raft does not see these:
_OF_THE_SERVER = (
    MessageType.ASK,
    MessageType.ANSWER,
    MessageType.HASH_ASK,
    MessageType.HASH_ANSWER,
    MessageType.HEAL_ASK,
    MessageType.HEAL_ACCUSE,
    MessageType.STATE_ASK,
    MessageType.STATE_ANSWER,
    MessageType.REVIEW_ASK,
    MessageType.REVIEW_ANSWER,
)
# In these ``index`` is a question's number, or a member's id.
_WITHOUT_INDEX = (*_OF_THE_SERVER, MessageType.TRANSFER_LEADER)
_WITHOUT_TERM = (MessageType.PROP, MessageType.READ_INDEX, *_WITHOUT_INDEX)
WITH_SNAPSHOT = (MessageType.SNAP, MessageType.HEAL_SNAP)
_WITH_ENTRIES = (MessageType.APP, MessageType.PROP)


def check_message(message: Message, *, sender: int, target: int) -> None:
    """Raises PeerProtocolError for what ``sender`` does not send to ``target``."""
    kind = message.type
    if kind is MessageType.HUP:
        raise PeerProtocolError("HUP is a member's word to itself")
    if message.sender != sender or message.to != target:
        raise PeerProtocolError(
            f"{kind.name} from {message.sender:x} to {message.to:x} on the connection "
            f"from {sender:x} to {target:x}"
        )
    bits = message.term | message.index | message.log_term | message.commit | message.reject_hint
    if bits > NUMBER_MAX and kind not in _WITHOUT_INDEX:
        raise PeerProtocolError(f"{kind.name} with a term or an index over {NUMBER_MAX}")
    if (kind in _WITHOUT_TERM) != (message.term == 0):
        raise PeerProtocolError(f"{kind.name} of term {message.term}")
    if message.entries:
        _check_entries(message)
    snapshot = message.snapshot
    if (kind in WITH_SNAPSHOT) != (snapshot is not None):
        raise PeerProtocolError(f"{kind.name} {'without' if snapshot is None else 'with'} snapshot")
    if snapshot is not None:
        _check_snapshot(message.term, snapshot.meta)


def _check_entries(message: Message) -> None:
    """They follow each other, and the one before them, in index and in term."""
    if message.type not in _WITH_ENTRIES:
        raise PeerProtocolError(f"{message.type.name} with {len(message.entries)} entries")
    if message.type is MessageType.PROP:
        if any(entry.index or entry.term for entry in message.entries):
            raise PeerProtocolError("PROP with entries that have their place already")
        return
    index, term = message.index, message.log_term
    for entry in message.entries:
        index += 1
        if entry.index != index or not term <= entry.term <= message.term:
            raise PeerProtocolError(
                f"APP of term {message.term} with entry {entry.index} of term {entry.term} "
                f"after {index - 1} of term {term}"
            )
        term = entry.term


def _check_snapshot(term: int, meta: SnapshotMeta) -> None:
    conf = meta.conf_state
    if not 0 < meta.index <= NUMBER_MAX or not 0 < meta.term <= term:
        raise PeerProtocolError(f"SNAP of term {term} at {meta.index} of term {meta.term}")
    if not conf.voters or NO_NODE in (*conf.voters, *conf.learners, *conf.voters_outgoing):
        raise PeerProtocolError(f"SNAP with the voters {conf.voters}")
