"""Who is looked at when something changes: the garbage collector's graph; and what discovery says
is served."""

from __future__ import annotations

import pytest

from apiserver_shim.components.api_client import ApiClient, ApiFailure, Kind, Object
from apiserver_shim.components.controllers.garbage.graph import FOREGROUND, Graph, Node, node_of
from apiserver_shim.components.resources_served import Served, served

THING = Served(Kind("example.com", "v1", "things"), "Thing", frozenset())


def thing(uid: str, *owners: str, blocks: bool = True, **metadata: object) -> Node:
    refs = [
        {
            "apiVersion": "example.com/v1",
            "kind": "Thing",
            "name": each,
            "uid": each,
            "blockOwnerDeletion": blocks,
        }
        for each in owners
    ]
    about: Object = {"name": uid, "namespace": "ns", "uid": uid, "ownerReferences": refs}
    return node_of(THING, {"metadata": {**about, **metadata}})


def test_an_object_whose_owner_is_not_there_is_looked_at() -> None:
    """Whichever comes first, and again when the owner goes."""
    graph = Graph()
    assert graph.put(thing("child", "parent")) == {"child"}
    assert graph.put(thing("parent")) == set()
    assert graph.put(thing("other", "parent")) == set()
    assert graph.remove(thing("parent")) == {"child", "other"}


def test_an_owner_that_waits_is_looked_at_when_a_dependent_goes() -> None:
    """And when a dependent no longer names it."""
    waiting = {"deletionTimestamp": "now", "finalizers": [FOREGROUND]}
    graph = Graph()
    graph.put(thing("parent"))
    graph.put(thing("a", "parent"))
    graph.put(thing("b", "parent"))
    assert graph.put(thing("parent", **waiting)) == {"parent"}
    assert {each.name for each in graph.dependents("parent")} == {"a", "b"}
    assert graph.remove(thing("a", "parent")) == {"parent"}
    assert graph.put(thing("b")) == {"parent"}
    assert graph.dependents("parent") == []


def test_only_references_that_say_so_block() -> None:
    """blockOwnerDeletion."""
    assert thing("a", "parent").blocks("parent")
    assert not thing("a", "parent", blocks=False).blocks("parent")
    assert not thing("a", "parent").blocks("other")


def test_a_kind_that_is_no_longer_served_is_forgotten() -> None:
    """Nobody can say of its objects whether they are there."""
    graph = Graph()
    graph.put(thing("parent"))
    graph.put(thing("child", "parent"))
    graph.forget(THING)
    assert len(graph) == 0
    assert graph.dependents("parent") == []


class Discovery(ApiClient):
    """Answers from documents; what is not there is 404."""

    def __init__(self, documents: dict[str, Object]) -> None:
        super().__init__("")
        self._documents = documents

    async def read(self, path: str) -> Object:
        found = self._documents.get(path)
        if found is None:
            raise ApiFailure(404, "NotFound", path)
        return found


def row(name: str, kind: str, *verbs: str) -> Object:
    return {"name": name, "kind": kind, "namespaced": True, "verbs": list(verbs)}


async def test_each_resource_is_served_once() -> None:
    """In the preferred version where that has it, otherwise in another; a group that goes away
    between two questions has nothing; reviews and subresources are no resources to look after."""
    both = [{"version": "v1beta1"}, {"version": "v1"}]
    gone = {"name": "gone.io", "versions": both[1:], "preferredVersion": both[1]}
    group = {"name": "example.com", "versions": both, "preferredVersion": both[1]}
    client = Discovery(
        {
            "/apis": {"groups": [group, gone]},
            "/api/v1": {"resources": [row("pods", "Pod", "list"), row("pods/log", "Pod", "get")]},
            "/apis/example.com/v1": {"resources": [row("rings", "Ring", "list", "delete")]},
            "/apis/example.com/v1beta1": {
                "resources": [
                    row("rings", "Ring", "list"),
                    row("hats", "Hat", "list"),
                    row("reviews", "Review", "create"),
                ]
            },
        }
    )
    found = [(each.kind.path(), each.name) for each in await served(client)]
    assert found == [
        ("/api/v1/pods", "Pod"),
        ("/apis/example.com/v1/rings", "Ring"),
        ("/apis/example.com/v1beta1/hats", "Hat"),
    ]
    with pytest.raises(ApiFailure):
        await served(Discovery({}))
