"""delete and deletecollection.

Owns: preconditions, finalizers, propagation and grace. Must never do: remove what a finalizer
holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from apiserver_shim.api.admission import Write
from apiserver_shim.api.answer import ListAnswer, ObjectAnswer
from apiserver_shim.api.metadata import timestamp
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import bad_request, conflict, modified, not_found
from apiserver_shim.api.stored import StoredObject, encoded
from apiserver_shim.custom.resources import CLEANUP
from apiserver_shim.parts import Parts
from apiserver_shim.verbs.decoding import decode
from apiserver_shim.verbs.reading import list_objects
from apiserver_shim.verbs.writing import UPDATE_TRIES_MAX, is_dry_run

POD_GRACE_S = 30
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_POLICIES = {"Orphan": ORPHAN, "Foreground": FOREGROUND, "Background": ""}


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    grace_s: int | None
    policy: str
    uid: str
    revision: str
    dry_run: bool


def delete_options(request: ApiRequest) -> DeleteOptions:
    """From the body, or from the query where it is silent."""
    body: dict[str, Any] = decode(request) if request.body.strip() else {}
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    policy = body.get("propagationPolicy") or request.query.get("propagationPolicy", "")
    orphan = body.get("orphanDependents", request.query.get("orphanDependents"))
    if policy not in ("", *_POLICIES):
        raise bad_request(
            f'propagationPolicy: Unsupported value: "{policy}": supported values: "Foreground", '
            '"Background", "Orphan"'
        )
    if orphan is not None and not policy:
        policy = "Orphan" if str(orphan).lower() == "true" else "Background"
    try:
        grace_s = None if grace is None else int(grace)
    except (TypeError, ValueError):
        raise bad_request(f"gracePeriodSeconds: {grace!r} is no number") from None
    dry_run = body.get("dryRun") or []
    if dry_run not in ([], ["All"]):
        raise bad_request(f'dryRun: Unsupported value: {dry_run}: supported values: "All"')
    return DeleteOptions(
        grace_s,
        policy,
        preconditions.get("uid", ""),
        preconditions.get("resourceVersion", ""),
        bool(dry_run) or is_dry_run(request),
    )


async def delete(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """The object as it went, or as it waits for its finalizers."""
    stored, gone = await delete_object(parts, request, target, delete_options(request))
    if gone and target.resource.kind not in ("Pod", "Namespace"):
        metadata = stored.object["metadata"]
        details = {
            "name": target.name,
            "group": target.resource.group,
            "kind": target.resource.plural,
            "uid": metadata.get("uid", ""),
        }
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }
        return ObjectAnswer(200, status)
    return ObjectAnswer(200, stored, target.resource)


async def delete_collection(parts: Parts, request: ApiRequest, target: Target) -> ListAnswer:
    """Each of them as it went, one after another."""
    options = delete_options(request)
    found = await list_objects(parts, request, target)
    went: list[StoredObject] = []
    for stored in found.items:
        namespace = stored.object["metadata"].get("namespace", "")
        one = Target(target.resource, "delete", namespace, stored.name)
        try:
            went.append((await delete_object(parts, request, one, options))[0])
        except LookupError:
            continue  # somebody else was faster
    return ListAnswer(target.resource, found.revision, went)


async def delete_object(
    parts: Parts, request: ApiRequest, target: Target, options: DeleteOptions
) -> tuple[StoredObject, bool]:
    """Its last state, and whether it is gone. Raises 404 and 409."""
    key = target.resource.key(target.namespace, target.name)
    current = await parts.registry.get(key)
    for _ in range(UPDATE_TRIES_MAX):
        if current is None:
            raise not_found(target.resource, target.name)
        _check_preconditions(target, current, options)
        new = current.copy()
        _mark(parts, target, new, options)
        await parts.admission.admit(
            Write(target, None, current.copy(), request.user, is_dry_run(request))
        )
        waits = _waits(new)
        if options.dry_run:
            return StoredObject(key, encoded(new), current.revision), not waits
        if waits and encoded(new) == encoded(current.copy()):
            return current, False
        if waits:
            written = await parts.registry.write(key, encoded(new), current.revision)
        else:
            written = await parts.registry.delete(key, current.revision)
        if written.done:
            now = written.now or StoredObject(key, encoded(current.copy()), written.revision)
            return now, not waits
        current = written.now
    raise modified(target.resource, target.name)


def _check_preconditions(target: Target, current: StoredObject, options: DeleteOptions) -> None:
    metadata = current.object["metadata"]
    for what, wanted, found in (
        ("UID", options.uid, metadata.get("uid", "")),
        ("ResourceVersion", options.revision, metadata["resourceVersion"]),
    ):
        if wanted and wanted != found:
            raise conflict(
                target.resource,
                target.name,
                f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: "
                f"{found}",
            )


def _mark(parts: Parts, target: Target, obj: dict[str, Any], options: DeleteOptions) -> None:
    """Set what says that the object is to go, and who has to agree first."""
    metadata = obj["metadata"]
    if options.policy:
        kept = [each for each in metadata.get("finalizers", ()) if each not in (ORPHAN, FOREGROUND)]
        wanted = _POLICIES[options.policy]
        finalizers = kept + ([wanted] if wanted else [])
        metadata.pop("finalizers", None)
        if finalizers:
            metadata["finalizers"] = finalizers
    if target.resource.kind == "CustomResourceDefinition" and "deletionTimestamp" not in metadata:
        metadata["finalizers"] = [*metadata.get("finalizers", ()), CLEANUP]
    grace_s = _grace_s(target, obj, options)
    before = metadata.get("deletionGracePeriodSeconds")
    if "deletionTimestamp" not in metadata or (before is not None and grace_s < before):
        metadata["deletionTimestamp"] = timestamp(parts.now() + timedelta(seconds=grace_s))
        metadata["deletionGracePeriodSeconds"] = grace_s
    if target.resource.kind == "Namespace":
        obj.setdefault("status", {})["phase"] = "Terminating"


def _grace_s(target: Target, obj: dict[str, Any], options: DeleteOptions) -> int:
    """Only pods take their time, and only those that some kubelet runs."""
    if target.resource.kind != "Pod" or not obj.get("spec", {}).get("nodeName"):
        return 0
    if obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_s is not None:
        return max(options.grace_s, 0)
    return int(obj["spec"].get("terminationGracePeriodSeconds", POD_GRACE_S))


def _waits(obj: dict[str, Any]) -> bool:
    metadata = obj["metadata"]
    return bool(
        metadata.get("finalizers")
        or metadata.get("deletionGracePeriodSeconds")
        or (obj.get("kind") == "Namespace" and obj.get("spec", {}).get("finalizers"))
    )
