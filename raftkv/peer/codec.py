"""Peer messages as bytes.

Owns: the layout of one Raft message between members, version 1. Must never do: sockets, or trust:
``decode_message`` raises PeerProtocolError for anything that is not exactly one message.

Layout, big endian: the fixed header below, then the context, then per entry a fixed head and its
data, then, if the flag says so, the snapshot's metadata and note.
"""

from __future__ import annotations

import struct

from raftkv.raft.message import (
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Snapshot,
    SnapshotMeta,
)

_HEAD = struct.Struct(">BBQQQQQQQII")
_ENTRY = struct.Struct(">QQBI")
_SNAPSHOT = struct.Struct(">QQBI")
_COUNT = struct.Struct(">H")
_FLAG_REJECT = 1
_FLAG_SNAPSHOT = 2


class PeerProtocolError(Exception):
    """The other side sent bytes that are not this protocol; the connection is of no more use."""


def encode_message(message: Message) -> bytes:
    flags = _FLAG_REJECT if message.reject else 0
    if message.snapshot is not None:
        flags |= _FLAG_SNAPSHOT
    parts = [
        _HEAD.pack(
            message.type,
            flags,
            message.to,
            message.sender,
            message.term,
            message.index,
            message.log_term,
            message.commit,
            message.reject_hint,
            len(message.context),
            len(message.entries),
        ),
        message.context,
    ]
    for entry in message.entries:
        parts.append(_ENTRY.pack(entry.term, entry.index, entry.type, len(entry.data)))
        parts.append(entry.data)
    if message.snapshot is not None:
        parts.append(_encode_snapshot(message.snapshot))
    return b"".join(parts)


def decode_message(data: bytes) -> Message:
    try:
        return _decode(data)
    except (struct.error, ValueError) as e:
        raise PeerProtocolError(f"not a peer message of {len(data)} bytes: {e}") from e


def _decode(data: bytes) -> Message:
    kind, flags, to, sender, term, index, log_term, commit, hint, context_len, count = (
        _HEAD.unpack_from(data)
    )
    at = _HEAD.size + context_len
    context = data[_HEAD.size : at]
    entries = []
    for _ in range(count):
        entry_term, entry_index, entry_type, size = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        entries.append(Entry(entry_term, entry_index, data[at : at + size], EntryType(entry_type)))
        at += size
    snapshot = None
    if flags & _FLAG_SNAPSHOT:
        snapshot, at = _decode_snapshot(data, at)
    if at != len(data):
        raise ValueError(f"fields end at byte {at}")
    return Message(
        type=MessageType(kind),
        to=to,
        sender=sender,
        term=term,
        index=index,
        log_term=log_term,
        commit=commit,
        reject=bool(flags & _FLAG_REJECT),
        reject_hint=hint,
        context=context,
        entries=tuple(entries),
        snapshot=snapshot,
    )


def _encode_snapshot(snapshot: Snapshot) -> bytes:
    meta, conf = snapshot.meta, snapshot.meta.conf_state
    parts = [_SNAPSHOT.pack(meta.index, meta.term, conf.auto_leave, len(snapshot.data))]
    for ids in (conf.voters, conf.learners, conf.voters_outgoing, conf.learners_next):
        parts.append(_COUNT.pack(len(ids)))
        parts.append(struct.pack(f">{len(ids)}Q", *ids))
    parts.append(snapshot.data)
    return b"".join(parts)


def _decode_snapshot(data: bytes, at: int) -> tuple[Snapshot, int]:
    index, term, auto_leave, size = _SNAPSHOT.unpack_from(data, at)
    at += _SNAPSHOT.size
    groups: list[tuple[int, ...]] = []
    for _ in range(4):
        (count,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        groups.append(struct.unpack_from(f">{count}Q", data, at))
        at += 8 * count
    conf = ConfState(groups[0], groups[1], groups[2], groups[3], bool(auto_leave))
    note = data[at : at + size]
    return Snapshot(SnapshotMeta(index, term, conf), note), at + size
