"""This member's line to the `raftkv local` that started it.

Owns: the subscription to its state, which says which links are cut, and the requests that the
page's buttons make. Must never do: start, stop or pause anything itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Sequence

from raftkv.apply.membership import MemberInfo
from raftkv.log_fields import fields
from raftkv.ui.answers import Refusal
from raftkv.ui.local_state import LocalState

log = logging.getLogger("raftkv.ui")

LINE_BYTES_MAX = 64 << 10
ASK_TIMEOUT_S = 15.0
"""A member that is stopped in order, to be started again, may take STOP_TIMEOUT_S of it."""
AGAIN_S = 0.5


class LocalControl:
    """``cut`` is told whom this member must not reach, by id, whenever that changes.
    ``changed`` gets every state."""

    def __init__(
        self,
        path: str,
        name: str,
        members: Callable[[], Sequence[MemberInfo]],
        cut: Callable[[set[int]], None],
    ) -> None:
        self._path = path
        self._name = name
        self._members = members
        self._cut = cut
        self.changed: Callable[[LocalState], None] = lambda state: None
        self._task: asyncio.Task[None] | None = None
        self.state = LocalState()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._follow())
        self._task.add_done_callback(_tell)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # --- requests -------------------------------------------------------------------------------

    async def act(self, member_id: int, action: str) -> str:
        return await self._ask({"do": action, "member": self._name_of(member_id)})

    async def link(self, a: int, b: int, *, cut: bool) -> str:
        names = sorted((self._name_of(a), self._name_of(b)))
        return await self._ask({"do": "cut" if cut else "heal", "link": names})

    def _name_of(self, member_id: int) -> str:
        for info in self._members():
            if info.id == member_id:
                name = self.state.name_at(info.peer_urls)
                if name:
                    return name
        raise Refusal(404, f"`raftkv local` has not started a member {member_id:x}")

    async def _ask(self, request: dict[str, object]) -> str:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    writer.write(json.dumps(request).encode() + b"\n")
                    answer = json.loads(await reader.readline())
                finally:
                    writer.close()
        except (OSError, ValueError, TimeoutError) as e:
            raise Refusal(502, f"`raftkv local` does not answer, is it still there? ({e})") from e
        if "error" in answer:
            raise Refusal(409, str(answer["error"]))
        return str(answer["done"])

    # --- its state ------------------------------------------------------------------------------

    async def _follow(self) -> None:
        complained = False
        while True:
            try:
                await self._listen()
                complained = False
            except (OSError, ValueError) as e:
                if not complained:
                    log.warning("no line to `raftkv local`", extra=fields(error=str(e)))
                complained = True
            await asyncio.sleep(AGAIN_S)

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_BYTES_MAX)
        try:
            writer.write(json.dumps({"do": "follow", "member": self._name}).encode() + b"\n")
            while line := await reader.readline():
                self._take(LocalState.decode(line))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _take(self, state: LocalState) -> None:
        names = state.cut_from(self._name)
        before = self.state.cut_from(self._name)
        self.state = state
        if names != before:
            ids = {each.id for each in self._members() if state.name_at(each.peer_urls) in names}
            self._cut(ids)
        self.changed(state)


def _tell(task: asyncio.Task[None]) -> None:
    """It follows until it is cancelled: whatever else ends it is a defect."""
    if not task.cancelled() and (defect := task.exception()) is not None:
        log.error("what `raftkv local` says is not followed any more", exc_info=defect)
