"""GET /api/stream: one open page.

Owns: the answer's head, and what is left out for a page that does not keep up. Must never do: make
events; the feed does, for all pages at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from raftkv.ui.answers import Refusal, refusal_of, refused
from raftkv.ui.feed import PAGES_MAX, Feed
from raftkv.ui.session import PageCall, Session
from raftkv.wire.service import HttpExchange

BACKLOG_LEAVE_OUT_BYTES = 256 << 10
"""Behind by more, a page gets no messages and no state that the next one replaces."""
BACKLOG_BYTES_MAX = 4 << 20
"""Behind by more, it is given up: the browser opens the stream again."""
RETRY_MS = 1_000


class PageStream:
    """Implements ``feed.Page`` over an exchange."""

    def __init__(self, exchange: HttpExchange, session: Session) -> None:
        self._exchange = exchange
        self._session = session
        self._call = PageCall(exchange.request.headers)
        self._ended = asyncio.Event()

    async def serve(self, feed: Feed, headers: Mapping[str, str]) -> None:
        """Until the client goes away, the member stops, or the caller may look no more."""
        try:
            await self._session.as_root(self._call)
            if feed.pages >= PAGES_MAX:
                raise Refusal(503, f"{feed.pages} pages are open here, the limit: close one")
        except Exception as error:  # noqa: BLE001 - refusal_of logs what is not ours
            answer = refused(refusal_of(error), headers)
            self._exchange.start(answer.status, answer.content_type, answer.headers)
            self._exchange.send(answer.body)
            return
        no_cache = {"cache-control": "no-store", **headers}
        self._exchange.start(200, "text/event-stream; charset=utf-8", no_cache)
        self._exchange.send(b"retry: %d\n\n" % RETRY_MS)
        feed.open(self)
        try:
            await self._ended.wait()
        finally:
            feed.close(self)

    # --- feed.Page ------------------------------------------------------------------------------

    def offer(self, event: bytes, *, droppable: bool) -> None:
        backlog = self._exchange.backlog
        if backlog > BACKLOG_BYTES_MAX:
            self.end()
        elif not droppable or backlog <= BACKLOG_LEAVE_OUT_BYTES:
            self._exchange.send(event)

    def still_allowed(self) -> bool:
        return self._session.is_root_still(self._call)

    def end(self) -> None:
        self._ended.set()
