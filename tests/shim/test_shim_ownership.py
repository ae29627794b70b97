"""Who owns what after any sequence of applies and updates, against a small oracle that knows an
object as a dictionary of its places."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver_shim.api.status import ApiError
from apiserver_shim.patches.apply import Applied, apply
from apiserver_shim.patches.field_set import Shapes, words_of
from apiserver_shim.patches.managed_fields import owners_of, track_update
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions

DEFINITIONS = Definitions()
SHAPES = Shapes(DEFINITIONS)
DEPLOYMENTS = Catalogue().find("apps", "v1", "deployments")
assert DEPLOYMENTS is not None, "deployments are served"
SCHEMA = DEFINITIONS.of(DEPLOYMENTS)
assert SCHEMA is not None, "deployments have a schema"

Object = dict[str, Any]
Who = tuple[str, str]
"""A manager, and Apply or Update."""

HEAD = {"kind": "Deployment", "apiVersion": "apps/v1"}
KEYS = {"containers": "name", "env": "name", "finalizers": ""}
"""Lists of many fields, by what names an item; "" is the item itself. Others are one field."""
STRUCTURES = ("metadata", "labels", "spec", "template", *KEYS)
"""What only holds other things. Who owns it makes no difference here."""

# --- the oracle ---------------------------------------------------------------------------------


def facts(obj: Object) -> dict[str, Any]:
    """What is at each place of an object, places being named as messages name fields."""
    found = dict(_facts(obj, "", ""))
    return {place: found[place] for place in found if place not in NOBODYS}


NOBODYS = (".kind", ".apiVersion", ".metadata.name", ".metadata.managedFields")


def _facts(value: Any, place: str, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for field, each in value.items():
            yield from _facts(each, f"{place}.{field}", field)
    elif name not in KEYS:
        yield place, value
    elif key := KEYS[name]:
        for each in value:
            yield f'{place}[{key}="{each[key]}"]', "an item"
            yield from _facts(each, f'{place}[{key}="{each[key]}"]', "")
    else:
        yield from ((f'{place}[="{each}"]', each) for each in value)


def is_in(place: str, wholes: set[str]) -> bool:
    return any(place == whole or place.startswith((f"{whole}.", f"{whole}[")) for whole in wholes)


class Model:
    """The rules of ownership in a few lines."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.owned: dict[Who, set[str]] = {}

    def apply(self, by: str, config: Object, *, force: bool) -> set[tuple[Who, str]]:
        """The conflicts that stand in the way; nothing is done then."""
        me, wanted = (by, "Apply"), facts(config)
        others = {who: places for who, places in self.owned.items() if who != me}
        given_up = self.owned.get(me, set()) - wanted.keys() - set().union(*others.values())
        after = {
            place: value
            for place, value in (self.values | wanted).items()
            if not is_in(place, given_up)
        }
        changed = {place for place in after if self.values.get(place, after) != after[place]}
        conflicts = {(who, place) for who in others for place in others[who] & changed}
        if conflicts and not force:
            return conflicts
        self._settle(after, changed)
        self.owned[me] = set(wanted)
        return set()

    def update(self, by: str, new: Object) -> None:
        """Who changes it owns it, alone."""
        after = facts(new)
        changed = {place for place in after if self.values.get(place, after) != after[place]}
        self._settle(after, changed)
        self.owned.setdefault((by, "Update"), set()).update(changed)

    def _settle(self, after: dict[str, Any], changed: set[str]) -> None:
        for places in self.owned.values():
            places.difference_update(changed)
            places.intersection_update(after)
        self.values = after


# --- what happens -------------------------------------------------------------------------------

VALUES = st.sampled_from("12")
ENV = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("uv")}, optional={"value": VALUES}),
    min_size=1,
    max_size=2,
    unique_by=lambda each: each["name"],
)
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("ab")},
        optional={
            "image": VALUES,
            "args": st.lists(VALUES, min_size=1, max_size=2),
            "env": ENV,
        },
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda each: each["name"],
)
TOLERATIONS = st.lists(st.fixed_dictionaries({"key": VALUES}), min_size=1, max_size=2)
POD_SPECS = st.fixed_dictionaries({"containers": CONTAINERS}) | st.fixed_dictionaries(
    {}, optional={"containers": CONTAINERS, "tolerations": TOLERATIONS}
)
TEMPLATES = st.fixed_dictionaries({"spec": POD_SPECS}) | st.fixed_dictionaries(
    {}, optional={"spec": POD_SPECS}
)
SPECS = st.fixed_dictionaries({"template": TEMPLATES}) | st.fixed_dictionaries(
    {}, optional={"replicas": st.integers(1, 2), "template": TEMPLATES}
)
METADATA = st.fixed_dictionaries(
    {"name": st.just("web")},
    optional={
        "labels": st.dictionaries(st.sampled_from("kl"), VALUES),
        "finalizers": st.lists(st.sampled_from("pq"), min_size=1, unique=True),
    },
)
CONFIGS = st.builds(
    lambda metadata, spec: HEAD | {"metadata": metadata} | ({"spec": spec} if spec else {}),
    METADATA,
    SPECS,
)


def touched(live: Object, field: str, value: str) -> Object:
    """As an editor leaves it: one field of each container set, or each container of a name gone."""
    new = deepcopy(live)
    template = new.get("spec", {}).get("template", {}).get("spec", {})
    if field == "drop":
        left = [each for each in template.get("containers", []) if each["name"] != value]
        if left:
            template["containers"] = left
        return new
    for each in template.get("containers", []):
        each[field] = [value] if field == "args" else value
    return new


APPLIES = st.tuples(st.sampled_from(["one", "two"]), CONFIGS, st.booleans())
UPDATES = st.tuples(st.sampled_from(["ed", "sed"]), CONFIGS)
TOUCHES = st.one_of(
    st.tuples(st.just("ed"), st.sampled_from(["image", "args"]), VALUES),
    st.tuples(st.just("ed"), st.just("drop"), st.sampled_from("ab")),
)
STEPS = st.lists(APPLIES | APPLIES | APPLIES | TOUCHES | TOUCHES | UPDATES, min_size=3, max_size=7)


def applied(live: Object | None, config: Object, by: str, *, force: bool, now: str) -> Object:
    assert DEPLOYMENTS is not None, "checked above"
    assert SCHEMA is not None, "checked above"
    return apply(live, Applied(config, by, force, "", now), DEPLOYMENTS, SCHEMA, SHAPES)


def updated(old: Object | None, new: Object, by: str) -> Object:
    assert DEPLOYMENTS is not None, "checked above"
    assert SCHEMA is not None, "checked above"
    track_update(
        old, new, SCHEMA, SHAPES, resource=DEPLOYMENTS, subresource="", manager=by, now="t"
    )
    return new


def owned(obj: Object) -> dict[Who, set[str]]:
    """By whom each place is owned, structures aside."""
    found = {}
    for owner, entry in owners_of(obj).items():
        words = {words_of(path) for path in entry.fields}
        kept = {each for each in words if each.rpartition(".")[2] not in STRUCTURES}
        if kept:
            found[owner.manager, owner.operation] = kept
    return found


def conflicts_of(error: ApiError) -> set[tuple[Who, str]]:
    """As its causes tell them."""
    assert (error.code, error.reason) == (409, "Conflict"), error
    found = set()
    for cause in error.causes:
        assert cause.reason == "FieldManagerConflict"
        _, manager, version = cause.message.split('"')
        found.add(((manager, "Update" if version == " using apps/v1" else "Apply"), cause.field))
    return found


@settings(max_examples=300)
@given(STEPS)
def test_ownership_is_what_the_model_says(steps: list[tuple[Any, ...]]) -> None:
    """Values, owners and conflicts after each step; an apply done again changes nothing."""
    model, live = Model(), None
    for step in steps:
        if isinstance(step[1], str) or len(step) == 2:
            new = deepcopy(step[1]) if len(step) == 2 else touched(live or HEAD_ONLY, *step[1:])
            model.update(step[0], new)
            live = updated(live, new, step[0])
        else:
            live = after_apply(model, live, *step)
        if live is None:
            continue
        assert facts(live) == model.values
        assert owned(live) == {who: places for who, places in model.owned.items() if places}


HEAD_ONLY: Object = HEAD | {"metadata": {"name": "web"}}


def after_apply(
    model: Model, live: Object | None, by: str, config: Object, force: bool
) -> Object | None:
    before = deepcopy((live, config))
    fought = model.apply(by, config, force=force)
    if fought:
        with pytest.raises(ApiError) as refused:
            applied(live, config, by, force=force, now="t1")
        assert conflicts_of(refused.value) == fought
        return live
    found = applied(live, config, by, force=force, now="t1")
    assert (live, config) == before, "what it is given stays as it was"
    assert applied(found, config, by, force=force, now="t2") == found
    return found
