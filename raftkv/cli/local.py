"""`raftkv local`: a whole cluster on this machine from one command.

Owns: the life of the members, the live status, and the keys of a terminal: a member's number starts
it again. What is asked from elsewhere (`raftkv local-restart NAME`, the page's buttons) comes
through ``local_desk``.
Must never do: hide that a member died, or leave one behind when it ends itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
from rich.console import Console

from raftkv.api.rpc_pb2 import StatusRequest, StatusResponse
from raftkv.cli.local_desk import CONTROL_SOCKET, LocalDesk, Refused
from raftkv.cli.local_member import LocalMember
from raftkv.cli.local_plan import Place, check_ports, command_of, own_program
from raftkv.cli.local_view import LocalView, Row

REFRESH_S = 0.5
STATUS_TIMEOUT_S = 1.0
_STATUS_METHOD = "/etcdserverpb.Maintenance/Status"


class LocalCluster:
    """``run`` returns the exit status of the command."""

    def __init__(self, places: tuple[Place, ...], program: Sequence[str], data_dir: Path) -> None:
        self._view = LocalView(Console(), places)
        self._data_dir = data_dir
        control = data_dir / CONTROL_SOCKET
        self._members = [
            LocalMember(place, command_of(place, places, tuple(program), control))
            for place in places
        ]
        self._leader = ""
        self._desk = LocalDesk(
            self._members, self._start, self._stop_one, self._view.note, lambda: self._leader
        )
        self._stop = asyncio.Event()
        self._watchers: set[asyncio.Task[None]] = set()
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        self._data_dir.mkdir(parents=True, exist_ok=True)
        await self._desk.open(self._data_dir)
        for member in self._members:
            await self._start(member)
        self._view.greet(str(self._data_dir))
        self._view.start()
        try:
            with self._keys(loop):
                await self._show_until_stopped()
        finally:
            self._view.stop()
            self._desk.close()
            clean = await self._stop_all()
        return 0 if clean else 1

    # --- members --------------------------------------------------------------------------------

    async def _start(self, member: LocalMember) -> None:
        await member.start()
        self._desk.changed()
        task = asyncio.get_running_loop().create_task(self._report_end(member))
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _report_end(self, member: LocalMember) -> None:
        status = await member.wait()
        self._desk.changed()
        if self._stop.is_set():
            return
        what = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        name = member.place.name
        self._view.note(f"{name} ended with {what}; its log is {member.place.log_path}")
        for line in member.log_tail():
            self._view.note(f"  {name} | {line}")
        self._view.note(f"restart it with: raftkv local-restart {name} --data-dir {self._data_dir}")

    async def _stop_one(self, member: LocalMember) -> None:
        if not await member.stop():
            self._view.note(f"{member.place.name} did not stop in time and was killed")

    async def _stop_all(self) -> bool:
        self._view.note("stopping all members")
        ended = await asyncio.gather(*(member.stop() for member in self._members))
        for member, clean in zip(self._members, ended, strict=True):
            if not clean:
                self._view.note(f"{member.place.name} did not stop in time and was killed")
        for channel in self._channels.values():
            await channel.close()
        self._view.note("stopped; the data is kept, the same command finds it again")
        return all(ended)

    # --- status ---------------------------------------------------------------------------------

    async def _show_until_stopped(self) -> None:
        while not self._stop.is_set():
            rows = await asyncio.gather(*(self._row(member) for member in self._members))
            self._leader = next((row.place.name for row in rows if row.state == "leader"), "")
            self._view.show(rows)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._stop.wait()

    async def _row(self, member: LocalMember) -> Row:
        place = member.place
        if member.is_paused:
            return Row(place, "paused", member.pid)
        if not member.is_running:
            return Row(place, f"stopped (status {member.exit_status})")
        try:
            status = await self._status(place)
        except grpc.aio.AioRpcError:
            return Row(place, "starting", member.pid)
        if not status.leader:
            state = "no leader"
        else:
            state = "leader" if status.leader == status.header.member_id else "follower"
        return Row(
            place,
            state,
            member.pid,
            status.raftTerm,
            status.header.revision,
            status.raftAppliedIndex,
            status.dbSize,
        )

    async def _status(self, place: Place) -> StatusResponse:
        channel = self._channels.get(place.name)
        if channel is None:
            # A member that was down is tried again soon: this is a person's screen.
            options = [
                ("grpc.initial_reconnect_backoff_ms", 200),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ]
            channel = grpc.aio.insecure_channel(place.endpoint, options)
            self._channels[place.name] = channel
        call = channel.unary_unary(
            _STATUS_METHOD,
            request_serializer=StatusRequest.SerializeToString,
            response_deserializer=StatusResponse.FromString,
        )
        answer: StatusResponse = await call(StatusRequest(), timeout=STATUS_TIMEOUT_S)
        return answer

    # --- people ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _keys(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """In a terminal, the digits restart members."""
        if not (self._view.is_terminal and sys.stdin.isatty()):
            yield
            return
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        tty.setcbreak(terminal)
        loop.add_reader(terminal, self._pressed)
        try:
            yield
        finally:
            loop.remove_reader(terminal)
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def _pressed(self) -> None:
        key = sys.stdin.read(1)
        if key.isdigit() and 0 < int(key) <= len(self._members):
            name = self._members[int(key) - 1].place.name
            try:
                self._desk.request({"do": "start", "member": name})
            except Refused as e:
                self._view.note(str(e))


def run_local(places: tuple[Place, ...], data_dir: Path, program: Sequence[str] = ()) -> int:
    """Raises ConfigError for what cannot be started."""
    check_ports(places)

    async def run() -> int:
        return await LocalCluster(places, program or own_program(), data_dir).run()

    return asyncio.run(run())
