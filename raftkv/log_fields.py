"""The fields of a log line, as etcd names them.

Owns: how a name and a value are spelled. Must never do: log.

    log.info("leader changed", extra=fields(leader_id=hex_id(leader), term=4))
"""

from __future__ import annotations

from typing import Any


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """For a log call's ``extra``: etcd has dashes where Python has underscores."""
    return {"fields": {name.replace("_", "-"): value for name, value in values.items()}}


def hex_id(number: int) -> str:
    """A member's or cluster's id as etcd prints it."""
    return f"{number:x}"
