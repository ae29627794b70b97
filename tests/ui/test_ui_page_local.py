"""What a person does to a local cluster from the page, and what it does when its member dies."""

from __future__ import annotations

import pytest

from tests.browser import Browser
from tests.ui.made_up_cluster import MadeUpCluster
from tests.ui.page_parts import button, each, number, row, text
from tests.ui.replay import Replay

pytestmark = pytest.mark.slow

BUTTONS = number(".member-row button")
OPEN = "document.getElementById('confirm').open"


def click(browser: Browser, expression: str) -> None:
    browser.evaluate(f"({expression}).click()")


def posted(browser: Browser, replay: Replay, path: str, body: dict[str, object]) -> None:
    browser.wait_until(lambda: replay.posts, f"a POST to {path}")
    assert replay.posts == [(path, body)]
    replay.posts.clear()


def test_members_and_links_have_buttons_in_local_mode_only(browser: Browser) -> None:
    """A cluster that is no toy shows none, nor the guide."""
    with Replay(MadeUpCluster(local=False)) as replay:
        browser.visit(replay.url())
        assert browser.evaluate(BUTTONS) == 0
        assert browser.evaluate("document.getElementById('links').hidden")
        assert browser.evaluate("document.getElementById('guide').hidden")
        reach = "document.querySelector('.link .reach')"
        browser.evaluate(f"{reach}.dispatchEvent(new MouseEvent('click'))")
        browser.drawn()
        assert replay.posts == []


def test_a_button_posts_its_action_at_once(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Kill, pause, stop, restart of a running member; resume or restart of one that is not."""
    browser.visit(replay.url())
    one = cluster.member("m2").id
    for action in ("kill", "pause", "stop", "restart"):
        click(browser, button("m2", action))
        posted(browser, replay, "local/member", {"member": one, "action": action})
        browser.wait_for(f"{text('play-status')} === 'done'")
    cluster.stop("m2")
    replay.tell()
    browser.wait_for(f"{button('m2', 'kill')} === null")
    offered = f"[...{row('m2')}.querySelectorAll('button')].map(b => b.dataset.action)"
    assert browser.evaluate(offered) == ["restart"]
    cluster.start("m2")
    cluster.stop("m2", "paused")
    replay.tell()
    browser.wait_for(f"{button('m2', 'resume')} !== null")
    click(browser, button("m2", "resume"))
    posted(browser, replay, "local/member", {"member": one, "action": "resume"})


def test_what_costs_the_quorum_is_asked_first(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """With one of three down a second kill is asked about, and "Leave it" leaves it."""
    cluster.stop("m3")
    browser.visit(replay.url())
    click(browser, button("m2", "kill"))
    assert browser.evaluate(OPEN)
    assert "1 of 3 members would be left, and 2 are needed" in browser.evaluate(
        text("confirm-text")
    )
    assert browser.evaluate("document.activeElement.id") == "confirm-no"
    click(browser, "document.activeElement")
    assert not browser.evaluate(OPEN)
    click(browser, button("m2", "kill"))
    click(browser, "document.getElementById('confirm-yes')")
    posted(browser, replay, "local/member", {"member": cluster.member("m2").id, "action": "kill"})
    cluster.stop("m2")
    replay.tell()
    browser.wait_for(f"{button('m2', 'restart')} !== null")
    click(browser, button("m2", "restart"))
    browser.wait_until(lambda: replay.posts, "a restart is not asked about")


def test_a_link_is_cut_and_healed(browser: Browser, replay: Replay, cluster: MadeUpCluster) -> None:
    """By its button below the drawing, and by the line itself."""
    browser.visit(replay.url())
    pair = {"a": cluster.member("m1").id, "b": cluster.member("m2").id}
    chip = "document.querySelector('#links button')"
    click(browser, chip)
    posted(browser, replay, "local/link", pair | {"cut": True})
    cluster.cut.add(frozenset(pair.values()))
    replay.tell()
    browser.wait_for(f"{chip}.getAttribute('aria-pressed') === 'true'")
    assert browser.evaluate(f"{chip}.getAttribute('aria-label')").startswith("Heal the link m1")
    reach = "document.querySelector('.link .reach')"
    browser.evaluate(f"{reach}.dispatchEvent(new MouseEvent('click'))")
    posted(browser, replay, "local/link", pair | {"cut": False})


def test_a_refusal_is_shown_with_its_text(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """The server's own words, which say what to do."""
    browser.visit(replay.url())
    replay.failures["/api/local/member"] = (409, "m2 is starting: wait a second and try again")
    click(browser, button("m2", "kill"))
    browser.wait_for(f"{text('banner-text')}.includes('wait a second and try again')")
    click(browser, "document.getElementById('banner-close')")
    assert browser.evaluate("document.getElementById('banner').hidden")


def test_the_guide_goes_with_what_really_happens(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Heartbeats seen, then the leader killed by its button, a new leader, the old one back."""
    browser.visit(replay.url())
    step = "document.querySelector('#guide li[aria-current=step]')?.textContent"
    act = "document.getElementById('guide-act')"
    assert browser.evaluate(step) == "Watch heartbeats"
    for _ in range(10):
        replay.messages(cluster.beat())
    replay.tell()
    browser.wait_for(f"{step} === 'Kill the leader'")
    assert browser.evaluate(f"{act}.textContent") == "Kill m1"
    click(browser, act)
    posted(browser, replay, "local/member", {"member": cluster.member("m1").id, "action": "kill"})
    cluster.stop("m1")
    replay.tell()
    browser.wait_for(f"{step} === 'See the election'")
    cluster.elect("m3")
    replay.tell()
    browser.wait_for(f"{step} === 'Bring it back'")
    assert "m3 leads in term 3, after 500 ms without a leader" in browser.evaluate(
        text("guide-words")
    )
    cluster.start("m1")
    replay.tell()
    browser.wait_for(f"{act}.textContent === 'Once more'")
    click(browser, "document.getElementById('guide-hide')")
    assert browser.evaluate("document.getElementById('guide').hidden")
    click(browser, "document.getElementById('guide-show')")
    assert not browser.evaluate("document.getElementById('guide').hidden")


def test_when_its_member_dies_the_page_goes_on_at_another(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """To one that answers, with what was shown, and it says so."""
    browser.visit(f"{replay.url('m1')}#keys?prefix=/a")
    browser.evaluate("document.getElementById('theme').value = 'dark'")
    browser.evaluate("document.getElementById('theme').dispatchEvent(new Event('change'))")
    cluster.stop("m1")
    cluster.stop("m2")
    replay.kill("m2")
    replay.kill("m1")
    there = replay.url("m3")
    browser.wait_for(f"location.href.startsWith('{there}') && root && 'ready' in root.dataset")
    assert browser.evaluate("location.hash") == "#keys?prefix=%2Fa"
    assert browser.evaluate("document.getElementById('theme').value") == "dark"
    said = "m1 did not answer: this page is now served by m3."
    assert said in browser.evaluate(text("happenings"))
    browser.evaluate("document.getElementById('theme').value = 'system'")
    browser.evaluate("document.getElementById('theme').dispatchEvent(new Event('change'))")


def test_when_nobody_answers_it_says_what_to_do_and_keeps_trying(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """The last picture stays, with links to all; it is live again when a member is."""
    browser.visit(replay.url("m1"))
    for name in ("m3", "m2", "m1"):
        replay.kill(name)
    banner = text("banner-text")
    browser.wait_for(f"{banner}.includes('nor does any other')")
    assert "raftkv local" in browser.evaluate(banner)
    assert browser.evaluate(each("#banner a", "n.textContent")) == ["m2", "m3"]
    assert browser.evaluate(number(".node")) == 3
    replay.revive("m1")
    browser.wait_for(f"{text('connection')} === 'live from m1'")
    assert browser.evaluate("document.getElementById('banner').hidden")


def test_a_member_that_falls_silent_is_left_too(browser: Browser, replay: Replay) -> None:
    """Its connections stand, as a paused process's do, and nothing comes."""
    browser.visit(replay.url("m1"))
    replay.silence("m1")
    left = f"!location.href.startsWith('{replay.url('m1')}')"
    browser.wait_for(f"{left} && root && 'ready' in root.dataset")
    assert "m1 did not answer" in browser.evaluate(text("happenings"))


def test_a_hidden_tab_does_no_work_and_catches_up(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Behind another tab its stream is closed and no frame is asked for; back in sight it says what
    it missed."""
    browser.visit(replay.url())
    replay.messages(cluster.beat())

    def closed() -> bool:
        replay.tell()  # what is closed is noticed when something is said
        return replay.streams() == 0

    with browser.hidden():
        browser.wait_until(closed, "the stream is closed")
        before = len(replay.requests)
        counted = "raf = requestAnimationFrame, requestAnimationFrame = f => (asked++, raf(f))"
        browser.evaluate(f"(asked = 0, {counted})")
        cluster.stop("m1")
        cluster.elect("m2")
        cluster.t += 60_000
        browser.drawn_apart()
        assert browser.evaluate("asked") == 0
        assert len(replay.requests) == before
    browser.wait_for(f"{text('happenings')}.includes('leader m1 \N{RIGHTWARDS ARROW} m2')")
    assert replay.streams() == 1
