"""The busiest callers of a cluster: what `top --clients` shows.

Owns: /debug/top of each member, added up over the members. Must never do: hide a member that did
not answer: it is told with the reason.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from raftkv.cli.ctl.go_text import size
from raftkv.cli.ctl.output import show, table_of
from raftkv.cli.ctl.verb import Settings

DIMENSIONS = ("clients", "users", "prefixes", "methods")
HEADERS = ("WHAT", "NAME", "CALLS", "CALLS/S", "FAILED", "IN", "OUT", "SECONDS")
ASKED = 256
SHOWN = 10
ANSWER_BYTES_MAX = 4 << 20
_SUMS = ("calls", "error", "failed", "bytes_in", "bytes_out", "seconds")

Row = dict[str, Any]


async def show_talkers(settings: Settings, names: Sequence[str]) -> None:
    timeout_s = settings.connection.command_timeout_s
    answers = await asyncio.gather(*(asyncio.to_thread(_ask, name, timeout_s) for name in names))
    merged = merged_of([answer for answer in answers if not isinstance(answer, str)])
    told = [
        f"{name}: {answer}"
        for name, answer in zip(names, answers, strict=True)
        if isinstance(answer, str)
    ]
    rows = [
        cells
        for dimension in DIMENSIONS
        for cells in (_cells(dimension, row) for row in merged[dimension][:SHOWN])
    ]
    show(
        settings,
        simple=lambda: [*told, "  ".join(HEADERS), *("  ".join(row) for row in rows)],
        table=lambda: table_of(HEADERS, [*rows, *([line, *[""] * 7] for line in told)]),
        json=lambda: {**{name: merged[name][:SHOWN] for name in DIMENSIONS}, "errors": told},
    )


def _ask(name: str, timeout_s: float) -> Mapping[str, Any] | str:
    """What a member tells, or why it does not."""
    url = name if "://" in name else f"http://{name}"
    try:
        with urllib.request.urlopen(f"{url}/debug/top?n={ASKED}", timeout=timeout_s) as answer:
            found: Mapping[str, Any] = json.loads(answer.read(ANSWER_BYTES_MAX))
            return found
    except urllib.error.HTTPError as e:
        return "start it with --enable-top-talkers" if e.code == 404 else f"HTTP status {e.code}"
    except (OSError, ValueError) as e:
        return str(e)


def merged_of(answers: Sequence[Mapping[str, Any]]) -> dict[str, list[Row]]:
    """By dimension, the busiest first; rates are those of each member's own time."""
    merged: dict[str, list[Row]] = {}
    for dimension in DIMENSIONS:
        rows: dict[str, Row] = {}
        for answer in answers:
            for told in answer[dimension]:
                row = rows.setdefault(
                    told["name"],
                    {"name": told["name"], "per_second": 0.0, **dict.fromkeys(_SUMS, 0)},
                )
                for field in _SUMS:
                    row[field] += told[field]
                row["per_second"] += told["calls"] / max(answer["seconds"], 0.001)
        merged[dimension] = sorted(rows.values(), key=lambda row: (-row["calls"], row["name"]))
    return merged


def _cells(dimension: str, row: Row) -> list[str]:
    error = f" (up to {row['error']} too many)" if row["error"] else ""
    return [
        dimension.removesuffix("es") if dimension == "prefixes" else dimension.removesuffix("s"),
        row["name"],
        f"{row['calls']}{error}",
        f"{row['per_second']:.1f}",
        str(row["failed"]),
        size(row["bytes_in"]),
        size(row["bytes_out"]),
        f"{row['seconds']:.3f}",
    ]
