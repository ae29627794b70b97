"""The page in a real browser: it draws the cluster that its member tells of, and keeps up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import Browser
from tests.ui.made_up_cluster import MadeUpCluster
from tests.ui.page_parts import (
    ANNOUNCED,
    RUNNING,
    SHOWN_DOTS,
    TOTALS,
    each,
    node,
    row,
    text,
)
from tests.ui.replay import Replay

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror='broken=1'>"
HAPPENINGS = text("happenings")
DASH = "\N{EN DASH}"


def test_roles_terms_and_votes_are_drawn_and_follow_the_cluster(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Every member with its role in words and by outline, its term and its vote; and an election,
    a stop and a pause as soon as they are told."""
    browser.visit(replay.url())
    assert browser.evaluate(f"{node('m1')}.textContent") == "m1term 2leadervoted for itself"
    assert browser.evaluate(f"{node('m2')}.textContent") == "m2term 2followervoted m1"
    assert "3 of 3 up" in browser.evaluate("document.querySelector('.summary').textContent")
    assert "m1 leads" in browser.evaluate("document.title")
    shapes = [
        browser.evaluate(f"{node(n)}.querySelector('.outline').getAttribute('d')")
        for n in ("m1", "m2")
    ]
    assert shapes[0] != shapes[1], "leader and follower have one outline"

    cluster.stop("m1")
    cluster.member("m2").state = "candidate"
    replay.tell()
    browser.wait_for(f"{node('m1')}.dataset.role === 'stopped'")
    assert browser.evaluate(f"{node('m2')}.dataset.role") == "candidate"
    assert browser.evaluate("document.querySelector('.middle-leader').textContent") == "no leader"
    cluster.elect("m2")
    replay.tell()
    browser.wait_for(f"{node('m2')}.dataset.role === 'leader'")
    assert "term 3" in browser.evaluate(f"{node('m3')}.textContent")
    assert "voted m2" in browser.evaluate(f"{node('m3')}.textContent")
    assert "2 of 3 up" in browser.evaluate("document.querySelector('.summary').textContent")

    cluster.start("m1")
    cluster.stop("m3", "paused")
    replay.tell()
    browser.wait_for(f"{node('m1')}.dataset.role === 'follower'")
    assert browser.evaluate(f"{node('m3')}.querySelector('.node-role').textContent") == "paused"


def test_a_member_that_never_answered_is_drawn_without_numbers(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Its numbers are unknown, not nought, and nothing else suffers."""
    unknown = dict.fromkeys(
        ("term", "last_index", "commit_index", "db_bytes", "age_ms", "uptime_s")
    )
    cluster.member("m3").more = unknown | {"state": "unknown", "tail": None, "process": None}
    cluster.member("m3").more |= {"vote": "", "ui_url": ""}
    browser.visit(replay.url())
    assert browser.evaluate(f"{node('m3')}.textContent") == f"m3term {DASH}state unknown"


def test_the_ends_of_the_logs_are_cells_under_one_index(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """A cell an entry with its term, by commit and apply; a member that lags is seen to lag."""
    for number in range(30):
        cluster.put(b"/k", str(number).encode())
    lagging = cluster.member("m3")
    lagging.last, lagging.commit, lagging.applied = 31, 29, 28
    lagging.more = {"last_index": 31}
    cluster.stop("m2")
    cluster.put(b"/k", b"last")
    lagging.last, lagging.commit, lagging.applied = 31, 29, 28
    browser.visit(replay.url())
    classes = browser.evaluate(
        f"[...{row('m3')}.querySelectorAll('.cell')].map(c => c.classList[1])"
    )
    assert classes[-5:] == ["applied", "committed", "waiting", "waiting", "none"]
    assert browser.evaluate(f"{row('m1')}.querySelectorAll('.cell.applied').length") == 24
    words = browser.evaluate(f"{row('m3')}.querySelector('.log-words').textContent")
    assert "2 not committed" in words
    assert "1 committed but not applied" in words

    cluster.writes_per_s = 4000.0
    replay.tell()
    browser.wait_for(f"{row('m1')}.querySelector('.cells').hidden")
    assert not browser.evaluate(f"{row('m1')}.querySelector('.bar').hidden")


def test_a_dot_travels_for_each_message_and_never_more_than_the_cap(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Four messages are four dots. Thousands are bundled, dropped ones counted, and the drawing has
    as many nodes as before."""
    browser.visit(replay.url())
    nodes = browser.evaluate("document.querySelectorAll('.ring-stage *').length")
    replay.messages(cluster.beat())
    browser.wait_for(f"{TOTALS}.messages === '4'")
    assert browser.evaluate(f"{TOTALS}.dots") == "4"
    browser.wait_for(f"{SHOWN_DOTS} > 0")
    for _ in range(20):
        replay.messages([m for _ in range(50) for m in cluster.beat()], dropped=1000)
    browser.wait_for(f"{TOTALS}.messages === '24004'")
    totals = browser.evaluate(TOTALS)
    assert int(totals["most"]) <= 120
    assert int(totals["dots"]) <= 4 + 20 * 4
    assert int(totals["undrawn"]) >= 20_000
    assert browser.evaluate("document.querySelectorAll('.ring-stage *').length") == nodes
    browser.wait_for(f"{SHOWN_DOTS} === 0")


def test_messages_of_strangers_and_of_new_kinds_do_no_harm(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """A member that was just removed is nowhere on the drawing; a later version's kind is a dot."""
    browser.visit(replay.url())
    stranger = cluster.message("m1", "m2", "append") | {"from": "ffff"}
    replay.messages([stranger, cluster.message("m1", "m2", "a_later_kind", lost=True)])
    browser.wait_for(f"{TOTALS}.messages === '1'")
    browser.wait_for("document.querySelector('.dots .broken') !== null")


def test_happenings_are_listed_and_announced_and_heartbeats_are_not(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Newest first, each once; what was before the page was opened is shown and not announced."""
    browser.visit(replay.url())
    old = cluster.happening("m1", "became_leader", "m1 became leader of term 2.")
    replay.send("happening", old | {"t": cluster.t - 30_000})
    browser.wait_for(f"{HAPPENINGS}.includes('leader of term 2')")
    assert browser.evaluate(ANNOUNCED) == ""
    cluster.t += 1000
    began = cluster.happening("m2", "began_election", f"m2 began {HOSTILE}.")
    for _ in range(3):
        replay.send("happening", began)
    replay.messages(cluster.beat())
    replay.send("happening", cluster.happening("m2", "became_leader", "m2 became leader."))
    browser.wait_for(f"{HAPPENINGS}.includes('m2 became leader')")
    lines = browser.evaluate(
        "[...document.querySelectorAll('.happening')].map(l => l.lastChild.textContent)"
    )
    assert lines == ["m2 became leader.", f"m2 began {HOSTILE}.", "m1 became leader of term 2."]
    assert browser.evaluate(ANNOUNCED).replace("\n", "").count("m2 b") == 2
    assert "m1" not in browser.evaluate(ANNOUNCED)
    assert browser.evaluate("document.getElementById('announcer').ariaLive") == "polite"
    assert browser.evaluate(RUNNING) == "undefined"


def test_the_list_of_happenings_is_bounded(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Two hundred lines are kept, the newest; links of one moment share one."""
    browser.visit(replay.url())
    for number in range(250):
        cluster.t += 1
        replay.send("happening", cluster.happening("m1", "voted", f"vote {number}"))
    browser.wait_for(f"{HAPPENINGS}.includes('vote 249')")
    assert browser.evaluate("document.querySelectorAll('.happening').length") == 200
    for number in range(20):
        replay.send(
            "happening",
            cluster.happening("m1", "link_up", f"m1 reaches {number}.") | {"term": number},
        )
    browser.wait_for(f"{HAPPENINGS}.includes('And 16 more.')")
    assert browser.evaluate("document.querySelectorAll('[data-what=link_up]').length") == 1


def test_a_cut_link_is_drawn_cut_and_the_numbers_of_each_member_are_told(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Cards and table hold the same numbers; watchers, prefixes, alarms are there."""
    cluster.cut.add(frozenset((cluster.member("m1").id, cluster.member("m3").id)))
    slow = {"client": "10.9.9.9:1234", "range": HOSTILE, "behind": 1200, "backlog_bytes": 4096}
    cluster.member("m2").more = {"alarms": ["NOSPACE"], "slowest_watchers": [slow]}
    cluster.prefixes = [
        {"prefix": "/registry/pods/", "keys": 12, "bytes": 40960, "writes_per_s": 3.5}
    ]
    cluster.writes_per_s = 12.0
    browser.visit(replay.url())
    state = f"document.querySelector('.link[aria-label^=\"Link m1 {DASH} m3\"]').dataset.state"
    assert browser.evaluate(state) == "cut"
    card = browser.evaluate("document.querySelectorAll('.card')[1].textContent")
    for words in ("NOSPACE", "12/s", "0.21 / 1.9 ms", "41.0 MiB used, file 64.0 MiB of 2.0 GiB"):
        assert words in card, words
    assert "NOSPACE" in browser.evaluate(text("fact-alarms"))
    watchers = browser.evaluate(text("watcher-table"))
    assert HOSTILE in watchers
    assert "1,200" in watchers
    assert "/registry/pods/" in browser.evaluate(text("prefix-table"))
    assert browser.evaluate("document.getElementById('member-table').offsetParent") is None
    browser.evaluate("document.getElementById('as-table').click()")
    table = browser.evaluate("document.getElementById('member-table').innerText")
    for words in ("m1", "leader", "NOSPACE", "0.21 / 1.9 ms"):
        assert words in table, words
    browser.evaluate("document.getElementById('as-table').click()")


def test_members_come_and_go(browser: Browser, replay: Replay, cluster: MadeUpCluster) -> None:
    """Five are drawn where three were, each in its place, and then three again."""
    browser.visit(replay.url())
    more = MadeUpCluster(5).members[3:]
    more[0].state = "learner"
    cluster.members += more
    replay.tell()
    browser.wait_for("document.querySelectorAll('.node').length === 5")
    places = browser.evaluate(
        "[...document.querySelectorAll('.node')].map(n => n.getAttribute('transform'))"
    )
    assert len(set(places)) == 5
    assert browser.evaluate(f"{node('m4')}.dataset.role") == "learner"
    assert browser.evaluate("document.querySelectorAll('.link').length") == 10
    del cluster.members[3:]
    replay.tell()
    browser.wait_for("document.querySelectorAll('.node').length === 3")
    assert browser.evaluate("document.querySelectorAll('.card').length") == 3


def test_a_hostile_name_is_only_a_name(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """Names, URLs and texts are text, and a page's address of another kind is no link."""
    hostile = cluster.member("m2")
    hostile.name = HOSTILE
    hostile.more = {"ui_url": "javascript:broken=1", "client_urls": [HOSTILE]}
    browser.visit(replay.url())
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.evaluate("document.querySelectorAll('[href^=javascript]').length") == 0
    assert HOSTILE in browser.evaluate(text("cards"))
    assert browser.evaluate(RUNNING) == "undefined"


def test_reduced_motion_has_counts_and_nothing_that_travels(
    browser: Browser, replay: Replay, cluster: MadeUpCluster
) -> None:
    """No dot, no frame; messages a second stand on the links instead."""
    browser.dark(False, calm=True)
    browser.visit(replay.url())
    browser.evaluate(
        "frames = 0, ask = requestAnimationFrame, requestAnimationFrame = f => (frames++, ask(f))"
    )
    replay.messages(cluster.beat() * 3)
    browser.wait_for(f"{TOTALS}.messages === '12'")

    def told() -> Any:
        replay.tell()
        return browser.evaluate(
            each(".link-words", r"/^\d+\/s$/.test(n.textContent)") + ".includes(true)"
        )

    browser.wait_until(told, "messages a second on a link")
    assert browser.evaluate(SHOWN_DOTS) == 0
    assert browser.evaluate("frames") == 0
