"""The JSONPaths of printer columns: .status.conditions[?(@.type=="Ready")].status

Owns: names, quoted names, places, [*] and filters by equality. Must never do: fail; a path that it
does not know leads nowhere, and the column stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""
    \.?(?P<name>(?:[^.\[\]\\'"]|\\.)+)
    | \[\s*(?P<place>-?\d+)\s*\]
    | \[\s*(?P<every>\*)\s*\] | (?P<every_dot>\.\*)
    | \.?\[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]
    | \[\?\(\s*@(?P<left>[^=!<>]*?)\s*(?P<operator>==|!=)\s*(?P<right>.*?)\s*\)\]
    """,
    re.VERBOSE,
)
Step = Callable[[Any], Iterable[Any]]


def found_at(obj: Any, path: str) -> list[Any]:
    """Everything at ``path``, in order."""
    steps = _steps(path)
    nodes = [obj] if steps is not None else []
    for step in steps or ():
        nodes = [below for node in nodes for below in step(node)]
    return nodes


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[Step, ...] | None:
    """None for what is no path."""
    path, steps, at = path.strip().removeprefix("{").removesuffix("}").removeprefix("$"), [], 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or match.end() == at:
            return None
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["name"] is not None:
        return _named(re.sub(r"\\(.)", r"\1", match["name"]))
    if match["quoted"] is not None:
        return _named(match["quoted"])
    if match["place"] is not None:
        return _at(int(match["place"]))
    if match["operator"] is not None:
        wanted = match["right"].strip("'\"")
        return _where(match["left"], wanted, equal=match["operator"] == "==")
    return _children


def _named(name: str) -> Step:
    return lambda node: [node[name]] if isinstance(node, dict) and name in node else []


def _at(place: int) -> Step:
    def step(node: Any) -> Iterable[Any]:
        inside = isinstance(node, list) and -len(node) <= place < len(node)
        return [node[place]] if inside else []

    return step


def _where(left: str, wanted: str, *, equal: bool) -> Step:
    def holds(node: Any) -> bool:
        return any(_told(each) == wanted for each in found_at(node, left)) == equal

    return lambda node: [each for each in _children(node) if holds(each)]


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _told(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
