"""Which ReplicaSet is a Deployment's newest, and how revisions are told in annotations.

Owns: comparing templates, their hash, revision numbers and the annotations that go from a
Deployment to its ReplicaSets. Must never do: write.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Sequence

import orjson

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.controllers.deployments.rolling import Limits
from apiserver_shim.components.ownership import reference_to

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
)
_EMPTY_IS_ABSENT = {
    *("affinity", "annotations", "labels", "limits", "metadata"),
    *("nodeSelector", "requests", "resources", "securityContext"),
}
"""Elsewhere an empty object says something: ``emptyDir: {}``, ``namespaceSelector: {}``."""
HASH_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"
HISTORY_CHARACTERS_MAX = 2000


def safe_hash(content: object) -> str:
    """Ten characters that are never a word; the same for equal content."""
    number = int.from_bytes(hashlib.sha256(_canonical(content)).digest()[:8])
    text = ""
    for _ in range(10):
        number, digit = divmod(number, len(HASH_CHARACTERS))
        text += HASH_CHARACTERS[digit]
    return text


def template_hash(template: Object, collisions: int) -> str:
    return safe_hash([plain(template), collisions])


def _canonical(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def same_template(one: Object, other: Object) -> bool:
    return plain(one) == plain(other)


def plain(template: Object) -> Object:
    """Without the hash, and without what says nothing: a client that reads a template and writes
    it back, as `kubectl rollout undo` does, adds ``creationTimestamp: null`` and
    ``resources: {}``."""
    found = _said(template)
    metadata = found.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    metadata = {key: value for key, value in metadata.items() if key != "labels"}
    found["metadata"] = {**metadata, "labels": labels} if labels else metadata
    return found


def _said(found: Object) -> Object:
    said: Object = {}
    for key, value in found.items():
        if isinstance(value, dict):
            value = _said(value)
        elif isinstance(value, list):
            value = [_said(each) if isinstance(each, dict) else each for each in value]
        empty = value is None or value == [] or (value == {} and key in _EMPTY_IS_ABSENT)
        if not empty:
            said[key] = value
    return said


def newest_of(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The set with the Deployment's template; the oldest, if there are several."""
    template = deployment["spec"]["template"]
    for each in sorted(sets, key=age_key):
        if same_template(each["spec"]["template"], template):
            return each
    return None


def age_key(obj: Object) -> tuple[str, str]:
    return str(obj["metadata"].get("creationTimestamp", "")), obj["metadata"]["name"]


def annotations_of(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


def number_in(obj: Object, annotation: str) -> int:
    text = annotations_of(obj).get(annotation, "0")
    return int(text) if text.isdigit() else 0


def next_revision(old: Sequence[Object]) -> int:
    return max((number_in(each, REVISION) for each in old), default=0) + 1


def set_annotations(deployment: Object, before: Object | None, revision: int) -> dict[str, str]:
    """Of the newest set: the Deployment's, and its revision; a set that comes back remembers
    which revisions it was."""
    found = annotations_of(before) if before is not None else {}
    for key, value in annotations_of(deployment).items():
        if key not in _NOT_COPIED:
            found[key] = value
    earlier = found.get(REVISION, "")
    number = int(earlier) if earlier.isdigit() else 0
    if number < revision:
        found[REVISION] = str(revision)
        if number:
            history = [*filter(None, found.get(REVISION_HISTORY, "").split(",")), earlier]
            while len(",".join(history)) > HISTORY_CHARACTERS_MAX:
                history.pop(0)
            found[REVISION_HISTORY] = ",".join(history)
    return found


def size_annotations(wanted: int, most: Limits) -> dict[str, str]:
    return {DESIRED: str(wanted), MAX: str(wanted + most.surge)}


def new_set(deployment: Object, hashed: str, replicas: int, annotations: dict[str, str]) -> Object:
    """The ReplicaSet of a Deployment's template."""
    spec, metadata = deployment["spec"], deployment["metadata"]
    template = copy.deepcopy(spec["template"])
    template_metadata = template.setdefault("metadata", {})
    labels = {**(template_metadata.get("labels") or {}), HASH_LABEL: hashed}
    template_metadata["labels"] = labels
    selector = copy.deepcopy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}
    made: Object = {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": f"{metadata['name']}-{hashed}",
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "annotations": annotations,
            "ownerReferences": [reference_to(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return made
