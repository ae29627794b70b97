"""Lists of the newest rows, and the pieces of them that were read, checked and kept.

Owns: those pieces, by where they begin, within KEPT_BYTES_MAX; no two overlap. A list takes what is
kept and reads what lies between, so that one write costs the next list one piece. Must never do:
keep a piece in which a row was written since: whoever writes says so first (``drop``), and whoever
changes the whole file calls ``clear``. What is kept was compared with its checks when it was read,
and is this process's own: a byte that changes in the file does not change it.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from raftkv.backend.inline_checks import HEAD_BYTES, PLAIN_KEY_BYTES_MAX, key_in
from raftkv.backend.pieces import ROWS_PER_PIECE, up_to

if TYPE_CHECKING:
    from raftkv.backend.contract import Views

KEPT_BYTES_MAX = 32 << 20
"""Beyond it all are dropped: those of lists that come again are back with the next."""
KEPT_PIECE_BYTES_MAX = KEPT_BYTES_MAX // 8
KEPT_ROWS_MIN = 64
"""Fewer are read as quickly as they are looked up, and would make the writes between them slow."""
_KEY_WITHIN = HEAD_BYTES + PLAIN_KEY_BYTES_MAX
"""The first bytes of a row, which its key is among."""

ReadViews = Callable[[bytes, bytes | None, int], "Views"]


class Piece:
    """All rows from where it begins to ``stop`` (None: to the end), joined."""

    __slots__ = ("count", "data", "stop")

    def __init__(self, data: bytes, count: int, stop: bytes | None) -> None:
        self.data = data
        self.count = count
        self.stop = stop


class KeptPieces:
    """``views`` reads checked rows of [start, end), so many at a time."""

    def __init__(
        self,
        views: ReadViews,
        *,
        rows_per_piece: int = ROWS_PER_PIECE,
        rows_min: int = KEPT_ROWS_MIN,
        bytes_max: int = KEPT_BYTES_MAX,
    ) -> None:
        assert rows_min <= rows_per_piece, f"pieces of {rows_per_piece} rows are not kept"
        self._views = views
        self._rows_per_piece = rows_per_piece
        self._rows_min = rows_min
        self._bytes_max = bytes_max
        self.starts: list[bytes] = []
        """Where pieces begin, in order."""
        self._kept: dict[bytes, Piece] = {}
        self._bytes = 0

    def joined(
        self, start: bytes, end: bytes | None, limit: int, bytes_max: int
    ) -> tuple[list[bytes], int]:
        """As ``Backend.joined``."""
        if 0 < limit < self._rows_min:  # so few are neither looked up nor kept
            return self._few(start, end, limit, bytes_max or sys.maxsize)
        pieces: list[bytes] = []
        rows_max = limit or sys.maxsize
        rows_left, left = rows_max, bytes_max or sys.maxsize
        at = start
        while True:
            kept = self._kept.get(at)
            if (
                kept is not None
                and kept.count <= rows_left
                and len(kept.data) <= left
                and _is_within(kept.stop, end)
            ):
                stop = kept.stop
                pieces.append(kept.data)
                rows_left -= kept.count
                left -= len(kept.data)
            else:
                stop = self._next(at, end)
                for piece in self._read(at, stop, rows_left, left):
                    pieces.append(piece.data)
                    rows_left -= piece.count
                    left -= len(piece.data)
            if not rows_left or left <= 0 or stop is None or stop == end:
                return pieces, rows_max - rows_left
            at = stop

    def _few(
        self, start: bytes, end: bytes | None, limit: int, bytes_max: int
    ) -> tuple[list[bytes], int]:
        for views in self._views(start, end, limit):
            data = b"".join(views)
            if len(data) <= bytes_max:
                return [data], len(views)
            views = views[: up_to(bytes_max, views)]
            return [b"".join(views)], len(views)
        return [], 0

    def drop(self, key: bytes) -> None:
        """The row of ``key`` is going to be written."""
        place = bisect_right(self.starts, key) - 1
        if place < 0:
            return
        start = self.starts[place]
        kept = self._kept[start]
        if kept.stop is None or key < kept.stop:
            del self.starts[place], self._kept[start]
            self._bytes -= len(kept.data)

    def clear(self) -> None:
        self.starts.clear()
        self._kept.clear()
        self._bytes = 0

    def _next(self, at: bytes, end: bytes | None) -> bytes | None:
        """Where the first piece behind ``at`` begins, or ``end`` if that comes before."""
        place = bisect_right(self.starts, at)
        if place == len(self.starts):
            return end
        start = self.starts[place]
        return start if end is None or start < end else end

    def _read(self, start: bytes, end: bytes | None, rows_left: int, left: int) -> Iterator[Piece]:
        """From the database: no further row after ``rows_left``, or after ``left`` bytes."""
        most = min(rows_left, self._rows_per_piece)
        for found in self._views(start, end, most):
            views = found if len(found) <= rows_left else found[:rows_left]
            data = b"".join(views)
            if len(data) > left:
                views = views[: up_to(left, views)]
                data = b"".join(views)
            piece = Piece(data, len(views), end)
            if piece.count >= self._rows_min:
                if len(views) == most or len(views) < len(found):  # others may follow
                    piece.stop = key_in(bytes(views[-1][:_KEY_WITHIN])) + b"\0"
                self._keep(start, piece)
            yield piece
            rows_left -= piece.count
            left -= len(data)
            if not rows_left or left <= 0 or piece.stop is None:
                return
            start = piece.stop

    def _keep(self, start: bytes, piece: Piece) -> None:
        if len(piece.data) > KEPT_PIECE_BYTES_MAX:
            return
        if self._bytes + len(piece.data) > self._bytes_max:
            self.clear()
        place = bisect_right(self.starts, start)
        if place and not _is_within(self._kept[self.starts[place - 1]].stop, start):
            return  # a list that begins within a piece
        assert place == len(self.starts) or _is_within(piece.stop, self.starts[place]), (
            f"a piece to {piece.stop!r} over that at {self.starts[place]!r}"
        )
        self.starts.insert(place, start)
        self._kept[start] = piece
        self._bytes += len(piece.data)


def _is_within(stop: bytes | None, end: bytes | None) -> bool:
    """Whether what ends at ``stop`` ends at ``end`` or before."""
    return end is None or (stop is not None and stop <= end)
