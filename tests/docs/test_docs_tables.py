"""Every command of the docs is typed by a test, or a table says why not; the tables lie nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.changes import CHANGES, NOT_RUN, STAYS, Places, beginning, typed
from tests.docs.page import Step, commands_of, pages
from tests.docs.reader import others_of
from tests.docs.walks import CONTROL_PLANE, OPERATING, PROGRAMS, Walk, not_followed
from tests.e2e.program import ROOT

WALKS = (*OPERATING, *PROGRAMS, *CONTROL_PLANE)
COMMANDS = [text for page in pages() for _, text in commands_of(page)]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_typed(page: Path) -> None:
    """By exactly one walk, unless it is among those that cannot be run here."""
    assert not_followed(page, WALKS) == []


def test_a_command_that_nobody_types_is_noticed(tmp_path: Path) -> None:
    """In a section that no walk has, and on a page that none has."""
    page = ROOT / "docs" / "ui.md"
    some = (Walk("docs/ui.md", sections=("Try it",)),)
    assert [line.split(": ")[2] for line in not_followed(page, some)] == ["typed by 0 walks"] * 3
    assert len(not_followed(page, ())) == 4
    assert not_followed(page, (*WALKS, *some))[0].endswith("raftkv local: typed by 2 walks")


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: f"{walk.page} {walk.sections}")
def test_every_walk_has_commands(walk: Walk) -> None:
    """A section that was renamed would be left out."""
    there = {step.section for step in walk.steps()}
    assert there, walk
    assert there >= set(walk.sections), walk


@pytest.mark.parametrize("prefix", NOT_RUN)
def test_what_is_not_run_is_in_the_docs_and_is_proved_elsewhere(prefix: str) -> None:
    """An entry that no page uses is to go; the test that it names is there."""
    _, proof = NOT_RUN[prefix]
    assert any(beginning({prefix: ""}, command) for command in COMMANDS), prefix
    assert (ROOT / proof).exists(), proof


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.pattern)
def test_every_change_is_of_a_command(change: object) -> None:
    """An entry of the table that changes nothing any more is to go."""
    index = CHANGES.index(change)  # type: ignore[arg-type]
    before = COMMANDS
    for each in CHANGES[:index]:
        before = [re.sub(each.pattern, each.by, command) for command in before]
    assert any(re.search(CHANGES[index].pattern, command) for command in before)


@pytest.mark.parametrize("prefix", STAYS)
def test_what_stays_is_in_the_docs(prefix: str) -> None:
    """The same of what runs until Ctrl-C."""
    assert any(beginning({prefix: ""}, command) for command in COMMANDS), prefix


def test_what_is_typed(tmp_path: Path) -> None:
    """Ports, hosts, folders and options, and nothing else."""
    places = Places({("10.0.0.1", 2379): 1})
    base = places.base
    for command, wanted in {
        "raftkv ctl get /etc --endpoints 10.0.0.1:2379": (
            "raftkv ctl get /etc --endpoints 127.0.0.1:1"
        ),
        "curl http://127.0.0.1:32379/a:2379": f"curl http://127.0.0.1:{base + 20}/a:2379",
        "sudo cp -r a /etc/raftkv/tls": f"cp -r a {tmp_path}/etc/raftkv/tls",
        "certs --hosts m1=10.0.0.1,m2=10.0.0.2": "certs --hosts m1=127.0.0.1,m2=127.0.0.1",
        "make run": f'make run ARGS="--base-port {base}"',
        "ls ./tmp/a /usr/bin/etcd": "ls ./tmp/a /usr/bin/etcd",
    }.items():
        assert typed(command, places, tmp_path) == wanted


def test_the_lines_of_the_other_hosts() -> None:
    """Name, addresses and files are theirs; the list of members is everybody's."""
    cluster = "--initial-cluster m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380"
    line = "raftkv serve --name {0} --listen-client-urls https://10.0.0.{1}:2379 {2} --x {0}.pem"
    (other,) = others_of(Step("", line.format("m1", 1, cluster)))
    assert other.command == line.format("m2", 2, cluster)
    assert others_of(Step("", "raftkv serve --name m1")) == []
