"""The JSON gateway on the client port, as curl uses it; etcd passes the same tests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any

import pytest

from tests.e2e.cluster import Cluster

Json = dict[str, Any]


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def post(cluster: Cluster, path: str, body: Json) -> tuple[int, Json]:
    """At a follower, so that writes are forwarded too."""
    follower = next(m for m in cluster.members if m is not cluster.leader())
    url = f"http://{follower.endpoint}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def test_put_range_and_delete(shared_cluster: Cluster) -> None:
    """What one writes the other reads, with etcd's field names and types."""
    status, put = post(shared_cluster, "/v3/kv/put", {"key": b64("json/a"), "value": b64("one")})
    assert status == 200
    revision = put["header"]["revision"]
    assert isinstance(revision, str)
    status, found = post(
        shared_cluster, "/v3/kv/range", {"key": b64("json/"), "range_end": b64("json0")}
    )
    assert status == 200
    assert found["kvs"] == [
        {
            "key": b64("json/a"),
            "create_revision": revision,
            "mod_revision": revision,
            "version": "1",
            "value": b64("one"),
        }
    ]
    assert found["count"] == "1"
    assert "more" not in found
    status, deleted = post(shared_cluster, "/v3/kv/deleterange", {"key": b64("json/a")})
    assert (status, deleted["deleted"]) == (200, "1")


def test_a_transaction(shared_cluster: Cluster) -> None:
    """Compares by name, operations nested, answers in their own fields."""
    body = {
        "compare": [{"key": b64("json/t"), "target": "VERSION", "result": "EQUAL", "version": "0"}],
        "success": [{"requestPut": {"key": b64("json/t"), "value": b64("x")}}],
        "failure": [{"requestRange": {"key": b64("json/t")}}],
    }
    status, first = post(shared_cluster, "/v3/kv/txn", body)
    assert (status, first["succeeded"]) == (200, True)
    assert list(first["responses"][0]) == ["response_put"]
    status, second = post(shared_cluster, "/v3/kv/txn", body)
    assert status == 200
    assert "succeeded" not in second
    assert second["responses"][0]["response_range"]["kvs"][0]["value"] == b64("x")


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "text"),
    [
        ("/v3/kv/put", {}, 400, 3, "etcdserver: key is not provided"),
        (
            "/v3/kv/range",
            {"key": "Zm9v", "revision": "1000000"},
            400,
            11,
            "etcdserver: mvcc: required revision is a future revision",
        ),
    ],
)
def test_errors(
    shared_cluster: Cluster, path: str, body: Json, status: int, code: int, text: str
) -> None:
    """HTTP's status, gRPC's code and etcd's text."""
    found, answer = post(shared_cluster, path, body)
    assert (found, answer["code"], answer["message"]) == (status, code, text)


def test_members_and_status(shared_cluster: Cluster) -> None:
    """The names of these fields are not in snake case, in etcd's .proto neither."""
    status, listed = post(shared_cluster, "/v3/cluster/member/list", {})
    assert status == 200
    assert {"ID", "name", "peerURLs", "clientURLs"} <= set(listed["members"][0])
    status, told = post(shared_cluster, "/v3/maintenance/status", {})
    assert status == 200
    assert {"version", "dbSize", "leader", "raftIndex", "raftTerm"} <= set(told)
