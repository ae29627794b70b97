"""Objects drawn from a schema: of the right types, and of no sense.

Owns: the strategy. Must never do: know kinds.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from apiserver_shim.schemas.definitions import Definitions, Schema

DEPTH_MAX = 9
_WORDS = st.sampled_from(
    ["", "a", "b", "x-1", "A_", "Always", "Never", "100m", "1Gi", "RollingUpdate"]
)
_NUMBERS = st.integers(-2, 3) | st.just(70_000)


def drawn(draw: st.DrawFn, schema: Schema, definitions: Definitions, depth: int = 0) -> Any:
    """Any value that the schema allows; required fields are there, a few others too."""
    schema = definitions.resolved(schema)
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return draw(_WORDS | _NUMBERS)
    if schema.get("format") in ("date-time", "byte"):
        return "2026-01-01T00:00:00Z" if schema["format"] == "date-time" else "YQ=="
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    match schema.get("type"):
        case "string":
            return draw(_WORDS)
        case "integer" | "number":
            return draw(_NUMBERS)
        case "boolean":
            return draw(st.booleans())
        case "array":
            count = draw(st.integers(0, 2)) if depth < DEPTH_MAX else 0
            return [drawn(draw, schema["items"], definitions, depth + 1) for _ in range(count)]
    return _object(draw, schema, definitions, depth)


def _object(draw: st.DrawFn, schema: Schema, definitions: Definitions, depth: int) -> Any:
    properties, required = schema.get("properties") or {}, set(schema.get("required") or ())
    found = {}
    if properties:
        optional = sorted(properties.keys() - required)
        few = draw(st.lists(st.sampled_from(optional), max_size=4)) if optional else []
        wanted = required | (set(few) if depth < DEPTH_MAX else set())
        if depth == 0:
            wanted |= {"spec"} & properties.keys()
        for name in sorted(wanted):
            found[name] = drawn(draw, properties[name], definitions, depth + 1)
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and depth < DEPTH_MAX:
        for name in draw(st.lists(_WORDS, max_size=2)):
            found[name] = drawn(draw, values, definitions, depth + 1)
    return found
