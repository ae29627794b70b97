"""The columns of each kind, and how a cell is read from an object.

Owns: the rows that people know from `kubectl get`. Must never do: format a time; kubectl does, ages
are sent as what they are counted from.
"""

from __future__ import annotations

from typing import Any

from apiserver_shim.resources.resource import Column, Resource

Cell = str | int | bool | None
NAME = Column("Name", ".metadata.name")
AGE = Column("Age", ".metadata.creationTimestamp", "date")


def columns_of(resource: Resource) -> tuple[Column, ...]:
    return resource.columns or (NAME, AGE)


def cells_of(resource: Resource, obj: dict[str, Any]) -> list[Cell]:
    return [_cell(obj, column) for column in columns_of(resource)]


def _cell(obj: dict[str, Any], column: Column) -> Cell:
    value: Any = obj
    for part in column.path.strip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)
