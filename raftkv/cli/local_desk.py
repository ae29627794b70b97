"""The control socket of `raftkv local`: who asks for what, and who is told how things stand.

Owns: the socket, its requests (a JSON object a line, answered by one), the cut links, and the state
that members follow. Must never do: start or end a process itself; the cluster does.

    {"do": "start" | "stop" | "kill" | "pause" | "resume" | "restart", "member": NAME}
    {"do": "cut" | "heal", "link": [NAME, NAME]}     -> {"done": TEXT} or {"error": TEXT}
    {"do": "follow", "member": NAME}                 -> a LocalState a line, whenever it changes

NAME may be "leader", and to start members "all".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raftkv.cli.local_member import LocalMember
from raftkv.errors import ConfigError
from raftkv.ui.local_state import LocalMemberState, LocalState

CONTROL_SOCKET = "control.sock"
LINE_BYTES_MAX = 64 << 10
BACKLOG_BYTES_MAX = 64 << 10
"""A follower that is paused reads nothing: beyond this it has to come again."""
ACT_AFTER_S = 0.1
"""The answer leaves first: it may be on its way through the very member that is to stop."""

Act = Callable[[LocalMember], Awaitable[None]]


class Refused(Exception):
    """``str`` says why."""


ALL, LEADER = "all", "leader"


class LocalDesk:
    """``start`` and ``stop`` are the cluster's; ``note`` shows what was done; ``leader`` names the
    member that was last seen to lead, "" for none."""

    def __init__(
        self,
        members: Sequence[LocalMember],
        start: Act,
        stop: Act,
        note: Callable[[str], None],
        leader: Callable[[], str],
    ) -> None:
        self._leader = leader
        self._members = {member.place.name: member for member in members}
        self._note = note
        self._cuts: set[tuple[str, str]] = set()
        self._followers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._start, self._stop = start, stop
        self._server: asyncio.Server | None = None
        self._acts: Mapping[str, tuple[Act, tuple[str, ...], str]] = {
            "start": (start, ("stopped",), "restarted"),
            "stop": (stop, ("running", "paused"), "is being stopped"),
            "kill": (self._kill, ("running", "paused"), "is killed"),
            "pause": (self._pause, ("running",), "is paused"),
            "resume": (self._resume, ("paused",), "goes on"),
            "restart": (self._restart, ("running", "paused", "stopped"), "is restarted"),
        }

    async def open(self, directory: Path) -> None:
        """For the owner of the directory alone. Raises OSError."""
        path = directory / CONTROL_SOCKET
        self._server = await asyncio.start_unix_server(self._serve, path, limit=LINE_BYTES_MAX)
        path.chmod(0o600)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for follower in self._followers:
            follower.close()

    def changed(self) -> None:
        """Tell every follower how things stand."""
        line = self._state().encode()
        for follower in list(self._followers):
            if follower.transport.get_write_buffer_size() > BACKLOG_BYTES_MAX:
                follower.close()
            else:
                follower.write(line)

    def request(self, request: Mapping[str, Any]) -> str:
        """What will be done, in a moment. Raises Refused."""
        do = str(request.get("do"))
        if do in ("cut", "heal"):
            return self._link(request.get("link"), is_cut=do == "cut")
        if do not in self._acts:
            raise Refused(f"cannot {do!r}: known are {', '.join((*self._acts, 'cut', 'heal'))}")
        if do == "start" and request.get("member") == ALL:
            return self._start_all()
        member = self._member(request.get("member"))
        act, states, done = self._acts[do]
        name = member.place.name
        if member.state not in states:
            pid = f" (pid {member.pid})" if member.pid else ""
            raise Refused(f"{name} is {member.state}{pid}: it must be {' or '.join(states)}")
        self._later(act, member, f"{name} {done}")
        return f"{name} {done}"

    # --- what can be done -----------------------------------------------------------------------

    def _later(self, act: Act, member: LocalMember, text: str) -> None:
        async def work() -> None:
            await asyncio.sleep(ACT_AFTER_S)
            self._note(text)
            await act(member)
            self.changed()

        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start_all(self) -> str:
        down = [name for name, member in self._members.items() if member.state == "stopped"]
        if not down:
            raise Refused("all members run")
        return "; ".join(self.request({"do": "start", "member": name}) for name in down)

    async def _kill(self, member: LocalMember) -> None:
        if member.is_running:
            member.kill()

    async def _pause(self, member: LocalMember) -> None:
        if member.is_running:
            member.pause()

    async def _resume(self, member: LocalMember) -> None:
        if member.is_running:
            member.resume()

    async def _restart(self, member: LocalMember) -> None:
        if member.is_running:
            await self._stop(member)
        await self._start(member)

    def _link(self, names: object, *, is_cut: bool) -> str:
        if not isinstance(names, list) or len(names) != 2 or names[0] == names[1]:
            raise Refused('a link is of two members: "link": [NAME, NAME]')
        a, b = sorted(self._member(name).place.name for name in names)
        (self._cuts.add if is_cut else self._cuts.discard)((a, b))
        self.changed()
        text = f"the link of {a} and {b} is {'cut' if is_cut else 'whole'}"
        self._note(text)
        return text

    def _member(self, name: object) -> LocalMember:
        if name == LEADER:
            name = self._leader()
            if not name:
                raise Refused("no member leads now: ask again in a second")
        member = self._members.get(str(name))
        if member is None:
            known = ", ".join(self._members)
            raise Refused(f"there is no member {name!r}: the members are {known}")
        return member

    def _state(self) -> LocalState:
        members = {
            name: LocalMemberState(member.state, member.place.peer_url, member.place.ui_url)
            for name, member in self._members.items()
        }
        return LocalState(members, frozenset(self._cuts))

    # --- the socket -----------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            if not isinstance(request, dict):
                raise Refused("a request is a JSON object")
            if request.get("do") == "follow":
                await self._follow(reader, writer)
                return
            answer = {"done": self.request(request)}
            if request.get("wait") and self._tasks:
                await asyncio.wait(self._tasks)
        except (Refused, ValueError) as e:
            answer = {"error": str(e)}
        writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._followers.add(writer)
        writer.write(self._state().encode())
        try:
            while await reader.read(LINE_BYTES_MAX):
                pass  # a follower only listens; its end is what is waited for
        except OSError:
            pass  # it was killed
        finally:
            self._followers.discard(writer)
            writer.close()


async def ask(directory: Path, do: str, name: str) -> str:
    """Ask the `raftkv local` of a data directory, and wait until it is done: unlike a member, the
    asker is none of those that may stop. Raises ConfigError when none is there, or it refuses."""
    try:
        reader, writer = await asyncio.open_unix_connection(directory / CONTROL_SOCKET)
    except OSError as e:
        raise ConfigError(f"no `raftkv local` runs on {directory}: {e.strerror}") from None
    writer.write(json.dumps({"do": do, "member": name, "wait": True}).encode() + b"\n")
    answer: dict[str, str] = json.loads(await reader.readline() or b'{"error": "no answer"}')
    writer.close()
    if "error" in answer:
        raise ConfigError(answer["error"])
    return answer["done"]
