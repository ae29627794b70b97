"""ownerReferences: which object goes with which.

Owns: making and reading them. Must never do: decide who adopts whom.
"""

from __future__ import annotations

from apiserver_shim.components.api_client import Object


def reference_to(owner: Object, *, controller: bool = True) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        **({"controller": True, "blockOwnerDeletion": True} if controller else {}),
    }


def owners_of(obj: Object) -> list[Object]:
    return list(obj["metadata"].get("ownerReferences") or ())


def controller_of(obj: Object) -> Object | None:
    return next((each for each in owners_of(obj) if each.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    found = controller_of(obj)
    return found is not None and found["uid"] == owner["metadata"]["uid"]


def is_being_deleted(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]
