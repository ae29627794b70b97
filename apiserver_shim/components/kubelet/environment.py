"""A container's environment variables.

Owns: env, envFrom, the downward API's fields, and $(NAME) in values, commands and arguments. Must
never do: start a container whose configuration is not there.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping

from apiserver_shim.components.api_client import ApiClient, Kind, Object

CONFIG_MAPS = Kind("", "v1", "configmaps")
SECRETS = Kind("", "v1", "secrets")

INHERITED = ("PATH", "LANG", "PYTHONPATH")
"""Of the kubelet's own environment, where an image would bring them."""

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_KEYED = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")
_FIELDS = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "metadata.uid": ("metadata", "uid"),
    "spec.nodeName": ("spec", "nodeName"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
    "status.hostIP": ("status", "hostIP"),
    "status.hostIPs": ("status", "hostIP"),
    "status.podIP": ("status", "podIP"),
    "status.podIPs": ("status", "podIP"),
}


class ConfigurationError(Exception):
    """CreateContainerConfigError: tried again later, for it may be put right."""


async def environment_of(client: ApiClient, pod: Object, container: Object) -> dict[str, str]:
    """``pod`` has the status that it is going to have. Raises ConfigurationError."""
    found = {name: os.environ[name] for name in INHERITED if name in os.environ}
    found["HOSTNAME"] = pod["spec"].get("hostname") or pod["metadata"]["name"]
    found["POD_IP"] = pod["status"]["podIP"]
    for source in container.get("envFrom") or ():
        found |= await _all_of(client, pod, source)
    for each in container.get("env") or ():
        if "valueFrom" in each:
            value = await _value_from(client, pod, each["valueFrom"])
            if value is not None:
                found[each["name"]] = value
        else:
            found[each["name"]] = expanded(each.get("value", ""), found)
    return found


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """$(NAME) is the variable's value and stays as it is where there is none; $$ is one $."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        return "$" if name is None else environment.get(name, found.group(0))

    return _REFERENCE.sub(value, text)


async def _all_of(client: ApiClient, pod: Object, source: Object) -> dict[str, str]:
    secret = "secretRef" in source
    reference = source.get("secretRef") or source.get("configMapRef") or {}
    data = await data_of(client, pod, reference["name"], secret, bool(reference.get("optional")))
    prefix = source.get("prefix", "")
    return {prefix + key: value.decode(errors="replace") for key, value in (data or {}).items()}


async def _value_from(client: ApiClient, pod: Object, source: Object) -> str | None:
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"]["fieldPath"])
    secret = "secretKeyRef" in source
    reference = source.get("secretKeyRef") or source.get("configMapKeyRef")
    if reference is None:
        raise ConfigurationError(f"valueFrom: {', '.join(source)} is not supported here")
    optional = bool(reference.get("optional"))
    data = await data_of(client, pod, reference["name"], secret, optional)
    if data is None or reference["key"] not in data:
        if optional:
            return None
        kind = "Secret" if secret else "ConfigMap"
        namespace = pod["metadata"]["namespace"]
        raise ConfigurationError(
            f"couldn't find key {reference['key']} in {kind} {namespace}/{reference['name']}"
        )
    return data[reference["key"]].decode(errors="replace")


def field_of(pod: Object, path: str) -> str:
    """Raises ConfigurationError for what the downward API does not have."""
    if found := _KEYED.match(path):
        return str((pod["metadata"].get(found.group(1)) or {}).get(found.group(2), ""))
    if path not in _FIELDS:
        raise ConfigurationError(f'fieldRef: unsupported fieldPath: "{path}"')
    part, name = _FIELDS[path]
    return str(pod[part].get(name, ""))


async def data_of(
    client: ApiClient, pod: Object, name: str, secret: bool, optional: bool
) -> dict[str, bytes] | None:
    """What a Secret or ConfigMap holds; None when there is none and there need not be."""
    namespace = pod["metadata"]["namespace"]
    found = await client.get(SECRETS if secret else CONFIG_MAPS, namespace, name)
    if found is None:
        if optional:
            return None
        raise ConfigurationError(f'{"secret" if secret else "configmap"} "{name}" not found')
    plain = found.get("data") or {}
    if secret:
        return {key: base64.b64decode(value) for key, value in plain.items()}
    binary = found.get("binaryData") or {}
    return {key: value.encode() for key, value in plain.items()} | {
        key: base64.b64decode(value) for key, value in binary.items()
    }
