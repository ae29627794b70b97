"""Who owns whom, of all objects of all kinds.

Owns: the nodes and the edges. Must never do: decide; an edge to what is not a node says nothing but
that somebody should look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.ownership import owners_of
from apiserver_shim.components.resources_served import Served

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


@dataclass(frozen=True, slots=True)
class Node:
    """One object, as far as garbage goes."""

    served: Served
    namespace: str
    name: str
    uid: str
    owners: tuple[Object, ...] = field(default=(), compare=False)
    finalizers: frozenset[str] = frozenset()
    deleting: bool = False

    @property
    def waits_for_dependents(self) -> bool:
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        return self.deleting and ORPHAN in self.finalizers

    @property
    def owner_uids(self) -> set[str]:
        return {each["uid"] for each in self.owners}

    def blocks(self, owner_uid: str) -> bool:
        return any(
            each["uid"] == owner_uid and each.get("blockOwnerDeletion") for each in self.owners
        )


def node_of(served: Served, obj: Object) -> Node:
    metadata = obj["metadata"]
    return Node(
        served,
        metadata.get("namespace", ""),
        metadata["name"],
        metadata["uid"],
        tuple(owners_of(obj)),
        frozenset(metadata.get("finalizers") or ()),
        "deletionTimestamp" in metadata,
    )


class Graph:
    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._dependents: dict[str, set[str]] = {}

    def get(self, uid: str) -> Node | None:
        return self._nodes.get(uid)

    def __len__(self) -> int:
        return len(self._nodes)

    def dependents(self, uid: str) -> list[Node]:
        return [self._nodes[each] for each in self._dependents.get(uid, ())]

    def put(self, node: Node) -> set[str]:
        """uids to look at because of it."""
        before = self._nodes.get(node.uid)
        self._unlink(before)
        self._nodes[node.uid] = node
        for uid in node.owner_uids:
            self._dependents.setdefault(uid, set()).add(node.uid)
        look = set()
        for uid in node.owner_uids:
            owner = self._nodes.get(uid)
            if owner is None or owner.waits_for_dependents:
                look.add(node.uid)
        if node.waits_for_dependents or node.orphans_dependents:
            look.add(node.uid)
        if before is not None:
            look |= self._waiting(before.owner_uids)
        return look

    def remove(self, node: Node) -> set[str]:
        """uids to look at now that it is gone."""
        self._unlink(self._nodes.pop(node.uid, None))
        return set(self._dependents.get(node.uid, ())) | self._waiting(node.owner_uids)

    def forget(self, served: Served) -> None:
        """A kind that is no longer served: nobody can say of its objects whether they are there."""
        for node in [each for each in self._nodes.values() if each.served == served]:
            self._unlink(self._nodes.pop(node.uid))

    def _waiting(self, uids: Iterable[str]) -> set[str]:
        """Those of them that wait for their dependents to go."""
        return {u for u in uids if (n := self._nodes.get(u)) is not None and n.waits_for_dependents}

    def _unlink(self, node: Node | None) -> None:
        for uid in node.owner_uids if node is not None else ():
            left = self._dependents.get(uid, set())
            left.discard(node.uid if node is not None else "")
            if not left:
                self._dependents.pop(uid, None)
