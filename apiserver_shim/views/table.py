"""Table: what `kubectl get` shows.

Owns: the Table object. Must never do: look at another object than the row's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from apiserver_shim.api.stored import StoredObject
from apiserver_shim.resources.resource import Resource
from apiserver_shim.views.columns import row_of
from apiserver_shim.views.partial import content_of, partial


class Table:
    """``include``: None, Metadata or Object, as the client's includeObject says."""

    def __init__(self, resource: Resource, version: str, include: str, now: datetime) -> None:
        self._row = row_of(resource)
        self._version = version
        self._include = include or "Metadata"
        self._now = now

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
                for column in self._row.columns
            ],
            "rows": [self._line(content_of(each)) for each in objects],
        }

    def _line(self, obj: dict[str, Any]) -> dict[str, Any]:
        line: dict[str, Any] = {"cells": self._row.cells(obj, self._now)}
        if self._include == "Object":
            line["object"] = obj
        elif self._include == "Metadata":
            line["object"] = partial(obj, self._version)
        return line
