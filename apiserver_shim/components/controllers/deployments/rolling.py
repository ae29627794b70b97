"""The arithmetic of a rolling update: how many new pods now, how many old ones fewer.

Owns: those numbers, as pure functions. Must never do: know objects. Names and rules are those of
Kubernetes' deployment controller:
- all pods together are never more than replicas + maxSurge;
- a step never takes away an available pod while no more than replicas - maxUnavailable are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one ReplicaSet: pods asked for, pods available."""

    replicas: int
    available: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Pods above and below what is wanted, while an update goes on."""

    surge: int
    unavailable: int


def share(value: int | str, whole: int, *, up: bool) -> int:
    """A number, or a percentage of ``whole``. Raises ValueError for what is neither."""
    if isinstance(value, int):
        return value
    text = value.strip()
    if not text.endswith("%"):
        raise ValueError(f"{value!r} is neither a number nor a percentage")
    product = int(text[:-1]) * whole
    return -(-product // 100) if up else product // 100


def limits(max_surge: int | str, max_unavailable: int | str, wanted: int) -> Limits:
    """Surge is rounded up and unavailable down; both 0 would stand still, so one may be missing."""
    surge = share(max_surge, wanted, up=True)
    unavailable = min(share(max_unavailable, wanted, up=False), wanted)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(surge, unavailable)


def new_replicas(wanted: int, total: int, new: int, most: Limits) -> int:
    """Of the new set, when all sets together ask for ``total``."""
    if new > wanted:
        return wanted
    room = wanted + most.surge - total
    return new if room <= 0 else new + min(room, wanted - new)


def old_replicas(wanted: int, new: Counts, old: Sequence[Counts], most: Limits) -> list[int]:
    """Of each old set, the oldest first. What is not available goes first: it is missed by
    nobody; then as many as the available ones allow."""
    at_least = wanted - most.unavailable
    total = new.replicas + sum(each.replicas for each in old)
    unavailable_new = max(new.replicas - new.available, 0)
    spare = total - at_least - unavailable_new
    if spare <= 0:
        return [each.replicas for each in old]
    cleaned = _without_broken(old, spare)
    available = new.available + sum(each.available for each in old)
    spare = available - at_least
    found: list[int] = []
    for each in cleaned:
        fewer = max(min(each.replicas, spare), 0)
        spare -= fewer
        found.append(each.replicas - fewer)
    return found


def _without_broken(old: Sequence[Counts], most: int) -> list[Counts]:
    cleaned: list[Counts] = []
    for each in old:
        fewer = max(min(most, each.replicas - each.available), 0)
        most -= fewer
        cleaned.append(replace(each, replicas=each.replicas - fewer))
    return cleaned


def proportions(sizes: Sequence[int], annotated: Sequence[int], allowed: int) -> list[int]:
    """New sizes of sets, the largest first, that together make ``allowed``, when a Deployment is
    scaled in the middle of an update. ``annotated``: how many all were to be when each was sized
    (0: unknown). What rounding leaves goes to the first."""
    to_add = allowed - sum(sizes)
    if not sizes or not to_add:
        return list(sizes)
    found: list[int] = []
    added = 0
    for size, before in zip(sizes, annotated, strict=True):
        part = _rounded(size * allowed, before or sum(sizes)) - size
        left = to_add - added
        part = min(part, left) if to_add > 0 else max(part, left)
        if part * to_add < 0:
            part = 0
        found.append(size + part)
        added += part
    found[0] = max(found[0] + to_add - added, 0)
    return found


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
