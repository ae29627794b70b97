"""What a flag is, and how the plain kinds of values are read.

Owns: Flag, its State, and the parsers that know nothing of raftkv. Must never do: list flags;
``flags`` and ``operation_flags`` do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from raftkv.server.config import Address

Parsed = (
    str
    | int
    | bool
    | float
    | tuple[Address, ...]
    | tuple[str, ...]
    | dict[str, tuple[str, ...]]
    | frozenset[str]
)
_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class State(StrEnum):
    """How a flag of etcd's is served, as docs/flags.md tells it."""

    YES = "yes"
    DIFFERS = "differs"
    ACCEPTED = "accepted"
    """Any of etcd's values is taken and changes nothing: there is nothing here to change."""
    REFUSED = "refused"
    """Only the value that asks for nothing is taken."""


@dataclass(frozen=True, slots=True)
class Flag:
    """``parse`` raises ValueError with the reason."""

    name: str
    default: str
    parse: Callable[[str], Parsed]
    help: str
    is_boolean: bool = False
    """Stands for true when it is given without a value."""
    state: State = State.YES

    @property
    def variable(self) -> str:
        return "ETCD_" + self.name.upper().replace("-", "_")


def parse_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("true or false is expected")


def parse_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number is expected") from None


def parse_count(text: str) -> int:
    number = parse_int(text)
    if number < 0:
        raise ValueError("a whole number of 0 or more is expected")
    return number


def parse_duration(text: str) -> float:
    """Go's durations: 100ms, 1m30s, 10m, and 0. In seconds."""
    rest, total = text, 0.0
    while rest and rest != "0":
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit_end = digits + len(rest[digits:]) - len(rest[digits:].lstrip("nuµmsh"))
        unit = rest[digits:unit_end]
        if not digits or unit not in _UNITS_S:
            raise ValueError("a duration such as 100ms, 5s or 10m is expected")
        total += float(rest[:digits]) * _UNITS_S[unit]
        rest = rest[unit_end:]
    if not text:
        raise ValueError("a duration is expected")
    return total


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is expected")
        return text

    return parse


def only(default: str, reason: str) -> Callable[[str], str]:
    """Refuses every value but ``default``, for ``reason``."""

    def parse(text: str) -> str:
        if text != default:
            raise ValueError(f"only {default or 'an empty value'!r} is accepted: {reason}")
        return text

    return parse


def parse_names(text: str) -> tuple[str, ...]:
    """Separated by commas; none at all is ()."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))
