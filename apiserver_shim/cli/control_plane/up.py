"""`raftkv-control-plane up`: everything from one command.

Owns: the order of start and end, and what is shown. Must never do: leave a process behind, or hide
that a part died.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal

import aiohttp
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from apiserver_shim.cli.control_plane.plan import HOST, Plan
from apiserver_shim.cli.control_plane.running_part import RunningPart
from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure
from apiserver_shim.components.conditions import is_true
from apiserver_shim.components.kinds import NODES
from apiserver_shim.components.kubeconfig import client_for
from apiserver_shim.components.process_groups import ProcessGroups
from apiserver_shim.security.certificates import Certificates
from apiserver_shim.security.identities import node_identity, write_identity

REFRESH_S = 0.5
NOTES_SHOWN = 8


async def up(plan: Plan) -> int:
    """Until Ctrl-C or SIGTERM; the exit status."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await asyncio.to_thread(plan.directory.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(_write_node_identities, plan)
    screen = _Screen(plan)
    async with ProcessGroups() as groups, aiohttp.ClientSession() as http:
        parts = [RunningPart(p, plan.log_path(p), groups, screen.note) for p in plan.parts]
        control_plane = _ControlPlane(plan, parts, http, screen)
        running = asyncio.create_task(control_plane.run())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            screen.close()
            await control_plane.stop()
    return 0


def _write_node_identities(plan: Plan) -> None:
    """What nodes show to the shim, and to those who ask them; the shim writes the others'."""
    certificates = Certificates(plan.pki)
    for name in plan.nodes:
        write_identity(certificates, node_identity(name, name), plan.server)
        certificates.serving([HOST, name], f"{name}-serving", f"system:node:{name}")


class _ControlPlane:
    def __init__(
        self, plan: Plan, parts: list[RunningPart], http: aiohttp.ClientSession, screen: _Screen
    ) -> None:
        self._plan = plan
        self._parts = parts
        self._http = http
        self._screen = screen
        self._keeping: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Start the stages one after the other, then look at all for ever."""
        for stage in sorted({each.part.stage for each in self._parts}):
            these = [each for each in self._parts if each.part.stage == stage]
            self._keeping += [asyncio.create_task(each.keep()) for each in these]
            while not all(await asyncio.gather(*(each.look(self._http) for each in these))):
                await self._turn()
        wanted = len(self._plan.nodes) + self._plan.hollow_nodes
        async with client_for("up", kubeconfig=self._plan.kubeconfig) as client:
            while await self._nodes_ready(client) < wanted:
                await self._turn()
        self._screen.ready()
        while True:
            await asyncio.gather(*(each.look(self._http) for each in self._parts))
            await self._turn()

    async def stop(self) -> None:
        """Against the order of the start: the store last, so that nobody misses it."""
        self._screen.note("stopping all parts")
        for stage in sorted({each.part.stage for each in self._parts}, reverse=True):
            these = [each for each in self._parts if each.part.stage == stage]
            await asyncio.gather(*(each.stop() for each in these))
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        self._screen.note("stopped; the data is kept, the same command finds it again")

    async def _turn(self) -> None:
        self._screen.show(self._parts)
        await asyncio.sleep(REFRESH_S)

    async def _nodes_ready(self, client: ApiClient) -> int:
        try:
            found = await client.list(NODES)
        except (ApiFailure, *UNREACHABLE):
            return -1  # it was ready a moment ago: it will be again
        return sum(is_true(each, "Ready") for each in found["items"])


class _Screen:
    """A table that is redrawn in a terminal, and lines elsewhere."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._console = Console()
        self._notes: list[str] = []
        self._states: dict[str, str] = {}
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()

    def ready(self) -> None:
        kubectl = shutil.which("kubectl") or "kubectl"
        configured = f"{kubectl} --kubeconfig {self._plan.kubeconfig}"
        for line in (
            f"ready: the API is {self._plan.server}, names are answered on {self._plan.dns}",
            f"kubeconfig: {self._plan.kubeconfig}",
            "try:",
            f"  {configured} get nodes",
            f"  {configured} apply -f examples/web.yaml",
            f"  {configured} get pods -o wide -w",
        ):
            self._print(line)

    def note(self, text: str) -> None:
        if self._live is None:
            self._print(text)
        else:
            self._notes = [*self._notes, text][-NOTES_SHOWN:]

    def show(self, parts: list[RunningPart]) -> None:
        if self._live is not None:
            self._live.update(self._table(parts), refresh=True)
            return
        for each in parts:
            if self._states.get(each.part.name) != each.state:
                self._states[each.part.name] = each.state
                self._print(
                    f"{each.part.name}: {each.state}" + (f" (pid {each.pid})" if each.pid else "")
                )

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)
        self._console.file.flush()

    def _table(self, parts: list[RunningPart]) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("part", "state", "pid", "restarts"):
            table.add_column(name, no_wrap=True)
        for each in parts:
            style = "green" if each.state in ("serving", "running") else "red"
            table.add_row(
                each.part.name,
                Text(each.state, style=style),
                str(each.pid or "-"),
                str(each.restarts),
            )
        return Group("", table, "", *self._notes, Text("Ctrl-C stops all", style="dim"))
