"""The JSON gateway's streams as curl uses them; etcd passes those that are its promises too."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import pytest

from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess
from tests.e2e.waiting import wait_until

Json = dict[str, Any]
HTTP1 = "--http1.1"
HTTP2 = "--http2-prior-knowledge"


def b64(data: bytes) -> str:
    return b64encode(data).decode()


class Curl:
    """One ``curl -N``; ``line`` blocks for the next line of the answer."""

    def __init__(
        self, member: MemberProcess, path: str, *requests: Json, flags: str = HTTP1
    ) -> None:
        url = f"http://{member.endpoint}{path}"
        body = "".join(json.dumps(each) for each in requests)
        command = ["curl", "-sN", flags, "--max-time", "30", url, "-d", body]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def line(self) -> Json:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the answer has ended"
        value: Json = json.loads(line)
        return value

    def rest(self) -> list[Json]:
        assert self._process.stdout is not None
        return [json.loads(line) for line in self._process.stdout.read().splitlines()]

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def curl(member: MemberProcess, path: str, *requests: Json, flags: str = HTTP1) -> Iterator[Curl]:
    process = Curl(member, path, *requests, flags=flags)
    try:
        yield process
    finally:
        process.stop()


@pytest.mark.parametrize("path", ["/v3/watch", "/v3beta/watch"])
def test_watch(member: MemberProcess, api: Api, prefix: str, path: str) -> None:
    """Two watches in one body; events come as they happen, with etcd's field names."""
    key = f"{prefix}w".encode()
    first = {"create_request": {"key": b64(key), "watch_id": "5"}}
    second = {"create_request": {"key": b64(key), "watch_id": "6", "prev_kv": True}}
    with curl(member, path, first, second) as stream:
        created = [stream.line()["result"], stream.line()["result"]]
        assert [(each["watch_id"], each["created"]) for each in created] == [
            ("5", True),
            ("6", True),
        ]
        api.put(key, b"one")
        revision = str(api.put(key, b"two").header.revision)
        got = [stream.line()["result"] for _ in range(4)]
    by_id = {"5": [], "6": []}  # type: ignore[var-annotated]
    for each in got:
        by_id[each["watch_id"]] += each["events"]
    assert [event["kv"]["value"] for event in by_id["5"]] == [b64(b"one"), b64(b"two")]
    last = by_id["6"][-1]
    assert (last["kv"]["mod_revision"], last["kv"]["version"]) == (revision, "2")
    assert last["prev_kv"]["value"] == b64(b"one")
    assert "type" not in last  # PUT is the zero value


@pytest.mark.raftkv_only  # its gateway speaks HTTP/1.1 only, without TLS
def test_watch_over_http_2(member: MemberProcess, api: Api, prefix: str) -> None:
    """The same stream in DATA frames."""
    key = f"{prefix}w".encode()
    create = {"create_request": {"key": b64(key)}}
    with curl(member, "/v3/watch", create, flags=HTTP2) as stream:
        assert stream.line()["result"]["created"]
        api.delete(key)
        api.put(key, b"v")
        assert stream.line()["result"]["events"][0]["kv"]["value"] == b64(b"v")


@pytest.mark.raftkv_only  # counts watchers by our own metric
def test_a_watch_ends_with_its_client(member: MemberProcess, prefix: str) -> None:
    """Who goes away is not sent events for ever."""
    before = metric(member, "etcd_debugging_mvcc_watcher_total")
    with curl(member, "/v3/watch", {"create_request": {"key": b64(prefix.encode())}}) as stream:
        assert stream.line()["result"]["created"]
        assert metric(member, "etcd_debugging_mvcc_watcher_total") == before + 1
    wait_until(
        lambda: metric(member, "etcd_debugging_mvcc_watcher_total") == before,
        "the watcher is gone",
    )


def metric(member: MemberProcess, name: str) -> float:
    url = f"http://{member.endpoint}/metrics"
    text = subprocess.run(["curl", "-s", url], capture_output=True, text=True, check=True).stdout
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def test_keepalive(member: MemberProcess, shared_cluster: Cluster) -> None:
    """Each request in the body is answered, and then the stream ends: there is no more to come."""
    granted = shared_cluster.ctl(member).ok("lease", "grant", "60")[0].split()[1]
    lease = str(int(granted, 16))
    with curl(member, "/v3/lease/keepalive", {"ID": lease}, {"ID": "77"}) as stream:
        alive, gone = [each["result"] for each in stream.rest()]
    assert (alive["ID"], alive["TTL"]) == (lease, "60")
    assert gone["ID"] == "77"
    assert "TTL" not in gone


@pytest.mark.parametrize("flags", [HTTP1, pytest.param(HTTP2, marks=pytest.mark.raftkv_only)])
def test_snapshot(member: MemberProcess, flags: str) -> None:
    """The whole image in lines, with its checksum at the end."""
    with curl(member, "/v3/maintenance/snapshot", {}, flags=flags) as stream:
        lines = [each["result"] for each in stream.rest()]
    blobs = [b64decode(each["blob"]) for each in lines]
    assert sha256(b"".join(blobs[:-1])).digest() == blobs[-1]


@pytest.mark.raftkv_only  # etcd 3.4 has none of the flags' answers in these words
def test_who_may_ask(new_cluster: Callable[..., Cluster]) -> None:
    """--host-whitelist, --cors, --enable-grpc-gateway, and OPTIONS."""
    flags = ["--host-whitelist=127.0.0.1,good", "--cors=http://page", "--enable-grpc-gateway=false"]
    (member,) = new_cluster(members=1, flags=flags).members

    def ask(*arguments: str) -> str:
        command = ["curl", "-si", f"http://{member.endpoint}/version", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert ask().startswith("HTTP/1.1 200")
    assert ask("-H", "Host: good:1").startswith("HTTP/1.1 200")
    assert ask("-H", "Host: evil").startswith("HTTP/1.1 421")
    assert ask("-X", "OPTIONS").startswith("HTTP/1.1 200")
    assert "access-control-allow-origin: http://page" in ask("-H", "Origin: http://page")
    assert "access-control-allow-origin" not in ask("-H", "Origin: http://other")
    url = f"http://{member.endpoint}/v3/kv/range"
    gone = subprocess.run(["curl", "-si", url, "-d", "{}"], capture_output=True, check=True).stdout
    assert gone.startswith(b"HTTP/1.1 404")
