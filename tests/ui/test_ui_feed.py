"""What the pages are told: all members merged, on real members under virtual time."""

from __future__ import annotations

import pytest

from raftkv.api.rpc_pb2 import AlarmRequest, AlarmType
from raftkv.apply.batch import RequestKind
from raftkv.apply.member_change import MemberAction, MemberStep
from raftkv.errors import RaftKVError
from raftkv.peer.http import HttpAnswer
from raftkv.raft.message import Message, MessageType
from raftkv.ui.feed import HAPPENINGS_AGE_MS_MAX
from raftkv.ui.local_state import LocalMemberState, LocalState
from raftkv.ui.witness import WATCHED_S
from tests.ui.cluster_feed import Stage, written


class FakeLocal:
    """`raftkv local`, as a test has it."""

    def __init__(self) -> None:
        self.state = LocalState()

    def tell(
        self, stage: Stage, cuts: set[tuple[str, str]] = frozenset(), **processes: str
    ) -> None:
        members = {
            name: LocalMemberState(
                processes.get(name, "running"), f"http://{name}:2380", f"http://127.0.0.1:{n}"
            )
            for n, name in enumerate(("m0", "m1", "m2"), 1)
        }
        self.state = LocalState(members, frozenset(cuts))
        for seat in stage.seats:
            seat.feed.local_changed(self.state)


def test_nothing_is_asked_or_recorded_while_no_page_is_open() -> None:
    """Before the first page and after the last one no question leaves and no message is kept."""
    stage = Stage()
    stage.run(5)
    assert [seat.asked for seat in stage.seats] == [[], [], []]
    assert [seat.wires.tap for seat in stage.seats] == [None, None, None]
    page = stage.open("m0")
    stage.run(1)
    assert all(seat.wires.tap for seat in stage.seats)
    stage.seat("m0").feed.close(page)
    asked, events = len(stage.seat("m0").asked), len(page.events)
    stage.run(WATCHED_S + 1)
    assert [seat.wires.tap for seat in stage.seats] == [None, None, None]
    assert (len(stage.seat("m0").asked), len(page.events)) == (asked, events)
    assert all(seat.witness.messages.since(0)[0] == [] for seat in stage.seats)


def test_a_page_shows_all_members_from_any_of_them() -> None:
    """The serving member's own row, and the others' as they told it on the peer port."""
    stage = Stage()
    leader = stage.cluster.wait_for_leader().name
    stage.cluster.settle()
    for name in ("m0", "m1", "m2"):
        page = stage.open(name)
        stage.run(2)
        state = page.cluster
        assert state["name"] == name
        rows = {row["name"]: row for row in state["members"]}
        assert list(rows) == ["m0", "m1", "m2"]
        assert {n: row["state"] for n, row in rows.items()} == {
            n: "leader" if n == leader else "follower" for n in rows
        }
        assert all(row["reachable"] and row["age_ms"] < 500 for row in rows.values())
        assert len({row["commit_index"] for row in rows.values()}) == 1
        assert {row["leader"] for row in rows.values()} == {rows[leader]["id"]}
        assert rows["m0"]["tail"][-1]["index"] == rows["m0"]["last_index"]
        assert state["heartbeat_ms"] == 100
        assert not state["local"]
        assert {row["process"] for row in rows.values()} == {None}
        stage.seat(name).feed.close(page)


def test_the_first_page_has_all_rows_within_a_moment() -> None:
    """At once where its page was asked for just before, in the next turn otherwise; never rows that
    were told long ago."""
    stage = Stage()
    stage.cluster.wait_for_leader()
    stage.run(1)
    page = stage.open("m0")
    assert len(stage.seat("m0").asked) == 2
    stage.run(0.11)
    assert all(row["state"] != "unknown" for row in page.cluster["members"])
    stage.seat("m0").feed.close(page)
    stage.seat("m0").feed.ask_once()
    assert len(stage.seat("m0").asked) == 4
    second = stage.open("m0")
    assert all(row["state"] != "unknown" for row in second.of("cluster")[0]["members"])
    stage.seat("m0").feed.close(second)
    stage.seat("m0").feed.ask_once()
    stage.run(60)
    late = stage.open("m0").of("cluster")[0]["members"]
    assert all(row["reachable"] and row["age_ms"] in (0, None) for row in late)


def test_an_election_is_told_as_it_happens_and_to_pages_that_come_later() -> None:
    """What happened before a page was opened is marked so, and comes in order; old news do not."""
    stage = Stage()
    first = stage.cluster.wait_for_leader().name
    stage.run(0.5)
    page = stage.open("m0")
    stage.run(1)
    past = [each for each in page.of("happening") if each.get("past")]
    assert (first, "became_leader") in page.happened
    assert past == page.of("happening")
    assert {what for _, what in page.happened} >= {"started", "began_election", "voted"}
    stage.cluster.network.isolate(stage.seat(first).member.member_id)
    stage.run(5)
    fresh = [each for each in page.of("happening") if not each.get("past")]
    second = stage.cluster.wait_for_leader().name
    names = {row["id"]: row["name"] for row in page.cluster["members"]}
    told = [(names[each["member"]], each["what"]) for each in fresh]
    assert second != first
    assert (second, "began_election") in told
    assert (second, "became_leader") in told
    assert (first, "stepped_down") in told
    assert all(each["text"].startswith(names[each["member"]]) for each in fresh)
    late = stage.open("m0")
    assert [each["t"] for each in late.of("happening")] == sorted(
        each["t"] for each in late.of("happening")
    )
    assert all(each["past"] for each in late.of("happening"))
    stage.seat("m0").feed.close(page)
    stage.seat("m0").feed.close(late)
    stage.run(HAPPENINGS_AGE_MS_MAX / 1000 + 1)
    again = stage.open("m0")
    assert again.of("happening") == []


def test_messages_of_all_members_come_once_each_by_the_serving_members_clock() -> None:
    """Heartbeats and their answers, from whoever sent them, with times of this member, though the
    others' clocks are an hour and two ahead."""
    stage = Stage(skew_ms=3_600_000)
    leader = stage.cluster.wait_for_leader()
    page = stage.open("m0")
    stage.run(0.5)
    began = stage.seat("m0").witness.now_ms()
    before = len(page.of("messages"))
    stage.run(2)
    batches = page.of("messages")[before:]
    messages = [each for batch in batches for each in batch["messages"]]
    assert {each["from"] for each in messages} == {
        f"{seat.member.member_id:x}" for seat in stage.seats
    }
    beats = [m for m in messages if m["type"] == "heartbeat"]
    assert {m["from"] for m in beats} == {f"{leader.member_id:x}"}
    marks = [(m["t"], m["from"], m["to"], m["type"]) for m in beats]
    assert len(marks) == len(set(marks))
    assert 30 <= len(beats) <= 44  # ten a second to each of two
    assert all(began - 500 <= m["t"] <= began + 2_500 for m in messages)
    assert all(batch["dropped"] == 0 for batch in batches)


def test_more_messages_than_an_event_carries_are_counted() -> None:
    """The newest 200 are shown, and how many are not."""
    stage = Stage()
    stage.cluster.wait_for_leader()
    page = stage.open("m0")
    stage.run(1)
    witness, beat = stage.seat("m0").witness, beat_of(stage)
    for _ in range(300):
        witness.messages.sent((beat,), (beat.to,))
    before = len(page.of("messages"))
    stage.run(0.1)
    batch = page.of("messages")[before]
    assert len(batch["messages"]) == 200
    assert batch["dropped"] >= 100
    assert batch["messages"][0]["lost"]


def beat_of(stage: Stage) -> Message:
    me, peer = stage.seats[0].member.member_id, stage.seats[1].member.member_id
    return Message(MessageType.HEARTBEAT, to=peer, sender=me, term=1)


def test_a_member_that_falls_silent_keeps_its_row_and_its_age() -> None:
    """It is out of reach, and that is news; when it answers again its row is fresh."""
    stage = Stage()
    stage.cluster.wait_for_leader()
    page = stage.open("m0")
    stage.run(2)
    stage.silent.add("m1")
    stage.run(3)
    (row,) = [row for row in page.cluster["members"] if row["name"] == "m1"]
    assert not row["reachable"]
    assert row["state"] in ("leader", "follower")
    assert row["age_ms"] > 2_000
    assert page.happened.count(("m1", "stopped")) == 1
    stage.silent.clear()
    stage.run(2)
    (row,) = [row for row in page.cluster["members"] if row["name"] == "m1"]
    assert row["reachable"]
    assert row["age_ms"] < 500


def test_an_older_version_is_shown_with_what_the_others_know() -> None:
    """It answers 404: its name and URLs are there, its numbers are not."""
    stage = Stage()
    stage.old.add("m2")
    stage.cluster.wait_for_leader()
    stage.run(2)
    page = stage.open("m0")
    stage.run(3)
    (row,) = [row for row in page.cluster["members"] if row["name"] == "m2"]
    assert row["reachable"]
    assert (row["state"], row["term"], row["age_ms"]) == ("unknown", None, None)
    assert row["peer_urls"] == ["http://m2:2380"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"t":0}', b"\xff", b'{"row":1,"links":2,"messages":3}']
)
def test_nonsense_from_a_member_is_no_answer(body: bytes) -> None:
    """Whatever stands at a member's peer URL: the page goes on without it."""
    stage = Stage()
    stage.cluster.wait_for_leader()
    real = stage.answer
    stage.answer = lambda url, path: (  # type: ignore[method-assign]
        HttpAnswer(200, body) if "m1" in url else real(url, path)
    )
    page = stage.open("m0")
    stage.run(3)
    rows = {row["name"]: row for row in page.cluster["members"]}
    assert not rows["m1"]["reachable"]
    assert rows["m2"]["reachable"]


def test_links_are_what_each_end_says_and_cut_ones_are_cut() -> None:
    """Every pair both ways: the serving member's own, the others' as told, else down."""
    local = FakeLocal()
    stage = Stage(local=local)
    local.tell(stage)
    stage.cluster.wait_for_leader()
    ids = {seat.name: seat.member.member_id for seat in stage.seats}
    stage.seat("m0").wires.up = {ids["m1"]: 0.0015}
    stage.seat("m1").wires.up = {ids["m0"]: None, ids["m2"]: 0.002}
    page = stage.open("m0")
    local.tell(stage, {("m1", "m2")})
    stage.run(2)
    names = {f"{number:x}": name for name, number in ids.items()}
    links = {(names[x["from"]], names[x["to"]]): x for x in page.cluster["links"]}
    assert len(links) == 6
    assert (links["m0", "m1"]["up"], links["m0", "m1"]["rtt_ms"]) == (True, 1.5)
    assert (links["m1", "m0"]["up"], links["m1", "m0"]["cut"]) == (True, False)
    assert (links["m1", "m2"]["up"], links["m1", "m2"]["cut"]) == (False, True)
    assert (links["m2", "m1"]["up"], links["m2", "m1"]["cut"]) == (False, True)
    assert not links["m2", "m0"]["up"]


def test_local_processes_are_news_also_when_no_page_was_open() -> None:
    """Paused, resumed, stopped: from `raftkv local`, with the row of each."""
    local = FakeLocal()
    stage = Stage(local=local)
    stage.cluster.wait_for_leader()
    local.tell(stage)
    local.tell(stage, m1="paused")
    stage.silent.add("m1")
    page = stage.open("m0")
    stage.run(1)
    (row,) = [row for row in page.cluster["members"] if row["name"] == "m1"]
    assert (row["process"], row["reachable"]) == ("paused", False)
    assert row["ui_url"] == "http://127.0.0.1:2"
    assert page.cluster["local"]
    assert page.happened.count(("m1", "paused")) == 1
    assert ("m1", "stopped") not in page.happened
    local.tell(stage)
    local.tell(stage, m2="stopped")
    stage.run(1)
    assert page.happened[-2:] == [("m1", "resumed"), ("m2", "stopped")]


def test_alarms_and_changes_of_members_are_told() -> None:
    """Once each, when they come; those that were there before the page are in the rows alone."""
    stage = Stage()
    leader = stage.seat(stage.cluster.wait_for_leader().name)
    stage.run(1)
    other = next(seat for seat in stage.seats if seat is not leader)
    raise_alarm(stage, leader.member.member_id, AlarmType.CORRUPT)
    page = stage.open("m0")
    stage.run(1)
    rows = {row["name"]: row for row in page.cluster["members"]}
    assert rows[leader.name]["alarms"] == ["CORRUPT"]
    raise_alarm(stage, other.member.member_id, AlarmType.CORRUPT)
    change(stage, MemberStep(MemberAction.ADD_LEARNER, 0xABC, ("http://new:2380",)))
    change(stage, MemberStep(MemberAction.REMOVE, 0xABC))
    told = [(each["what"], each["text"]) for each in page.of("happening")]
    assert ("alarm", f"{other.name} raises the alarm CORRUPT.") in told
    assert ("member_added", "abc is a member now.") in told
    assert ("member_removed", "abc is no member any more.") in told
    kinds = [what for what, _ in told]
    assert [kinds.count(what) for what in ("alarm", "member_added", "member_removed")] == [1, 1, 1]


def change(stage: Stage, step: MemberStep) -> None:
    """Of the members, by the leader; and time for the page to see it."""
    done: list[RaftKVError | None] = []
    leader = stage.seat(stage.cluster.wait_for_leader().name).member
    leader.change_members([step], done.append)
    stage.run(2)
    assert done == [None]


def raise_alarm(stage: Stage, member_id: int, kind: AlarmType) -> None:
    written(
        stage, RequestKind.ALARM, AlarmRequest(action="ACTIVATE", memberID=member_id, alarm=kind)
    )


def test_a_snapshot_that_is_sent_and_links_that_break_are_told() -> None:
    """As the transport tells of them, with the other member's name."""
    stage = Stage()
    stage.cluster.wait_for_leader()
    page = stage.open("m0")
    stage.run(1)
    wires, other = stage.seat("m1").wires, stage.seat("m2").member.member_id
    wires.snapshot_begun(other)
    wires.link_changed(other, False)
    wires.link_changed(other, True)
    stage.run(1)
    told = [each["text"] for each in page.of("happening")][-3:]
    assert told == ["m1 sends m2 a snapshot.", "m1 lost its link to m2.", "m1 reaches m2."]


def test_a_page_that_may_look_no_more_is_ended() -> None:
    """Auth was enabled meanwhile, or the token has ended: the stream ends, nothing more is sent."""
    stage = Stage()
    stage.cluster.wait_for_leader()
    page = stage.open("m0")
    page.allowed = False
    stage.run(1)
    assert page.ended
    assert stage.seat("m0").feed.pages == 0
    events = len(page.events)
    stage.run(2)
    assert len(page.events) == events
