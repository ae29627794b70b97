"""Quantities: 100m, 1.5Gi, 2e3.

Owns: reading and telling them. Must never do: round; a quantity is a fraction of whole units.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

_PATTERN = re.compile(
    r"^([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(n|u|m|k|M|G|T|P|E|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?$"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
DIGITS_MAX = 64
WORDS = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def parse(text: str | int | float) -> Fraction:
    """Raises ValueError for what is no quantity."""
    word = str(text)
    found = _PATTERN.match(word) if len(word) <= DIGITS_MAX else None
    if found is None:
        raise ValueError(WORDS)
    sign, digits, suffix = found[1], found[2], found[3] or ""
    number = Fraction(Decimal(digits)) * (-1 if sign == "-" else 1)
    if suffix in _BINARY:
        return Fraction(number * 2 ** _BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return Fraction(number * Fraction(10) ** exponent)


def told(value: Fraction, like: str = "") -> str:
    """Canonical, in the family of ``like``: binary suffixes stay binary."""
    if like[-1:] == "i" and value.denominator == 1:
        for suffix, power in reversed(_BINARY.items()):
            if value and value % 2**power == 0:
                return f"{value / 2**power}{suffix}"
        return str(value)
    if value.denominator != 1:
        for suffix in ("m", "u", "n"):
            scaled = value / Fraction(10) ** _DECIMAL[suffix]
            if scaled.denominator == 1:
                return f"{scaled}{suffix}"
        return f"{-(-value * 10**9 // 1)}n"
    for suffix in ("E", "P", "T", "G", "M", "k"):
        power = 10 ** _DECIMAL[suffix]
        if value and value % power == 0:
            return f"{value / power}{suffix}"
    return str(value)
