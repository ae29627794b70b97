"""The rules of labels, annotations, finalizers and owners, which every kind shares.

Owns: what metadata may hold. Must never do: check names; ``api.metadata`` does, which makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.label_syntax import key_complaint, value_complaint
from apiserver_shim.api.status import Cause
from apiserver_shim.kinds.causes import forbidden, wrong

Object = dict[str, Any]
ANNOTATION_BYTES_MAX = 256 * 1024


def metadata_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    metadata = new["metadata"]
    before = old["metadata"] if old is not None else {}
    for key, value in (metadata.get("labels") or {}).items():
        if complaint := key_complaint(key):
            yield wrong("metadata.labels", key, complaint)
        if complaint := value_complaint(value):
            yield wrong("metadata.labels", value, complaint)
    total = 0
    for key, value in (metadata.get("annotations") or {}).items():
        total += len(key) + len(value.encode())
        if complaint := key_complaint(key.lower()):
            yield wrong("metadata.annotations", key, complaint)
    if total > ANNOTATION_BYTES_MAX:
        told = f"Too long: may not be more than {ANNOTATION_BYTES_MAX} bytes"
        yield Cause("FieldValueTooLong", told, "metadata.annotations")
    yield from _finalizer_violations(metadata, before)
    yield from _owner_violations(metadata.get("ownerReferences") or ())


def _finalizer_violations(metadata: Object, before: Object) -> Iterator[Cause]:
    finalizers = metadata.get("finalizers") or []
    for index, each in enumerate(finalizers):
        if complaint := key_complaint(each):
            yield wrong(f"metadata.finalizers[{index}]", each, complaint)
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        words = "finalizer orphan and foregroundDeletion cannot be both set"
        yield wrong("metadata.finalizers", finalizers, words)
    if "deletionTimestamp" in before:
        added = sorted(set(finalizers) - set(before.get("finalizers") or ()))
        if added:
            told = ", ".join(f'"{each}"' for each in added)
            words = "no new finalizers can be added if the object is being deleted, found new "
            yield forbidden("metadata.finalizers", f"{words}finalizers []string{{{told}}}")


def _owner_violations(owners: Any) -> Iterator[Cause]:
    controllers = []
    for index, each in enumerate(owners):
        for name in ("apiVersion", "kind", "name", "uid"):
            if not each.get(name):
                words = {
                    "apiVersion": "version must not be empty",
                    "kind": "must not be empty",
                    "name": "must not be empty",
                    "uid": "must not be empty",
                }[name]
                yield wrong(f"metadata.ownerReferences[{index}].{name}", "", words)
        if each.get("controller"):
            controllers.append(each)
    if len(controllers) > 1:
        names = [f"{each.get('kind')}/{each.get('name')}" for each in controllers]
        words = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{names[0]} and {names[1]}"
        )
        yield wrong("metadata.ownerReferences", names, words)
