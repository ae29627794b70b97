"""What every request goes through: places, deadlines, counts, the audit line, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from apiserver_shim.http.audit import AuditEvent
from apiserver_shim.http.in_flight import InFlight
from apiserver_shim.security.authentication import StaticTokens
from apiserver_shim.security.bundle import SecuritySettings
from apiserver_shim.shim import ShimSettings
from apiserver_shim.store.registry import Registry
from tests.e2e.cluster import Cluster
from tests.shim.security.guarded_shim import TOKENS, GuardedShim
from tests.shim.security.test_shim_rbac import rule

PODS = "/api/v1/namespaces/default/pods"


class HeldStore:
    """Holds up every read of one object until it is let go, and counts who waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.go = asyncio.Event()
        self.someone = asyncio.Event()
        read = Registry.get

        async def held(registry: Registry, key: str) -> object:
            self.waiting += 1
            self.someone.set()
            await self.go.wait()
            return await read(registry, key)

        self._hold = lambda: monkeypatch.setattr(Registry, "get", held)

    def hold(self) -> None:
        self._hold()


@pytest.fixture
def events() -> list[AuditEvent]:
    return []


@pytest.fixture
async def narrow(security_store: Cluster, events: list[AuditEvent]) -> AsyncIterator[GuardedShim]:
    """One place for reads, one for writes."""
    settings = ShimSettings(
        security=SecuritySettings(tokens=StaticTokens(TOKENS)),
        in_flight=InFlight(1, 1),
        audit=events.append,
    )
    async with GuardedShim(security_store.endpoints[0], settings) as shim:
        yield shim


async def test_who_comes_when_all_places_are_taken_comes_again(
    narrow: GuardedShim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 with Retry-After; writes have places of their own, watches need none, and an operator
    gets through."""
    await narrow.bind("alice", [rule("*", "pods configmaps")], "default")
    store = HeldStore(monkeypatch)
    store.hold()
    first = asyncio.create_task(narrow.call("alice-token", "GET", f"{PODS}/x"))
    await store.someone.wait()
    refused = await narrow.call("alice-token", "GET", PODS)
    assert (refused.code, refused.body["reason"]) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"] == "1"
    assert (await narrow.call("admin-token", "GET", PODS)).code == 200
    created = await narrow.call(
        "alice-token", "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "c"}}
    )
    assert created.code == 201
    watch = await narrow.call("alice-token", "GET", f"{PODS}?watch=1&timeoutSeconds=1")
    assert watch.code == 200
    store.go.set()
    assert (await first).code == 404


async def test_a_request_that_takes_too_long_is_ended(
    security_store: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """504 with reason Timeout, and its place is free again."""
    settings = ShimSettings(
        security=SecuritySettings(tokens=StaticTokens(TOKENS)),
        in_flight=InFlight(1, 1),
        request_s_max=0.2,
    )
    async with GuardedShim(security_store.endpoints[0], settings) as hasty:
        await hasty.bind("alice", [rule("get", "pods")], "default")
        store = HeldStore(monkeypatch)
        store.hold()
        for _ in range(2):
            reply = await hasty.call("alice-token", "GET", f"{PODS}/x")
            assert (reply.code, reply.body["reason"]) == (504, "Timeout")
        assert store.waiting == 2


async def test_metrics_tell_what_was_asked(guarded: GuardedShim) -> None:
    """Under a real apiserver's names, with labels of what is served only."""
    await guarded.call("admin-token", "GET", PODS)
    await guarded.call("bob-token", "GET", PODS)
    await guarded.call("bob-token", "GET", "/made/up/by/bob")
    assert (await guarded.call("bob-token", "GET", "/metrics")).code == 403
    text = (await guarded.call("admin-token", "GET", "/metrics")).raw.decode()
    asked = 'group="",resource="pods",scope="namespace",subresource="",verb="LIST",version="v1"'
    assert f'apiserver_request_total{{code="200",{asked}}} 1.0' in text
    assert f'apiserver_request_total{{code="403",{asked}}} 1.0' in text
    assert f"apiserver_request_duration_seconds_count{{{asked}}} 2.0" in text
    assert 'apiserver_current_inflight_requests{request_kind="readOnly"} 1.0' in text
    assert 'apiserver_storage_objects{resource="namespaces"} 4.0' in text
    assert 'etcd_request_duration_seconds_count{operation="create"}' in text
    assert "bob" not in text


async def test_every_request_leaves_a_line(narrow: GuardedShim, events: list[AuditEvent]) -> None:
    """Who, what, the answer and how long; of refused ones too; never a query or a credential."""
    events.clear()
    await narrow.call("bob-token", "GET", f"{PODS}/x?pretty=secret")
    await narrow.call("nonsense", "GET", PODS)
    forbidden, unknown = (orjson.loads(each.line) for each in events)
    assert forbidden["user"]["username"] == "bob"
    assert forbidden["objectRef"] == {
        "resource": "pods",
        "namespace": "default",
        "name": "x",
        "apiVersion": "v1",
    }
    assert (forbidden["verb"], forbidden["responseStatus"]["code"]) == ("get", 403)
    assert unknown["responseStatus"]["code"] == 401
    assert b"secret" not in events[0].line
    assert b"nonsense" not in events[1].line


async def test_health_names_its_checks(guarded: GuardedShim) -> None:
    """verbose lists them, exclude leaves one out, each has a path; an ending shim is not ready but
    alive."""
    text = (await guarded.call("", "GET", "/readyz?verbose")).raw.decode()
    assert text.splitlines()[0] == "[+]ping ok"
    assert text.endswith("readyz check passed\n")
    guarded.shim.health.is_ending = True
    failing = await guarded.call("", "GET", "/readyz")
    assert (failing.code, "[-]shutdown failed" in failing.raw.decode()) == (500, True)
    assert (await guarded.call("", "GET", "/readyz?exclude=shutdown")).code == 200
    assert (await guarded.call("", "GET", "/readyz/shutdown")).code == 500
    assert (await guarded.call("", "GET", "/livez")).code == 200
    assert (await guarded.call("", "GET", "/livez/nothing")).code == 404


async def test_watches_end_cleanly_when_the_shim_does(guarded: GuardedShim) -> None:
    """The stream ends as a stream does, without an error or a cut line; another watch that comes
    late ends at once."""
    headers = {"Authorization": "Bearer admin-token"}
    url = f"{guarded.server}/api/v1/namespaces?watch=1"
    async with guarded.session.get(url, headers=headers) as reply:
        lines = [orjson.loads(await reply.content.readline()) for _ in range(4)]
        await guarded.shim.end()
        assert await reply.content.read() == b""
    assert {each["type"] for each in lines} == {"ADDED"}
    late = await guarded.call("admin-token", "GET", "/api/v1/namespaces?watch=1&resourceVersion=0")
    assert late.code == 200
