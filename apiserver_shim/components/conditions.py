"""Conditions: a status's list of statements with the time of their last change.

Owns: finding and setting them. Must never do: move lastTransitionTime when nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from apiserver_shim.components.api_client import Object


def condition(obj: Object, kind: str) -> Object | None:
    for each in obj.get("status", {}).get("conditions") or ():
        if each["type"] == kind:
            found: Object = each
            return found
    return None


def is_true(obj: Object, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found["status"] == "True"


def with_condition(
    conditions: Iterable[Object],
    kind: str,
    status: str,
    now: str,
    reason: str = "",
    message: str = "",
    **more: object,
) -> list[Object]:
    """The list with that statement in it; a new one comes last."""
    found = list(conditions)
    new: Object = {"type": kind, "status": status, **more, "lastTransitionTime": now}
    new |= {name: text for name, text in (("reason", reason), ("message", message)) if text}
    for at, each in enumerate(found):
        if each["type"] == kind:
            if each["status"] == status:
                new["lastTransitionTime"] = each.get("lastTransitionTime", now)
            if not _differs(each, new, more):
                return found
            found[at] = new
            return found
    return [*found, new]


def without_condition(conditions: Iterable[Object], kind: str) -> list[Object]:
    return [each for each in conditions if each["type"] != kind]


def _differs(old: Object, new: Object, times: dict[str, object]) -> bool:
    """A probe's or update's time alone is no change."""
    return {k: v for k, v in old.items() if k not in times} != {
        k: v for k, v in new.items() if k not in times
    }
