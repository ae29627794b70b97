"""Table: what `kubectl get` shows.

Owns: rows and their columns. Must never do: look at another object than the row's. The columns of a
kind are in ``columns``; a kind without any has its name and age.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver_shim.api.stored import StoredObject
from apiserver_shim.resources.resource import Resource
from apiserver_shim.views.columns import AGE, NAME, Cell, cells_of, columns_of
from apiserver_shim.views.partial import content_of, partial


class Table:
    """``include``: None, Metadata or Object, as the client's includeObject says."""

    def __init__(self, resource: Resource, version: str, include: str) -> None:
        self._resource = resource
        self._version = version
        self._include = include or "Metadata"
        self._columns = columns_of(resource)

    def of(self, objects: Iterable[StoredObject | dict[str, Any]]) -> dict[str, Any]:
        return {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{self._version}",
            "metadata": {},
            "columnDefinitions": [
                {
                    "name": column.name,
                    "type": column.type,
                    "format": "name" if column.name == "Name" else "",
                    "description": column.description,
                    "priority": column.priority,
                }
                for column in self._columns
            ],
            "rows": [self._row(each) for each in objects],
        }

    def _row(self, obj: StoredObject | dict[str, Any]) -> dict[str, Any]:
        found = content_of(obj)
        row: dict[str, Any] = {"cells": self._cells(found)}
        if self._include == "Object":
            row["object"] = found
        elif self._include == "Metadata":
            row["object"] = partial(found, self._version)
        return row

    def _cells(self, obj: dict[str, Any]) -> list[Cell]:
        return cells_of(self._resource, obj)


__all__ = ["AGE", "NAME", "Table"]
