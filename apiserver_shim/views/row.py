"""A kind's row: its columns, and the function that fills them.

Owns: Row and the columns that nearly all kinds share. Must never do: know a kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apiserver_shim.resources.resource import Column

Object = dict[str, Any]
Cells = Callable[[Object, datetime], list[Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """``cells`` gives one value per column, in their order."""

    columns: tuple[Column, ...]
    cells: Cells


def columns(*names: str, wide: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """Text columns, with those of -o wide. A name ending in # holds whole numbers."""
    told = [(name, 0) for name in names] + [(name, 1) for name in wide]
    return tuple(
        Column(name.rstrip("#"), type="integer" if name.endswith("#") else "string", priority=p)
        for name, p in told
    )
