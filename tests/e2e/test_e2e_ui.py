"""The web page's server side on a real cluster of `raftkv local`: what a newcomer sees and does."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import reserve_ports
from tests.e2e.program import RAFTKV
from tests.e2e.ui_client import UiClient, UiStream
from tests.e2e.waiting import wait_until
from tests.ui.page_parts import button, node

pytestmark = [pytest.mark.raftkv_only, pytest.mark.slow]

MEMBERS = 5
"""Three would be spread into the range of outgoing connections."""
NAMES = tuple(f"m{n + 1}" for n in range(MEMBERS))


@dataclass
class Local:
    """A running `raftkv local`."""

    base_port: int
    log: Path

    def client(self, name: str) -> UiClient:
        return UiClient(f"http://127.0.0.1:{self.base_port + 10 * NAMES.index(name) + 2}")

    def etcdctl(self, *names: str) -> Etcdctl:
        ports = [self.base_port + 10 * NAMES.index(name) for name in names]
        return Etcdctl(*(f"127.0.0.1:{port}" for port in ports))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    directory = tmp_path_factory.mktemp("ui")
    log, base = directory / "local.log", reserve_ports(10 * MEMBERS)[0]
    flags = (f"--members={MEMBERS}", f"--base-port={base}", f"--data-dir={directory / 'data'}")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*RAFTKV.command[:-1], "local", *flags],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=RAFTKV.environment(),
            start_new_session=True,
        )
    try:
        found = Local(base, log)
        # One that is ready has published itself, and so listens on all its ports.
        ctl = found.etcdctl(*NAMES)
        wait_until(lambda: ctl.run("endpoint", "health").status == 0, "all are ready", seconds=100)
        yield found
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0, log.read_text()
    except BaseException as error:
        error.add_note(f"--- {log}\n{log.read_text()}")
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def all_well(local: Local) -> Local:
    """Every member runs, and one leads: whatever the test before has done is undone."""
    stream = local.client("m1").open()
    try:
        wait_until(lambda: is_well(stream), "all members run, and one leads", seconds=90)
    finally:
        stream.close()
    return local


def is_well(stream: UiStream) -> bool:
    rows = stream.members
    links = [link for state in stream.of("cluster")[-1:] for link in state["links"]]
    return (
        stream.leader is not None
        and all(row["reachable"] and row["process"] == "running" for row in rows.values())
        and all(link["up"] for link in links)
    )


def follower_of(stream: UiStream, *but: str) -> str:
    return next(name for name in NAMES if name not in (*but, stream.leader))


def test_the_greeting_names_the_page(local: Local) -> None:
    """It is the first member's; every member has one, and knows the others'."""
    assert f"{local.client('m1').url}/" in local.log.read_text()
    stream = local.client("m5").open()
    wait_until(lambda: len(stream.members) == MEMBERS, "a row of each member")
    urls = {name: row["ui_url"] for name, row in stream.members.items()}
    assert urls == {name: local.client(name).url for name in NAMES}
    stream.close()


def test_a_leader_is_killed_and_another_follows(all_well: Local) -> None:
    """By a button of another member's page: its end, an election and a new leader are told; it is
    restarted by the same page, and follows."""
    watching = all_well.client("m1").open()
    old = wait_until(lambda: watching.leader, "a leader")
    if old == "m1":
        watching.close()
        watching = all_well.client("m2").open()
        wait_until(lambda: watching.leader == old, "the same leader on another page")
    page = all_well.client("m2" if old == "m1" else "m1")
    member = watching.members[old]["id"]
    page.post("/api/local/member", {"member": member, "action": "kill"})
    wait_until(lambda: watching.happened(old, "stopped"), "its end is told")
    new = wait_until(
        lambda: watching.leader if watching.leader not in (None, old) else None, "a new leader"
    )
    wait_until(lambda: watching.happened(new, "became_leader"), "the new leader is told")
    assert watching.happened(new, "began_election")
    row = watching.members[old]
    assert (row["reachable"], row["process"]) == (False, "stopped")
    page.post("/api/local/member", {"member": member, "action": "restart"})
    wait_until(lambda: watching.happened(old, "started"), "it has started again")
    wait_until(lambda: watching.members[old]["state"] == "follower", "it follows")
    watching.close()


def test_a_cut_link_loses_messages_until_it_is_healed(all_well: Local) -> None:
    """The leader's heartbeats to one follower are shown as lost, both ends' links as cut; healed,
    they arrive again."""
    page = all_well.client("m1")
    stream = page.open()
    leader = wait_until(lambda: stream.leader, "a leader")
    other = follower_of(stream)
    ends = {"a": stream.members[leader]["id"], "b": stream.members[other]["id"]}
    wait_until(lambda: stream.messages(leader, other, lost=False), "messages arrive")
    page.post("/api/local/link", {**ends, "cut": True})
    wait_until(lambda: stream.messages(leader, other, lost=True), "messages are lost")
    pair = {ends["a"], ends["b"]}

    def between() -> list[dict[str, object]]:
        links = stream.of("cluster")[-1]["links"]
        return [link for link in links if {link["from"], link["to"]} == pair]

    wait_until(lambda: all(x["cut"] and not x["up"] for x in between()), "the link is shown as cut")
    page.post("/api/local/link", {**ends, "cut": False})
    wait_until(lambda: all(x["up"] and not x["cut"] for x in between()), "the link is up again")
    assert any(x["rtt_ms"] is not None for x in between())
    stream.close()


def test_a_paused_member_is_silent_and_catches_up(all_well: Local) -> None:
    """It runs no instruction: out of reach, paused; resumed, it has what was written meanwhile. A
    page of its own goes on then, too."""
    page = all_well.client("m1")
    stream = page.open()
    wait_until(lambda: stream.leader, "a leader")
    name = follower_of(stream, "m1")
    own = all_well.client(name).open()
    member = stream.members[name]["id"]
    page.post("/api/local/member", {"member": member, "action": "pause"})
    wait_until(lambda: stream.happened(name, "paused"), "that it is paused is told")
    wait_until(lambda: not stream.members[name]["reachable"], "it is out of reach")
    paused_ms = time.time() * 1000
    written = all_well.etcdctl(*(each for each in NAMES if each != name)).put(
        "paused", "written meanwhile"
    )
    wait_until(lambda: stream.members["m1"]["revision"] >= written, "the write is shown")
    resumed_ms = time.time() * 1000
    page.post("/api/local/member", {"member": member, "action": "resume"})
    wait_until(lambda: stream.happened(name, "resumed"), "that it goes on is told")
    wait_until(lambda: (stream.members[name]["revision"] or 0) >= written, "it has caught up")
    wait_until(lambda: own.of("cluster")[-1]["t"] > resumed_ms, "its own page goes on by itself")
    assert not [each for each in own.of("cluster") if paused_ms < each["t"] < resumed_ms]
    for each in (own, stream):
        each.close()


def test_keys_written_by_etcdctl_have_a_history_and_a_difference(all_well: Local) -> None:
    """On any member's page at once, with the numbers of the disk and of applying beside them."""
    ctl, page = all_well.etcdctl("m1"), all_well.client("m2")
    stream = page.open()
    first = ctl.put("ui/k", "one")
    last = ctl.put("ui/k", "two")
    keys = page.get("/api/keys", prefix=b"ui/")
    assert [(each["text"], each["version"]) for each in keys["keys"]] == [("ui/k", 2)]
    history = page.get("/api/history", key=b"ui/k")
    assert [each["value_text"] for each in history["versions"]] == ["two", "one"]
    diff = page.get("/api/diff", from_=first, to=last, prefix=b"ui/")
    (change,) = diff["changes"]
    assert (change["change"], change["from_value_text"]) == ("changed", "one")
    wait_until(lambda: stream.members["m2"]["fsync_p99_ms"], "times of the disk")
    wait_until(lambda: stream.members["m1"]["apply_p50_ms"], "times of applying")
    wait_until(
        lambda: "ui/" in [each["prefix"] for each in stream.of("cluster")[-1]["prefixes"]],
        "the prefix is counted",
    )
    stream.close()


def test_the_page_kills_its_own_leader_and_draws_the_next(all_well: Local, tmp_path: Path) -> None:
    """In Chromium, by its buttons: the page of the leader kills it, goes on at another member,
    draws the new leader and the old one stopped, and restarts it."""
    stream = all_well.client("m1").open()
    old = wait_until(lambda: stream.leader, "a leader")
    stream.close()
    with Browser(tmp_path / "profile", 1400, 900) as browser:
        browser.visit(all_well.client(old).url)
        browser.wait_for(f"{node(old)}?.dataset.role === 'leader'")
        browser.wait_for("document.querySelectorAll('.node.follower').length === 4")
        browser.wait_for("Number(document.getElementById('ring').dataset.dots) > 0")
        browser.evaluate(f"{button(old, 'kill')}.click()")
        gone = f"{node(old)}?.dataset.role === 'stopped'"
        browser.wait_for(f"root && 'ready' in root.dataset && {gone}")
        assert browser.evaluate("location.origin") != all_well.client(old).url
        browser.wait_for("document.querySelectorAll('.node.leader').length === 1")
        new = browser.evaluate("document.querySelector('.node.leader .node-name').textContent")
        assert new != old
        happenings = "document.getElementById('happenings').textContent"
        browser.wait_for(f"{happenings}.includes('{new} became the leader')")
        assert f"{old} did not answer" in browser.evaluate(happenings)
        browser.evaluate(f"{button(old, 'restart')}.click()")
        browser.wait_for(f"{node(old)}.dataset.role === 'follower'")
