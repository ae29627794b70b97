"""Probes: is a container alive, ready, started?

Owns: when to ask, how, and how many answers in a row count. Must never do: act on the result; the
container does. Defaults: Kubernetes'.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from errno import ECONNREFUSED
from pathlib import Path

import aiohttp

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.process_groups import ProcessGroups, signal_group

OUTPUT_BYTES_MAX = 1024
BODY_BYTES_MAX = 10 * 1024
FIRST_AFTER_S = 1.0
"""The shortest period there is. A real kubelet asks first within a period of the start; at once
would only be a warning about a program that is still starting."""


@dataclass(frozen=True, slots=True)
class Checked:
    ok: bool
    output: str = ""


Check = Callable[[], Awaitable[Checked]]


@dataclass(frozen=True, slots=True)
class ProbeTimes:
    """Seconds, and counts of answers in a row."""

    initial_delay_s: float = 0
    period_s: float = 10
    timeout_s: float = 1
    successes: int = 1
    failures: int = 3

    @classmethod
    def of(cls, probe: Object) -> ProbeTimes:
        return cls(
            probe.get("initialDelaySeconds", 0),
            probe.get("periodSeconds") or 10,
            probe.get("timeoutSeconds") or 1,
            probe.get("successThreshold") or 1,
            probe.get("failureThreshold") or 3,
        )


class Tally:
    """What the answers so far amount to: True, False, or None while they do not."""

    def __init__(self, times: ProbeTimes) -> None:
        self._times = times
        self._last: bool | None = None
        self._count = 0
        self.verdict: bool | None = None

    def add(self, ok: bool) -> None:
        self._count = self._count + 1 if ok == self._last else 1
        self._last = ok
        if self._count >= (self._times.successes if ok else self._times.failures):
            self.verdict = ok


async def probe(
    check: Check,
    times: ProbeTimes,
    pause: Callable[[float], Awaitable[None]],
    answered: Callable[[Checked, bool | None], bool],
) -> None:
    """Each answer is told with the verdict that stands after it, until ``answered`` has enough."""
    tally = Tally(times)
    await pause(max(times.initial_delay_s, FIRST_AFTER_S))
    while True:
        checked = await timed(check, times.timeout_s)
        tally.add(checked.ok)
        if answered(checked, tally.verdict):
            return
        await pause(times.period_s)


async def timed(check: Check, timeout_s: float) -> Checked:
    try:
        async with asyncio.timeout(timeout_s):
            return await check()
    except TimeoutError:
        return Checked(False, f"no answer within {timeout_s:g} s")


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Where a container is asked. ``ports``: its named ports."""

    address: str
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    directory: Path
    groups: ProcessGroups

    def place(self, spec: Object) -> tuple[str, int]:
        """Host and port that ``spec`` names. Raises ValueError."""
        wanted = spec["port"]
        port = wanted if isinstance(wanted, int) else self.ports.get(wanted)
        if port is None and not str(wanted).isdecimal():
            raise ValueError(f"the container has no port named {wanted!r}")
        return spec.get("host") or self.address, int(wanted if port is None else port)


def check_of(spec: Object, target: ProbeTarget, http: aiohttp.ClientSession) -> Check:
    """``spec`` has httpGet, tcpSocket or exec: a probe's, or a lifecycle hook's."""
    if "httpGet" in spec:
        return lambda: _http(spec["httpGet"], target, http)
    if "tcpSocket" in spec:
        return lambda: _tcp(spec["tcpSocket"], target)
    if "exec" in spec:
        return lambda: _exec(spec["exec"].get("command") or [], target)
    return _unsupported


async def _http(spec: Object, target: ProbeTarget, http: aiohttp.ClientSession) -> Checked:
    scheme = spec.get("scheme", "HTTP").lower()
    path = (spec.get("path") or "/").removeprefix("/")
    headers = {"User-Agent": "kube-probe/1.34", "Accept": "*/*"}
    headers |= {each["name"]: each["value"] for each in spec.get("httpHeaders") or ()}
    try:
        host, port = target.place(spec)
    except ValueError as e:
        return Checked(False, str(e))
    url = f"{scheme}://{host}:{port}/{path}"
    try:
        # Certificates are not checked, as in a real kubelet.
        async with http.get(url, headers=headers, allow_redirects=False, ssl=False) as reply:
            # Unread, it would make the end of the connection a reset, which programs complain of.
            await reply.content.read(BODY_BYTES_MAX)
            good = 200 <= reply.status < 400
            return Checked(good, f"HTTP probe failed with statuscode: {reply.status}")
    except aiohttp.ClientConnectorError as e:
        return Checked(False, f'Get "{url}": {_undialled(host, port, e.os_error)}')
    except (aiohttp.ClientError, OSError, ValueError) as e:
        return Checked(False, f'Get "{url}": {e}')


async def _tcp(spec: Object, target: ProbeTarget) -> Checked:
    try:
        host, port = target.place(spec)
    except ValueError as e:
        return Checked(False, str(e))
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as e:
        return Checked(False, _undialled(host, port, e))
    writer.close()
    with contextlib.suppress(OSError):  # it was open: that is all we asked
        await writer.wait_closed()
    return Checked(True)


def _undialled(host: str, port: int, error: OSError) -> str:
    """In a real kubelet's words, which people know and search for."""
    why = "connect: connection refused" if error.errno == ECONNREFUSED else error.strerror or error
    return f"dial tcp {host}:{port}: {why}"


async def _exec(command: list[str], target: ProbeTarget) -> Checked:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(target.environment),
            cwd=target.directory,
            start_new_session=True,
        )
    except OSError as e:
        return Checked(False, f"{command[:1]}: {e.strerror}")
    try:
        await target.groups.add(process.pid)
        output, _ = await process.communicate()
        return Checked(process.returncode == 0, output[:OUTPUT_BYTES_MAX].decode(errors="replace"))
    finally:
        if process.returncode is None:
            signal_group(process.pid, signal.SIGKILL)
            await process.wait()
        await target.groups.forget(process.pid)


async def _unsupported() -> Checked:
    return Checked(False, "only httpGet, tcpSocket and exec are supported")
