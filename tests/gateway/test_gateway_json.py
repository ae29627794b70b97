"""The JSON gateway: grpc-gateway's JSON over the services of the gRPC port."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from raftkv.api.rpc_pb2 import PutRequest, RangeRequest, RangeResponse
from raftkv.errors import Compacted
from raftkv.gateway.json_api import JsonApi
from raftkv.gateway.target import path_of
from raftkv.rpc.errors import status_of
from raftkv.wire.service import HttpRequest, HttpResponse, Service, Status, UnaryCall

UnaryMethod = Callable[[bytes, UnaryCall], None]


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


async def post(method: UnaryMethod, path: str, body: str, **headers: str) -> HttpResponse:
    """Ask a KV service whose every method is ``method``."""
    service = Service("etcdserverpb.KV", status_of, unary={"Range": method, "Put": method})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = HttpRequest("POST", path, named, body.encode())
    return await JsonApi([service])(request, path_of(path))


def refuse(payload: bytes, call: UnaryCall) -> None:
    raise AssertionError("not to be called")


async def test_a_range_there_and_back() -> None:
    """Bytes travel as base64, 64-bit integers as strings, zero values not at all."""
    asked: list[RangeRequest] = []

    def answer(payload: bytes, call: UnaryCall) -> None:
        asked.append(RangeRequest.FromString(payload))
        found = RangeResponse(count=1)
        found.header.revision = 7
        found.kvs.add(key=b"foo", value=b"\xff", mod_revision=7)
        call.reply(found.SerializeToString())

    body = json.dumps(
        {"key": b64("foo"), "range_end": "Zm9w", "limit": "3", "sort_order": "DESCEND"}
    )
    response = await post(answer, "/v3/kv/range", body)
    assert asked == [RangeRequest(key=b"foo", range_end=b"fop", limit=3, sort_order="DESCEND")]
    assert response.status == 200
    assert json.loads(response.body) == {
        "header": {"revision": "7"},
        "kvs": [{"key": "Zm9v", "mod_revision": "7", "value": "/w=="}],
        "count": "1",
    }


@pytest.mark.parametrize(
    "body",
    ['{"key":"Zm9v","lease":5,"unknown":[1]}', '{"key":"Zm9v","lease":"5"}\n{"key":"other"}'],
)
async def test_what_is_taken(body: str) -> None:
    """Unknown fields are ignored, numbers may be numbers, and only the first object counts."""
    asked: list[PutRequest] = []

    def answer(payload: bytes, call: UnaryCall) -> None:
        asked.append(PutRequest.FromString(payload))
        call.reply(b"")

    assert (await post(answer, "/v3beta/kv/put", body)).status == 200
    assert asked == [PutRequest(key=b"foo", lease=5)]


async def test_an_empty_body_is_an_empty_request() -> None:
    """As grpc-gateway has it."""
    asked: list[bytes] = []

    def answer(payload: bytes, call: UnaryCall) -> None:
        asked.append(payload)
        call.reply(b"")

    assert (await post(answer, "/v3/kv/range", "")).body == b"{}"
    assert asked == [b""]


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        '{"key":7}',
        '{"key":"Zm9v","limit":"x"}',
        "\xff\xfe",
        '{"x":' * 5_000 + "1" + "}" * 5_000,
        '{"sort_order":"\\ud800"}',
    ],
)
async def test_what_is_no_request(body: str) -> None:
    """Bad JSON and wrong types are the client's fault, and reach no method."""
    response = await post(refuse, "/v3/kv/range", body)
    assert response.status == 400
    assert json.loads(response.body)["code"] == 3


@pytest.mark.parametrize(
    ("fail", "status", "code"),
    [
        (lambda call: call.fail(Status(14, "etcdserver: no leader")), 503, 14),
        (lambda call: call.fail(Status(8, "too many")), 429, 8),
        (lambda call: call.fail(Status(13, "internal")), 500, 13),
    ],
)
async def test_failures_keep_their_code(
    fail: Callable[[UnaryCall], None], status: int, code: int
) -> None:
    """gRPC's code in the body, the nearest of HTTP's as the status."""
    response = await post(lambda payload, call: fail(call), "/v3/kv/range", "{}")
    body: dict[str, Any] = json.loads(response.body)
    assert (response.status, body["code"]) == (status, code)
    assert body["error"] == body["message"]


async def test_an_error_that_is_raised() -> None:
    """It is what the service says it is, with etcd's text."""

    def compacted(payload: bytes, call: UnaryCall) -> None:
        raise Compacted(5)

    response = await post(compacted, "/v3/kv/range", "{}")
    assert response.status == 400
    assert "required revision has been compacted" in json.loads(response.body)["error"]


async def test_metadata_travels() -> None:
    """Grpc-Metadata-* headers and the token of Authorization reach the method."""
    seen: list[dict[str, str]] = []

    def answer(payload: bytes, call: UnaryCall) -> None:
        seen.append(dict(call.metadata))
        call.reply(b"")

    await post(answer, "/v3/kv/range", "{}", grpc_metadata_hasleader="true", authorization="secret")
    assert seen == [{"hasleader": "true", "token": "secret"}]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v3/nothing", 404), ("/v3/lease/grant", 501), ("/v3/kv/", 404)],
)
async def test_paths_that_are_not_served(path: str, status: int) -> None:
    """Unknown ones, and services that are not there."""
    assert (await post(refuse, path, "{}")).status == status


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_only_post_calls(method: str) -> None:
    """Nothing else has a meaning here."""
    request = HttpRequest(method, "/v3/kv/range", {}, b"{}")
    response = await JsonApi(())(request, "/v3/kv/range")
    assert (response.status, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 100_000, '{"success":[' * 5_000])
async def test_nesting_has_an_end(body: str) -> None:
    """A body that nests without end is refused as any other that is no request."""
    response = await post(refuse, "/v3/kv/range", body)
    assert response.status == 400
