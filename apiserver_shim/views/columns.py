"""Which row a kind has.

Owns: the table of rows, and the rows of custom kinds, whose columns their definitions name. Must
never do: know objects.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver_shim.resources.resource import Column, Resource
from apiserver_shim.resources.versions import to_stored
from apiserver_shim.views.cells import Object
from apiserver_shim.views.cluster_rows import CLUSTER_ROWS
from apiserver_shim.views.durations import since
from apiserver_shim.views.json_path import found_at
from apiserver_shim.views.row import Row
from apiserver_shim.views.workload_rows import WORKLOAD_ROWS

NAME = Column("Name", ".metadata.name")
AGE = Column("Age", ".metadata.creationTimestamp", "date")
_ROWS = WORKLOAD_ROWS | CLUSTER_ROWS


def row_of(resource: Resource) -> Row:
    """A kind without a row of its own shows its name and age."""
    own = _ROWS.get((resource.stored_group_version[0], resource.kind))
    if own is not None and not resource.is_custom:
        return _of_stored_form(own, resource) if resource.stored_as else own
    named = (NAME, *(resource.columns or (AGE,)))
    return Row(named, lambda obj, now: [_cell(obj, column, now) for column in named])


def _of_stored_form(row: Row, resource: Resource) -> Row:
    """A kind has the same columns in all its versions."""
    return Row(row.columns, lambda obj, now: row.cells(to_stored(obj, resource), now))


def _cell(obj: Object, column: Column, now: datetime) -> Any:
    found = found_at(obj, column.path)
    value = found[0] if found else None
    if column.type == "date":
        return since(value, now)
    if isinstance(value, list | dict):
        return str(value)
    return value
