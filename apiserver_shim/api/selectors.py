"""Label and field selectors: parsed once, asked of every object.

Owns: their two grammars and what they mean. Must never do: know where objects come from.
A label selector: ``app=web,tier in (a,b),!old``. A field selector: ``status.phase!=Running``.
Rules and words are Kubernetes' own, odd corners included: in a set an empty place is the empty
value, and ``in`` and ``notin`` may be keys and values too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apiserver_shim.api.label_syntax import key_complaint, value_complaint
from apiserver_shim.api.status import bad_request
from apiserver_shim.resources.resource import Resource

SELECTOR_BYTES_MAX = 64 * 1024
INT64_MAX = 2**63 - 1
_TOKENS = re.compile(r"[ \t\r\n]+|(!=|==|[=!<>(),]|[^ \t\r\n=!<>(),]+)")
_END = ""
_OPERATORS = {
    "in": "in",
    "notin": "notin",
    "=": "in",
    "==": "in",
    "!=": "notin",
    ">": "gt",
    "<": "lt",
}
_OPERATOR_WORDS = "in, notin, =, ==, !=, gt, lt"
_FIELD_OPERATOR = re.compile("!=|==|=")


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
        there, here = _int64(value), _int64(next(iter(self.values)))
        if there is None or here is None:
            return False
        return there > here if self.operator == "gt" else there < here


def _int64(text: str) -> int | None:
    if not re.fullmatch("[+-]?[0-9]+", text):
        return None
    value = int(text)
    return value if -INT64_MAX - 1 <= value <= INT64_MAX else None


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


# --- labels -------------------------------------------------------------------------------------


def parse_labels(text: str) -> LabelSelector:
    """Raises 400 for what is no label selector."""
    _check_size(text)
    tokens = _Tokens(text)
    found: list[Requirement] = []
    while tokens.next != _END:
        if not tokens.at_word and tokens.next != "!":
            raise tokens.unexpected(
                "identifier after ','" if found else "!, identifier, or 'end of string'"
            )
        try:
            found.append(_requirement(tokens))
        except ValueError as e:
            raise bad_request(f"unable to parse requirement: {e}") from None
        if tokens.next == _END:
            break
        if tokens.next != ",":
            raise tokens.unexpected("',' or 'end of string'")
        tokens.take()
        if tokens.next == _END:
            raise tokens.unexpected("identifier after ','")
    return LabelSelector(tuple(found))


class _Tokens:
    """Words and marks in order, then ``_END`` for ever."""

    def __init__(self, text: str) -> None:
        self._tokens = [each[1] for each in _TOKENS.finditer(text) if each[1]]
        self._at = 0

    @property
    def next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    @property
    def at_word(self) -> bool:
        return bool(self.next) and self.next[0] not in "=!<>(),"

    def take(self) -> str:
        token = self.next
        self._at += 1
        return token

    def unexpected(self, wanted: str) -> Exception:
        return bad_request(self.words(wanted))

    def words(self, wanted: str, comma: str = ",") -> str:
        return f"found '{self.next}'{comma} expected: {wanted}"


def _requirement(tokens: _Tokens) -> Requirement:
    """Raises ValueError."""
    absent = tokens.next == "!"
    if absent:
        tokens.take()
    if not tokens.at_word:
        raise ValueError(tokens.words("identifier"))
    key = tokens.take()
    if complaint := key_complaint(key):
        raise ValueError(f'<nil>: Invalid value: "{key}": {complaint}')
    if absent or tokens.next in (_END, ","):
        return Requirement(key, "absent" if absent else "exists")
    operator = _OPERATORS.get(tokens.next)
    if operator is None:
        raise ValueError(tokens.words(_OPERATOR_WORDS))
    values = _set(tokens) if tokens.take() in ("in", "notin") else {_value(tokens)}
    complaints = list(_value_complaints(key, operator, sorted(values)))
    if complaints:
        told = complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]"
        raise ValueError(told)
    return Requirement(key, operator, frozenset(values))


def _value(tokens: _Tokens) -> str:
    if tokens.next in (_END, ","):
        return ""
    if not tokens.at_word:
        raise ValueError(tokens.words("identifier"))
    return tokens.take()


def _set(tokens: _Tokens) -> set[str]:
    if tokens.next != "(":
        raise ValueError(tokens.words("'('", comma=""))
    tokens.take()
    if not tokens.at_word and tokens.next not in (",", ")"):
        raise ValueError(tokens.words("',', ')' or identifier"))
    found: set[str] = set()
    while True:
        if tokens.at_word:
            found.add(tokens.take())
            if tokens.next not in (",", ")"):
                raise ValueError(tokens.words("',' or ')'"))
        elif tokens.next in (",", ")"):
            found.add("")
        else:
            raise ValueError(tokens.words("',', or identifier"))
        if tokens.take() == ")":
            return found


def _value_complaints(key: str, operator: str, values: list[str]) -> list[str]:
    found = []
    for index, value in enumerate(values):
        if operator in ("gt", "lt") and _int64(value) is None:
            found.append(
                f"values[{index}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the "
                "value must be an integer"
            )
    for index, value in enumerate(values):
        if complaint := value_complaint(value):
            found.append(f'values[{index}][{key}]: Invalid value: "{value}": {complaint}')
    return found


# --- fields -------------------------------------------------------------------------------------


def parse_fields(text: str, resource: Resource) -> FieldSelector:
    """Raises 400 for what is no field selector, or asks for a field that the kind lacks."""
    found = read_fields(text)
    check_fields(found, resource)
    return found


def read_fields(text: str) -> FieldSelector:
    """Raises 400 for what is no field selector of any kind."""
    _check_size(text)
    terms: list[tuple[str, str, bool]] = []
    for term in sorted(re.findall(r"(?:[^,\\]|\\.|\\\Z)+", text, re.DOTALL)):
        operator = _FIELD_OPERATOR.search(term)
        if operator is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        value = _unescaped(term[operator.end() :])
        terms.append((term[: operator.start()], value, operator[0] == "!="))
    return FieldSelector(tuple(terms))


def _unescaped(value: str) -> str:
    for each in re.findall(r"\\.|\\\Z|.", value, re.DOTALL):
        if each[0] == "\\" and each[1:] not in ("\\", ",", "="):
            raise bad_request(f"invalid field selector: invalid escape sequence: {each}")
        if each in (",", "="):
            raise bad_request(f"invalid field selector: unescaped character in value: {ord(each)}")
    return re.sub(r"\\(.)", r"\1", value)


def check_fields(selector: FieldSelector, resource: Resource) -> None:
    """Raises 400 for a field that the kind lacks, each kind in its own words."""
    plain = not resource.field_selectors and not resource.is_custom
    supported = {"metadata.name", *resource.field_selectors}
    if resource.namespaced or plain:
        supported.add("metadata.namespace")
    for path, _, _ in selector.terms:
        if path in supported:
            continue
        if plain:
            raise bad_request(
                f'"{path}" is not a known field selector: only "metadata.name", '
                '"metadata.namespace"'
            )
        if resource.kind == "Job":
            raise bad_request(f'field label "{path}" not supported for batchv1.Job')
        raise bad_request(f"field label not supported: {path}")


def _check_size(text: str) -> None:
    if len(text) > SELECTOR_BYTES_MAX:
        raise bad_request(f"a selector of {len(text)} bytes, the limit is {SELECTOR_BYTES_MAX}")


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
