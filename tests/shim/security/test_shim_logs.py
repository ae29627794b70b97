"""pods/log: streamed from the node's kubelet; exec and its kin: refused in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.shim.security.guarded_shim import GuardedShim, Object
from tests.shim.security.test_shim_rbac import rule

PODS = "/api/v1/namespaces/default/pods"


class FakeKubelet:
    """Answers containerLogs with what it was asked, and with ``follow`` goes on until let go."""

    def __init__(self) -> None:
        self.port = 0
        self.more = asyncio.Event()
        self.left = asyncio.Event()

    async def logs(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["container"] == "starting":
            return web.Response(status=400, text="container is waiting to start")
        if request.query.get("follow") != "true":
            return web.Response(text=f"{request.path} {request.query_string}\n")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        try:
            await self.more.wait()
            await response.write(b"second\n")
        except asyncio.CancelledError:
            self.left.set()
            raise
        return response


@pytest.fixture
async def kubelet(guarded: GuardedShim) -> AsyncIterator[FakeKubelet]:
    """Of node n1, on which the pod p runs."""
    fake = FakeKubelet()
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", fake.logs)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    status: Object = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": runner.addresses[0][1]}},
    }
    await guarded.make("/api/v1/nodes", {"metadata": {"name": "n1"}})
    await guarded.call(
        "admin-token",
        "PUT",
        "/api/v1/nodes/n1/status",
        {"metadata": {"name": "n1"}, "status": status},
    )
    names = ("web", "starting")
    spec = {"nodeName": "n1", "containers": [{"name": each, "image": "i"} for each in names]}
    await guarded.make(PODS, {"metadata": {"name": "p"}, "spec": spec})
    await guarded.make(
        PODS, {"metadata": {"name": "q"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    )
    yield fake
    await runner.cleanup()


async def test_logs_come_from_the_kubelet(guarded: GuardedShim, kubelet: FakeKubelet) -> None:
    """With the options that it knows; a pod that runs nowhere has written nothing."""
    path = f"{PODS}/p/log?container=web&tailLines=5&timestamps=true&pretty=1"
    reply = await guarded.call("admin-token", "GET", path)
    assert reply.raw == b"/containerLogs/default/p/web timestamps=true&tailLines=5\n"
    assert reply.headers["Content-Type"].startswith("text/plain")
    assert (await guarded.call("admin-token", "GET", f"{PODS}/q/log")).raw == b""


async def test_a_followed_log_streams_until_the_client_goes(
    guarded: GuardedShim, kubelet: FakeKubelet
) -> None:
    """Each piece as it comes; and the kubelet is told when nobody reads on."""
    headers = {"Authorization": "Bearer admin-token"}
    url = f"{guarded.server}{PODS}/p/log?container=web&follow=true"
    async with guarded.session.get(url, headers=headers) as reply:
        assert await reply.content.readline() == b"first\n"
        kubelet.more.set()
        assert await reply.content.read() == b"second\n"
    kubelet.more.clear()
    async with guarded.session.get(url, headers=headers) as reply:
        assert await reply.content.readline() == b"first\n"
        reply.close()
    await asyncio.wait_for(kubelet.left.wait(), 30)


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("p/log", 400, "a container name must be specified for pod p"),
        ("p/log?container=none", 400, "container none is not valid for pod p"),
        ("p/log?container=starting", 400, "container is waiting to start"),
        ("p/log?container=web&tailLines=-1", 422, "must be greater than or equal to 0"),
        ("p/log?container=web&limitBytes=0", 422, "must be greater than or equal to 1"),
        ("none/log", 404, 'pods "none" not found'),
        ("p/exec?command=ls", 501, "pods/exec is not supported"),
        ("p/attach", 501, "pods/attach is not supported"),
        ("p/portforward", 501, "pods/portforward is not supported"),
    ],
)
async def test_what_cannot_be_told(
    guarded: GuardedShim, kubelet: FakeKubelet, path: str, code: int, words: str
) -> None:
    """A Status that says why."""
    reply = await guarded.call("admin-token", "GET", f"{PODS}/{path}")
    assert (reply.code, words in reply.message) == (code, True), reply.raw


async def test_logs_are_for_who_may_read_logs(guarded: GuardedShim, kubelet: FakeKubelet) -> None:
    """pods/log is a right of its own."""
    await guarded.bind("alice", [rule("get list", "pods")], "default")
    await guarded.bind("bob", [rule("get", "pods/log")], "default")
    assert not await guarded.has("alice-token", f"{PODS}/p/log?container=web")
    assert await guarded.has("bob-token", f"{PODS}/p/log?container=web")


async def test_a_kubelet_that_is_gone(guarded: GuardedShim, kubelet: FakeKubelet) -> None:
    """503 that names where it was looked for."""
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
    }
    await guarded.call(
        "admin-token",
        "PUT",
        "/api/v1/nodes/n1/status",
        {"metadata": {"name": "n1"}, "status": status},
    )
    reply = await guarded.call("admin-token", "GET", f"{PODS}/p/log?container=web")
    assert (reply.code, "127.0.0.1:1" in reply.message) == (503, True)
