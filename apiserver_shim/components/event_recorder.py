"""Events: what a component tells about an object, as `kubectl describe` shows it.

Owns: a bounded queue of them, and counting what repeats. Must never do: hold up or fail the work
that it tells of.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import OrderedDict
from dataclasses import dataclass

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.kinds import EVENTS

log = logging.getLogger("apiserver_shim.events")

QUEUE_MAX = 1000
REMEMBERED_MAX = 4096
MESSAGE_CHARACTERS_MAX = 1024


@dataclass(frozen=True, slots=True)
class _Told:
    """What makes two events the same one."""

    uid: str
    kind: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Event:
    told: _Told
    object: Object
    when: str


class EventRecorder:
    """``component`` is who tells: default-scheduler, deployment-controller ..."""

    def __init__(self, client: ApiClient, component: str, clock: Clock) -> None:
        self._client = client
        self._component = component
        self._clock = clock
        self._queue: asyncio.Queue[_Event] = asyncio.Queue(QUEUE_MAX)
        self._known: OrderedDict[_Told, tuple[str, str, int]] = OrderedDict()
        self._numbers = itertools.count()

    def record(self, about: Object, kind: str, reason: str, message: str) -> None:
        """``kind`` is Normal or Warning. Told at once or later; lost when too many wait."""
        told = _Told(about["metadata"]["uid"], kind, reason, message[:MESSAGE_CHARACTERS_MAX])
        try:
            self._queue.put_nowait(_Event(told, about, self._clock.stamp()))
        except asyncio.QueueFull:
            log.warning("more than %d events wait: lost: %s", QUEUE_MAX, message)

    async def run(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                await self._tell(event)
            except (ApiFailure, *UNREACHABLE) as e:
                log.info("an event is lost (%s): %s", e, event.told.message)

    async def _tell(self, event: _Event) -> None:
        known = self._known.get(event.told)
        if known is not None:
            namespace, name, count = known
            changes = {"count": count + 1, "lastTimestamp": event.when}
            try:
                await self._client.merge(EVENTS, namespace, name, changes)
            except ApiFailure as e:
                if e.code != 404:
                    raise
                # it has expired: told anew
            else:
                self._known[event.told] = (namespace, name, count + 1)
                return
        created = await self._client.create(EVENTS, self._namespace(event), self._new(event))
        metadata = created["metadata"]
        self._known[event.told] = (metadata["namespace"], metadata["name"], 1)
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)

    def _namespace(self, event: _Event) -> str:
        """Events of what has no namespace live in the default one."""
        return str(event.object["metadata"].get("namespace") or "default")

    def _new(self, event: _Event) -> Object:
        metadata = event.object["metadata"]
        unique = int(self._clock.now().timestamp() * 1e6) * 1000 + next(self._numbers) % 1000
        namespace = metadata.get("namespace")
        return {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {
                "name": f"{metadata['name'][:200]}.{unique:x}",
                "namespace": self._namespace(event),
            },
            "involvedObject": {
                "kind": event.object["kind"],
                "apiVersion": event.object["apiVersion"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata.get("resourceVersion", ""),
                **({"namespace": namespace} if namespace else {}),
            },
            "reason": event.told.reason,
            "message": event.told.message,
            "source": {"component": self._component},
            "firstTimestamp": event.when,
            "lastTimestamp": event.when,
            "count": 1,
            "type": event.told.kind,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": "",
        }
