"""Kubernetes' own schemas, from the package that ships them.

Owns: the definitions as OpenAPI v2 has them, and the look-up by kind. Must never do: write a schema
of its own for a built-in kind. Source: kubernetes-validate, made from Kubernetes' swagger.json. Its
files are JSON Schema; here they become what they were made from (``null`` beside each type
means "may be left out", int-or-string has a format, references lead to #/definitions).
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson

from apiserver_shim.resources.resource import Resource

VERSION = "1.37.0"
_FILE = f"kubernetes-json-schema/v{VERSION}-local/_definitions.json"
_REF_FROM, REF = "#/$defs/", "#/definitions/"
_SPECIAL: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "type": "string",
        "format": "int-or-string",
    },
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
}
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
GVK = "x-kubernetes-group-version-kind"

Schema = dict[str, Any]

_OLDER = {
    # Served for kubectl 1.20, and no longer published: the fields are those of v1.
    "io.k8s.api.batch.v1beta1.CronJob": ("batch", "v1beta1", "io.k8s.api.batch.v1.CronJob"),
    "io.k8s.api.policy.v1beta1.PodDisruptionBudget": (
        "policy",
        "v1beta1",
        "io.k8s.api.policy.v1.PodDisruptionBudget",
    ),
}


class Definitions:
    """``all``: definition name -> schema. Shared: nobody changes them."""

    def __init__(self) -> None:
        raw = orjson.loads((files("kubernetes_validate") / _FILE).read_bytes())["$defs"]
        self.all: dict[str, Schema] = {name: _swagger(schema) for name, schema in raw.items()}
        for name, special in _SPECIAL.items():
            self.all[name] = {"description": self.all[name].get("description", ""), **special}
        for name, (group, version, newer) in _OLDER.items():
            gvk = {"group": group, "version": version, "kind": name.rpartition(".")[2]}
            self.all[name] = {**self.all[newer], GVK: [gvk]}
        self._of_kind: dict[tuple[str, str, str], str] = {}
        for name, schema in self.all.items():
            for gvk in schema.get(GVK, ()):
                self._of_kind.setdefault((gvk["group"], gvk["version"], gvk["kind"]), name)
        self._custom: dict[tuple[str, str, str], Schema] = {}

    def name_of(self, resource: Resource) -> str:
        """Of its definition; empty for a custom kind."""
        return self._of_kind.get((resource.group, resource.version, resource.kind), "")

    def of(self, resource: Resource) -> Schema | None:
        """The kind's schema; None for a custom kind without one."""
        key = (resource.group, resource.version, resource.kind)
        name = self._of_kind.get(key)
        return self._custom.get(key) if name is None else self.all[name]

    def set_custom(self, resource: Resource, schema: Schema | None) -> None:
        key = (resource.group, resource.version, resource.kind)
        if schema is None:
            self._custom.pop(key, None)
        else:
            self._custom[key] = schema

    def resolved(self, schema: Schema) -> Schema:
        """What ``schema`` refers to, with the extensions of the place that refers."""
        ref = schema.get("$ref")
        if ref is None:
            return schema
        target = self.all[ref[len(REF) :]]
        here = {k: v for k, v in schema.items() if k.startswith("x-kubernetes-")}
        return {**target, **here} if here else target


def _swagger(node: Any) -> Any:
    if isinstance(node, list):
        return [_swagger(each) for each in node]
    if not isinstance(node, dict):
        return node
    found: Schema = {}
    for key, value in node.items():
        if key == "type" and isinstance(value, list):
            found[key] = next(each for each in value if each != "null")
        elif key == "$ref" and isinstance(value, str):
            found[key] = REF + value[len(_REF_FROM) :]
        else:
            found[key] = _swagger(value)
    return found
