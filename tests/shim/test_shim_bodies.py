"""Bodies that are wrong, huge, deep or strange, and dry runs: nothing breaks, nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.shim.served_shim import APPLY, JSON, JSON_PATCH, MERGE, STRATEGIC, ServedShim

pytestmark = pytest.mark.e2e
DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
TYPES = [JSON, MERGE, STRATEGIC, JSON_PATCH, APPLY]


def config_map(name: str = "c", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **rest}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', DEEP, b'{"metadata": 1}']
)
def test_what_cannot_be_read_is_a_bad_request(
    served_shim: ServedShim, namespace: str, body: bytes
) -> None:
    """400 with a Status, for a create and for a patch."""
    path = f"{namespace}/configmaps"
    made = served_shim.ask("POST", path, body or b" ")
    assert (made.code, made.body["kind"], made.body["reason"]) == (400, "Status", "BadRequest")
    served_shim.create(path, config_map())
    patched = served_shim.ask("PATCH", f"{path}/c", body or b" ", content_type=MERGE)
    assert patched.code == 400, patched


def test_nesting_is_bounded(served_shim: ServedShim, namespace: str) -> None:
    """250 levels of a body that JSON itself would take."""
    deep: Any = 1
    for _ in range(250):
        deep = {"a": deep}
    reply = served_shim.create(f"{namespace}/configmaps", config_map(data=deep))
    assert (reply.code, reply.message) == (400, "the body is nested deeper than 200")


@pytest.mark.parametrize("content_type", TYPES)
def test_a_body_has_a_size(served_shim: ServedShim, namespace: str, content_type: str) -> None:
    """413 above 3 MiB, for every type."""
    path = f"{namespace}/configmaps"
    served_shim.create(path, config_map())
    huge = json.dumps(config_map(data={"k": "x" * (3 * 1024 * 1024 + 1)})).encode()
    method, where = ("POST", path) if content_type == JSON else ("PATCH", f"{path}/c")
    query = {"fieldManager": "m"} if content_type == APPLY else {}
    reply = served_shim.ask(method, where, huge, content_type=content_type, **query)
    assert (reply.code, reply.body["reason"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize(
    ("method", "content_type"),
    [("POST", "text/plain"), ("PUT", MERGE), ("PATCH", JSON), ("PATCH", "application/xml")],
)
def test_a_type_that_is_not_taken(
    served_shim: ServedShim, namespace: str, method: str, content_type: str
) -> None:
    """415."""
    path = f"{namespace}/configmaps"
    served_shim.create(path, config_map())
    where = path if method == "POST" else f"{path}/c"
    reply = served_shim.ask(method, where, config_map(), content_type=content_type)
    assert (reply.code, reply.body["reason"]) == (415, "UnsupportedMediaType")


def test_yaml_says_what_json_can_say(served_shim: ServedShim, namespace: str) -> None:
    """A date stays text, aliases are refused, so are names that are no strings."""
    path = f"{namespace}/configmaps"
    good = b"metadata: {name: y}\ndata: {day: 2026-01-01}\n"
    made = served_shim.ask("POST", path, good, content_type="application/yaml")
    assert (made.code, made.body["data"]) == (201, {"day": "2026-01-01"})
    for bad in (b"metadata: &m {name: z}\ndata: *m\n", b"1: 2\n", b"a: [\n"):
        reply = served_shim.ask("POST", path, bad, content_type="application/yaml")
        assert reply.code == 400, reply


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "fieldManager: Required value: is required for apply patch"),
        ({"fieldManager": "x" * 129}, "fieldManager: Too long"),
        ({"fieldManager": "a\nb"}, "should only contain printable"),
    ],
)
def test_an_apply_says_who_applies(
    served_shim: ServedShim, namespace: str, query: dict[str, str], words: str
) -> None:
    """422 in the words of PatchOptions."""
    path = f"{namespace}/configmaps/c"
    reply = served_shim.ask("PATCH", path, config_map(), content_type=APPLY, **query)
    assert reply.code == 422
    assert words in reply.message


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"dryRun": "Maybe"}, 'dryRun: Unsupported value: "Maybe": supported values: "All"'),
        (
            {"fieldValidation": "Lax"},
            'fieldValidation: Unsupported value: "Lax": supported values: "Ignore", "Strict", '
            '"Warn"',
        ),
        ({"fieldManager": "x" * 129}, "fieldManager: Too long: may not be more than 128 bytes"),
    ],
)
def test_options_are_checked_for_every_write(
    served_shim: ServedShim, namespace: str, query: dict[str, str], words: str
) -> None:
    """422 that names the verb's options; nothing is written."""
    path = f"{namespace}/configmaps"
    for kind, reply in (
        ("CreateOptions", served_shim.create(path, config_map(), **query)),
        ("UpdateOptions", served_shim.update(f"{path}/c", config_map(), **query)),
        ("PatchOptions", served_shim.merge(f"{path}/c", {}, **query)),
    ):
        assert (reply.code, reply.message) == (422, f'{kind}.meta.k8s.io "" is invalid: {words}')
    assert served_shim.get(f"{path}/c").code == 404


def test_only_an_apply_is_forced(served_shim: ServedShim, namespace: str) -> None:
    """force with another patch."""
    reply = served_shim.merge(f"{namespace}/configmaps/c", {}, force="true")
    assert reply.code == 422
    assert "force: Forbidden: may not be specified for non-apply patch" in reply.message


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": None}, 400),
        ({"apiVersion": "v2"}, 400),
        ({"metadata": {"name": "other"}}, 400),
        ({"metadata": {"name": "c", "managedFields": [{}]}}, 400),
        ({"metadata": {"name": "c", "uid": "not-that-one"}}, 409),
        ({"metadata": {"name": "c", "resourceVersion": "1"}}, 409),
        ({"surprise": 1}, 500),
    ],
)
def test_an_apply_that_makes_no_sense(
    served_shim: ServedShim, namespace: str, change: dict[str, Any], code: int
) -> None:
    """Each with the code of a real apiserver."""
    path = f"{namespace}/configmaps"
    served_shim.create(path, config_map())
    body = {k: v for k, v in (config_map() | change).items() if v is not None}
    assert served_shim.apply(f"{path}/c", body).code == code


def test_an_apply_creates_and_then_does_nothing(served_shim: ServedShim, namespace: str) -> None:
    """201, then 200 without a new version; a status of what is not there is 404."""
    path = f"{namespace}/configmaps/c"
    body = config_map(data={"k": "v"})
    first, second = served_shim.apply(path, body), served_shim.apply(path, body)
    assert (first.code, second.code) == (201, 200)
    assert first.body == second.body
    deployment = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    assert served_shim.apply(f"{namespace}/pods/p/status", deployment).code == 404


def test_a_dry_run_stores_nothing(served_shim: ServedShim, namespace: str) -> None:
    """Every verb."""
    path = f"{namespace}/configmaps"
    dry = {"dryRun": "All"}
    assert served_shim.create(path, config_map(), **dry).code == 201
    assert served_shim.apply(f"{path}/c", config_map(), **dry).code == 201
    assert served_shim.get(f"{path}/c").code == 404
    before = served_shim.create(path, config_map(data={"k": "v"})).body
    changed = config_map(data={"k": "w"})
    assert served_shim.update(f"{path}/c", changed, **dry).body["data"] == {"k": "w"}
    assert served_shim.merge(f"{path}/c", changed, **dry).body["data"] == {"k": "w"}
    applied = served_shim.apply(f"{path}/c", changed, force="true", **dry)
    assert applied.body["data"] == {"k": "w"}
    assert served_shim.delete(f"{path}/c", **dry).code == 200
    assert served_shim.delete(path, **dry).code == 200
    assert served_shim.get(f"{path}/c").body == before


@pytest.mark.parametrize(("mode", "code"), [("Strict", 400), ("Warn", 200), ("Ignore", 200)])
def test_unknown_fields_of_a_patch(
    served_shim: ServedShim, namespace: str, mode: str, code: int
) -> None:
    """As fieldValidation asks."""
    path = f"{namespace}/configmaps"
    served_shim.create(path, config_map())
    reply = served_shim.merge(f"{path}/c", {"odd": 1}, fieldValidation=mode)
    assert reply.code == code
    assert bool(reply.warnings) == (mode == "Warn")


def test_writers_are_noted(served_shim: ServedShim, namespace: str) -> None:
    """By fieldManager or by program; a no-op notes nobody."""
    path = f"{namespace}/configmaps"
    made = served_shim.ask("POST", path, config_map(data={"k": "v"}), agent="maker/v1 (x)")
    assert made.code == 201
    served_shim.merge(f"{path}/c", {"data": {"j": "1"}}, fieldManager="patcher")
    served_shim.merge(f"{path}/c", {"data": {"j": "1"}}, fieldManager="idler")
    entries = served_shim.get(f"{path}/c").body["metadata"]["managedFields"]
    told = {each["manager"]: each["fieldsV1"] for each in entries}
    assert told == {
        "maker": {"f:data": {".": {}, "f:k": {}}},
        "patcher": {"f:data": {"f:j": {}}},
    }
