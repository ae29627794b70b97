"""Kinds that are served in more than the version they are stored in: what differs between the two.

Owns: the conversions, as data where names are all that differs. Must never do: know verbs. The
store has one form of an object, as in a real apiserver: core/v1 for events, autoscaling/v2,
policy/v1 and batch/v1. What the older version has no field for it carries in annotations, with
Kubernetes' names for them, so that an update in the older version loses nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from apiserver_shim.resources.resource import Resource

Object = dict[str, Any]
Change = Callable[[Object], None]


@dataclass(frozen=True, slots=True)
class Conversion:
    """``names``: field as served -> field as stored. ``selectors``: the same for field selectors.
    ``inward`` and ``outward`` do the rest, in place: to the stored form and from it."""

    names: Mapping[str, str] = field(default_factory=dict)
    selectors: Mapping[str, str] = field(default_factory=dict)
    inward: Change | None = None
    outward: Change | None = None


def to_stored(obj: Object, served: Resource) -> Object:
    """A copy of ``obj``."""
    conversion = conversion_of(served)
    found = _renamed(obj, conversion.names)
    if conversion.inward is not None:
        conversion.inward(found)
    return found | {"kind": served.kind, "apiVersion": served.stored_as}


def from_stored(obj: Object, served: Resource) -> Object:
    """A copy of ``obj``."""
    conversion = conversion_of(served)
    found = _renamed(obj, {stored: name for name, stored in conversion.names.items()})
    if conversion.outward is not None:
        conversion.outward(found)
    return found | {"kind": served.kind, "apiVersion": served.api_version}


def conversion_of(served: Resource) -> Conversion:
    return _CONVERSIONS.get((served.group, served.version, served.kind), _SAME)


def _renamed(obj: Object, names: Mapping[str, str]) -> Object:
    return {names.get(name, name): copy.deepcopy(value) for name, value in obj.items()}


# --- autoscaling/v1 -----------------------------------------------------------------------------

_ANNOTATED = {
    ("spec", "metrics"): "autoscaling.alpha.kubernetes.io/metrics",
    ("spec", "behavior"): "autoscaling.alpha.kubernetes.io/behavior",
    ("status", "currentMetrics"): "autoscaling.alpha.kubernetes.io/current-metrics",
    ("status", "conditions"): "autoscaling.alpha.kubernetes.io/conditions",
}
_TARGET, _CURRENT = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"


def _autoscaler_outward(obj: Object) -> None:
    """One figure for the processor is a field, the rest is annotations."""
    spec, status = obj.setdefault("spec", {}), obj.get("status", {})
    for part, plural, name, inner in (
        (spec, "metrics", _TARGET, "target"),
        (status, "currentMetrics", _CURRENT, "current"),
    ):
        percent = [each for each in part.get(plural, ()) if _utilization(each, inner) is not None]
        if percent:
            part[name] = _utilization(percent[0], inner)
            part[plural].remove(percent[0])
    annotations = obj["metadata"].get("annotations", {})
    for (where, name), annotation in _ANNOTATED.items():
        if value := obj.get(where, {}).pop(name, None):
            annotations[annotation] = orjson.dumps(value).decode()
    if annotations:
        obj["metadata"]["annotations"] = annotations


def _autoscaler_inward(obj: Object) -> None:
    metadata = obj.setdefault("metadata", {})
    annotations = metadata.get("annotations") or {}
    for (where, name), annotation in _ANNOTATED.items():
        text = annotations.pop(annotation, None)
        if text is not None and obj.get(where) is not None:
            try:
                obj[where][name] = orjson.loads(text)
            except orjson.JSONDecodeError:
                annotations[annotation] = text  # no JSON: somebody's own words, kept as they are
    if not annotations:
        metadata.pop("annotations", None)
    for where, plural, name, inner in (
        ("spec", "metrics", _TARGET, "target"),
        ("status", "currentMetrics", _CURRENT, "current"),
    ):
        percent = (obj.get(where) or {}).pop(name, None)
        if percent is not None:
            obj[where][plural] = [_of_cpu(percent, inner), *obj[where].get(plural, ())]


def _utilization(metric: Object, inner: str) -> int | None:
    resource = metric.get("resource", {})
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    found: int | None = resource.get(inner, {}).get("averageUtilization")
    return found


def _of_cpu(percent: int, inner: str) -> Object:
    told: Object = {"averageUtilization": percent}
    if inner == "target":
        told["type"] = "Utilization"
    return {"type": "Resource", "resource": {"name": "cpu", inner: told}}


# --- the table ----------------------------------------------------------------------------------

_SAME = Conversion()
_CONVERSIONS = {
    ("events.k8s.io", "v1", "Event"): Conversion(
        names={
            "note": "message",
            "regarding": "involvedObject",
            "reportingController": "reportingComponent",
            "deprecatedSource": "source",
            "deprecatedFirstTimestamp": "firstTimestamp",
            "deprecatedLastTimestamp": "lastTimestamp",
            "deprecatedCount": "count",
        },
        selectors={
            **{
                f"regarding.{name}": f"involvedObject.{name}"
                for name in (
                    "kind",
                    "namespace",
                    "name",
                    "uid",
                    "apiVersion",
                    "resourceVersion",
                    "fieldPath",
                )
            },
            "reportingController": "reportingComponent",
        },
    ),
    ("autoscaling", "v1", "HorizontalPodAutoscaler"): Conversion(
        inward=_autoscaler_inward, outward=_autoscaler_outward
    ),
}
