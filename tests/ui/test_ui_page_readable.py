"""The page can be read and used by everybody: contrast, names, keys, any width, both themes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.ui.made_up_cluster import MadeUpCluster
from tests.ui.made_up_store import coded
from tests.ui.page_parts import each, number, text
from tests.ui.replay import Replay

pytestmark = pytest.mark.slow

READABLE = (Path(__file__).parent / "readable.js").read_text().rstrip("\n;")
VIEWS = {
    "cluster": "#cluster",
    "keys": f"#keys?key={coded(b'/config')}",
    "diff": "#diff?from=1&to=4",
}
NAMED = (
    "button", "link", "textbox", "combobox", "radio", "table", "region", "image",
    "dialog", "navigation", "columnheader", "rowheader",
)  # fmt: skip
RING = "getComputedStyle(n.querySelector('.focus-ring') ?? n)"
FOCUSED = f"""(n => ({{
  words: n.getAttribute('aria-label') ?? n.textContent.trim().slice(0, 40) ?? '',
  id: n.id, tag: n.tagName,
  ring: getComputedStyle(n).outlineStyle !== 'none' || {RING}.stroke !== 'none',
}}))(document.activeElement)"""


@pytest.fixture(scope="module")
def shown() -> Iterator[Replay]:
    """A cluster in which every state is to be seen: five members, of all roles; alarms, cuts."""
    cluster = MadeUpCluster(5)
    cluster.put(b"/config", b"one\ntwo\nthree")
    cluster.put(b"/config", b"one\nzwei\nthree")
    cluster.stop("m2")
    cluster.elect("m1")
    cluster.put(b"/other", b"value")
    cluster.stop("m3", "paused")
    cluster.member("m4").state = "candidate"
    cluster.member("m5").state = "learner"
    cluster.cut.add(frozenset((cluster.member("m1").id, cluster.member("m4").id)))
    slow = {"client": "10.9.9.9:1234", "range": "/x/", "behind": 12, "backlog_bytes": 4096}
    cluster.member("m1").more = {
        "alarms": ["NOSPACE"],
        "slowest_watchers": [slow],
        "commit_index": 6,
    }
    cluster.prefixes = [{"prefix": "/registry/", "keys": 12, "bytes": 4096, "writes_per_s": 3.5}]
    with Replay(cluster) as replay:
        yield replay


def visit(browser: Browser, replay: Replay, view: str) -> None:
    browser.visit(f"{replay.url()}{VIEWS[view]}")
    ready = {
        "cluster": "document.querySelector('.card') !== null",
        "keys": f"{number('#version-diff .diff > div')} > 0",
        "diff": f"{number('#changes summary')} === 2",
    }
    browser.wait_for(ready[view])
    for what in ("stopped", "began_election", "became_leader"):
        replay.send("happening", replay.cluster.happening("m1", what, f"m1: {what}"))
    browser.wait_for(f"{text('happenings')}.includes('became_leader')")
    browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_has_contrast(browser: Browser, shown: Replay, view: str, dark: bool) -> None:
    """WCAG's AA for all text, over its own ground, as the browser computes both."""
    browser.dark(dark)
    visit(browser, shown, view)
    browser.drawn()
    found = browser.evaluate(READABLE)
    assert found["texts"] > 20
    assert found["poor"] == []
    if view == "cluster":
        browser.evaluate("document.getElementById('as-table').click()")
        assert browser.evaluate(READABLE)["poor"] == []
        browser.evaluate("document.getElementById('as-table').click()")


def test_the_contrast_check_finds_what_is_pale(browser: Browser, shown: Replay) -> None:
    """A check that finds nothing proves nothing: pale words are told."""
    visit(browser, shown, "cluster")
    browser.evaluate("document.getElementById('logs-title').style.color = '#bbb'")
    poor = browser.evaluate(READABLE)["poor"]
    assert len(poor) == 1
    assert "Members and their logs" in poor[0]


def test_the_theme_is_the_systems_or_chosen(browser: Browser, shown: Replay) -> None:
    """Dark with the system, light against it by choice, and kept over a reload."""
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.dark(False)
    visit(browser, shown, "cluster")
    light = browser.evaluate(ground)
    browser.dark(True)
    assert browser.evaluate(ground) != light
    choose = "document.getElementById('theme').dispatchEvent(new Event('change'))"
    browser.evaluate(f"(document.getElementById('theme').value = 'light', {choose})")
    assert browser.evaluate(ground) == light
    visit(browser, shown, "keys")
    assert browser.evaluate(ground) == light
    browser.evaluate(f"(document.getElementById('theme').value = 'system', {choose})")
    assert browser.evaluate(ground) != light


@pytest.mark.parametrize("view", VIEWS)
def test_everything_has_a_name(browser: Browser, shown: Replay, view: str) -> None:
    """Every control, drawing, table and region says what it is; one main part, one heading."""
    visit(browser, shown, view)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and "role" in node
    ]
    roles = [role for role, _ in named]
    assert roles.count("main") == 1
    assert roles.count("navigation") == 1
    assert browser.evaluate(number("h1")) == 1
    for role in NAMED:
        assert all(name for found, name in named if found == role), f"a {role} without a name"
    groups = each("[role=group]", "n.ariaLabel ?? n.getAttribute('aria-labelledby')")
    assert all(browser.evaluate(groups)), "a group without a name"
    ids = browser.evaluate(each("[id]", "n.id"))
    assert len(ids) == len(set(ids)), "an id twice"
    wanted = {"cluster": {"button", "table", "link"}, "keys": {"textbox", "combobox", "radio"}}
    assert wanted.get(view, {"textbox"}) <= set(roles)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("width", [360, 1000, 3840])
def test_no_part_is_wider_than_the_window(
    browser: Browser, shown: Replay, view: str, width: int
) -> None:
    """From a phone to a wall."""
    browser.resize(width, 900)
    visit(browser, shown, view)
    browser.drawn()
    assert browser.evaluate("root.scrollWidth <= root.clientWidth")
    if view == "cluster":
        browser.evaluate("document.getElementById('as-table').click()")
        assert browser.evaluate("root.scrollWidth <= root.clientWidth")
        browser.evaluate("document.getElementById('as-table').click()")


def test_the_keyboard_reaches_and_does_everything(browser: Browser, shown: Replay) -> None:
    """By Tab every control in the order of the page, each with its focus to be seen; by Enter a
    member's button acts, a link is cut, a key is opened."""
    visit(browser, shown, "cluster")
    focusable = "a[href], button:not(:disabled), select, input, summary, [tabindex='0']"
    wanted = browser.evaluate(
        f"[...document.querySelectorAll({focusable!r})].filter(n => n.checkVisibility()).length"
    )
    reached = []
    for _ in range(wanted):
        browser.press("Tab")
        focused = browser.evaluate(FOCUSED)
        assert focused["ring"], f"no focus to be seen on {focused}"
        reached.append(focused)
    words = [one["words"] for one in reached]
    assert words[0] == "Skip to the content"
    assert len({(one["tag"], one["id"], one["words"]) for one in reached}) == wanted, words
    for name in ("Kill m1", "Resume m3", "Restart m2", "Cut the link", "Heal the link", "Tables"):
        assert any(one.startswith(name) for one in words), name

    shown.posts.clear()
    browser.evaluate("document.querySelector('[data-action=restart]').focus()")
    browser.press("Enter")
    browser.wait_until(lambda: shown.posts, "Enter on a button acts")
    browser.evaluate("document.querySelector('.node').focus()")
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.closest('.card') !== null")
    browser.evaluate("document.getElementById('to-keys').focus()")
    browser.press("Enter")
    browser.wait_for(f"{number('#key-table tbody tr')} > 0")
    browser.evaluate("document.querySelector('#key-table a').focus()")
    browser.press("Enter")
    browser.wait_for(f"{number('#history-table tbody tr')} > 0")
    assert browser.evaluate("document.activeElement.closest('#key-table') !== null")


def test_the_skip_link_leads_to_the_content(browser: Browser, shown: Replay) -> None:
    """And the view stays the one that it was."""
    visit(browser, shown, "keys")
    browser.press("Tab")
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.id") == "main"
    assert not browser.evaluate("document.getElementById('view-keys').hidden")


def test_an_update_leaves_the_focus_where_it_is(browser: Browser, shown: Replay) -> None:
    """Twice a second all numbers are written anew; who is on a button stays there."""
    visit(browser, shown, "cluster")
    browser.evaluate("document.querySelector('[aria-label=\"Kill m1\"]').focus()")
    written = shown.cluster.store.revision
    shown.cluster.store.revision += 1000
    shown.tell()
    browser.wait_for(f"{text('fact-revision')} === '{written + 1000:,}'")
    assert browser.evaluate("document.activeElement.ariaLabel") == "Kill m1"
