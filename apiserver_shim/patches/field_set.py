"""Sets of fields, as managedFields names them, and what two versions of an object differ in.

Owns: paths and their FieldsV1 form (f: a field, k: an item by its keys, v: an item by its value),
which parts of an object are one field, and the difference of two objects in fields. Must never do:
know who owns what. Rules: Kubernetes' structured-merge-diff: the schema's list and map types
decide; a list without a type is one field, an object is as many as it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from apiserver_shim.schemas.definitions import Definitions, Schema

Path = tuple[str, ...]
Fields = frozenset[Path]
MISSING: Any = object()
_KEY_DEFAULTS = {"protocol": "TCP"}
"""Keys that may be left out of an item: the server fills them in."""
_ALWAYS_THERE = frozenset(
    {"spec", "status", "template", "strategy", "updateStrategy", "containers"}
)
"""Structures that every object of a built-in kind has, if only empty: nobody adds them."""


class NotKeyed(ValueError):
    """An item of a list that is a map has no key, or one that another has too."""


@dataclass(slots=True)
class Difference:
    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


class Shapes:
    """How values of a schema fall apart into fields."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def children(self, value: Any, schema: Schema) -> dict[str, tuple[Any, Schema]] | None:
        """Path element -> value and its schema; None for what is one field. Raises NotKeyed."""
        schema = self._definitions.resolved(schema)
        if isinstance(value, dict):
            if not self._is_granular(schema):
                return None
            return {f"f:{name}": (each, self.below(schema, name)) for name, each in value.items()}
        if isinstance(value, list):
            return self._items(value, schema)
        return None

    def is_named(self, schema: Schema, element: str) -> bool:
        """Whether the schema has a field of that name, rather than a map an entry."""
        properties = self._definitions.resolved(schema).get("properties", {})
        return element[:2] == "f:" and element[2:] in properties

    def at(self, schema: Schema, element: str) -> Schema:
        """Of what is at a path element of a value of that schema."""
        schema = self._definitions.resolved(schema)
        if element[:2] == "f:":
            return self.below(schema, element[2:])
        items = schema.get("items")
        return items if isinstance(items, dict) else {}

    def below(self, schema: Schema, name: str) -> Schema:
        found = schema.get("properties", {}).get(name)
        if found is None:
            found = schema.get("additionalProperties")
        return found if isinstance(found, dict) else {}

    def _is_granular(self, schema: Schema) -> bool:
        if schema.get("x-kubernetes-map-type") == "atomic":
            return False
        closed = schema.get("type") == "object" and not (
            schema.get("properties")
            or schema.get("additionalProperties")
            or schema.get("x-kubernetes-preserve-unknown-fields")
        )
        return not closed

    def _items(self, value: list[Any], schema: Schema) -> dict[str, tuple[Any, Schema]] | None:
        items, kind = schema.get("items", {}), schema.get("x-kubernetes-list-type")
        found: dict[str, tuple[Any, Schema]] = {}
        if kind not in ("set", "map"):
            return None
        keys = schema.get("x-kubernetes-list-map-keys", ())
        for index, each in enumerate(value):
            element = _by_keys(each, keys, index) if kind == "map" else f"v:{_json(each)}"
            if element in found:
                raise NotKeyed(f"duplicate entries for key {words_of((element,))}")
            found[element] = (each, items)
        return found


def _by_keys(item: Any, keys: Iterable[str], index: int) -> str:
    values = {}
    for key in sorted(keys):
        value = item.get(key, _KEY_DEFAULTS.get(key)) if isinstance(item, dict) else None
        if value is None:
            raise NotKeyed(
                f"element {index}: associative list with keys has an element that omits key field "
                f'"{key}" (and doesn\'t have default value)'
            )
        values[key] = value
    return f"k:{_json(values)}"


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def fields_of(value: Any, schema: Schema, shapes: Shapes) -> Fields:
    """All fields of what somebody applies. Raises NotKeyed."""
    return frozenset(_fields(value, schema, shapes, ()))


def _fields(value: Any, schema: Schema, shapes: Shapes, path: Path) -> Iterator[Path]:
    children = shapes.children(value, schema)
    if children is None or (not children and path and path[-1][:2] == "f:"):
        if children is None or isinstance(value, dict):
            yield path
        return
    for element, (each, below) in children.items():
        here = (*path, element)
        if element[:2] != "f:" or not shapes.is_named(schema, element):
            yield here
        yield from _fields(each, below, shapes, here)


def difference(
    old: Any, new: Any, schema: Schema, shapes: Shapes, *, built_in: bool = True
) -> Difference:
    """What ``new`` adds to, changes in and takes from ``old``."""
    found = Difference()
    _differ(old, new, schema, shapes, (), found, built_in)
    return found


def _differ(
    old: Any,
    new: Any,
    schema: Schema,
    shapes: Shapes,
    path: Path,
    found: Difference,
    built_in: bool,
) -> None:
    before = {} if old is MISSING else _lenient(old, schema, shapes)
    after = {} if new is MISSING else _lenient(new, schema, shapes)
    if before is None or after is None or not (before or after):
        if old is MISSING:
            found.added.add(path)
        elif new is MISSING:
            found.removed.add(path)
        elif old != new:
            found.modified.add(path)
        return
    for element in before.keys() | after.keys():
        was, below = before.get(element, (MISSING, None))
        now, below_now = after.get(element, (MISSING, None))
        if was is now or (was is not MISSING and now is not MISSING and was == now):
            continue
        known = below_now if below is None else below
        assert known is not None, f"{element} is in neither object"
        _differ(was, now, known, shapes, (*path, element), found, built_in)
    if old is MISSING and not (built_in and path[-1][2:] in _ALWAYS_THERE):
        found.added.add(path)
    elif new is MISSING:
        found.removed.add(path)


def _lenient(value: Any, schema: Schema, shapes: Shapes) -> dict[str, tuple[Any, Schema]] | None:
    """What is stored may break the rules of keys: it is one field then."""
    try:
        return shapes.children(value, schema)
    except NotKeyed:
        return None


# --- FieldsV1 -----------------------------------------------------------------------------------


def encode(fields: Fields) -> dict[str, Any]:
    """As a tree; "." marks a field that has fields below it."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):  # a field comes before what is below it
        node = tree
        for depth, element in enumerate(path):
            below = node.get(element)
            if below is None:
                if not node and depth and path[:depth] in fields:
                    node["."] = {}
                below = node[element] = {}
            node = below
    return tree


def decode(tree: Any) -> Fields:
    """Raises ValueError and TypeError for what is no FieldsV1."""
    return frozenset(_decoded(tree, ()))


def _decoded(tree: Any, path: Path) -> Iterator[Path]:
    if not isinstance(tree, dict):
        raise TypeError(f"{words_of(path)}: a set of fields is an object")
    if path and (not tree or "." in tree):
        yield path
    for element, below in tree.items():
        if element == ".":
            continue
        if element[:2] not in ("f:", "k:", "v:", "i:"):
            raise ValueError(f"{element!r} is no path element")
        yield from _decoded(below, (*path, element))


def words_of(path: Path) -> str:
    """As messages name it: .spec.containers[name="web"].image"""
    words = []
    for element in path:
        kind, value = element[:2], element[2:]
        if kind == "f:":
            words.append(f".{value}")
        elif kind == "k:":
            keys = orjson.loads(value)
            words.append(f"[{','.join(f'{key}={_json(each)}' for key, each in keys.items())}]")
        else:
            words.append(f"[={value}]" if kind == "v:" else f"[{value}]")
    return "".join(words)


def named_parents(fields: Iterable[Path], schema: Schema, shapes: Shapes) -> Fields:
    """The structures that hold these fields, as far as the schema names them: who owns a field of
    an item of a list, or of an entry of a map, does not own that item or entry."""
    found = set[Path]()
    for path in fields:
        below = schema
        for depth, element in enumerate(path[:-1], 1):
            if shapes.is_named(below, element):
                found.add(path[:depth])
            below = shapes.at(below, element)
    return frozenset(found)
