"""A log record as a line: etcd's JSON, or its console form.

Owns: the names and order of the fields. Must never do: write. As in etcd's zap logger: level, ts,
caller and msg, then the record's fields, then the error. A record carries fields as
``extra={"fields": {...}}`` (see ``raftkv.log_fields``); ids among them are hex strings.
"""

from __future__ import annotations

import json
import logging
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
            **fields_of(record),
        }
        return _compact(line)


class ConsoleFormatter(logging.Formatter):
    """Columns with tabs between, for people; the fields at the end are JSON."""

    def format(self, record: logging.LogRecord) -> str:
        columns = [
            timestamp(record.created),
            _level(record).upper(),
            caller(record),
            record.getMessage(),
        ]
        fields = fields_of(record)
        trace = fields.pop("stacktrace", None)
        if fields:
            columns.append(_compact(fields))
        return "\t".join(columns) + (f"\n{trace}" if trace else "")


def formatter(name: str) -> logging.Formatter:
    return JsonFormatter() if name == "json" else ConsoleFormatter()


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
