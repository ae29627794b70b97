"""A selector as specs have it: matchLabels and matchExpressions.

Owns: its meaning, for pods and, with Gt and Lt, for nodes. Must never do: parse a query's selector;
the server does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from apiserver_shim.components.api_client import Object

_INTEGER = re.compile("[+-]?[0-9]+")


def selects(selector: Object | None, labels: Mapping[str, str] | None) -> bool:
    """An empty selector selects everything, None nothing."""
    if selector is None:
        return False
    found = labels or {}
    wanted = selector.get("matchLabels") or {}
    return all(found.get(key) == value for key, value in wanted.items()) and all_hold(
        selector.get("matchExpressions") or (), found
    )


def all_hold(expressions: Iterable[Object], labels: Mapping[str, str]) -> bool:
    return all(holds(each, labels) for each in expressions)


def holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    values = expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return _compares(value, values, operator)
    return False


def _compares(value: str | None, values: Iterable[str], operator: str) -> bool:
    told = [value or "", next(iter(values), "")]
    if not all(_INTEGER.fullmatch(each) for each in told):
        return False
    there, here = map(int, told)
    return there > here if operator == "Gt" else there < here
