"""A log record as a line: etcd's JSON, or its console form.

Owns: the names and order of the fields. Must never do: write. As in etcd's zap logger: level, ts,
caller and msg, then the record's fields, then the error. A record carries fields as
``extra={"fields": {...}}`` (see ``raftkv.log_fields``); ids among them are hex strings.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime
from pathlib import PurePath
from typing import Any

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "level": _level(record),
            "ts": timestamp(record.created),
            "caller": caller(record),
            "msg": record.getMessage(),
        }
        for name, value in fields_of(record).items():
            line[f"{name}_" if name in line else name] = value  # the line's own names stay its own
        return _compact(line)


class ConsoleFormatter(logging.Formatter):
    """For people: time of day, level, message and name=value, in columns that line up, the caller
    last. In colour only where ``colours`` says so: on a terminal."""

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created)
        level = _level(record).upper()
        fields = fields_of(record)
        trace = fields.pop("stacktrace", None)
        message = _one_line(record.getMessage())
        pairs = " ".join(
            f"{self._dim(name + '=')}{_readable(value)}" for name, value in fields.items()
        )
        line = (
            f"{self._dim(at.strftime('%Y-%m-%d %H:%M:%S') + f'.{at.microsecond // 1000:03d}')} "
            f"{self._coloured(level, _COLOURS.get(level, ''))}{' ' * (_LEVEL_WIDTH - len(level))} "
            f"{message}{' ' * (_MESSAGE_WIDTH - len(message)) if pairs else ''}"
        )
        parts = [line, *([pairs] if pairs else []), self._dim(caller(record))]
        return "  ".join(parts) + (f"\n{_indented(trace)}" if trace else "")

    def _dim(self, text: str) -> str:
        return self._coloured(text, _DIM)

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and colour else text


_LEVEL_WIDTH = len("ERROR")
_MESSAGE_WIDTH = 40
"""Longer messages push their fields aside."""
_DIM = "2"
_COLOURS = {"DEBUG": "36", "INFO": "32", "WARN": "33", "ERROR": "31", "FATAL": "1;31"}
_BARE = re.compile(r"[^\s\"'=\\]+")


def _readable(value: Any) -> str:
    """As it is where that is one word; otherwise as JSON has it, which is one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and _is_bare(value):
        return value
    if isinstance(value, list | tuple) and all(map(_is_bare, value)):
        return ",".join(value) or "[]"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isprintable() else json.dumps(value, default=str).replace("\x7f", "?")


def _is_bare(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(_BARE.fullmatch(value))


def _one_line(text: str) -> str:
    """Control characters would end the line, or speak to the terminal."""
    return text if text.isprintable() else json.dumps(text)[1:-1].replace("\x7f", "?")


def _indented(trace: str) -> str:
    return "\n".join(f"    {line}" for line in trace.splitlines())


def formatter(name: str, *, colours: bool = False) -> logging.Formatter:
    return JsonFormatter() if name == "json" else ConsoleFormatter(colours=colours)


def timestamp(seconds: float) -> str:
    """Go's layout 2006-01-02T15:04:05.999999Z0700, in local time."""
    at = datetime.fromtimestamp(seconds).astimezone()
    zone = at.strftime("%z")
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + ("Z" if zone == "+0000" else zone)


def caller(record: logging.LogRecord) -> str:
    """The folder, the file and the line, as zap's short form."""
    path = PurePath(record.pathname)
    return f"{path.parent.name}/{path.name}:{record.lineno}"


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    fields = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = repr(record.exc_info[1])
        fields["stacktrace"] = logging.Formatter().formatException(record.exc_info)
    return fields


def _compact(values: dict[str, Any]) -> str:
    """Without spaces, as zap: scripts look for "msg":"..." as text."""
    return json.dumps(values, ensure_ascii=False, default=str, separators=(",", ":"))


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno, record.levelname.lower())
