"""What a write needs to know of a key's newest version, kept for keys that are written often.

Owns: Head, and the bounded cache of heads by key. Must never do: be asked for a value: readers go
to the backend. Losing a head costs three look-ups. A stale one would corrupt history, so every
write to a key replaces or drops its head, and a replaced database drops them all.
"""

from __future__ import annotations

from raftkv.mvcc.codec import encode_varint, revisions_of_row, row_body
from raftkv.mvcc.record import Link

HEADS_MAX = 8_192
HEAD_BYTES_MAX = 4_096
"""Larger versions are not kept: at most 32 MiB of them are held."""


class Head:
    """``prefix`` is the encoded key and create_revision: the part of every version alike."""

    __slots__ = ("key_value", "link", "prefix", "version")

    def __init__(self, prefix: bytes, version: int, key_value: bytes, link: Link) -> None:
        self.prefix = prefix
        self.version = version
        self.key_value = key_value
        self.link = link


class Heads:
    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def get(self, key: bytes) -> Head | None:
        return self._heads.get(key)

    def keep(self, key: bytes, head: Head) -> None:
        if len(head.key_value) > HEAD_BYTES_MAX:
            self._heads.pop(key, None)
            return
        if len(self._heads) >= HEADS_MAX and key not in self._heads:
            self._heads.clear()  # the hot ones are back at their next write
        self._heads[key] = head

    def drop(self, key: bytes) -> None:
        self._heads.pop(key, None)

    def clear(self) -> None:
        self._heads.clear()


def encode_prefix(key: bytes, create_revision: int) -> bytes:
    """The first two fields of a KeyValue."""
    return b"".join(
        (b"\x0a", encode_varint(len(key)), key, b"\x10", encode_varint(create_revision))
    )


def encode_version(
    prefix: bytes, mod_revision: int, version: int, value: bytes, lease: int
) -> bytes:
    """The KeyValue of a new version: ``prefix`` and what is its own."""
    parts = [prefix, b"\x18", encode_varint(mod_revision), b"\x20", encode_varint(version)]
    if value:
        parts += b"\x2a", encode_varint(len(value)), value
    if lease:
        parts += b"\x30", encode_varint(lease)
    return b"".join(parts)


def head_of_row(key: bytes, row: bytes, link: Link) -> Head:
    create_revision, _, version = revisions_of_row(row)
    return Head(encode_prefix(key, create_revision), version, row_body(row), link)
