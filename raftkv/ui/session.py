"""Who asks: the caller of one request of the page, before the member's own guard.

Owns: the token of a request as the services know it, the login, and the two questions that are
asked of the guard for the page. Must never do: decide: the authority that gRPC has does, and while
auth is disabled everybody may.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from raftkv.errors import RaftKVError
from raftkv.gateway.json_api import metadata_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.member import Guarded
from raftkv.ui.answers import Refusal

T = TypeVar("T")

NAME_BYTES_MAX = 1_024


class PageCall:
    """A ``wire.service.Call``. A certificate's name is no user here, as at the JSON gateway."""

    deadline: float | None = None
    peer = "ui"
    peer_common_name = ""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.metadata: Mapping[str, str] = metadata_of(headers)


class Session:
    """One member's callers."""

    def __init__(self, member: Guarded) -> None:
        self._member = member
        self._guard = Guard(member)

    async def as_root(self, call: PageCall) -> None:
        """Raises what the guard refuses for. While auth is enabled the cluster's state, with the
        names of keys in it, is for the role root."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def allowed() -> None:
            if not done.done():
                done.set_result(None)

        def failed(error: BaseException) -> None:
            if not done.done():
                done.set_exception(error)

        self._guard.as_root(call, allowed, failed)
        await done

    def is_root_still(self, call: PageCall) -> bool:
        """By what this member has applied."""
        try:
            self._guard.may.is_root(self._guard.caller(call))
        except RaftKVError:
            return False
        return True

    async def read(
        self, call: PageCall, key: bytes, range_end: bytes, produce: Callable[[], T]
    ) -> T:
        """What ``produce`` reads of the store, linearizable, if the caller may read all of the
        range by then. Raises what it is refused for."""
        return await self._when_open(self._member.linearize, call, key, range_end, produce)

    async def read_on(
        self, call: PageCall, key: bytes, range_end: bytes, produce: Callable[[], T]
    ) -> T:
        """The next step of a ``read``, in a later turn."""
        await asyncio.sleep(0)
        return await self._when_open(self._member.read_local, call, key, range_end, produce)

    async def log_in(self, name: object, password: object) -> str:
        """The token. Raises Refusal, and what the authority refuses for."""
        if not isinstance(name, str) or not isinstance(password, str):
            raise Refusal(400, 'a login is {"name": text, "password": text}')
        if len(name.encode("utf-8", "replace")) > NAME_BYTES_MAX:
            raise Refusal(400, f"a user's name has at most {NAME_BYTES_MAX} bytes")
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def answer(outcome: str | RaftKVError) -> None:
            if told.done():
                return
            if isinstance(outcome, str):
                told.set_result(outcome)
            else:
                told.set_exception(outcome)

        self._member.authority.log_in(name, password, answer)
        return await told

    async def _when_open(
        self,
        open_: Callable[[Callable[[RaftKVError | None], None]], None],
        call: PageCall,
        key: bytes,
        range_end: bytes,
        produce: Callable[[], T],
    ) -> T:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def proceed(error: RaftKVError | None) -> None:
            if done.done():
                return
            try:
                if error is not None:
                    raise error
                self._guard.check_keys(call, key, range_end)
                done.set_result(produce())
            except Exception as refused:  # noqa: BLE001 - whoever awaits it gets it
                done.set_exception(refused)

        open_(proceed)
        return await done
