"""The page's modules by themselves, with times and texts of the test's own making."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.browser import Browser
from tests.ui.made_up_cluster import MadeUpCluster
from tests.ui.replay import Replay

pytestmark = pytest.mark.slow

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "two words", "two others"]), max_size=12)


@pytest.fixture(scope="module")
def modules(chromium: Browser) -> Iterator[Browser]:
    """A page whose modules can be imported."""
    with Replay(MadeUpCluster()) as replay:
        chromium.visit(replay.url())
        yield chromium
        chromium.call("Page.navigate", url="about:blank")


def run(browser: Browser, module: str, body: str, **given: Any) -> Any:
    """``body`` with the module as ``m`` and what is given by name; what it returns."""
    names = "".join(f"const {name} = {json.dumps(value)};" for name, value in given.items())
    return browser.evaluate(f"import('/page/{module}').then((m) => {{ {names} {body} }})")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=LINES, after=LINES)
def test_a_difference_leads_from_one_text_to_the_other(
    modules: Browser, before: list[str], after: list[str]
) -> None:
    """What is the same or removed is the old text, what is the same or added the new one, and no
    shorter way leads there."""
    steps = run(
        modules, "text_diff.js", "return m.steps(before, after)", before=before, after=after
    )
    assert [s["item"] for s in steps if s["kind"] != "added"] == before
    assert [s["item"] for s in steps if s["kind"] != "removed"] == after
    common = [[0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i, one in enumerate(before):
        for j, other in enumerate(after):
            longest = max(common[i][j + 1], common[i + 1][j])
            common[i + 1][j + 1] = common[i][j] + 1 if one == other else longest
    assert sum(s["kind"] == "same" for s in steps) == common[-1][-1]


def test_a_difference_folds_what_is_alike_and_marks_words(modules: Browser) -> None:
    """Three lines around a change; the rest is a number. Equal texts have no rows."""
    before = "\n".join(f"line {n}" for n in range(40))
    after = before.replace("line 20", "line twenty")
    body = "return m.diffText(before, after)"
    rows = run(modules, "text_diff.js", body, before=before, after=after)
    near = ["same"] * 3
    kinds = [row["kind"] for row in rows]
    assert kinds == ["alike", *near, "removed", "added", *near, "alike"]
    assert (rows[0]["lines"], rows[-1]["lines"]) == (17, 16)
    assert rows[5]["parts"] == [
        {"text": "line ", "changed": False},
        {"text": "twenty", "changed": True},
    ]
    assert run(modules, "text_diff.js", body, before=before, after=before) == []


def test_a_difference_of_two_huge_texts_is_bounded(modules: Browser) -> None:
    """20,000 lines that share none are removed and added, without a table of 400 million."""
    body = """
      const lines = (name) => Array.from({ length: 20000 }, (_, at) => name + at);
      return m.steps(lines("a"), lines("b")).length"""
    assert run(modules, "text_diff.js", body) == 40_000


def test_events_are_cut_wherever_the_pieces_end(modules: Browser) -> None:
    """A stream is the same however the network cut it; comments and unknown fields are let go."""
    text = 'retry: 1000\n\n: hello\n\nevent: a\ndata: {"x":1}\n\nevent: b\r\ndata: 2\r\n\r\n'
    body = """
      const cutter = new m.EventCutter();
      const events = [];
      for (let at = 0; at < text.length; at += size)
        events.push(...cutter.take(text.slice(at, at + size)));
      return events"""
    wanted = [{"name": "a", "data": '{"x":1}'}, {"name": "b", "data": "2"}]
    for size in range(1, len(text) + 1):
        assert run(modules, "stream.js", body, text=text, size=size) == wanted, size


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(octets=st.binary(max_size=40))
def test_bytes_travel_and_can_be_typed(modules: Browser, octets: bytes) -> None:
    """base64url there and back; a key that is no text is typed as it is shown."""
    body = """
      const travelled = m.toBase64url(Uint8Array.from(octets));
      const typed = m.fromBase64url(m.typedKey(m.keyWords(travelled)));
      const noText = m.textOf(Uint8Array.from(octets)) === null;
      return [[...m.fromBase64url(travelled)], noText, [...typed]]"""
    back, is_bytes, typed = run(modules, "bytes.js", body, octets=list(octets))
    assert bytes(back) == octets
    if is_bytes and rb"\x" not in octets:
        assert bytes(typed) == octets


def test_a_lost_message_breaks_off_and_does_not_arrive(modules: Browser) -> None:
    """By a clock of the test's: half-way it falls, and its member's timer is not filled; a reply
    leaves when what it answers has arrived."""
    cluster = MadeUpCluster()
    messages = [
        cluster.message("m1", "m2", "heartbeat"),
        cluster.message("m1", "m3", "heartbeat", lost=True),
        cluster.message("m2", "m1", "heartbeat_reply"),
    ]
    places = [[member.id, {"x": 300 * n, "y": 0}] for n, member in enumerate(cluster.members)]
    body = """
      const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
      const heard = [];
      const traffic = new m.Traffic(group, () => new Map(places), (id) => heard.push(id));
      traffic.take(batch, 1000);
      const seen = [];
      for (const now of [1000, 1500, 1850, 1950, 2400]) {
        traffic.frame(now);
        const shown = [...group.children].filter((dot) => !dot.getAttribute("display"));
        seen.push(shown.map((dot) => dot.getAttribute("class")));
      }
      return [seen, heard, group.children.length]"""
    batch = cluster.batch(messages)
    seen, heard, dots = run(modules, "traffic.js", body, batch=batch, places=places)
    assert seen[0] == []
    assert seen[1] == ["dot heartbeat", "dot heartbeat"]
    assert sorted(seen[2]) == ["dot broken", "dot heartbeat"]
    assert seen[3] == ["dot heartbeat_reply"]
    assert seen[4] == []
    assert heard == [cluster.member("m2").id]
    assert dots == 120
