"""JSON objects one after another in a body that comes in pieces.

Owns: where each object ends. Must never do: look at a byte twice, whatever the pieces are, or hold
more than one object's bytes: what is larger than the limit is refused.
"""

from __future__ import annotations

import re

from raftkv.errors import RequestTooLarge

_MARKS = re.compile(rb'["\\{}\[\]]')
_IN_STRING = re.compile(rb'["\\]')
_WHITE = b" \t\r\n"


class JsonObjects:
    """``feed`` with pieces; each object comes out as its bytes. Which brackets match which is left
    to the parser of the object."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = bytearray()
        self._seen = 0
        self._depth = 0
        self._in_string = False

    @property
    def is_within(self) -> bool:
        """Whether an object has begun and not ended."""
        return bool(self._held)

    def feed(self, piece: bytes) -> list[bytes]:
        """The objects that ``piece`` completes. Raises ValueError for what is no object, and
        RequestTooLarge."""
        self._held += piece if self._held else piece.lstrip(_WHITE)
        found = []
        while self._held:
            if self._held[:1] != b"{":
                raise ValueError(f"a request is a JSON object, not {self._beginning}")
            end = self._end()
            if end is None:
                break
            found.append(bytes(self._held[:end]))
            rest = self._held[end:].lstrip(_WHITE)
            self._held = bytearray(rest)
            self._seen = 0
        if len(self._held) > self._bytes_max:
            raise RequestTooLarge(f"a JSON object of more than {self._bytes_max} bytes")
        return found

    def _end(self) -> int | None:
        """Behind the brace that closes the object, once it is there."""
        held = self._held
        while True:
            mark = (_IN_STRING if self._in_string else _MARKS).search(held, self._seen)
            if mark is None:
                self._seen = len(held)
                return None
            at, sign = mark.start(), mark.group()
            if sign == b"\\":
                if at + 1 == len(held):
                    self._seen = at
                    return None
                self._seen = at + 2
                continue
            self._seen = at + 1
            if sign == b'"':
                self._in_string = not self._in_string
            elif sign in b"{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    self._depth = 0
                    return at + 1

    @property
    def _beginning(self) -> str:
        return repr(self._held[:10].decode("utf-8", "replace"))
