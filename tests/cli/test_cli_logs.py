"""The log: etcd's JSON lines, its console form, where they go, and what happens to too many."""

from __future__ import annotations

import gzip
import json
import logging
import os
import pty
import re
import threading
from pathlib import Path

import pytest

from raftkv.cli.log_file import DAY_S, LogFile
from raftkv.cli.log_format import ConsoleFormatter, JsonFormatter, formatter
from raftkv.cli.log_writer import Descriptor, LogWriter
from raftkv.cli.logs import _on_terminal, open_log
from raftkv.cli.settings import read_settings
from raftkv.errors import ConfigError
from raftkv.log_fields import fields, hex_id
from raftkv.server.operations import STDERR, STDOUT, LogSettings, Rotation

# Go's 2006-01-02T15:04:05.999999Z0700.
TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}(Z|[+-]\d{4})")
ROTATING = ("--log-outputs=a.log", "--enable-log-rotation")


def a_record(
    level: int = logging.INFO, message: str = "serving", **values: object
) -> logging.LogRecord:
    record = logging.LogRecord("raftkv.x", level, "/src/server/engine.py", 7, message, None, None)
    record.fields = fields(**values)["fields"]
    return record


class Kept:
    """An output that keeps what it gets; it can be held up, as a pipe that nobody reads."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.flowing = threading.Event()
        self.flowing.set()

    def write(self, line: bytes) -> None:
        self.flowing.wait()
        self.lines.append(line.decode())

    def close(self) -> None: ...


def test_a_line_is_an_object_of_zaps_shape() -> None:
    """level, ts, caller and msg come first and without spaces; dashes in names; ids are hex."""
    line = JsonFormatter().format(a_record(local_member_id=hex_id(255), term=3))
    assert line.startswith('{"level":"info","ts":"')
    assert ',"msg":"serving","local-member-id":"ff","term":3}' in line
    told = json.loads(line)
    assert TS.fullmatch(told["ts"])
    assert told["caller"] == "server/engine.py:7"


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (logging.DEBUG, "debug"),
        (logging.WARNING, "warn"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "fatal"),
    ],
)
def test_levels_have_zaps_names(level: int, name: str) -> None:
    """Scripts look for "level":"warn", not "WARNING"."""
    assert json.loads(JsonFormatter().format(a_record(level)))["level"] == name


def test_an_exception_is_a_field_and_one_line() -> None:
    """The traceback is in the object, so that a line stays a line."""
    record = a_record(logging.ERROR)
    try:
        raise ValueError("odd")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["error"] == "ValueError('odd')"
    assert "Traceback" in json.loads(line)["stacktrace"]


def test_a_field_cannot_take_a_lines_own_name() -> None:
    """A field called level stands beside the level."""
    record = a_record()
    record.fields = {"level": 7}
    told = json.loads(JsonFormatter().format(record))
    assert (told["level"], told["level_"]) == ("info", 7)


def test_the_console_form_lines_up() -> None:
    """Levels and messages have a width, so that fields begin in one column; words stand bare."""
    lines = [
        ConsoleFormatter().format(a_record(level, message, term=3, name="m 1", urls=["a", "b"]))
        for level, message in ((logging.INFO, "serving"), (logging.WARNING, "lost leader"))
    ]
    assert [line[24:29] for line in lines] == ["INFO ", "WARN "]
    assert [line.index("term=3") for line in lines] == [72, 72]
    assert lines[0].endswith('  term=3 name="m 1" urls=a,b  server/engine.py:7')
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO  serving +term.*", lines[0])


def test_the_console_form_is_one_line() -> None:
    """Whatever a field or a message holds, it cannot end the line or move the cursor; a traceback
    stands below it, set in."""
    record = a_record(logging.ERROR, "odd\n\x1b[2J", reason="a\nb\x1b[31m")
    line = ConsoleFormatter().format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    try:
        raise ValueError("odd")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    below = ConsoleFormatter().format(record).splitlines()[1:]
    assert below[0] == "    Traceback (most recent call last):"


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """None in a file or a pipe; on a terminal unless NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in formatter("console").format(a_record(term=3))
    record = a_record(logging.WARNING, term=3)
    coloured = formatter("console", colours=True).format(record)
    assert "\x1b[33mWARN\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == ConsoleFormatter().format(record)
    leader, follower = pty.openpty()
    with open(follower, "w") as terminal, open(leader), open(os.devnull, "w") as nowhere:
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setattr("sys.stdout", nowhere)
        assert _on_terminal((STDERR,))
        assert not _on_terminal((STDOUT,))
        assert not _on_terminal((STDERR, "/tmp/a.log"))
        monkeypatch.setenv("NO_COLOR", "1")
        assert not _on_terminal((STDERR,))


def test_a_full_pipe_holds_nobody_up() -> None:
    """What an output does not take is left out and counted; the count is told once it flows."""
    kept = Kept()
    kept.flowing.clear()
    writer = LogWriter([kept], lines_max=4)
    writer.setFormatter(JsonFormatter())
    for number in range(20):
        writer.emit(a_record(message=str(number)))
    dropped = writer.dropped
    assert 15 <= dropped <= 16  # one line may be in the writer's hand
    kept.flowing.set()
    while writer.dropped:
        writer.emit(a_record(message="after"))
    writer.close()
    told = [json.loads(line) for line in kept.lines]
    (left_out,) = [line for line in told if line["msg"] == "log lines were left out"]
    assert left_out["lines"] >= dropped
    assert [line["msg"] for line in told[:4]] == ["0", "1", "2", "3"]


def test_a_closed_pipe_is_not_fatal() -> None:
    """Writing to a pipe whose reader is gone drops the line; other outputs still get it."""
    reader, end = os.pipe()
    os.close(reader)
    kept = Kept()
    writer = LogWriter([Descriptor(end, os.write), kept])
    writer.setFormatter(JsonFormatter())
    writer.emit(a_record())
    writer.close()
    os.close(end)
    assert len(kept.lines) == 1
    assert writer.dropped == 1


def test_a_full_file_is_followed_by_a_new_one(tmp_path: Path) -> None:
    """Files rotate by size; the newest backups stay, compressed; nothing is lost before that."""
    now = [1_700_000_000.0]
    rotation = Rotation(bytes_max=30, backups_max=2, compress=True)
    file = LogFile(str(tmp_path / "m.log"), rotation, lambda: now[0])
    for number in range(8):
        file.write(b"line %d of ten\n" % number)  # 14 bytes: two fit
        now[0] += 1
    file.close()
    backups = sorted(file.backups())
    assert [path.name for path in backups] == [
        "m-2023-11-14T22-13-24.000.log.gz",
        "m-2023-11-14T22-13-26.000.log.gz",
    ]
    assert gzip.decompress(backups[1].read_bytes()) == b"line 4 of ten\nline 5 of ten\n"
    assert (tmp_path / "m.log").read_bytes() == b"line 6 of ten\nline 7 of ten\n"


def test_old_files_go_by_age(tmp_path: Path) -> None:
    """A backup older than maxage days is removed at the next rotation."""
    now = [os.stat(tmp_path).st_mtime]
    file = LogFile(str(tmp_path / "m.log"), Rotation(bytes_max=5, age_days_max=1), lambda: now[0])
    file.write(b"first\n")
    file.write(b"second\n")
    assert len(file.backups()) == 1
    now[0] += 2 * DAY_S
    file.write(b"third\n")
    (left,) = [path for path in file.backups() if path.read_bytes() == b"second\n"] or [None]
    assert left is None
    file.close()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ((), LogSettings()),
        (("--log-outputs=stderr",), LogSettings()),
        (("--log-outputs=stdout,/tmp/a.log",), LogSettings(outputs=("stdout", "/tmp/a.log"))),
        (("--log-format=console", "--log-level=warn"), LogSettings("warn", "console")),
        (ROTATING, LogSettings(outputs=("a.log",), rotation=Rotation())),
        (
            (*ROTATING, '--log-rotation-config-json={"maxsize":1,"maxbackups":3}'),
            LogSettings(outputs=("a.log",), rotation=Rotation(bytes_max=1 << 20, backups_max=3)),
        ),
    ],
)
def test_settings_are_read_as_etcds(given: tuple[str, ...], meant: LogSettings) -> None:
    """default and stderr are one; sizes are MB; 0 is no limit."""
    assert read_settings(given, {}).operations.log == meant
    assert STDERR == "stderr"


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    """Is one error that names it, and the log stays as it was."""
    before = list(logging.getLogger().handlers)
    path = str(tmp_path / "nowhere" / "m.log")
    with pytest.raises(ConfigError, match=re.escape(path)):
        open_log(LogSettings(outputs=(path,)))
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--log-outputs=default,stdout",), "cannot be combined"),
        (("--log-outputs=stdout,",), "must name stderr"),
        (("--log-outputs=systemd/journal",), "write to stderr"),
        (("--enable-log-rotation",), "needs a path"),
        ((*ROTATING, "--log-rotation-config-json={"), "is no JSON"),
        ((*ROTATING, "--log-rotation-config-json=[]"), "must be a JSON object"),
        ((*ROTATING, '--log-rotation-config-json={"maxsize":-1}'), "maxsize cannot be -1"),
        ((*ROTATING, '--log-rotation-config-json={"size":1}'), "unknown field 'size'"),
        (("--log-format=xml",), "one of json, console"),
        (("--logger=capnslog",), "one of zap"),
    ],
)
def test_mistakes_are_one_line(given: tuple[str, ...], says: str) -> None:
    """Each is refused before anything is opened."""
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_settings(given, {})
