"""How the walk reads: who wrote what, what the store then held, who is told of it.

Owns: the words, arrows and colours. Must never do: ask anybody anything. Left out is what goes on
all the time: heartbeats, elections, events and reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from raftkv.api.kv_pb2 import Event

WRITES = ("create", "update", "patch", "delete", "deletecollection")
QUIET = ("leases.coordination.k8s.io", "events", "events.events.k8s.io")
QUIET_KEYS = ("/registry/leases/", "/registry/events/", "/registry/masterleases/")
COLOURS = {
    "kubectl": "bold",
    "kube-scheduler": "yellow",
    "kube-controller-manager": "magenta",
    "kubelet": "green",
    "kube-proxy": "cyan",
    "dns": "cyan",
}
NAMES_MAX = 2000
"""Watchers that are remembered."""


@dataclass(frozen=True, slots=True)
class Step:
    """``order``: a request comes before the event of its revision."""

    order: tuple[int, int]
    access: dict[str, Any] | None = None
    key: str = ""
    value: dict[str, Any] | None = None
    what: str = ""
    revision: int = 0


def step_of_access(access: dict[str, Any]) -> Step:
    return Step((access["revision"], 0), access=access, revision=access["revision"])


def step_of_event(event: Event) -> Step:
    kv = event.kv
    what = "DELETED" if event.type == Event.DELETE else "ADDED"
    if what == "ADDED" and kv.create_revision != kv.mod_revision:
        what = "MODIFIED"
    try:
        value = orjson.loads(kv.value) if kv.value else None
    except orjson.JSONDecodeError:
        value = None  # not the shim's: only its key is shown
    key = kv.key.decode(errors="replace")
    return Step((kv.mod_revision, 1), None, key, value, what, kv.mod_revision)


class Walk:
    """``show`` each step in order. ``is_done`` when the pod that is waited for runs."""

    def __init__(self, console: Console, once: str = "") -> None:
        self._console = console
        self._once = once
        self._watchers: dict[str, dict[str, None]] = {}
        self.is_done = False

    def begin(self) -> None:
        self._say(Text("waiting for writes; reads, heartbeats and events are left out", "dim"))

    def show(self, step: Step) -> None:
        if step.access is not None:
            self._show_access(step.access)
        elif not step.key.startswith(QUIET_KEYS):
            self._show_event(step)

    def _show_access(self, access: dict[str, Any]) -> None:
        who, resource = agent_of(access["agent"]), access["resource"]
        if access["verb"] == "watch":
            names = self._watchers.setdefault(resource.partition(".")[0], {})
            if who not in names and len(names) < NAMES_MAX:
                names[who] = None
            return
        if access["verb"] not in WRITES or resource in QUIET:
            return
        what = "/".join(filter(None, (access["namespace"], access["name"])))
        part = f"/{access['subresource']}" if access["subresource"] else ""
        line = Text()
        line.append(_clock(access["time"]), "dim")
        line.append(f"  {who:<24}", COLOURS.get(who, "blue"))
        line.append(f"──{access['verb']}──▶ ", "bold" if access["code"] < 300 else "red")
        line.append(f"apiserver  {resource}{part} {what}  ")
        line.append(str(access["code"]), "green" if access["code"] < 300 else "red")
        if access["revision"]:
            line.append(f"  @{access['revision']}")
        line.append(f"  {access['latency_ms']:g} ms", "dim")
        self._say(line)

    def _show_event(self, step: Step) -> None:
        line = Text(" " * 14)
        line.append("store", "bold blue")
        line.append(f" {step.what:<8} {step.key}  @{step.revision}")
        told = described(step.value) if step.value else ""
        if told:
            line.append(f"  {told}", "italic")
        watchers = [*self._watchers.get(_plural(step.key), ())]
        if watchers:
            line.append("  ──▶ ", "bold")
            line.append(", ".join(sorted(watchers)), "dim")
        self._say(line)
        if self._once and _runs(step, self._once):
            self.is_done = True
            self._say(Text(f"{step.key.rsplit('/', 1)[-1]} runs", "bold green"))

    def _say(self, line: Text) -> None:
        self._console.print(line)
        self._console.file.flush()


def agent_of(agent: str) -> str:
    """``kubelet/node-1`` of ``kubelet/node-1 v1.34.0 (raftkv)``; else the program's name."""
    first = agent.split(" ", 1)[0]
    return first.partition("/")[0] or "?"


def described(obj: dict[str, Any]) -> str:
    """What of an object the walk is about."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    match obj.get("kind"):
        case "Pod":
            ready = [each["ready"] for each in status.get("containerStatuses") or ()]
            parts = [
                f"on {spec['nodeName']}" if spec.get("nodeName") else "on no node yet",
                status.get("phase", ""),
                f"{sum(ready)}/{len(ready)} ready" if ready else "",
                "to be deleted" if obj["metadata"].get("deletionTimestamp") else "",
            ]
            return ", ".join(filter(None, parts))
        case "Deployment" | "ReplicaSet" | "StatefulSet":
            return f"{status.get('readyReplicas', 0)} of {spec.get('replicas', 1)} ready"
        case "EndpointSlice":
            endpoints = obj.get("endpoints") or ()
            ready = [e for e in endpoints if e.get("conditions", {}).get("ready") is not False]
            return f"{len(ready)} of {len(endpoints)} ready"
    return ""


def _runs(step: Step, name: str) -> bool:
    pod = step.value
    if pod is None or pod.get("kind") != "Pod":
        return False
    found = pod["metadata"]["name"]
    fits = found == name or found.startswith(f"{name}-")
    return fits and (pod.get("status") or {}).get("phase") == "Running"


def _plural(key: str) -> str:
    """/registry/services/specs/default/web: services; /registry/minions/n: nodes."""
    words = key.split("/")[2:]
    if words[0] == "services":
        return "services" if words[1] == "specs" else "endpoints"
    if words[0] == "minions":
        return "nodes"
    return words[1] if "." in words[0] and len(words) > 2 else words[0]


def _clock(text: str) -> str:
    when = datetime.fromisoformat(text).astimezone(UTC)
    return when.strftime("%H:%M:%S.") + f"{when.microsecond // 1000:03d}"
