"""The scheduler's loop: take a pod, find it a node, bind it.

Owns: that loop, bindings under way, and what is told of pods that fit nowhere. Must never do: bind
a pod of another scheduler's, or two pods into the same room.
"""

from __future__ import annotations

import asyncio
import logging
from random import Random, SystemRandom

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.conditions import with_condition
from apiserver_shim.components.event_recorder import EventRecorder
from apiserver_shim.components.kinds import NODES, PODS
from apiserver_shim.components.leader import LeaderElector, LeaseTimes
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.pod_states import is_terminal, node_of
from apiserver_shim.components.scheduler.filters import Refusals, feasible, refusal
from apiserver_shim.components.scheduler.pending import Pending, name_of
from apiserver_shim.components.scheduler.placement import Placement
from apiserver_shim.components.scheduler.scores import best
from apiserver_shim.components.shared_informers import SharedInformers

log = logging.getLogger("apiserver_shim.scheduler")

NAME = "default-scheduler"
LEASE = "kube-scheduler"
BINDINGS_MAX = 32
"""Bindings under way at once."""


class Scheduler:
    """``run`` schedules until cancelled: one per cluster, see ``run`` below."""

    def __init__(self, client: ApiClient, clock: Clock, random: Random, name: str = NAME) -> None:
        self._client = client
        self._clock = clock
        self._random = random
        self._name = name
        self._informers = SharedInformers(client, clock)
        self._pods = self._informers.of(PODS)
        self._nodes = self._informers.of(NODES)
        self._events = EventRecorder(client, name, clock)
        self._placement = Placement()
        self._pending = Pending()
        self._woken = asyncio.Event()
        self._bindings = asyncio.Semaphore(BINDINGS_MAX)
        self._pods.listen(self._pod_changed)
        self._nodes.listen(self._node_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._informers.run())
            tasks.create_task(self._events.run())
            await self._informers.synced()
            while True:
                await self._wait()
                name = self._pending.next(self._clock.monotonic())
                pod = self._pods.get(*name) if name is not None else None
                if pod is not None and self._is_ours(pod):
                    await self._bindings.acquire()
                    tasks.create_task(self._schedule(pod))
                    await asyncio.sleep(0)

    async def _wait(self) -> None:
        """Until a pod may be due."""
        while not self._pending.has_active:
            seconds = self._pending.seconds_to_next(self._clock.monotonic())
            if seconds <= 0:
                return
            self._woken.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            except TimeoutError:
                return  # one is due

    # --- one pod --------------------------------------------------------------------------------

    async def _schedule(self, pod: Object) -> None:
        try:
            places = self._placement.places()
            found, refused = feasible(pod, places)
            if not found:
                await self._unschedulable(pod, len(places), refused)
                return
            place = best(pod, found, self._random)
            self._placement.assume(pod, place.name)
            await self._bind(pod, place.name)
        except (ApiFailure, *UNREACHABLE) as e:
            self._failed(pod, e)
        except Exception as e:  # a pod or node that nobody foresaw must not stop the others
            log.exception("%s/%s", *name_of(pod))
            self._failed(pod, e)
        finally:
            self._bindings.release()

    async def _bind(self, pod: Object, node: str) -> None:
        metadata = pod["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        binding = {
            "kind": "Binding",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace, "uid": metadata["uid"]},
            "target": {"kind": "Node", "name": node},
        }
        await self._client.create(PODS, namespace, binding, name, "binding")
        log.info("%s/%s runs on %s", namespace, name, node)
        told = f"Successfully assigned {namespace}/{name} to {node}"
        self._events.record(pod, "Normal", "Scheduled", told)
        self._pending.discard((namespace, name))

    def _failed(self, pod: Object, error: BaseException) -> None:
        """The room is free again, unless the watch shows that the binding took effect."""
        self._placement.forget(pod)
        gone = isinstance(error, ApiFailure) and error.code == 404
        log.info("%s/%s: %s", *name_of(pod), error or type(error).__name__)
        if not gone:
            self._pending.failed(name_of(pod), self._clock.monotonic(), until_change=False)
            self._woken.set()

    async def _unschedulable(self, pod: Object, total: int, refused: Refusals) -> None:
        message = refusal(total, refused)
        self._pending.failed(name_of(pod), self._clock.monotonic(), until_change=True)
        self._woken.set()
        self._events.record(pod, "Warning", "FailedScheduling", message)
        status = dict(pod.get("status", {}))
        status["conditions"] = with_condition(
            status.get("conditions") or (),
            "PodScheduled",
            "False",
            self._clock.stamp(),
            "Unschedulable",
            message,
            lastProbeTime=None,
        )
        if status != pod.get("status", {}):
            try:
                await self._client.update(PODS, {**pod, "status": status}, "status")
            except ApiFailure as e:
                if e.code != 404:
                    raise
                # it has gone

    def _is_ours(self, pod: Object) -> bool:
        return (
            not node_of(pod)
            and not is_terminal(pod)
            and not is_being_deleted(pod)
            and not self._placement.is_assumed(pod)
            and pod.get("spec", {}).get("schedulerName", NAME) == self._name
            and not pod.get("spec", {}).get("schedulingGates")
        )

    # --- what the watches tell ------------------------------------------------------------------

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        self._placement.pod_changed(old, new)
        pod = new or old or {}
        if new is None or node_of(new) or is_terminal(new):
            self._pending.discard(name_of(pod))
            if old is None or new is None or _room_moved(old, new):
                self._pending.something_changed(self._clock.monotonic())
        elif self._is_ours(new) and (old is None or _has_changed(old, new)):
            self._pending.add(new)
        self._woken.set()

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        self._placement.node_changed(old, new)
        if old is None or new is None or _room(old) != _room(new):
            self._pending.something_changed(self._clock.monotonic())
            self._woken.set()


def _has_changed(old: Object, new: Object) -> bool:
    """Other than by what we ourselves say of it."""
    return bool(
        old.get("spec") != new.get("spec")
        or old["metadata"].get("labels") != new["metadata"].get("labels")
        or old["metadata"]["uid"] != new["metadata"]["uid"]
    )


def _room_moved(old: Object, new: Object) -> bool:
    """A pod has come to a node, has ended, or is another for affinities."""
    return bool(
        node_of(old) != node_of(new)
        or is_terminal(old) != is_terminal(new)
        or old["metadata"].get("labels") != new["metadata"].get("labels")
    )


def _room(node: Object) -> tuple[object, object, object]:
    """What filters look at: not the heartbeats."""
    status = node.get("status", {})
    return node.get("spec"), node["metadata"].get("labels"), status.get("allocatable")


async def run(
    client: ApiClient,
    identity: str,
    *,
    clock: Clock | None = None,
    random: Random | None = None,
    leases: LeaseTimes | None = None,
) -> None:
    """Schedule whenever ``identity`` leads, until cancelled."""
    clock, random = clock or Clock(), random or SystemRandom()
    elector = LeaderElector(client, LEASE, identity, clock=clock, times=leases)
    await elector.lead(lambda: Scheduler(client, clock, random).run())
