"""What a client has sent of a body, and the handler has not read yet.

Owns: the queue between the two. Must never do: bound itself: whoever fills it stops the client
while ``unread`` is high, and is told by ``taken`` when it falls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Inbox:
    """An asynchronous iterator with one reader."""

    def __init__(self, taken: Callable[[int], None]) -> None:
        self._taken = taken
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.unread = 0
        self.ended = False

    def put(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.unread += len(piece)
        self._wake()

    def end(self) -> None:
        """Nothing more comes."""
        self.ended = True
        self._wake()

    def clear(self) -> None:
        self._pieces.clear()
        self.unread = 0

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self.ended:
                raise StopAsyncIteration
            assert self._waiter is None, "a body has one reader"
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces.popleft()
        self.unread -= len(piece)
        self._taken(len(piece))
        return piece

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
