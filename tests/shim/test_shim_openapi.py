"""The OpenAPI documents: forms, hashes, and what a client has already."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from apiserver_shim.api.answer import TextAnswer
from apiserver_shim.api.request import ApiRequest
from apiserver_shim.api.status import ApiError
from apiserver_shim.discovery.schema_documents import SchemaDocuments
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import GVK, Definitions
from apiserver_shim.schemas.openapi import OpenApi
from apiserver_shim.schemas.protobuf import walk

OLD_KUBECTL = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
POD = "io.k8s.api.core.v1.Pod"
DEFINITIONS, NAME, VALUE = 9, 1, 2


@pytest.fixture(scope="module")
def open_api() -> OpenApi:
    return OpenApi(Catalogue(), Definitions())


@pytest.fixture(scope="module")
def documents(open_api: OpenApi) -> SchemaDocuments:
    return SchemaDocuments(open_api)


def asked(path: str, query: dict[str, str] | None = None, **headers: str) -> ApiRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ApiRequest("GET", path, query or {}, named)


async def test_version_2_in_protobuf_says_what_it_says_in_json(open_api: OpenApi) -> None:
    """The definitions of both forms, one of them field by field."""
    told = json.loads(open_api.v2())["definitions"]
    schemas = dict(_named(_one(open_api.v2_protobuf(), DEFINITIONS)))
    assert set(schemas) == set(told)
    found = dict(walk(schemas[POD]))
    assert found[4] == told[POD]["description"].encode()
    assert found[22] == b"\x0a\x06object"
    assert set(dict(_named(found[25]))) == set(told[POD]["properties"])
    extensions = {
        name.decode(): json.loads(_one(value, 2))
        for number, extension in walk(schemas[POD])
        if number == 31
        for name, value in [(_one(extension, NAME), _one(extension, VALUE))]
    }
    assert extensions[GVK] == told[POD][GVK]


async def test_every_path_is_in_the_protobuf_form(open_api: OpenApi) -> None:
    """The same paths with the same methods."""
    told = json.loads(open_api.v2())["paths"]
    items = {
        _one(item, NAME).decode(): dict(walk(_one(item, VALUE)))
        for number, item in walk(_one(open_api.v2_protobuf(), 8))
        if number == 2
    }
    assert set(items) == set(told)
    methods = {2: "get", 3: "put", 4: "post", 5: "delete", 8: "patch"}
    for path, item in items.items():
        assert {methods[n] for n in item if n in methods} == set(told[path]) - {"parameters"}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json;q=0.9", "application/json"),
        (OLD_KUBECTL, OLD_KUBECTL.replace("@", ".")),
        (f"{OLD_KUBECTL},application/json", OLD_KUBECTL.replace("@", ".")),
    ],
)
async def test_version_2_comes_in_the_first_form_asked_for(
    documents: SchemaDocuments, accept: str, content_type: str
) -> None:
    """By Accept headers that clients send."""
    answer = await documents.v2(asked("/openapi/v2", accept=accept))
    assert (answer.code, answer.content_type) == (200, content_type)


async def test_other_forms_are_refused(documents: SchemaDocuments) -> None:
    """406 where no offered form is accepted."""
    for ask, path in ((documents.v2, "/openapi/v2"), (documents.v3, "/openapi/v3/api/v1")):
        with pytest.raises(ApiError) as refusal:
            await ask(asked(path, accept="text/html"))
        assert refusal.value.code == 406


async def test_who_has_the_document_is_told_so(documents: SchemaDocuments) -> None:
    """304 for a known ETag, the document for another."""
    asks: list[tuple[Callable[[ApiRequest], Awaitable[TextAnswer]], str]] = [
        (documents.v2, "/openapi/v2"),
        (documents.v3_index, "/openapi/v3"),
        (documents.v3, "/openapi/v3/api/v1"),
    ]
    for ask, path in asks:
        first = await ask(asked(path))
        again = await ask(asked(path, if_none_match=f'"other", {first.headers["ETag"]}'))
        assert (again.code, again.body) == (304, b"")
        changed = await ask(asked(path, if_none_match='"other"'))
        assert changed.body == first.body


async def test_the_index_leads_to_documents_that_never_change(documents: SchemaDocuments) -> None:
    """Each address of the index is served forever; a stale hash is led to the right one."""
    index = json.loads((await documents.v3_index(asked("/openapi/v3"))).body)["paths"]
    assert "api/v1" in index
    assert "apis/apps/v1" in index
    for path, place in index.items():
        url, _, digest = place["serverRelativeURL"].partition("?hash=")
        assert url == f"/openapi/v3/{path}"
        answer = await documents.v3(asked(url, {"hash": digest}))
        assert answer.code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        moved = await documents.v3(asked(url, {"hash": "0"}))
        assert (moved.code, moved.headers["Location"]) == (301, place["serverRelativeURL"])


async def test_what_is_not_served_has_no_document(documents: SchemaDocuments) -> None:
    """404 for groups and paths that are none."""
    for path in ("/openapi/v3/apis/nothing/v1", "/openapi/v3/api", "/openapi/v3/api/v1/pods"):
        with pytest.raises(ApiError) as refusal:
            await documents.v3(asked(path))
        assert refusal.value.code == 404


def test_every_served_kind_is_found_by_its_group_version_kind(open_api: OpenApi) -> None:
    """kubectl finds schemas by the extension, never by name."""
    told: set[tuple[str, str, str]] = set()
    for schema in json.loads(open_api.v2())["definitions"].values():
        told |= {(g["group"], g["version"], g["kind"]) for g in schema.get(GVK, ())}
    served = {(r.group, r.version, r.kind) for r in Catalogue()}
    assert served <= told


def _one(data: Any, wanted: int) -> bytes:
    found = next(value for number, value in walk(data) if number == wanted)
    assert isinstance(found, bytes)
    return found


def _named(data: Any) -> list[tuple[str, bytes]]:
    """Repeated name and value."""
    return [(_one(each, NAME).decode(), _one(each, VALUE)) for _, each in walk(data)]
