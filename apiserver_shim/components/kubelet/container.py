"""One container of a pod: started, probed, started again, stopped.

Owns: its process, its restarts and the state that is told of it. Must never do: decide about the
pod. States, reasons and messages are a real kubelet's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from apiserver_shim.components.api_client import UNREACHABLE, ApiFailure, Object
from apiserver_shim.components.kubelet.container_log import ContainerLog
from apiserver_shim.components.kubelet.container_process import ContainerProcess
from apiserver_shim.components.kubelet.environment import (
    ConfigurationError,
    environment_of,
    expanded,
)
from apiserver_shim.components.kubelet.images import UnknownImage
from apiserver_shim.components.kubelet.machine import Machine
from apiserver_shim.components.kubelet.probes import (
    Checked,
    ProbeTarget,
    ProbeTimes,
    check_of,
    probe,
    timed,
)
from apiserver_shim.components.kubelet.volumes import prepare

GRACE_S = 30
LOST_CODE = 137
"""As of a container that was killed."""
Waiting = tuple[str, str]
"""A container's reason to wait, and the message."""


class Container:
    """``run`` is a task of its pod's. ``changed`` is called after each change of the state."""

    def __init__(
        self, pod: Object, spec: Object, machine: Machine, changed: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.identity = ""
        self.ready = False
        self.started = False
        self.restarts = 0
        self._attempt = 0
        """``restarts`` of the next run: told when it has begun, together with its identity."""
        creating = "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
        self.state: Object = {"waiting": {"reason": creating}}
        self.last_state: Object = {}
        self.log: ContainerLog | None = None
        self.previous_log: ContainerLog | None = None
        self._pod = pod
        self._machine = machine
        self._changed = changed
        self._back_off = machine.back_off()
        self._process: ContainerProcess | None = None
        self._target: ProbeTarget | None = None
        self.is_over = False
        """It has ended under an earlier kubelet and is not to be started again."""
        self._stopping = False
        self._ending: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def exit_code(self) -> int | None:
        """Of the run that has ended last, if none runs."""
        ended = self.state.get("terminated") or (
            self.last_state.get("terminated") if "waiting" in self.state else None
        )
        return None if ended is None else int(ended["exitCode"])

    def wait(self, reason: str, message: str = "") -> None:
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        self._changed()

    def resume(self, old: Object, again: Callable[[int], bool]) -> None:
        """What an earlier kubelet told of it. Processes end with their kubelet, so what ran then
        has ended; starting it again counts as a restart."""
        if not old.get("containerID"):
            return
        ended = old["state"].get("terminated") or old.get("lastState", {}).get("terminated")
        if "running" in old["state"]:
            ended = {
                "exitCode": LOST_CODE,
                "reason": "ContainerStatusUnknown",
                "message": "The container ended with the kubelet that ran it",
                "startedAt": old["state"]["running"].get("startedAt"),
                "finishedAt": self._machine.clock.stamp(),
                "containerID": old["containerID"],
            }
        self.identity = old["containerID"]
        self.restarts = self._attempt = int(old.get("restartCount", 0))
        if ended is not None and not again(int(ended["exitCode"])):
            self.state = {"terminated": ended}
            self.is_over = True
            return
        self._attempt += 1
        self.last_state = {} if ended is None else {"terminated": ended}

    # --- its life -------------------------------------------------------------------------------

    async def run(self, again: Callable[[int], bool]) -> int:
        """Until it has ended with a code after which ``again`` does not want it again."""
        if self.is_over:
            return int(self.state["terminated"]["exitCode"])
        while True:
            started = await self._start()
            if isinstance(started, ContainerProcess):
                code = await self._alive(started)
                if self._stopping or not again(code):
                    return code
                await self._rest()
            else:
                self.wait(*started)
                self._machine.events.record(self._pod, "Warning", "Failed", f"Error: {started[1]}")
                # A real kubelet looks again with its next sync of the pod.
                await self._machine.clock.pause(self._machine.back_off_base_s)

    async def stop(self, grace_s: float) -> None:
        """For good: preStop, SIGTERM, and SIGKILL after ``grace_s`` in all."""
        self._stopping = True
        await self._stop_process(grace_s)

    def tell_killing(self) -> None:
        self._tell("Normal", "Killing", f"Stopping container {self.name}")

    def kill(self) -> None:
        self._stopping = True
        if self._process is not None:
            self._process.kill()

    async def _start(self) -> ContainerProcess | Waiting:
        machine, directory = self._machine, self._machine.pod_directory(self._pod)
        try:
            volumes = await prepare(machine.client, self._pod, directory)
            environment = volumes | await environment_of(machine.client, self._pod, self.spec)
            argv = machine.images.argv(
                self.spec.get("image", ""),
                [expanded(each, environment) for each in self.spec.get("command") or ()],
                [expanded(each, environment) for each in self.spec.get("args") or ()],
            )
        except UnknownImage as e:
            return "ErrImageNeverPull", str(e.args[0])
        except ConfigurationError as e:
            return "CreateContainerConfigError", str(e)
        except (ApiFailure, *UNREACHABLE) as e:
            return "CreateContainerConfigError", str(e) or type(e).__name__
        place = directory / "work" / self.name
        await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        log = ContainerLog(directory / "logs" / self.name / f"{self._attempt}.log", machine.clock)
        starting = asyncio.create_task(
            ContainerProcess.start(argv, environment, place, log, machine.groups)
        )
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_kill_unwanted)
            raise
        except OSError as e:
            return "RunContainerError", f"failed to start {argv[0]!r}: {e.strerror}"
        if self.previous_log is not None:
            await self.previous_log.remove()
        self.previous_log, self.log = self.log, log
        self._process = process
        self._target = ProbeTarget(
            self._pod["status"]["podIP"],
            {p["name"]: p["containerPort"] for p in self.spec.get("ports") or () if "name" in p},
            environment,
            place,
            machine.groups,
        )
        return process

    async def _alive(self, process: ContainerProcess) -> int:
        """From its start to its end."""
        begun = self._machine.clock.stamp()
        self.identity, self.restarts = f"process://{process.pid}", self._attempt
        self.last_state = self.state if "terminated" in self.state else self.last_state
        self.state = {"running": {"startedAt": begun}}
        self.started = "startupProbe" not in self.spec
        self.ready = self.started and "readinessProbe" not in self.spec
        self._tell("Normal", "Started", f"Started container {self.name}")
        self._changed()
        asking = asyncio.create_task(self._probe())
        try:
            code = await process.wait()
        finally:
            process.kill()  # if we are cancelled
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        self.ready = self.started = False
        self.state = {
            "terminated": {
                "exitCode": code,
                "reason": "Completed" if code == 0 else "Error",
                "startedAt": begun,
                "finishedAt": self._machine.clock.stamp(),
                "containerID": self.identity,
            }
        }
        self._changed()
        return code

    async def _rest(self) -> None:
        """What a real kubelet does between two runs: at first nothing, then CrashLoopBackOff."""
        clock = self._machine.clock
        ended = clock.monotonic()
        wait_s = self._back_off.wait_s(ended, ended)
        if wait_s > 0:
            metadata = self._pod["metadata"]
            where = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
            text = f"back-off {_span(wait_s)} restarting failed container={self.name} pod={where}"
            self._tell("Warning", "BackOff", text)
            self.wait("CrashLoopBackOff", text)
            await clock.pause(wait_s)
        self._back_off.restarted(clock.monotonic())
        self._attempt += 1

    # --- probes ---------------------------------------------------------------------------------

    async def _probe(self) -> None:
        """First the startup probe until it succeeds, then the others for as long as it runs."""
        if "startupProbe" in self.spec:
            await self._ask("startupProbe", self._answered_started)
        if self.started:
            await asyncio.gather(
                self._ask("livenessProbe", self._answered_alive),
                self._ask("readinessProbe", self._answered_ready),
            )

    async def _ask(self, kind: str, answered: Callable[[Checked, bool | None], bool]) -> None:
        spec = self.spec.get(kind)
        if spec is not None:
            assert self._target is not None, "probed before it was started"
            check = check_of(spec, self._target, self._machine.http)
            await probe(check, ProbeTimes.of(spec), self._machine.clock.pause, answered)

    def _answered_started(self, checked: Checked, verdict: bool | None) -> bool:
        if verdict is True:
            self.started = True
            self.ready = "readinessProbe" not in self.spec
            self._changed()
            return True
        return self._answered_badly("Startup", checked, verdict)

    def _answered_alive(self, checked: Checked, verdict: bool | None) -> bool:
        return self._answered_badly("Liveness", checked, verdict)

    def _answered_badly(self, kind: str, checked: Checked, verdict: bool | None) -> bool:
        if checked.ok:
            return False
        self._tell("Warning", "Unhealthy", f"{kind} probe failed: {checked.output}")
        if verdict is not False:
            return False
        text = f"Container {self.name} failed {kind.lower()} probe, will be restarted"
        self._tell("Normal", "Killing", text)
        self._ending = asyncio.create_task(self._stop_process(self._grace_s()))
        return True

    def _answered_ready(self, checked: Checked, verdict: bool | None) -> bool:
        if not checked.ok:
            self._tell("Warning", "Unhealthy", f"Readiness probe failed: {checked.output}")
        if self.ready != (verdict is True):
            self.ready = verdict is True
            self._changed()
        return False

    # --- its end --------------------------------------------------------------------------------

    async def _stop_process(self, grace_s: float) -> None:
        process = self._process
        if process is None:
            return
        begun = self._machine.clock.monotonic()
        hook = self.spec.get("lifecycle", {}).get("preStop")
        if hook is not None and self._target is not None and "running" in self.state:
            check = check_of(hook, self._target, self._machine.http)
            checked = await timed(check, grace_s)
            if not checked.ok:
                self._tell("Warning", "FailedPreStopHook", f"PreStopHook failed: {checked.output}")
        spent = self._machine.clock.monotonic() - begun
        await process.stop(max(grace_s - spent, 0.0))

    def _grace_s(self) -> float:
        return float(self._pod["spec"].get("terminationGracePeriodSeconds", GRACE_S))

    def _tell(self, kind: str, reason: str, message: str) -> None:
        self._machine.events.record(self._pod, kind, reason, message)


def _kill_unwanted(starting: asyncio.Task[ContainerProcess]) -> None:
    """Nobody waits for it any more."""
    if not starting.cancelled() and starting.exception() is None:
        starting.result().kill()


def _span(seconds: float) -> str:
    """10s, 1m20s: as Go prints durations."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
