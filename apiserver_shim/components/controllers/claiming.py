"""Adoption: objects that a selector matches and nobody controls get an owner; owned ones that it no
longer matches are let go.

Owns: that exchange, for pods and ReplicaSets alike. Must never do: take what another controls, or
adopt for an owner that is going.
"""

from __future__ import annotations

from collections.abc import Iterable

from apiserver_shim.components.api_client import ApiClient, ApiFailure, Kind, Object
from apiserver_shim.components.controllers.surroundings import Controller
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.label_selector import selects
from apiserver_shim.components.ownership import (
    controller_of,
    is_being_deleted,
    owners_of,
    reference_to,
)


class Claiming:
    """For owners of ``owner_kind`` and objects of ``kind``."""

    def __init__(
        self, controller: Controller, owner_kind: Kind, kind: Kind, informer: Informer
    ) -> None:
        self._controller = controller
        self._client: ApiClient = controller.client
        self._owner_kind = owner_kind
        self._kind = kind
        self._informer = informer

    async def claimed(
        self, owner: Object, selector: Object, candidates: Iterable[Object]
    ) -> list[Object]:
        found: list[Object] = []
        may_adopt: bool | None = None
        for each in candidates:
            ref = controller_of(each)
            fits = selects(selector, each["metadata"].get("labels"))
            if ref is not None:
                if ref["uid"] != owner["metadata"]["uid"]:
                    continue
                if fits:
                    found.append(each)
                elif not is_being_deleted(owner):
                    await self._release(owner, each)
                continue
            if not fits or is_being_deleted(owner) or is_being_deleted(each):
                continue
            if may_adopt is None:
                may_adopt = await self._is_still_there(owner)
            if may_adopt and (adopted := await self._adopt(owner, each)) is not None:
                found.append(adopted)
        return found

    async def _is_still_there(self, owner: Object) -> bool:
        """Asked of the server: a copy may not know yet that the owner was deleted."""
        metadata = owner["metadata"]
        live = await self._client.get(
            self._owner_kind, metadata.get("namespace", ""), metadata["name"]
        )
        return (
            live is not None
            and live["metadata"]["uid"] == metadata["uid"]
            and not is_being_deleted(live)
        )

    async def _adopt(self, owner: Object, obj: Object) -> Object | None:
        return await self._set_owners(obj, [*owners_of(obj), reference_to(owner)])

    async def _release(self, owner: Object, obj: Object) -> None:
        uid = owner["metadata"]["uid"]
        await self._set_owners(obj, [each for each in owners_of(obj) if each["uid"] != uid])

    async def _set_owners(self, obj: Object, owners: list[Object]) -> Object | None:
        metadata = obj["metadata"]
        patch = {
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "ownerReferences": owners or None,
            }
        }
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        try:
            written = await self._client.merge(self._kind, namespace, name, patch)
        except ApiFailure as e:
            if e.code == 404:
                return None
            raise
        self._controller.wrote(self._informer, written)
        return written
