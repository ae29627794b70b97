"""A history on disk: one JSON object a line, written as things happen.

Owns: the file's format and Journal, its writer. The values' dataclasses are the schema: an object
holds its class's name under "t" and the fields that differ from their defaults. Must never do:
lose a line that was written before a crash of the test itself: every line is flushed.
"""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from pathlib import Path
from typing import Any

from jepsen_like.history import operation, request, result
from jepsen_like.history.history import History
from jepsen_like.history.operation import Fault, MemberState, Operation, Watch

Record = Operation | Watch | Fault | MemberState

_CLASSES: dict[str, type[Any]] = {
    name: cls
    for module in (request, result, operation)
    for name, cls in vars(module).items()
    if dataclasses.is_dataclass(cls) and isinstance(cls, type)
}
_ENUMS: dict[str, type[Enum]] = {"Target": request.Target, "Relation": request.Relation}


class Journal:
    """Appends to ``path``. Watches are written when they end."""

    def __init__(self, path: Path, settings: dict[str, str | int | float | bool]) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._write({"settings": settings})

    def record(self, record: Record) -> None:
        self._write(encode(record))

    def close(self) -> None:
        self._file.close()

    def _write(self, value: Any) -> None:
        self._file.write(json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n")
        self._file.flush()


def save(history: History, path: Path) -> None:
    journal = Journal(path, history.settings)
    for records in (history.operations, history.watches, history.faults, history.finals):
        for record in records:
            journal.record(record)
    journal.close()


def load(path: Path) -> History:
    """ValueError names the line that does not fit."""
    history = History()
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                value = json.loads(line)
                if "settings" in value:
                    history.settings = value["settings"]
                else:
                    _add(history, decode(value))
            except (ValueError, KeyError, TypeError) as e:
                raise ValueError(f"{path}, line {number}: {e}") from e
    return history


def _add(history: History, record: Any) -> None:
    match record:
        case Operation():
            history.operations.append(record)
        case Watch():
            history.watches.append(record)
        case Fault():
            history.faults.append(record)
        case MemberState():
            history.finals.append(record)
        case _:
            raise TypeError(f"{type(record).__name__} is no record of a history")


def encode(value: Any) -> Any:
    """A value of the history's modules as what JSON has."""
    if isinstance(value, Enum):
        return {"t": type(value).__name__, "v": value.value}
    if dataclasses.is_dataclass(value):
        fields: dict[str, Any] = {"t": type(value).__name__}
        for field in dataclasses.fields(value):
            content = getattr(value, field.name)
            if content != field.default:
                fields[field.name] = encode(content)
        return fields
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    name = value["t"]
    if name in _ENUMS:
        return _ENUMS[name](value["v"])
    fields = {key: decode(content) for key, content in value.items() if key != "t"}
    if "responses" in fields:
        fields["responses"] = list(fields["responses"])
    return _CLASSES[name](**fields)
