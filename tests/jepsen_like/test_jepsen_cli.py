"""The command line: usage errors, exit codes, and judging a recorded history again."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jepsen_like.checkers.recovery import DIED
from jepsen_like.cli import main
from jepsen_like.history.history import History
from jepsen_like.history.journal import save
from jepsen_like.history.operation import (
    Event,
    Fault,
    MemberState,
    Operation,
    Watch,
    WatchResponse,
)
from jepsen_like.history.request import Put
from jepsen_like.history.result import KeyValue, Written
from jepsen_like.run import HISTORY


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _history(*, answered: int, faults: list[Fault]) -> History:
    operations = [
        Operation(0, "m0", i, i + 0.5, Put("k0", f"v{i}"), Written(i + 2)) for i in range(answered)
    ]
    finals = [MemberState(name, answered + 1, 0, 5) for name in ("m0", "m1", "m2")]
    return History({"workload": "register"}, operations, [_witness(answered)], faults, finals)


def _witness(answered: int) -> Watch:
    """Who saw every put, as in every run."""
    seen = [
        WatchResponse(i + 0.6, i + 2, (Event(False, KeyValue("k0", f"v{i}", 2, i + 2, i + 1)),))
        for i in range(answered)
    ]
    created = WatchResponse(0.0, 1, created=True)
    return Watch(998, "m0", "\0", "\0", 1, False, 0.0, answered + 1.0, [created, *seen])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run",), "Missing option '--workload'"),
        (("run", "--workload", "poem"), "no workload 'poem'"),
        (("run", "--workload", "mix", "--nemesis", "earthquake"), "no nemesis 'earthquake'"),
        (("run", "--workload", "mix", "--members", "0"), "--members"),
        (("run", "--workload", "mix", "--db", "oracle"), "--db"),
        (("run", "--workload", "mix", "--binary", "/no/such/program"), "no program"),
        (
            ("run", "--workload", "mix", "--nemesis", "kill,member-replace"),
            "needs member-change, which raftkv does not have",
        ),
        (
            ("run", "--workload", "mix", "--nemesis", "clock", "--db", "etcd"),
            "needs a dynamically linked program, which etcd does not have",
        ),
        (("check", "/no/such/directory"), "does not exist"),
    ],
)
def test_usage_errors_say_what_is_wrong(
    arguments: tuple[str, ...], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, the word that was wrong, and nothing is started or left behind."""
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert complaint in result.output
    assert not list(tmp_path.iterdir())


def test_a_full_disk_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may not mount is told so before anything starts."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.chdir(tmp_path)
    result = invoke("run", "--workload", "mix", "--nemesis", "disk-full")
    assert result.exit_code == 2
    assert "disk-full needs root, to mount a small disk" in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_a_directory_is_used_once(tmp_path: Path) -> None:
    """Members would find the data of the run before."""
    (tmp_path / "m0.data").mkdir()
    result = invoke("run", "--workload", "mix", "--dir", tmp_path)
    assert result.exit_code == 2
    assert "is not empty" in result.output


def test_list_names_what_there_is() -> None:
    """Workloads, nemeses and checkers."""
    result = invoke("list")
    assert result.exit_code == 0
    for name in ("register", "watch", "partition", "slow-link", "linearizable", "hashes"):
        assert name in result.output


@pytest.mark.parametrize(
    ("history", "code", "words"),
    [
        (_history(answered=200, faults=[]), 0, "VALID"),
        (_history(answered=3, faults=[]), 2, "UNKNOWN"),
        (_history(answered=200, faults=[Fault(DIED, 1, 1, "m1 ended")]), 1, "died on its own"),
    ],
)
def test_check_judges_what_was_recorded(
    history: History, code: int, words: str, tmp_path: Path
) -> None:
    """0 valid, 1 invalid, 2 when too little happened to prove anything."""
    save(history, tmp_path / HISTORY)
    result = invoke("check", tmp_path)
    assert result.exit_code == code, result.output
    assert words in result.output


def test_check_names_what_it_cannot_read(tmp_path: Path) -> None:
    """A directory without a history, and a damaged one."""
    assert "has no history.jsonl" in invoke("check", tmp_path).output
    (tmp_path / HISTORY).write_text('{"settings":{"workload":"register"}}\nnothing\n')
    result = invoke("check", tmp_path)
    assert result.exit_code == 2
    assert "line 2" in result.output


def test_report_writes_one_page(tmp_path: Path) -> None:
    """Next to the history, and it names the file."""
    save(_history(answered=5, faults=[]), tmp_path / HISTORY)
    result = invoke("report", tmp_path)
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(tmp_path / "report.html")
    assert "register" in (tmp_path / "report.html").read_text()
