"""What may be said on the peer port, right and wrong: greetings, frames, Raft messages, snapshots,
HTTP. Owns: sessions as lists of pieces, made from a Random. Must never do: send, or judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from raftkv.peer.codec import encode_message
from raftkv.peer.framing import Greeting, Purpose, encode_frame
from raftkv.raft.confchange import encode_conf_change
from raftkv.raft.message import (
    ConfChange,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Snapshot,
    SnapshotMeta,
)
from tests.fuzz.client_sessions import Session, mutated

NUMBERS = (0, 1, 2, 3, 4, 5, 9, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
HTTP = (
    b"GET /members HTTP/1.1\r\n\r\n",
    b"GET //[ HTTP/1.1\r\n\r\n",
    b"POST /members/promote/1 HTTP/1.1\r\n\r\n",
    b"POST /members/promote/99999999999999999999999 HTTP/1.1\r\n\r\n",
    b"POST /members/promote/\xff HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /members/promote/" + b"9" * 5_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /members/promote/-1 HTTP/1.1\r\n\r\n",
    b"GET  HTTP/1.1\r\n\r\n",
    b"GET /raft HTTP/9\r\n\r\n",
    b"GET /" + b"a" * 9_000,
    b"PUT /members HTTP/1.1\r\n\r\n",
)


@dataclass(frozen=True)
class Place:
    """Whom it is said to, and who there is besides."""

    cluster_id: int
    member_id: int
    others: tuple[int, ...]


def session(random: Random, place: Place) -> Session:
    """One connection's words."""
    if random.random() < 0.1:
        return [random.choice(HTTP)]
    sender = random.choice((*place.others, *place.others, 99, place.member_id, 0))
    purpose = random.choice((Purpose.MESSAGES,) * 5 + (Purpose.SNAPSHOT,))
    greeting = Greeting(
        place.cluster_id if random.random() < 0.9 else random.choice(NUMBERS),
        sender,
        place.member_id if random.random() < 0.95 else random.choice(NUMBERS),
        purpose,
        version=1 if random.random() < 0.95 else random.choice((0, 2, 65_535)),
    )
    pieces = [greeting.encode()]
    if purpose is Purpose.SNAPSHOT:
        pieces += snapshot(random, place, sender)
    else:
        pieces += [
            encode_frame(encode_message(message(random, place, sender)))
            for _ in range(random.randint(1, 8))
        ]
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        pieces = mutated(random, pieces)
    if random.random() < 0.2:
        spoilt = bytearray(encode_message(message(random, place, sender)))
        spoilt[random.randrange(len(spoilt))] = random.randrange(256)
        pieces.append(encode_frame(bytes(spoilt[: random.randint(1, len(spoilt))])))
    return pieces


def message(random: Random, place: Place, sender: int) -> Message:
    """Well-formed, whatever it says."""
    small = random.random() < 0.6
    numbers = NUMBERS[:7] if small else NUMBERS

    def number() -> int:
        return random.choice(numbers)

    index, log_term, term = number(), number(), number()
    entries = ()
    if random.random() < 0.4:
        entries = tuple(
            Entry(random.choice((log_term, term)), (index + 1 + n) % 2**64, data(random), kind)
            for n, kind in enumerate(random.choices(list(EntryType), k=random.randint(1, 3)))
        )
    if random.random() < 0.1:
        entries = (Entry(0, 0, data(random), random.choice(list(EntryType))),)
    return Message(
        type=random.choice(list(MessageType)),
        to=place.member_id if random.random() < 0.97 else number(),
        sender=sender if random.random() < 0.97 else number(),
        term=random.choice((0, term, term)),
        index=index,
        log_term=log_term,
        commit=number(),
        reject=random.random() < 0.3,
        reject_hint=number(),
        context=random.choice((b"", b"CampaignTransfer", b"\0" * 9, b"\1" * 9, b"x" * 40)),
        entries=entries,
        snapshot=snapshot_note(random, place) if random.random() < 0.1 else None,
    )


def data(random: Random) -> bytes:
    return random.choice(
        (b"", b"\xff", b"\0" * 21, random.randbytes(30), encode_conf_change(ConfChange()))
    )


def snapshot_note(random: Random, place: Place) -> Snapshot:
    voters = random.choice(((), (place.member_id,), (place.member_id, 2, 99), (0,)))
    meta = SnapshotMeta(random.choice(NUMBERS), random.choice(NUMBERS), ConfState(voters))
    return Snapshot(meta, random.choice((b"", b"/etc/passwd", b"\xff")))


def snapshot(random: Random, place: Place, sender: int) -> Session:
    """A stream that ends as it should, with no database in it."""
    term = random.choice(NUMBERS)
    note = Message(
        MessageType.SNAP,
        place.member_id,
        sender,
        term,
        snapshot=snapshot_note(random, place),
    )
    chunks = [encode_frame(random.randbytes(random.choice((1, 4_096)))) for _ in range(2)]
    return [encode_frame(encode_message(note)), *chunks, encode_frame(b"")]
