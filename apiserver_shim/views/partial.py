"""PartialObjectMetadata: objects without spec and status, for who needs only their names.

Owns: that form. Must never do: leave out metadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver_shim.api.stored import StoredObject


def content_of(obj: StoredObject | dict[str, Any]) -> dict[str, Any]:
    return obj.object if isinstance(obj, StoredObject) else obj


def partial(obj: StoredObject | dict[str, Any], version: str) -> dict[str, Any]:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": content_of(obj)["metadata"],
    }


def partial_list(objects: Iterable[StoredObject | dict[str, Any]], version: str) -> dict[str, Any]:
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "items": [partial(each, version) for each in objects],
    }
