"""Small pieces of which rows are made: containers, selectors, ports, counts.

Owns: the words for what is not there. Must never do: know a kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]

NONE, UNSET = "<none>", "<unset>"


def look(obj: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path; ``default`` where anything on the way is missing."""
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, Mapping) else None
    return default if obj is None else obj


def joined(words: Iterable[str], nothing: str = NONE) -> str:
    return ",".join(words) or nothing


def containers_of(obj: Object, path: str = "spec.template.spec") -> tuple[str, str]:
    """Names and images."""
    found = look(obj, f"{path}.containers", ())
    names = joined((each["name"] for each in found), "")
    return names, joined((each.get("image", "") for each in found), "")


def selector_of(selector: Any) -> str:
    """A LabelSelector, or the plain labels of services and replication controllers."""
    if not selector:
        return NONE
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return labels_of(selector)
    terms = [f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())]
    for each in selector.get("matchExpressions", ()):
        values = ",".join(sorted(each.get("values", ())))
        match each["operator"]:
            case "Exists":
                terms.append(each["key"])
            case "DoesNotExist":
                terms.append(f"!{each['key']}")
            case operator:
                terms.append(f"{each['key']} {operator.lower()} ({values})")
    return joined(terms)


def labels_of(labels: Mapping[str, str] | None) -> str:
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def first_some(words: list[str], some: int = 3) -> str:
    """The first few, and how many more there are."""
    if not words:
        return NONE
    told = ",".join(words[:some])
    return told if len(words) <= some else f"{told} + {len(words) - some} more..."


def access_modes(modes: Iterable[str]) -> str:
    short = {
        "ReadWriteOnce": "RWO",
        "ReadOnlyMany": "ROX",
        "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }
    return ",".join(short.get(mode, mode) for mode in modes)
