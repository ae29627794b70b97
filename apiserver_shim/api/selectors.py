"""Label and field selectors: parsed once, asked of every object.

Owns: their two grammars. Must never do: know where objects come from.
A label selector: ``app=web,tier in (a,b),!old``. A field selector: ``status.phase!=Running``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from apiserver_shim.api.status import bad_request

SELECTOR_BYTES_MAX = 64 * 1024
_SPLIT = re.compile(r",(?![^(]*\))")
_SET = re.compile(r"^\s*(\S+?)\s+(in|notin)\s+\(([^()]*)\)\s*$")
_COMPARED = re.compile(r"^\s*([^\s=!<>,()]+)\s*(==|!=|=|>|<)\s*([^\s=!<>,()]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s=!<>,()]+)\s*$")
_KEY = re.compile(
    r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case "in":
                return value in self.values
            case "notin":
                return value is None or value not in self.values
            case "gt" | "lt":
                return value is not None and self._compares(value)
        raise AssertionError(f"operator {self.operator!r}")

    def _compares(self, value: str) -> bool:
        try:
            there, here = int(value), int(next(iter(self.values)))
        except ValueError:
            return False
        return there > here if self.operator == "gt" else there < here


@dataclass(frozen=True, slots=True)
class LabelSelector:
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        return all(each.holds(labels or {}) for each in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """(path, value, whether it must differ)."""

    terms: tuple[tuple[str, str, bool], ...] = ()

    def matches(self, found: Mapping[str, Any]) -> bool:
        return all(
            (_field(found, path) == value) is not differs for path, value, differs in self.terms
        )

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def name(self) -> str:
        """The one object that can match, if the selector says so."""
        for path, value, differs in self.terms:
            if path == "metadata.name" and not differs:
                return value
        return ""


def parse_labels(text: str) -> LabelSelector:
    """Raises 400 for what is no label selector."""
    if len(text) > SELECTOR_BYTES_MAX:
        raise bad_request(f"a selector of {len(text)} bytes, the limit is {SELECTOR_BYTES_MAX}")
    terms = [term for term in _SPLIT.split(text) if term.strip()]
    return LabelSelector(tuple(_requirement(term) for term in terms))


def _requirement(term: str) -> Requirement:
    if found := _SET.match(term):
        key, operator, values = found.groups()
        return _checked(key, operator, {value.strip() for value in values.split(",")})
    if found := _COMPARED.match(term):
        key, operator, value = found.groups()
        name = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}[operator]
        return _checked(key, name, {value})
    if found := _EXISTS.match(term):
        return _checked(found.group(2), "absent" if found.group(1) else "exists", set())
    raise bad_request(f"unable to parse requirement: found '{term.strip()}'")


def _checked(key: str, operator: str, values: set[str]) -> Requirement:
    if not _KEY.match(key):
        raise bad_request(f"unable to parse requirement: invalid label key {key!r}")
    if operator in ("gt", "lt"):
        if not all(value.lstrip("-").isdigit() for value in values):
            raise bad_request("for 'Gt', 'Lt' operators, the value must be an integer")
    else:
        for value in values:
            if not _VALUE.match(value):
                raise bad_request(f"unable to parse requirement: invalid label value: {value!r}")
    return Requirement(key, operator, frozenset(values))


def parse_fields(text: str, supported: Collection[str]) -> FieldSelector:
    """Raises 400 for what is no field selector, or asks for a field that the kind lacks."""
    terms: list[tuple[str, str, bool]] = []
    for term in filter(None, (each.strip() for each in text.split(","))):
        path, operator, value = _field_term(term)
        if path not in supported and path not in ("metadata.name", "metadata.namespace"):
            raise bad_request(f'field label not supported: "{path}"')
        terms.append((path, value, operator == "!="))
    return FieldSelector(tuple(terms))


def _field_term(term: str) -> tuple[str, str, str]:
    for operator in ("!=", "==", "="):
        path, found, value = term.partition(operator)
        if found:
            return path.strip(), operator, value.strip()
    raise bad_request(f"invalid field selector: {term!r}; can't understand '{term}'")


def _field(found: Mapping[str, Any], path: str) -> str:
    """A field as selectors see it: missing is empty, booleans are words."""
    if path == "source":  # of events: the component
        path = "source.component"
    value: Any = found
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
    return str(value)
