"""In which form bodies come and answers go: protobuf, JSON, gzip, HEAD."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any

import pytest
import yaml

from tests.shim.protobuf_encoder import encode, envelope
from tests.shim.served_shim import ServedShim

PROTOBUF = "application/vnd.kubernetes.protobuf"
BIG = "x" * 300_000
pytestmark = pytest.mark.e2e


def fetch(
    shim: ServedShim, method: str, path: str, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer and its bytes as they came."""
    connection = http.client.HTTPConnection(shim.address, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def in_protobuf(message: str, api_version: str, obj: dict[str, Any]) -> bytes:
    return envelope(api_version, message.rpartition(".")[2], encode(message, obj))


def test_objects_are_written_in_protobuf(served_shim: ServedShim, namespace: str) -> None:
    """Create and update with a protobuf body; the answer is JSON."""
    path = f"{namespace}/configmaps"
    body = {"metadata": {"name": "a"}, "data": {"k": "v"}}
    raw = in_protobuf("core.v1.ConfigMap", "v1", body)
    made = served_shim.ask("POST", path, raw, content_type=PROTOBUF)
    assert (made.code, made.body["data"]) == (201, {"k": "v"})
    changed = {**body, "data": {"k": "w"}}
    raw = in_protobuf("core.v1.ConfigMap", "v1", changed)
    updated = served_shim.ask("PUT", f"{path}/a", raw, content_type=PROTOBUF)
    assert (updated.code, updated.body["data"]) == (200, {"k": "w"})
    assert served_shim.get(f"{path}/a").body["data"] == {"k": "w"}


def test_the_options_of_a_delete_come_in_protobuf(served_shim: ServedShim, namespace: str) -> None:
    """Preconditions and dry runs in protobuf are obeyed."""
    path = f"{namespace}/configmaps"
    served_shim.create(path, {"metadata": {"name": "a"}})
    for options, code, left in (
        ({"preconditions": {"uid": "another"}}, 409, 200),
        ({"dryRun": ["All"]}, 200, 200),
        ({"propagationPolicy": "Background"}, 200, 404),
    ):
        raw = in_protobuf("meta.v1.DeleteOptions", "v1", options)
        reply = served_shim.ask("DELETE", f"{path}/a", raw, content_type=PROTOBUF)
        assert reply.code == code, reply
        assert served_shim.get(f"{path}/a").code == left, options


@pytest.mark.parametrize(
    ("raw", "content_type", "code", "words"),
    [
        (b"k8s\x00\x12\x05ab", PROTOBUF, 400, "unrecognized"),
        (b"{}", PROTOBUF, 400, "does not begin with"),
        (in_protobuf("core.v1.Secret", "v1", {}), PROTOBUF, 400, "does not match"),
        (b"{}", "text/plain", 415, PROTOBUF),
        (b"{}", "application/cbor", 415, "application/json"),
    ],
)
def test_bodies_that_are_not_understood_are_refused(
    served_shim: ServedShim, namespace: str, raw: bytes, content_type: str, code: int, words: str
) -> None:
    """400 for what is malformed, 415 for what is of no known type, which is named."""
    reply = served_shim.ask("POST", f"{namespace}/configmaps", raw, content_type=content_type)
    assert reply.code == code, reply
    assert words in reply.message, reply


def test_who_takes_json_second_gets_json(served_shim: ServedShim, namespace: str) -> None:
    """client-go with protobuf configured asks so: get, list and watch."""
    served_shim.create(f"{namespace}/configmaps", {"metadata": {"name": "a"}})
    both = f"{PROTOBUF},application/json"
    for path in (f"{namespace}/configmaps/a", f"{namespace}/configmaps"):
        answer, body = fetch(served_shim, "GET", path, Accept=both)
        assert answer.getheader("Content-Type") == "application/json"
        assert json.loads(body)["apiVersion"] == "v1"
    watched = f"{namespace}/configmaps?watch=1&timeoutSeconds=1"
    framed = f"{PROTOBUF};stream=watch,application/json;stream=watch"
    _, body = fetch(served_shim, "GET", watched, Accept=framed)
    assert json.loads(body.splitlines()[0])["type"] == "ADDED"


def test_protobuf_alone_is_not_acceptable(served_shim: ServedShim, namespace: str) -> None:
    """406, so that clients fall back."""
    for path in (f"{namespace}/configmaps", "/api/v1/namespaces/default"):
        answer, body = fetch(served_shim, "GET", path, Accept=PROTOBUF)
        assert answer.status == 406
        assert json.loads(body)["reason"] == "NotAcceptable"


def test_large_answers_are_compressed_for_who_asks(served_shim: ServedShim, namespace: str) -> None:
    """Objects, lists and documents from 128 KiB on; small ones never."""
    path = f"{namespace}/configmaps"
    for name, text in (("big", BIG), ("small", "x")):
        served_shim.create(path, {"metadata": {"name": name}, "data": {"k": text}})
    for url in (path, f"{path}/big", "/openapi/v2", "/openapi/v3/api/v1"):
        answer, body = fetch(served_shim, "GET", url, Accept_Encoding="gzip")
        assert answer.getheader("Content-Encoding") == "gzip", url
        plain, whole = fetch(served_shim, "GET", url)
        assert plain.getheader("Content-Encoding") is None, url
        assert gzip.decompress(body) == whole
    small, _ = fetch(served_shim, "GET", f"{path}/small", Accept_Encoding="gzip")
    assert small.getheader("Content-Encoding") is None


def test_head_tells_what_get_would(served_shim: ServedShim, namespace: str) -> None:
    """The same status, type and length, and no body."""
    served_shim.create(f"{namespace}/configmaps", {"metadata": {"name": "a"}})
    for path in (f"{namespace}/configmaps/a", f"{namespace}/configmaps", "/version", "/healthz"):
        head, nothing = fetch(served_shim, "HEAD", path)
        answer, body = fetch(served_shim, "GET", path)
        assert (head.status, nothing) == (answer.status, b"")
        assert head.getheader("Content-Type") == answer.getheader("Content-Type")
        assert head.getheader("Content-Length") == str(len(body))
    missing, _ = fetch(served_shim, "HEAD", f"{namespace}/configmaps/none")
    assert missing.status == 404


def test_objects_come_in_yaml_and_as_metadata_alone(
    served_shim: ServedShim, namespace: str
) -> None:
    """What `Accept` can ask for beside JSON and Tables."""
    body = {"metadata": {"name": "a", "labels": {"l": "m"}}, "data": {"k": "v"}}
    served_shim.create(f"{namespace}/configmaps", body)
    answer, text = fetch(served_shim, "GET", f"{namespace}/configmaps/a", Accept="application/yaml")
    assert answer.getheader("Content-Type", "").startswith("application/yaml")
    assert yaml.safe_load(text)["data"] == {"k": "v"}
    partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    _, text = fetch(served_shim, "GET", f"{namespace}/configmaps/a", Accept=partial)
    told = json.loads(text)
    assert (told["kind"], told["metadata"]["labels"]) == ("PartialObjectMetadata", {"l": "m"})
    assert "data" not in told
    several = partial.replace("Metadata;", "MetadataList;")
    _, text = fetch(served_shim, "GET", f"{namespace}/configmaps", Accept=several)
    told = json.loads(text)
    assert told["kind"] == "PartialObjectMetadataList"
    assert [each["metadata"]["name"] for each in told["items"]] == ["a"]
