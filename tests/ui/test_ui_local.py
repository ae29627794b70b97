"""`raftkv local` and its members: the control socket, from both ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from raftkv.apply.membership import MemberInfo
from raftkv.cli.local_desk import BACKLOG_BYTES_MAX, CONTROL_SOCKET, LocalDesk, ask
from raftkv.cli.local_plan import Place, plan
from raftkv.errors import ConfigError
from raftkv.ui.answers import Refusal
from raftkv.ui.local_control import LocalControl
from raftkv.ui.local_state import LocalMemberState, LocalState
from tests.wire.waiting import until

SECONDS = 10.0


class FakeMember:
    """A process that does as it is told."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.state = "running"
        self.done: list[str] = []

    @property
    def is_running(self) -> bool:
        return self.state != "stopped"

    @property
    def pid(self) -> int | None:
        return 7 if self.is_running else None

    def pause(self) -> None:
        self.state = "paused"

    def resume(self) -> None:
        self.state = "running"

    def kill(self) -> None:
        self.state = "stopped"


class Local:
    """A desk with three members, and what it noted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.places = plan(3, 2379, directory)
        self.members = [FakeMember(place) for place in self.places]
        self.notes: list[str] = []

        async def start(member: FakeMember) -> None:
            member.state = "running"

        async def stop(member: FakeMember) -> None:
            member.state = "stopped"

        members: Any = self.members
        self.leader = ""
        self.desk = LocalDesk(members, start, stop, self.notes.append, lambda: self.leader)
        self.infos = [
            MemberInfo(number, place.name, (place.peer_url,), ())
            for number, place in enumerate(self.places, 1)
        ]

    def control(self, name: str, cuts: list[set[int]]) -> LocalControl:
        path = str(self.directory / CONTROL_SOCKET)
        return LocalControl(path, name, lambda: self.infos, cuts.append)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Local]:
    local = Local(tmp_path)
    await local.desk.open(tmp_path)
    yield local
    local.desk.close()


async def test_the_socket_is_its_owners_alone(local: Local) -> None:
    """Whoever may write to it may stop members."""
    assert (local.directory / CONTROL_SOCKET).stat().st_mode & 0o777 == 0o600


async def test_a_member_follows_how_things_stand(local: Local) -> None:
    """At once, and at each change; whom it must not reach it is told by id."""
    cuts: list[set[int]] = []
    control = local.control("m1", cuts)
    seen: list[LocalState] = []
    control.changed = seen.append
    control.start()
    try:
        await until(lambda: seen)
        processes = {name: each.process for name, each in control.state.members.items()}
        assert processes == dict.fromkeys(("m1", "m2", "m3"), "running")
        assert control.state.members["m2"].ui_url == local.places[1].ui_url
        assert await control.link(1, 3, cut=True) == "the link of m1 and m3 is cut"
        await until(lambda: cuts)
        assert cuts == [{3}]
        await control.link(2, 3, cut=True)
        await control.link(3, 1, cut=False)
        await until(lambda: len(cuts) == 2)
        assert cuts == [{3}, set()], "a cut of others is none of its own"
        assert await control.act(2, "pause") == "m2 is paused"
        await until(lambda: control.state.members["m2"].process == "paused")
    finally:
        control.close()


async def test_what_is_asked_is_answered_before_it_is_done(local: Local) -> None:
    """The asker may be the member that is to stop."""
    control = local.control("m1", [])
    control.start()
    try:
        await until(lambda: control.state.members)
        assert await control.act(1, "kill") == "m1 is killed"
        assert local.members[0].state == "running"
        await until(lambda: local.members[0].state == "stopped")
        await until(lambda: control.state.members["m1"].process == "stopped")
        assert local.notes == ["m1 is killed"]
        await control.act(1, "restart")
        await until(lambda: local.members[0].state == "running")
    finally:
        control.close()


async def test_what_cannot_be_done_is_told(local: Local) -> None:
    """In the words of `raftkv local`."""
    control = local.control("m1", [])
    control.start()
    try:
        await until(lambda: control.state.members)
        for action in ("resume", "explode"):
            with pytest.raises(Refusal) as refused:
                await control.act(2, action)
            assert refused.value.status == 409
        with pytest.raises(Refusal, match="has not started a member 63"):
            await control.act(99, "stop")
        with pytest.raises(Refusal, match="a link is of two members"):
            await control.link(2, 2, cut=True)
    finally:
        control.close()


async def test_without_raftkv_local_the_buttons_say_so(local: Local) -> None:
    """It was killed, say: 502, and not a button that does nothing."""
    control = local.control("m1", [])
    control.start()
    await until(lambda: control.state.members)
    local.desk.close()
    with pytest.raises(Refusal) as refused:
        await control.act(1, "stop")
    assert refused.value.status == 502
    assert "raftkv local" in refused.value.text
    control.close()


async def test_a_defect_that_ends_the_following_is_told(
    local: Local, caplog: pytest.LogCaptureFixture
) -> None:
    """Not for ever a cut that is shown and is none."""
    control = local.control("m1", [])

    def broken(state: LocalState) -> None:
        raise TypeError("a defect")

    control.changed = broken
    control.start()
    await until(lambda: "is not followed any more" in caplog.text)
    assert "TypeError: a defect" in caplog.text
    control.close()


async def test_local_restart_starts_a_member_that_is_down(local: Local) -> None:
    """One that runs stays as it is; without a cluster the directory is named."""
    directory = local.directory
    with pytest.raises(ConfigError, match=r"m2 is running .pid 7.: it must be stopped"):
        await ask(directory, "start", "m2")
    with pytest.raises(ConfigError, match="the members are m1, m2, m3"):
        await ask(directory, "start", "m9")
    local.members[1].state = "stopped"
    assert await ask(directory, "start", "m2") == "m2 restarted"
    await until(lambda: local.members[1].state == "running")
    with pytest.raises(ConfigError, match="no `raftkv local` runs on"):
        await ask(directory / "elsewhere", "start", "m2")


async def test_the_leader_can_be_killed_and_all_started(local: Local) -> None:
    """By what they are, not by name: a newcomer need not find out first."""
    directory = local.directory
    with pytest.raises(ConfigError, match="no member leads now"):
        await ask(directory, "kill", "leader")
    local.leader = "m3"
    assert await ask(directory, "kill", "leader") == "m3 is killed"
    assert local.members[2].state == "stopped", "done when it is said: the next command meets it"
    local.members[0].state = "stopped"
    assert await ask(directory, "start", "all") == "m1 restarted; m3 restarted"
    assert all(member.state == "running" for member in local.members)
    with pytest.raises(ConfigError, match="all members run"):
        await ask(directory, "start", "all")


@pytest.mark.parametrize("line", [b"m1\n", b"[]\n", b"\xff\n", b"{\n", b"\n", b'{"do": 1}\n'])
async def test_other_lines_are_refused(local: Local, line: bytes) -> None:
    """Each by an error in one line."""
    reader, writer = await asyncio.open_unix_connection(local.directory / CONTROL_SOCKET)
    writer.write(line)
    async with asyncio.timeout(SECONDS):
        assert (await reader.readline()).startswith(b'{"error": ')
    writer.close()


async def test_a_follower_that_reads_nothing_is_let_go(local: Local) -> None:
    """It is paused, say: it comes again when it goes on."""
    reader, writer = await asyncio.open_unix_connection(local.directory / CONTROL_SOCKET, limit=16)
    writer.write(b'{"do": "follow", "member": "m1"}\n')
    await reader.read(1)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: local.desk._followers)
    for _ in range(BACKLOG_BYTES_MAX):
        if not local.desk._followers:
            break
        local.desk.changed()
        await asyncio.sleep(0)
        if all(each.is_closing() for each in local.desk._followers):
            break
    assert all(each.is_closing() for each in local.desk._followers)
    writer.close()


def test_a_state_is_read_as_it_was_written() -> None:
    """Anything else is refused."""
    state = LocalState(
        {"m1": LocalMemberState("paused", "http://127.0.0.1:2380", "")},
        frozenset((("m1", "m2"), ("m2", "m3"))),
    )
    assert LocalState.decode(state.encode()) == state
    assert state.cut_from("m2") == {"m1", "m3"}
    assert state.cut_from("m4") == set()
    assert state.name_at(("http://127.0.0.1:2380",)) == "m1"
    for line in (b"", b"[]", b"{}", b'{"members": [], "cuts": []}', b'{"members": {}, "cuts": 1}'):
        with pytest.raises(ValueError, match="no state"):
            LocalState.decode(line)
