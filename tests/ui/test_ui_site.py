"""The port of the page: what is served, to whom, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raftkv.server.config import Address
from raftkv.ui.answers import Refusal
from raftkv.ui.door import Door, is_loopback
from raftkv.ui.feed import PAGES_MAX
from raftkv.ui.page_stream import BACKLOG_BYTES_MAX, BACKLOG_LEAVE_OUT_BYTES
from raftkv.wire.service import HttpHead, HttpRequest
from tests.ui.cluster_feed import FakePage, served
from tests.ui.site_of import HOST, OTHER, POST, SiteUnderTest, told


class FakeLocal:
    """`raftkv local`: notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    async def act(self, member_id: int, action: str) -> str:
        self.asked.append((member_id, action))
        return f"{action}: done"

    async def link(self, a: int, b: int, *, cut: bool) -> str:
        self.asked.append((a, b, cut))
        return "done"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "page.js").write_text("export {};")
    (tmp_path / "notes.txt").write_text("not for browsers")
    return tmp_path


@pytest.fixture
def local() -> FakeLocal:
    return FakeLocal()


@pytest.fixture
def site(page: Path, local: FakeLocal) -> SiteUnderTest:
    return SiteUnderTest(page, local)


# --- files ----------------------------------------------------------------------------------


async def test_the_page_and_its_files(site: SiteUnderTest) -> None:
    """With their types, and a policy that lets scripts ask this member and the others' pages."""
    index = await site.get("/")
    assert (index.status, index.body) == (200, b"<!doctype html>")
    assert index.content_type == "text/html; charset=utf-8"
    policy = index.headers["content-security-policy"]
    assert "default-src 'self';" in policy
    assert f"connect-src 'self' {OTHER};" in policy
    assert "frame-ancestors 'none'" in policy
    assert index.headers["x-content-type-options"] == "nosniff"
    script = await site.get("/page/page.js")
    assert script.content_type == "text/javascript; charset=utf-8"


async def test_a_file_that_has_not_changed_is_not_sent_again(site: SiteUnderTest) -> None:
    """The browser names what it has by its etag."""
    first = await site.get("/page/page.js")
    again = await site.get("/page/page.js", {**HOST, "if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert (await site.get("/page/page.js", {**HOST, "if-none-match": '"x"'})).status == 200


@pytest.mark.parametrize(
    "path",
    ["/page/", "/page/notes.txt", "/page/../feed.py", "/page/..%2ffeed.py", "/x", "/api/", "//["],
)
async def test_there_is_nothing_else(site: SiteUnderTest, path: str) -> None:
    """No path leads out of the page's files."""
    status, text = told(await site.get(path))
    assert status == 404
    assert "the page is at /" in text


# --- the door -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:2381", "localhost:2381", "localhost", "[::1]:2381", "127.0.0.2:99"]
)
async def test_addresses_of_this_machine_are_hosts(site: SiteUnderTest, host: str) -> None:
    """Whatever the port: it may be forwarded."""
    assert (await site.get("/", {"host": host})).status == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:2381", "localhost.evil.example", "10.0.0.1", "["]
)
async def test_a_rebound_name_is_refused(site: SiteUnderTest, host: str) -> None:
    """Everywhere, the stream too, before anything is looked at."""
    for path in ("/", "/api/keys", "/api/stream", "/page/page.js"):
        status, text = told(await site.get(path, {"host": host}))
        assert status == 421
        assert "http://127.0.0.1:2381" in text
    assert site.site.streams(HttpHead("GET", "/api/stream", {"host": host})) is None
    assert site.feed.pages == 0
    assert told(await site.post("/api/login", {}, {**POST, "host": host}))[0] == 421


async def test_hosts_of_a_page_that_others_may_reach() -> None:
    """Any address, for a rebound name is a name; names that --host-whitelist has; over TLS all."""
    none: frozenset[str] = frozenset()
    door = Door(Address("0.0.0.0", 2381), frozenset(("db.example",)), lambda: none)
    for host in ("10.0.0.1:2381", "db.example:2381", "localhost", "[fe80::1]:2381"):
        door.check("GET", {"host": host})
    with pytest.raises(Refusal, match="host-whitelist"):
        door.check("GET", {"host": "evil.example"})
    Door(Address("0.0.0.0", 2381, "https"), none, lambda: none).check("GET", {"host": "x.example"})
    assert [is_loopback(h) for h in ("127.9.9.9", "::1", "localhost")] == [True] * 3
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "10.0.0.1", "x.example")] == [False] * 4


async def test_a_post_needs_the_header_and_no_foreign_page(
    site: SiteUnderTest, local: FakeLocal
) -> None:
    """A form of another site can send neither."""
    body = {"member": "1", "action": "stop"}
    status, text = told(await site.post("/api/local/member", body, HOST))
    assert (status, text) == (403, "a POST needs the header X-Raftkv-UI: 1")
    foreign = {**POST, "origin": "http://evil.example"}
    assert told(await site.post("/api/local/member", body, foreign))[0] == 403
    assert local.asked == []
    for origin in ("http://127.0.0.1:2381", OTHER):
        assert (
            await site.post("/api/local/member", body, {**POST, "origin": origin})
        ).status == 200


async def test_only_pages_of_the_members_read_from_elsewhere(site: SiteUnderTest) -> None:
    """CORS is answered for their origins alone, in a preflight too."""
    theirs = await site.get("/api/keys", {**HOST, "origin": OTHER})
    assert theirs.headers["access-control-allow-origin"] == OTHER
    foreign = await site.get("/api/keys", {**HOST, "origin": "http://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers
    for origin, allowed in ((OTHER, True), ("http://evil.example", False)):
        head = {**HOST, "origin": origin}
        preflight = await served(site.stage, site.site(HttpRequest("OPTIONS", "/", head, b"")))
        assert preflight.status == 204
        assert ("access-control-allow-headers" in preflight.headers) is allowed


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/"), ("PUT", "/api/keys"), ("DELETE", "/api/key"), ("GET", "/api/login")],
)
async def test_methods_that_are_not_served(site: SiteUnderTest, method: str, path: str) -> None:
    """405, and which are."""
    response = await served(site.stage, site.site(HttpRequest(method, path, POST, b"")))
    assert told(response)[0] == 405


# --- the buttons ----------------------------------------------------------------------------


async def test_buttons_reach_raftkv_local(site: SiteUnderTest, local: FakeLocal) -> None:
    """Ids come in hex, and what was done goes back."""
    answer = await site.post("/api/local/member", {"member": "ff", "action": "pause"})
    assert json.loads(answer.body) == {"done": "pause: done"}
    await site.post("/api/local/link", {"a": "1", "b": "2", "cut": True})
    assert local.asked == [(0xFF, "pause"), (1, 2, True)]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/api/local/member", {"member": "1", "action": "explode"}, "one of stop, kill"),
        ("/api/local/member", {"member": "zz", "action": "stop"}, "id in hex"),
        ("/api/local/member", {"action": "stop"}, "id in hex"),
        ("/api/local/link", {"a": "1", "b": "2", "cut": "yes"}, "true or false"),
        ("/api/local/link", {"a": "1", "cut": True}, "b is a member's id"),
        ("/api/local/link", b"[]", "a JSON object"),
        ("/api/local/link", b"{", "no JSON"),
        ("/api/local/link", b"\xff", "no JSON"),
        ("/api/local/link", b"[" * 60_000, "no JSON"),
        ("/api/login", {"name": 1, "password": "x"}, "a login is"),
        ("/api/login", {"name": "x" * 2_000, "password": "x"}, "at most 1024 bytes"),
    ],
)
async def test_bad_bodies_are_named(
    site: SiteUnderTest, local: FakeLocal, path: str, body: object, says: str
) -> None:
    """Nothing is asked of anybody then."""
    status, text = told(await site.post(path, body))
    assert status == 400
    assert says in text
    assert local.asked == []


async def test_without_raftkv_local_there_are_no_buttons(page: Path) -> None:
    """404, for a member that runs on a host of its own."""
    site = SiteUnderTest(page)
    status, text = told(await site.post("/api/local/member", {"member": "1", "action": "stop"}))
    assert status == 404
    assert "raftkv local" in text


# --- the stream -----------------------------------------------------------------------------


async def test_a_stream_tells_the_state_at_once(site: SiteUnderTest) -> None:
    """And goes on until the browser goes away; then nothing is made any more."""
    exchange, task = site.open()
    await site.turn()
    assert (exchange.status, exchange.content_type) == (200, "text/event-stream; charset=utf-8")
    assert exchange.events[0] == "cluster"
    assert site.feed.pages == 1
    seen = len(exchange.events)
    await site.turn(1)
    assert len(exchange.events) > seen
    task.cancel()
    await site.turn(0.2)
    assert site.feed.pages == 0


async def test_there_are_so_many_pages(site: SiteUnderTest) -> None:
    """One more is told so, and is not served."""
    for _ in range(PAGES_MAX):
        site.feed.open(FakePage())
    exchange, task = site.open()
    await site.turn(0.1)
    assert task.done()
    assert exchange.status == 503
    assert b"16 pages are open" in exchange.sent[0]


async def test_a_page_that_does_not_read_is_told_less_and_then_nothing(site: SiteUnderTest) -> None:
    """What the next event replaces is left out; far behind, it is given up."""
    exchange, task = site.open()
    await site.turn()
    exchange.backlog = BACKLOG_LEAVE_OUT_BYTES + 1
    seen = len(exchange.events)
    await site.turn(1)
    assert len(exchange.events) == seen
    exchange.backlog = BACKLOG_BYTES_MAX + 1
    await site.turn(1)
    assert task.done()
    assert site.feed.pages == 0


async def test_while_auth_is_enabled_the_cluster_is_for_root(
    site: SiteUnderTest, local: FakeLocal
) -> None:
    """Its stream has names of keys in it, and its buttons stop members."""
    _, before = site.open()
    await site.turn()
    await site.enable_auth()
    await site.turn(1)
    assert before.done(), "a page of before goes on looking"
    ann, root = await site.log_in("ann"), await site.log_in("root")
    for token, status in (("", 401), ("stale.99", 401), (ann, 403)):
        headers = {**HOST, "authorization": f"Bearer {token}"} if token else HOST
        exchange, task = site.open(headers)
        await site.turn(0.1)
        assert task.done()
        assert exchange.status == status
        assert exchange.content_type == "application/json"
        assert exchange.events == []
        headers = {**POST, "authorization": f"Bearer {token}"} if token else POST
        refused = await site.post("/api/local/member", {"member": "1", "action": "kill"}, headers)
        assert refused.status == status
    assert local.asked == []
    exchange, task = site.open({**HOST, "authorization": f"Bearer {root}"})
    await site.turn()
    assert exchange.status == 200
    task.cancel()
    allowed = {**POST, "authorization": f"Bearer {root}"}
    body = {"member": "1", "action": "kill"}
    assert (await site.post("/api/local/member", body, allowed)).status == 200
    wrong = await site.post("/api/login", {"name": "ann", "password": "wrong"})
    assert told(wrong)[0] == 401
    assert (await site.get("/")).status == 200, "the page itself, with its login, is for all"
