"""Defaults as data: a path and the value that stands there if nothing else does.

Owns: the walk of such paths. Must never do: replace a value, or make the objects on the way:
"spec.ports[].protocol" fills in the ports that there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

Object = dict[str, Any]


def fill(obj: Object, defaults: Mapping[str, Any]) -> None:
    for path, value in defaults.items():
        parent, _, name = path.rpartition(".")
        for place in reached(obj, parent):
            if place.get(name) is None:
                place[name] = deepcopy(value)


def reached(obj: Any, path: str) -> Iterator[Object]:
    """Every object at ``path``; ``[]`` behind a name stands for all items of its list."""
    if not path:
        if isinstance(obj, dict):
            yield obj
        return
    name, _, rest = path.partition(".")
    if not isinstance(obj, dict):
        return
    if name.endswith("[]"):
        found = obj.get(name[:-2])
        for each in found if isinstance(found, list) else ():
            yield from reached(each, rest)
    else:
        yield from reached(obj.get(name), rest)
