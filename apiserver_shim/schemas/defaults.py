"""Defaults that a schema names: those of custom kinds.

Owns: the walk. Must never do: make an object that is not there to put a default into it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from apiserver_shim.schemas.definitions import Definitions, Schema

DEPTH_MAX = 100


def fill_defaults(node: Any, schema: Schema, definitions: Definitions, depth: int = 0) -> None:
    """A field that is missing, or null where it may not be, gets its default."""
    schema = definitions.resolved(schema)
    if depth > DEPTH_MAX:
        return
    if isinstance(node, list):
        for each in node:
            fill_defaults(each, schema.get("items") or {}, definitions, depth + 1)
    if not isinstance(node, dict):
        return
    properties = schema.get("properties") or {}
    for name, below in properties.items():
        if "default" in below and (
            name not in node or (node[name] is None and not below.get("nullable"))
        ):
            node[name] = deepcopy(below["default"])
        if name in node:
            fill_defaults(node[name], below, definitions, depth + 1)
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        for name, each in node.items():
            if name not in properties:
                fill_defaults(each, values, definitions, depth + 1)
