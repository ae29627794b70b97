"""ControllerRevisions: the templates that a DaemonSet or StatefulSet has had.

Owns: finding, making, renumbering and cutting them, for `kubectl rollout history` and undo. Must
never do: change one's data: it is a record.
"""

from __future__ import annotations

from collections.abc import Iterable

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.controllers.deployments.revisions import plain, safe_hash
from apiserver_shim.components.controllers.surroundings import Controller
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.kinds import CONTROLLER_REVISIONS
from apiserver_shim.components.ownership import controller_of, is_controlled_by, reference_to

HASH_LABEL = "controller-revision-hash"
HISTORY_LIMIT = 10


class RevisionHistory:
    def __init__(self, controller: Controller, revisions: Informer) -> None:
        self._controller = controller
        self._revisions = revisions

    def of(self, owner: Object) -> list[Object]:
        """The oldest first."""
        found = [
            each
            for each in self._revisions.of(owner["metadata"]["namespace"])
            if is_controlled_by(each, owner)
        ]
        return sorted(found, key=lambda each: int(each.get("revision", 0)))

    async def current(self, owner: Object) -> Object:
        """That of the owner's template, with the highest number; made where there is none."""
        data = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
        hashed = safe_hash(plain(owner["spec"]["template"]))
        known = self.of(owner)
        last = int(known[-1]["revision"]) if known else 0
        client = self._controller.client
        for each in known:
            if each["metadata"].get("labels", {}).get(HASH_LABEL) == hashed:
                if int(each["revision"]) < last:
                    each = await client.update(CONTROLLER_REVISIONS, {**each, "revision": last + 1})
                    self._controller.wrote(self._revisions, each)
                return each
        metadata = owner["metadata"]
        labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
        made = {
            "kind": "ControllerRevision",
            "apiVersion": "apps/v1",
            "metadata": {
                "name": f"{metadata['name']}-{hashed}",
                "namespace": metadata["namespace"],
                "labels": {**labels, HASH_LABEL: hashed},
                "annotations": dict(metadata.get("annotations") or {}),
                "ownerReferences": [reference_to(owner)],
            },
            "data": data,
            "revision": last + 1,
        }
        try:
            created = await client.create(CONTROLLER_REVISIONS, metadata["namespace"], made)
        except ApiFailure as e:
            if e.code != 409:
                raise
            created = await self._adopted(owner, made, e)
        self._controller.wrote(self._revisions, created)
        return created

    async def _adopted(self, owner: Object, made: Object, refused: ApiFailure) -> Object:
        """The record of that name, which an earlier owner of the same name has left behind.
        Raises ``refused`` while it is still somebody's."""
        client, namespace, name = (
            self._controller.client,
            made["metadata"]["namespace"],
            made["metadata"]["name"],
        )
        there = await client.get(CONTROLLER_REVISIONS, namespace, name)
        if there is None or controller_of(there) is not None:
            raise refused
        changes = {
            "resourceVersion": there["metadata"]["resourceVersion"],
            "ownerReferences": [reference_to(owner)],
        }
        return await client.merge(CONTROLLER_REVISIONS, namespace, name, {"metadata": changes})

    async def cut(self, owner: Object, in_use: Iterable[str]) -> None:
        """Those beyond the limit that no pod has (``in_use``: hashes)."""
        limit = int(owner["spec"].get("revisionHistoryLimit", HISTORY_LIMIT))
        used = set(in_use)
        idle = [each for each in self.of(owner) if hash_of(each) not in used]
        for each in idle[: max(len(idle) - limit, 0)]:
            metadata = each["metadata"]
            try:
                await self._controller.client.delete(
                    CONTROLLER_REVISIONS, metadata["namespace"], metadata["name"]
                )
            except ApiFailure as e:
                if e.code != 409:
                    raise
                # another has changed it: it is in use again, or the next round sees


def hash_of(obj: Object) -> str:
    return str((obj["metadata"].get("labels") or {}).get(HASH_LABEL, ""))
