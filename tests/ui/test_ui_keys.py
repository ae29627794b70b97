"""The key browser's questions: pages, values, history and differences, as the store has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftkv.ui import key_api
from raftkv.ui.text import from_base64
from tests.ui.cluster_feed import compact, delete, put
from tests.ui.site_of import SiteUnderTest


@pytest.fixture
def site(tmp_path: Path) -> SiteUnderTest:
    return SiteUnderTest(tmp_path)


def texts(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [each["text"] for each in answer["keys"]]


async def test_keys_come_in_pages(site: SiteUnderTest) -> None:
    """In order, each once, with `next` as the next page's `after`; the count is of all."""
    for n in range(7):
        put(site.stage, b"a/%d" % n, b"x" * n)
    put(site.stage, b"b", b"")
    first = await site.json("/api/keys", prefix=b"a/", limit=3)
    assert texts(first) == ["a/0", "a/1", "a/2"]
    assert (first["more"], first["count"]) == (True, 7)
    second = await site.json("/api/keys", prefix=b"a/", limit=3, after=from_base64(first["next"]))
    third = await site.json("/api/keys", prefix=b"a/", limit=3, after=from_base64(second["next"]))
    assert texts(second) + texts(third) == ["a/3", "a/4", "a/5", "a/6"]
    assert (third["more"], third["next"]) == (False, "")
    row = third["keys"][0]
    assert (row["bytes"], row["version"], row["lease"]) == (6, 1, "")
    assert row["create_revision"] == row["mod_revision"]
    assert texts(await site.json("/api/keys")) == [*(f"a/{n}" for n in range(7)), "b"]


async def test_keys_of_an_earlier_revision(site: SiteUnderTest) -> None:
    """As they were, with the deleted one and without the later one."""
    put(site.stage, b"k1", b"1")
    then = put(site.stage, b"k2", b"2")
    delete(site.stage, b"k1")
    put(site.stage, b"k3", b"3")
    answer = await site.json("/api/keys", rev=then)
    assert (texts(answer), answer["revision"], answer["count"]) == (["k1", "k2"], then, 2)
    assert texts(await site.json("/api/keys")) == ["k2", "k3"]


async def test_a_value(site: SiteUnderTest) -> None:
    """As text where it is text, as bytes always; 404 says where to look further."""
    put(site.stage, b"k", "größe".encode())
    now = put(site.stage, b"raw", b"\xff\0")
    answer = await site.json("/api/key", key=b"k")
    assert (answer["value_text"], answer["truncated"]) == ("größe", False)
    assert from_base64(answer["value"]) == "größe".encode()
    raw = await site.json("/api/key", key=b"raw")
    assert (raw["value_text"], from_base64(raw["value"])) == (None, b"\xff\0")
    assert raw["revision"] == now
    assert (await site.refusal("/api/key", key=b"none"))[0] == 404
    status, text = await site.refusal("/api/key", key=b"raw", rev=now - 1)
    assert status == 404
    assert "history" in text


async def test_a_long_value_is_cut_between_characters(
    site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so; its size is the whole one's."""
    monkeypatch.setattr(key_api, "VALUE_BYTES_MAX", 4)
    put(site.stage, b"k", "aßßß".encode())
    answer = await site.json("/api/key", key=b"k")
    assert (answer["value_text"], answer["truncated"], answer["bytes"]) == ("aß", True, 7)


async def test_the_history_of_a_key(site: SiteUnderTest) -> None:
    """Newest first, over deletions and lives, in pages by revision."""
    revisions = [put(site.stage, b"k", b"1"), put(site.stage, b"k", b"2")]
    revisions.append(delete(site.stage, b"k"))
    put(site.stage, b"other", b"")
    revisions.append(put(site.stage, b"k", b"4"))
    answer = await site.json("/api/history", key=b"k")
    versions = answer["versions"]
    assert [each["revision"] for each in versions] == revisions[::-1]
    assert [each["type"] for each in versions] == ["put", "delete", "put", "put"]
    assert [each["value_text"] for each in versions] == ["4", None, "2", "1"]
    assert [each["version"] for each in versions] == [1, 0, 2, 1]
    assert not answer["more"]
    page = await site.json("/api/history", key=b"k", before=revisions[3], limit=2)
    assert [each["revision"] for each in page["versions"]] == [revisions[2], revisions[1]]
    assert page["more"]
    assert (await site.json("/api/history", key=b"never"))["versions"] == []


async def test_the_history_of_a_key_with_many_versions(site: SiteUnderTest) -> None:
    """A page far back begins where it should."""
    revisions = [put(site.stage, b"k", b"%d" % n) for n in range(60)]
    page = await site.json("/api/history", key=b"k", before=revisions[20], limit=5)
    assert [each["value_text"] for each in page["versions"]] == ["19", "18", "17", "16", "15"]


async def test_a_deleted_key_has_a_history(site: SiteUnderTest) -> None:
    """Its end is in it."""
    put(site.stage, b"k", b"1")
    delete(site.stage, b"k")
    answer = await site.json("/api/history", key=b"k")
    assert [each["type"] for each in answer["versions"]] == ["delete", "put"]


async def test_history_ends_at_the_compaction(site: SiteUnderTest) -> None:
    """What stood then is shown, nothing before it; a key that was deleted by then has none."""
    put(site.stage, b"k", b"1")
    put(site.stage, b"gone", b"1")
    delete(site.stage, b"gone")
    stood = put(site.stage, b"k", b"2")
    at = put(site.stage, b"other", b"")
    last = put(site.stage, b"k", b"3")
    compact(site.stage, at)
    answer = await site.json("/api/history", key=b"k")
    assert [each["revision"] for each in answer["versions"]] == [last, stood]
    assert (answer["more"], answer["compact_revision"]) == (False, at)
    assert (await site.json("/api/history", key=b"gone"))["versions"] == []


async def test_a_difference(site: SiteUnderTest) -> None:
    """Added, changed and removed keys between two revisions, of one prefix."""
    put(site.stage, b"a/same", b"s")
    put(site.stage, b"a/changed", b"old")
    first = put(site.stage, b"a/removed", b"r")
    put(site.stage, b"a/changed", b"new")
    delete(site.stage, b"a/removed")
    put(site.stage, b"b", b"elsewhere")
    last = put(site.stage, b"a/added", b"a")
    put(site.stage, b"a/later", b"")
    answer = await site.json("/api/diff", from_=first, to=last, prefix=b"a/")
    assert [(each["text"], each["change"]) for each in answer["changes"]] == [
        ("a/added", "added"), ("a/changed", "changed"), ("a/removed", "removed"),
    ]  # fmt: skip
    _, changed, removed = answer["changes"]
    assert (changed["from_value_text"], changed["to_value_text"]) == ("old", "new")
    assert (removed["from_value_text"], removed["to_value_text"]) == ("r", None)
    assert (answer["from"], answer["to"], answer["more"]) == (first, last, False)
    newest = await site.json("/api/diff", from_=last)
    assert [each["text"] for each in newest["changes"]] == ["a/later"]
    assert (await site.json("/api/diff", from_=last, to=last))["changes"] == []


async def test_a_difference_in_pages_and_steps(
    site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the steps are, each change comes once and in order, over unchanged keys."""
    monkeypatch.setattr("raftkv.ui.key_reader.STEP_ROWS", 3)
    for n in range(20):
        put(site.stage, b"k%02d" % n, b"1")
    first = put(site.stage, b"zz", b"")
    changed = [2, 3, 9, 10, 11, 19]
    for n in changed:
        put(site.stage, b"k%02d" % n, b"2") if n % 2 else delete(site.stage, b"k%02d" % n)
    found: list[str] = []
    after = b""
    for _ in range(10):
        page = await site.json("/api/diff", from_=first, limit=2, after=after)
        found += [each["text"] for each in page["changes"]]
        after = from_base64(page["next"])
        if not page["more"]:
            break
    assert found == [f"k{n:02}" for n in changed]


async def test_what_is_compacted_or_has_not_happened_is_refused(site: SiteUnderTest) -> None:
    """With etcd's words."""
    put(site.stage, b"k", b"1")
    at = put(site.stage, b"k", b"2")
    compact(site.stage, at)
    for path, query in (
        ("/api/keys", {"rev": at - 1}),
        ("/api/key", {"key": b"k", "rev": at - 1}),
        ("/api/diff", {"from_": at - 1}),
    ):
        status, text = await site.refusal(path, **query)
        assert (status, "compacted" in text) == (400, True), (path, text)
    status, text = await site.refusal("/api/keys", rev=at + 9)
    assert (status, "future revision" in text) == (400, True)


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("/api/keys", {"limit": 501}, "from 1 to 500, got 501"),
        ("/api/keys", {"limit": "x"}, "limit: a whole number"),
        ("/api/keys", {"rev": -1}, "rev: a whole number"),
        ("/api/keys", {"rev": "9" * 30}, "rev: a whole number"),
        ("/api/keys", {"prefix": "%%%"}, "not base64url"),
        ("/api/key", {}, "key=BASE64URL is needed"),
        ("/api/history", {}, "key=BASE64URL is needed"),
        ("/api/history", {"key": b"k", "limit": 101}, "from 1 to 100"),
        ("/api/diff", {}, "from=REVISION"),
        ("/api/diff", {"from_": 1, "limit": 0}, "from 1 to 200, got 0"),
    ],
)
async def test_bad_parameters_are_named(
    site: SiteUnderTest, path: str, query: dict[str, object], says: str
) -> None:
    """Each with its bound."""
    status, text = await site.refusal(path, **query)
    assert status == 400
    assert says in text


async def test_while_auth_is_enabled_only_those_read_who_may(site: SiteUnderTest) -> None:
    """Without a token 401, with one 403 outside of what its user may read, as for a gRPC call."""
    put(site.stage, b"a/1", b"secret")
    put(site.stage, b"b/1", b"secret")
    await site.enable_auth()
    questions: tuple[tuple[str, dict[str, object], dict[str, object]], ...] = (
        ("/api/keys", {"prefix": b"a/"}, {"prefix": b"b/"}),
        ("/api/keys", {"prefix": b"a/", "limit": 1}, {}),
        ("/api/key", {"key": b"a/1"}, {"key": b"b/1"}),
        ("/api/history", {"key": b"a/1"}, {"key": b"b/1"}),
        ("/api/diff", {"from_": 1, "prefix": b"a/"}, {"from_": 1, "prefix": b"b/"}),
        ("/api/diff", {"from_": 1, "prefix": b"a/"}, {"from_": 1}),
    )
    ann, root = await site.log_in("ann"), await site.log_in("root")
    for path, allowed, denied in questions:
        for query in (allowed, denied):
            status, text = await site.refusal(path, **query)
            assert (status, "log in" in text) == (401, True), (path, text)
            assert (await site.refusal(path, "stale.99", **query))[0] == 401
        await site.json(path, ann, **allowed)
        status, text = await site.refusal(path, ann, **denied)
        assert (status, "secret" in text, "permission denied" in text) == (403, False, True)
        await site.json(path, root, **denied)
