"""ConfigMaps, Secrets, Namespaces, volumes and their claims, LimitRanges.

Owns: their defaults and their rules. Must never do: look at other objects. Values and words:
core/v1's own.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.status import Cause
from apiserver_shim.kinds.causes import at, forbidden, immutable, required, wrong
from apiserver_shim.kinds.places import fill
from apiserver_shim.kinds.quantity import WORDS, parse

Object = dict[str, Any]
DATA_BYTES_MAX = 1024 * 1024
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_KEY = re.compile(r"^[-._a-zA-Z0-9]+\Z")
_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', "
    " or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_SECRET_NEEDS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def default_secret(obj: Object, old: Object | None) -> None:
    """stringData is written only, never read."""
    fill(obj, {"type": "Opaque"})
    plain = obj.pop("stringData", None)
    if isinstance(plain, dict) and plain:
        data = obj.setdefault("data", {})
        for name, value in plain.items():
            data[name] = base64.b64encode(str(value).encode()).decode()


def default_namespace(obj: Object, old: Object | None) -> None:
    metadata = obj["metadata"]
    metadata.setdefault("labels", {})[NAMESPACE_LABEL] = metadata["name"]
    if old is None:
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}


def default_volume(obj: Object, old: Object | None) -> None:
    if isinstance(obj.get("spec"), dict):
        fill(obj, {"spec.persistentVolumeReclaimPolicy": "Retain", "spec.volumeMode": "Filesystem"})
    if old is None:
        obj["status"] = {"phase": "Pending"}


def default_claim(obj: Object, old: Object | None) -> None:
    if isinstance(obj.get("spec"), dict):
        fill(obj, {"spec.volumeMode": "Filesystem"})
    if old is None:
        obj["status"] = {"phase": "Pending"}


def default_limit_range(obj: Object, old: Object | None) -> None:
    """A default where only a bound is given, for containers."""
    for each in at(obj, "spec.limits", ()):
        if each.get("type") != "Container":
            continue
        for target, source in (
            ("default", "max"),
            ("defaultRequest", "default"),
            ("defaultRequest", "min"),
        ):
            for name, value in (each.get(source) or {}).items():
                each.setdefault(target, {}).setdefault(name, value)


# --- rules --------------------------------------------------------------------------------------


def config_map_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    total = 0
    for name in ("data", "binaryData"):
        for key, value in (new.get(name) or {}).items():
            total += len(str(value))
            if not _KEY.match(key) or len(key) > 253:
                yield wrong(f"{name}[{key}]", key, _KEY_WORDS)
    for key in set(new.get("data") or {}) & set(new.get("binaryData") or {}):
        yield wrong(f"data[{key}]", key, "duplicate of key present in binaryData")
    yield from _bound(total, "")
    yield from _kept(new, old, ("data", "binaryData"))


def secret_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    total, data = 0, new.get("data") or {}
    for key, value in data.items():
        if not _KEY.match(key) or len(key) > 253:
            yield wrong(f"data[{key}]", key, _KEY_WORDS)
        total += len(value) * 3 // 4
    yield from _bound(total, "data")
    for key in _SECRET_NEEDS.get(new.get("type", ""), ()):
        if key not in data:
            yield required(f"data[{key}]")
    if new.get("type") == "kubernetes.io/service-account-token" and not at(
        new, "metadata.annotations", {}
    ).get("kubernetes.io/service-account.name"):
        yield required("metadata.annotations[kubernetes.io/service-account.name]")
    if old is not None:
        yield from immutable("type", new, old)
    yield from _kept(new, old, ("data",))


def _bound(total: int, field: str) -> Iterator[Cause]:
    if total > DATA_BYTES_MAX:
        told = f"Too long: may not be more than {DATA_BYTES_MAX} bytes"
        yield Cause("FieldValueTooLong", told, field)


def _kept(new: Object, old: Object | None, names: tuple[str, ...]) -> Iterator[Cause]:
    """What is immutable stays so, and stays."""
    if old is None or not old.get("immutable"):
        return
    words = "field is immutable when `immutable` is set"
    if not new.get("immutable"):
        yield forbidden("immutable", words)
    for name in names:
        if new.get(name) != old.get(name):
            yield forbidden(name, words)


def claim_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    storage = at(spec, "resources.requests", {}).get("storage")
    if storage is None:
        yield required("spec.resources[storage]")
    else:
        yield from _positive(storage, "spec.resources[storage]")
    if old is None:
        return
    free = ("resources", "volumeName", "volumeAttributesClassName")
    before = old.get("spec") or {}
    if {k: v for k, v in spec.items() if k not in free} != {
        k: v for k, v in before.items() if k not in free
    } or (before.get("volumeName") and spec.get("volumeName") != before["volumeName"]):
        yield forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims",
        )


def volume_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    storage = (spec.get("capacity") or {}).get("storage")
    if storage is None:
        yield required("spec.capacity")
    else:
        yield from _positive(storage, "spec.capacity[storage]")
    if not spec.get("accessModes"):
        yield required("spec.accessModes")


def _positive(text: Any, field: str) -> Iterator[Cause]:
    try:
        value = parse(text)
    except ValueError:
        yield wrong(field, text, WORDS)
        return
    if value <= 0:
        yield wrong(field, str(text), "must be greater than zero")


def quota_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    for name, text in at(new, "spec.hard", {}).items():
        try:
            value = parse(text)
        except ValueError:
            yield wrong(f"spec.hard[{name}]", text, WORDS)
            continue
        if value < 0:
            words = "must be greater than or equal to 0"
            yield wrong(f"spec.hard[{name}]", str(text), words)


def limit_range_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    for index, limit in enumerate(at(new, "spec.limits", ())):
        for kind in ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio"):
            for name, text in (limit.get(kind) or {}).items():
                try:
                    parse(text)
                except ValueError:
                    yield wrong(f"spec.limits[{index}].{kind}[{name}]", text, WORDS)
