"""Resource quantities: 100m, 1.5, 2Gi, 1e3.

Owns: reading them. Must never do: round: sums of fractions stay exact.
"""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"^([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(.*)$")
_EXPONENT = re.compile(r"^[eE]([+-]?[0-9]+)$")
_SUFFIXES = {
    "": Decimal(1),
    **{
        name: Decimal(10) ** (3 * power)
        for power, name in zip(
            (-3, -2, -1, 1, 2, 3, 4, 5, 6),
            ("n", "u", "m", "k", "M", "G", "T", "P", "E"),
            strict=True,
        )
    },
    **{
        name: Decimal(1024) ** power
        for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)
    },
}


def quantity(text: str | int | float) -> Decimal:
    """Raises ValueError for what is none."""
    found = _QUANTITY.match(str(text).strip())
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    number, suffix = found.groups()
    if suffix in _SUFFIXES:
        return Decimal(number) * _SUFFIXES[suffix]
    exponent = _EXPONENT.match(suffix)
    if exponent is None:
        raise ValueError(f"{text!r} is no quantity: unknown suffix {suffix!r}")
    return Decimal(number).scaleb(int(exponent.group(1)))
