"""The ResponseHeader of this member's replies, as bytes.

Owns: HeaderEncoder. Must never do: ask for a term or a revision; both come from the caller.
Every reply carries a header and only its revision changes from one reply to the next, by one
mostly: all but its lowest seven bits are kept ready.
"""

from __future__ import annotations

from raftkv.mvcc.codec import encode_varint

_LAST = [bytes((low,)) for low in range(128)]
_CONTINUED = [bytes((low | 0x80,)) for low in range(128)]


class HeaderEncoder:
    """The ``header`` field (number 1 of every response) of one member at one term."""

    __slots__ = ("raft_term", "_ids", "_term", "_block", "_before", "_low", "_after")

    def __init__(self, cluster_id: int, member_id: int, raft_term: int) -> None:
        self.raft_term = raft_term
        self._ids = _uint_field(0x08, cluster_id) + _uint_field(0x10, member_id)
        self._term = _uint_field(0x20, raft_term)
        self._block = -1
        self._before = b""
        self._low = _LAST
        self._after = b""

    def field(self, revision: int) -> bytes:
        """Tag, length and header, with all four of its fields."""
        if revision >> 7 != self._block:
            self._enter_block(revision >> 7)
        return self._before + self._low[revision & 0x7F] + self._after

    def _enter_block(self, block: int) -> None:
        """Revisions ``block * 128`` to ``block * 128 + 127`` share all bytes but one."""
        assert block >= 0, f"revision below 0 in a header: block {block}"
        high = encode_varint(block) if block else b""
        body_bytes = len(self._ids) + 2 + len(high) + len(self._term)
        assert body_bytes < 128, f"a header of {body_bytes} bytes needs a longer length"
        self._low = _CONTINUED if block else _LAST
        self._before = bytes((0x0A, body_bytes)) + self._ids + b"\x18"
        self._after = high + self._term
        self._block = block


def _uint_field(tag: int, value: int) -> bytes:
    return bytes((tag,)) + encode_varint(value) if value else b""
