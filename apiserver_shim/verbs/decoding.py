"""A request's body to an object, checked against its kind and schema.

Owns: decoding, the envelope's checks and fieldValidation. Must never do: change what the client
meant other than by pruning what the kind does not know.
"""

from __future__ import annotations

from typing import Any

import orjson
import yaml

from apiserver_shim.api.request import ApiRequest
from apiserver_shim.api.status import Cause, bad_request, invalid, too_large, unsupported_media_type
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource
from apiserver_shim.schemas.defaults import fill_defaults
from apiserver_shim.schemas.protobuf import MEDIA_TYPE as PROTOBUF
from apiserver_shim.schemas.protobuf import Malformed, decode_object
from apiserver_shim.schemas.validation import prune, violations

BODY_BYTES_MAX = 3 * 1024 * 1024
NESTING_MAX = 200
JSON, YAML = "application/json", "application/yaml"


def decode(request: ApiRequest) -> dict[str, Any]:
    """The body as an object. Raises 415, 413 and 400."""
    media_type = request.headers.get("content-type", JSON).partition(";")[0].strip()
    if len(request.body) > BODY_BYTES_MAX:
        raise too_large(BODY_BYTES_MAX)
    if media_type == PROTOBUF:
        return _from_protobuf(request.body)
    if media_type not in (JSON, YAML, ""):
        raise unsupported_media_type(f"{JSON}, {YAML}, {PROTOBUF}")
    found = parsed(request.body, "the object provided is unrecognized", is_yaml=media_type == YAML)
    if not isinstance(found, dict):
        raise bad_request("the object provided is unrecognized: it is no JSON object")
    return found


def _from_protobuf(body: bytes) -> dict[str, Any]:
    try:
        return decode_object(body)
    except Malformed as e:
        raise bad_request(f"the object provided is unrecognized: {e}") from None


def parsed(body: bytes, complaint: str, *, is_yaml: bool = False) -> Any:
    """JSON, or YAML, of a body. Raises 400 with ``complaint`` before what is wrong."""
    try:
        found = yaml.load(body, _JsonLikeLoader) if is_yaml else orjson.loads(body)
    except (orjson.JSONDecodeError, yaml.YAMLError, RecursionError, ValueError) as e:
        raise bad_request(f"{complaint}: {e}") from None
    if is_yaml or body.count(b"{") + body.count(b"[") > NESTING_MAX:
        check_nesting(found)
    return found


class _JsonLikeLoader(yaml.SafeLoader):
    """YAML that says what JSON can say: no timestamps, no aliases, which can grow without bound."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        return super().compose_node(parent, index)


_JsonLikeLoader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def check_nesting(found: Any) -> None:
    """Raises 400 for what is deeper than those who walk through it can go."""
    level, depth = [found], 0
    while level:
        depth += 1
        if depth > NESTING_MAX:
            raise bad_request(f"the body is nested deeper than {NESTING_MAX}")
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                if not all(isinstance(name, str) for name in node):
                    raise bad_request("the body has a name that is no string")
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        level = below


def check_kind(obj: dict[str, Any], resource: Resource) -> None:
    """What the body says it is must be what the path says; the path fills in what it leaves out."""
    for name, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        if obj.setdefault(name, wanted) != wanted:
            raise bad_request(
                f"the {name} in the data ({obj[name]}) does not match the expected one ({wanted})"
            )


def check_schema(
    parts: Parts, request: ApiRequest, resource: Resource, obj: dict[str, Any]
) -> list[str]:
    """Prune and check ``obj``; the warnings to answer with. Raises 400 and 422."""
    schema = parts.definitions.of(resource)
    if schema is None:
        return []
    unknown = [f'unknown field "{path}"' for path in prune(obj, schema, parts.definitions)]
    mode = request.query.get("fieldValidation") or "Warn"
    if unknown and mode == "Strict":
        raise bad_request(f"strict decoding error: {', '.join(unknown)}")
    if resource.is_custom:
        fill_defaults(obj, schema, parts.definitions)
    found = violations(obj, schema, parts.definitions)
    if not resource.is_custom:  # whose lists may repeat keys: two names of one port, say
        found = [each for each in found if each.reason != "FieldValueDuplicate"]
    if found:
        _check_encoding(resource, found)
        name = str(obj.get("metadata", {}).get("name", ""))
        raise invalid(resource, name, found)
    return unknown if mode == "Warn" else []


def _check_encoding(resource: Resource, found: list[Cause]) -> None:
    """Bytes of a built-in kind that are no base64 cannot even be read."""
    for cause in found:
        if not resource.is_custom and "must be of type byte" in cause.message:
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a '
                f"{resource.kind}: illegal base64 data in {cause.field}"
            )
